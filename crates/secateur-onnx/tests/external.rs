//! Tensors in other files: reading, refusing, writing back.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{external, floats, initializer, model, parts, raw, rendered};
use prost::Message;
use secateur_onnx::proto::tensor_proto::DataLocation;
use secateur_onnx::{DATA_ALIGNMENT, ExternalOut, Model, is_external};

/// A folder with `m.onnx`, whose tensors `a` and `b` are in `weights.bin`, and `c` in the model.
fn on_disk(dir: &Path) -> Model {
    let mut file = vec![0xee; 4];
    file.extend(floats(6));
    std::fs::write(dir.join("weights.bin"), file).unwrap();
    let mut proto = model(vec![
        external(
            "a",
            &[2],
            &[("location", "weights.bin"), ("offset", "4"), ("length", "8"), ("checksum", "x")],
        ),
        external("b", &[4], &[("location", "weights.bin"), ("offset", "12")]),
        raw("c", &[1], 1, floats(1)),
    ]);
    // One more, deep inside.
    proto.graph.as_mut().unwrap().node[0].attribute[0].t =
        Some(external("inner", &[1], &[("location", "weights.bin"), ("offset", "8"), ("length", "4")]));
    std::fs::write(dir.join("m.onnx"), proto.encode_to_vec()).unwrap();
    Model::load(&dir.join("m.onnx")).unwrap()
}

fn files(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn tensors(model: &Model) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    secateur_onnx::for_each_tensor(model.proto(), &mut |t| all.push(model.tensor_bytes(t).unwrap().to_vec()));
    all
}

#[test]
fn an_untouched_model_can_move_to_another_folder() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let loaded = on_disk(from.path());
    assert_eq!(initializer(&loaded, 0).external_data.len(), 4);
    loaded.save(&to.path().join("n.onnx"), &ExternalOut::Keep).unwrap();
    assert_eq!(files(to.path()), ["n.onnx", "n.onnx.data"]);
    let moved = Model::load(&to.path().join("n.onnx")).unwrap();
    assert_eq!(tensors(&moved), tensors(&loaded));
    let entries = |i| {
        let t = initializer(&moved, i);
        t.external_data.iter().map(|e| format!("{}={}", e.key(), e.value())).collect::<Vec<_>>()
    };
    assert_eq!(entries(0), ["location=n.onnx.data", "offset=0", "length=8"]);
    assert_eq!(entries(1), ["location=n.onnx.data", "offset=64", "length=16"]);
    assert!(!is_external(initializer(&moved, 2)));

    // In place, over the files that are mapped.
    moved.save(&to.path().join("n.onnx"), &ExternalOut::Keep).unwrap();
    assert_eq!(tensors(&Model::load(&to.path().join("n.onnx")).unwrap()), tensors(&loaded));
    assert_eq!(files(to.path()), ["n.onnx", "n.onnx.data"]);
}

#[test]
fn a_changed_tensor_goes_back_outside() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut loaded = on_disk(from.path());
    let names = loaded.external_names();
    assert_eq!(names.iter().collect::<Vec<_>>(), ["a", "b"]);
    let graph = loaded.proto_mut().graph.as_mut().unwrap();
    graph.initializer[0] = raw("a", &[5], 1, floats(5));
    graph.node[0].attribute[0].t.as_mut().unwrap().raw_data = None;
    loaded.save(&to.path().join("n.onnx"), &ExternalOut::Names(names)).unwrap();
    let moved = Model::load(&to.path().join("n.onnx")).unwrap();
    assert_eq!(tensors(&moved), tensors(&loaded));
    assert_eq!(moved.tensor_bytes(initializer(&moved, 0)).unwrap(), floats(5));
    let outside: Vec<_> = (0..3).map(|i| is_external(initializer(&moved, i))).collect();
    assert_eq!(outside, [true, true, false]);
    let inner = moved.proto().graph.as_ref().unwrap().node[0].attribute[0].t.clone().unwrap();
    assert!(!is_external(&inner), "not named, hence in the model");
}

#[test]
fn inlining_leaves_one_file() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let loaded = on_disk(from.path());
    loaded.save(&to.path().join("n.onnx"), &ExternalOut::Inline).unwrap();
    assert_eq!(files(to.path()), ["n.onnx"]);
    assert_eq!(tensors(&Model::load(&to.path().join("n.onnx")).unwrap()), tensors(&loaded));
}

#[test]
fn typed_shared_and_empty_tensors() {
    let dir = tempfile::tempdir().unwrap();
    let mut typed = raw("typed", &[3], 1, vec![]);
    typed.raw_data = None;
    typed.float_data = vec![1.0, 2.0, 3.0];
    let shared = raw("x", &[2000], 1, floats(2000));
    let mut twin = shared.clone();
    twin.name = Some("twin".into());
    let mut text = raw("text", &[1], 8, vec![]);
    text.raw_data = None;
    text.string_data = vec!["hello".into()];
    let proto = model(vec![typed, shared, twin, raw("empty", &[0], 1, vec![]), text]);
    let names = ["typed", "x", "twin", "empty", "text", "absent"].map(String::from).into();
    let path = dir.path().join("m.onnx");
    parts(proto, None).save(&path, &ExternalOut::Names(names)).unwrap();
    let loaded = Model::load(&path).unwrap();
    let outside: Vec<_> = (0..5).map(|i| is_external(initializer(&loaded, i))).collect();
    assert_eq!(outside, [true, true, true, false, false]);
    assert_eq!(loaded.tensor_bytes(initializer(&loaded, 2)).unwrap(), floats(2000));
    let size = std::fs::metadata(dir.path().join("m.onnx.data")).unwrap().len();
    assert_eq!(size, DATA_ALIGNMENT + 8000, "the twins share their bytes");
    assert_eq!(initializer(&loaded, 4).string_data, ["hello"]);
    assert_eq!(initializer(&loaded, 0).float_data, []);
}

fn refusal(dir: &Path, entries: &[(&str, &str)]) -> String {
    let model = parts(model(vec![external("w", &[2], entries)]), Some(dir));
    rendered(model.tensor_bytes(initializer(&model, 0)), dir)
}

#[test]
fn paths_that_leave_the_folder_are_refused() {
    let outer = tempfile::tempdir().unwrap();
    std::fs::write(outer.path().join("secret"), floats(2)).unwrap();
    let dir = outer.path().join("inner");
    std::fs::create_dir(&dir).unwrap();
    insta::assert_snapshot!(refusal(&dir, &[("location", "../secret")]), @r#"
    error[L005]: external data cannot be read
      tensor "w"
      file   "../secret"
      reason the location leaves the model's folder
      help   put the data file into the model's own folder
    "#);
    let absolute = outer.path().join("secret").display().to_string();
    assert!(refusal(&dir, &[("location", &absolute)]).contains("the location is absolute"));
    assert!(refusal(&dir, &[("location", r"C:\secret")]).contains("the location is absolute"));
    assert!(refusal(&dir, &[("location", r"a\..\..\secret")]).contains("leaves the model's folder"));
    assert!(refusal(&dir, &[("location", "a/../x")]).contains("leaves the model's folder"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../secret", dir.join("link")).unwrap();
        insta::assert_snapshot!(refusal(&dir, &[("location", "link")]), @r#"
        error[L005]: external data cannot be read
          tensor "w"
          file   "link"
          reason a symbolic link leaves the model's folder
          help   put the data file into the model's own folder
        "#);
        std::os::unix::fs::symlink("..", dir.join("up")).unwrap();
        assert!(refusal(&dir, &[("location", "up/secret")]).contains("symbolic link"));
        std::os::unix::fs::symlink("/dev", dir.join("dev")).unwrap();
        assert!(refusal(&dir, &[("location", "dev/zero")]).contains("symbolic link"));
        let socket = std::os::unix::net::UnixListener::bind(dir.join("socket"));
        assert!(refusal(&dir, &[("location", "socket")]).contains("not a regular file"));
        drop(socket);
    }
}

#[test]
fn unreadable_data_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("w"), floats(2)).unwrap();
    std::fs::write(dir.join("empty"), "").unwrap();
    std::fs::create_dir(dir.join("folder")).unwrap();
    insta::assert_snapshot!(refusal(dir, &[("location", "w"), ("offset", "1"), ("length", "8")]), @r#"
    error[L005]: external data cannot be read
      tensor "w"
      file   "w"
      reason 8 bytes at 1 are asked for, the file has 8
    "#);
    insta::assert_snapshot!(refusal(dir, &[("location", "w"), ("length", "4")]), @r#"
    error[L004]: a tensor's data do not match its shape
      tensor "w": f32[2]
      needs  8 bytes
      has    4 bytes in external_data
    "#);
    let huge = u64::MAX.to_string();
    for (entries, reason) in [
        (&[("location", "w"), ("offset", huge.as_str())][..], "are asked for, the file has 8"),
        (&[("location", "w"), ("length", &huge)], "are asked for, the file has 8"),
        (&[("location", "w"), ("offset", "-1")], "offset \"-1\" is not a byte count"),
        (&[("location", "w"), ("length", "8 ")], "length \"8 \" is not a byte count"),
        (&[("location", "empty")], "the file has 0"),
        (&[("location", "folder")], "it is a folder"),
        (&[("location", "missing")], "No such file"),
        (&[("location", "w\0")], "reason"),
        (&[("location", "")], "states no location"),
        (&[], "states no location"),
    ] {
        let error = refusal(dir, entries);
        assert!(error.starts_with("error[L005]") && error.contains(reason), "{entries:?}: {error}");
    }
    let lost = parts(model(vec![external("w", &[2], &[("location", "w")])]), None);
    let error = lost.tensor_bytes(initializer(&lost, 0)).unwrap_err().to_string();
    assert!(error.contains("not loaded from a folder"), "{error}");
    assert_eq!(initializer(&lost, 0).data_location(), DataLocation::External);
}

#[test]
fn a_failed_save_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let good = parts(model(vec![raw("a", &[1], 1, floats(1))]), None);
    let save = |model: &Model, name: &str| {
        rendered(model.save(&dir.path().join(name), &ExternalOut::Keep), dir.path())
    };
    insta::assert_snapshot!(save(&good, "nowhere/m.onnx"), @r#"
    error[L007]: the model cannot be written
      reason there is no folder "DIR/nowhere"
      file   DIR/nowhere/m.onnx
    "#);
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    assert!(save(&good, "folder").contains("there is a folder of that name"));
    let lost = parts(model(vec![external("w", &[2], &[("location", "gone")])]), Some(dir.path()));
    assert!(save(&lost, "m.onnx").starts_with("error[L005]"));
    assert_eq!(files(dir.path()), ["folder"]);
}
