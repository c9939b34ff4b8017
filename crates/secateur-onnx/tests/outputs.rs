//! The files of a command: all or none.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;

use secateur_onnx::Outputs;

/// Names and contents in a folder, other folders without theirs.
fn files(dir: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap());
    let mut all: Vec<_> = entries
        .map(|e| {
            let text =
                if e.path().is_dir() { "-".into() } else { std::fs::read_to_string(e.path()).unwrap() };
            (e.file_name().into_string().unwrap(), text)
        })
        .collect();
    all.sort();
    all
}

fn owned(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(n, t)| (n.to_string(), t.to_string())).collect()
}

/// Five outputs, the second to last of which meets a folder that came in between.
#[test]
fn what_was_published_before_a_failure_is_taken_back() {
    for blocked in ["a", "b", "c", "d"] {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (name, text) in [("b", "old b"), ("c", "old c"), ("stale", "old")] {
            std::fs::write(at(name), text).unwrap();
        }
        let mut outputs = Outputs::new();
        for name in ["a", "b", "c", "d"] {
            outputs.write(&at(name), format!("new {name}").as_bytes()).unwrap();
        }
        outputs.remove(&at("stale"));
        outputs.remove(&at("never"));
        let _ = std::fs::remove_file(at(blocked));
        std::fs::create_dir(at(blocked)).unwrap();
        let before = files(dir.path());
        let before: Vec<_> = before.into_iter().filter(|f| !f.0.starts_with(".secateur-")).collect();
        let error = outputs.publish().unwrap_err().to_string();
        assert!(error.starts_with("error[L007]: the file cannot be written"), "{error}");
        assert_eq!(files(dir.path()), before, "{blocked}");
    }
}

#[test]
fn all_appear_and_stale_ones_go() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("b"), "old b").unwrap();
    std::fs::write(at("stale"), "old").unwrap();
    let mut outputs = Outputs::new();
    outputs.folder(&at("x/y")).unwrap();
    outputs.write(&at("x/y/a"), b"new a").unwrap();
    outputs.write(&at("b"), b"new b").unwrap();
    outputs.remove(&at("stale"));
    outputs.publish().unwrap();
    assert_eq!(files(dir.path()), owned(&[("b", "new b"), ("x", "-")]));
    assert_eq!(files(&at("x/y")), owned(&[("a", "new a")]));
}

#[test]
fn nothing_is_left_of_what_is_not_published() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut outputs = Outputs::new();
    outputs.folder(&at("x/y")).unwrap();
    outputs.write(&at("x/y/a"), b"new a").unwrap();
    assert!(outputs.write(&at("x/../x/y/a"), b"again").is_err());
    drop(outputs);
    assert_eq!(files(dir.path()), []);
}

#[test]
fn a_file_has_one_identity_under_many_names() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("a"), "x").unwrap();
    std::fs::write(at("b"), "x").unwrap();
    std::fs::create_dir(at("d")).unwrap();
    assert!(secateur_onnx::same_file(&at("a"), &at("d/../a")));
    assert!(!secateur_onnx::same_file(&at("a"), &at("b")));
    assert!(!secateur_onnx::same_file(&at("a"), &at("missing")));
    let mut outputs = Outputs::new();
    outputs.protect([at("a")]);
    assert!(outputs.check([at("d/../a").as_path()]).is_err());
    assert!(outputs.check([at("b").as_path()]).is_ok());
    assert!(outputs.check([at("b").as_path(), at("d/../b").as_path()]).is_err());
}
