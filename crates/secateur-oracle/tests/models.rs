//! Small models: what runs, and how what does not is refused.

mod common;
use common::*;
use prost::Message;
use secateur_data::*;
use secateur_diag::Code;
use secateur_oracle::{Level, Oracle};
use secateur_run::{CompareOptions, Engine, compare};
use secateur_tensor::Tensor;

fn relu(dims: &[i64]) -> Oracle {
    let bytes = model(
        vec![value("x", F32, dims)],
        vec![node("Relu", "", &["x"], &["y"])],
        vec![value("y", F32, dims)],
    );
    Oracle::from_bytes(&bytes).unwrap()
}

fn rows(n: usize) -> InputSet {
    let values: Vec<f32> = (0..3 * n).map(|i| i as f32 - 4.0).collect();
    let file = npy_file("<f4", &format!("({n}, 3)"), &f32_bytes(&values));
    InputSet::new(vec![(None, file)], relu(&[-1, 3]).inputs(), &Recipe::default()).unwrap()
}

#[test]
fn one_executor_takes_batches_of_any_size() {
    let e = relu(&[-1, 3]);
    assert_eq!(e.inputs()[0].to_string(), "%x: f32[N,3]");
    assert_eq!((e.outputs()[0].name.as_str(), e.fixed_batch()), ("y", None));
    for n in [1, 5, 2, 9, 1, 3, 4, 6, 7, 8, 10, 11] {
        let out = e.run(&rows(n).batch(0..n).unwrap()).unwrap();
        assert_eq!(out[0].1.dims, [n, 3]);
        assert_eq!(out[0].1.slice::<f32>().unwrap()[..3], [0.0; 3]);
    }
}

#[test]
fn a_fixed_batch_is_respected_to_the_last_sample() {
    let (fixed, free) = (relu(&[4, 3]), relu(&[-1, 3]));
    assert_eq!(fixed.fixed_batch(), Some(4));
    for samples in [1, 4, 7] {
        let mut steps = Vec::new();
        let options = CompareOptions { batch: 99, threads: 1 };
        let result =
            compare(&free, &fixed, &rows(samples), None, &options, &mut |done, _| steps.push(done)).unwrap();
        assert_eq!((result.batch, result.outputs[0].elements), (4, 3 * samples as u64));
        assert_eq!(result.outputs[0].sqnr(), f64::INFINITY);
        assert_eq!(steps.last(), Some(&samples));
    }
    let error =
        compare(&fixed, &relu(&[2, 3]), &rows(4), None, &Default::default(), &mut |_, _| ()).unwrap_err();
    assert_eq!(error.title, "the models fix different batches, 4 and 2");
}

#[test]
fn integer_inputs_and_outputs_pass_through() {
    let bytes = model(
        vec![value("x", I32, &[-1, 2])],
        vec![node("Neg", "", &["x"], &["y"]), node("Shape", "", &["x"], &["s"])],
        vec![value("y", I32, &[-1, 2]), value("s", I64, &[2])],
    );
    let e = Oracle::from_bytes(&bytes).unwrap();
    let out = e.run(&[("x", Tensor::of(&[1, 2], vec![3i32, -4]))]).unwrap();
    assert_eq!(out[0].1.to_i64().unwrap(), [-3, 4]);
    assert_eq!(out[1].1.to_i64().unwrap(), [1, 2]);
}

#[test]
fn a_softmax_between_quantizations_is_right() {
    use tract_onnx::pb::{ModelProto, TensorProto};
    let bytes = model(
        vec![value("x", F32, &[-1, 2])],
        vec![
            node("QuantizeLinear", "", &["x", "fine", "zero"], &["xq"]),
            node("DequantizeLinear", "", &["xq", "fine", "zero"], &["xd"]),
            node("Softmax", "", &["xd"], &["s"]),
            node("QuantizeLinear", "", &["s", "unit", "zero"], &["sq"]),
            node("DequantizeLinear", "", &["sq", "unit", "zero"], &["y"]),
        ],
        vec![value("y", F32, &[-1, 2])],
    );
    let mut proto = ModelProto::decode(&bytes[..]).unwrap();
    let scalar = |name: &str, data_type, raw_data: Vec<u8>| TensorProto {
        name: name.into(),
        data_type,
        raw_data,
        ..Default::default()
    };
    proto.graph.as_mut().unwrap().initializer.extend([
        scalar("fine", F32, f32_bytes(&[0.05])),
        scalar("unit", F32, f32_bytes(&[1.0 / 255.0])),
        scalar("zero", 2, vec![0]),
    ]);
    let e = Oracle::from_bytes(&proto.encode_to_vec()).unwrap();
    let x = [("x", Tensor::of(&[2, 2], vec![0f32, 2.0, 5.0, 0.0]))];
    assert_eq!(e.prepare(&x).unwrap(), Level::Optimized);
    let out = e.run(&x).unwrap();
    for (have, want) in out[0].1.slice::<f32>().unwrap().iter().zip([0.1192, 0.8808, 0.9933, 0.0067]) {
        assert!((have - want).abs() < 0.004, "{have} {want}");
    }
}

#[test]
fn operators_that_are_lacking_are_named() {
    let bytes = model(
        vec![value("x", F32, &[-1, 3])],
        vec![
            node("Relu", "", &["x"], &["a"]),
            node("Frobnicate", "", &["a"], &["b"]),
            node("Relu", "com.example", &["b"], &["y"]),
        ],
        vec![value("y", F32, &[-1, 3])],
    );
    assert_eq!(
        Oracle::from_bytes(&bytes).unwrap_err().to_string(),
        "error[X001]: the model cannot be executed: no operator Frobnicate, Relu\n  \
         node   \"b_Frobnicate\" (Frobnicate)\n  node   \"y_Relu\" (Relu, domain com.example)"
    );
}

#[test]
fn shapes_that_do_not_fit_carry_the_node() {
    let bytes = model(
        vec![value("x", F32, &[-1, 3]), value("z", F32, &[-1, 4])],
        vec![node("Add", "", &["x", "z"], &["y"])],
        vec![value("y", F32, &[-1, 3])],
    );
    let e = Oracle::from_bytes(&bytes).unwrap();
    let error =
        e.run(&[("x", Tensor::of(&[1, 3], vec![0f32; 3])), ("z", Tensor::of(&[1, 4], vec![0f32; 4]))]);
    let error = error.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.code, Code::X002, "{text}");
    assert!(
        text.contains("y_Add") && text.contains("%x: f32[1,3]") && text.contains("%z: f32[1,4]"),
        "{text}"
    );
}

#[test]
fn tensors_that_do_not_fit_are_refused_before_running() {
    let e = relu(&[-1, 3]);
    let wrong = [
        ("z", Tensor::of(&[1, 3], vec![0f32; 3])),
        ("x", Tensor::of(&[1, 3], vec![0u8; 3])),
        ("x", Tensor::from_bytes(secateur_tensor::ElemType::F32, vec![2, 3], vec![0; 12])),
        ("x", Tensor::from_bytes(secateur_tensor::ElemType::F32, vec![usize::MAX, 3], vec![])),
    ];
    for input in wrong {
        assert_eq!(e.run(&[input]).unwrap_err().code, Code::D002);
    }
    assert_eq!(e.run(&[("x", Tensor::of(&[1, 2], vec![0f32; 2]))]).unwrap()[0].1.dims, [1, 2]);
}

#[test]
fn hostile_models_end_as_errors() {
    let code = |bytes: &[u8]| Oracle::from_bytes(bytes).unwrap_err().code;
    assert_eq!(code(b"not a model"), Code::L002);
    assert_eq!(code(b""), Code::X001);
    let x = || vec![value("x", F32, &[-1, 3])];
    let y = || vec![value("y", F32, &[-1, 3])];
    assert_eq!(code(&model(x(), vec![], y())), Code::X001, "an output nothing defines");
    assert_eq!(code(&model(x(), vec![node("Relu", "", &["q"], &["y"])], y())), Code::X001);
    let run = |nodes| {
        let bytes = model(x(), nodes, y());
        let e = Oracle::from_bytes(&bytes)?;
        e.run(&[("x", Tensor::of(&[1, 3], vec![0f32; 3]))])
    };
    let cycle = vec![node("Add", "", &["x", "y"], &["a"]), node("Relu", "", &["a"], &["y"])];
    assert!(run(cycle).is_err());
    assert!(run(vec![node("Conv", "", &["x"], &["y"])]).is_err());
    assert!(run(vec![node("Concat", "", &[], &["y"])]).is_err());
    let e = Oracle::from_path(fixture("no-such.onnx")).unwrap_err();
    assert_eq!(e.code, Code::L001);
}

#[test]
fn damaged_files_never_panic() {
    let whole = std::fs::read(fixture("fashion_gru.onnx")).unwrap();
    for cut in (0..whole.len()).step_by(whole.len() / 40) {
        let _ = Oracle::from_bytes(&whole[..cut]);
    }
    let x = [("input", Tensor::of(&[1, 1, 28, 28], vec![0f32; 784]))];
    // The graph's nodes come first in the file; the weights' bytes would only change numbers.
    for at in (0..4000).step_by(67) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        if let Ok(e) = Oracle::from_bytes(&damaged) {
            let _ = e.run(&x);
        }
    }
}

#[test]
fn external_data_stay_inside_the_folder() {
    use tract_onnx::pb::{ModelProto, StringStringEntryProto, TensorProto, tensor_proto::DataLocation};
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("m")).unwrap();
    for place in ["w.bin", "m/w.bin"] {
        std::fs::write(dir.path().join(place), f32_bytes(&[1., 2., 3.])).unwrap();
    }
    let load = |location: &str| {
        let bytes = model(
            vec![value("x", F32, &[-1, 3])],
            vec![node("Add", "", &["x", "w"], &["y"])],
            vec![value("y", F32, &[-1, 3])],
        );
        let mut proto = ModelProto::decode(&bytes[..]).unwrap();
        let entry = StringStringEntryProto { key: "location".into(), value: location.into() };
        proto.graph.as_mut().unwrap().initializer.push(TensorProto {
            name: "w".into(),
            dims: vec![3],
            data_type: F32,
            external_data: vec![entry],
            data_location: Some(DataLocation::External as i32),
            ..Default::default()
        });
        let path = dir.path().join("m/m.onnx");
        std::fs::write(&path, proto.encode_to_vec()).unwrap();
        (Oracle::from_path(&path), Oracle::from_bytes(&proto.encode_to_vec()))
    };
    let (from_path, from_bytes) = load("w.bin");
    let out = from_path.unwrap().run(&[("x", Tensor::of(&[1, 3], vec![0f32; 3]))]).unwrap();
    assert_eq!(out[0].1.slice::<f32>().unwrap(), [1., 2., 3.]);
    assert_eq!(from_bytes.unwrap_err().code, Code::X001);
    assert_eq!(load("../w.bin").0.unwrap_err().code, Code::X001);
}
