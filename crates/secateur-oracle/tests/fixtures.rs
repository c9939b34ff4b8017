//! The fixtures against figures recorded with ONNX Runtime 1.32 (CPU, float32) on the same samples.

mod common;
use common::*;
use secateur_data::*;
use secateur_oracle::{Level, Oracle};
use secateur_run::{CompareOptions, Comparison, Engine, compare};

fn load(model: &str) -> Oracle {
    Oracle::from_path(fixture(model)).unwrap()
}

fn fashion(model: &Oracle, samples: usize) -> (InputSet, Labels) {
    let args = parse_data_args(&[fixture("fashion_test_x.npy").to_str().unwrap()]).unwrap();
    let recipe = Recipe::from(Preparation::parse("1/255", "0.2860", "0.3530").unwrap());
    let data = InputSet::open(&args, model.inputs(), &recipe).unwrap();
    let labels = Labels::open(fixture("fashion_test_y.npy")).unwrap();
    (data.first(samples), labels.first(samples))
}

/// Compares two fashion models on the first 500 test images.
fn compared(reference: &str, candidate: &str, options: CompareOptions) -> Comparison {
    let (a, b) = (load(reference), load(candidate));
    let (data, labels) = fashion(&a, 500);
    compare(&a, &b, &data, Some(&labels), &options, &mut |_, _| ()).unwrap()
}

#[test]
fn top1_of_both_and_agreement() {
    for (candidate, agreeing, right, max_abs, sqnr) in [
        ("fashion_mobilenetv2.onnx", 474, 461, 2.860398, 10.923751),
        ("fashion_gru.onnx", 434, 423, 4.761011, 5.640998),
        ("fashion_shufflenet.onnx", 479, 461, 2.706669, 10.467397),
    ] {
        let result = compared("fashion_resnet20.onnx", candidate, CompareOptions::default());
        let output = &result.outputs[0];
        let top1 = output.top1.unwrap();
        let accuracy = top1.accuracy.unwrap();
        assert_eq!((output.name.as_str(), output.elements, top1.samples), ("logits", 5000, 500));
        assert_eq!(
            (top1.agreeing, accuracy.reference_correct, accuracy.candidate_correct),
            (agreeing, 469, right)
        );
        assert!((output.max_abs_error - max_abs).abs() < 1e-4, "{}", output.max_abs_error);
        assert!((output.sqnr() - sqnr).abs() < 1e-4, "{}", output.sqnr());
    }
}

#[test]
fn folded_and_unfolded_batch_norm_agree_to_rounding() {
    let result = compared("fashion_resnet20.onnx", "fashion_resnet20_bn.onnx", CompareOptions::default());
    let output = &result.outputs[0];
    assert!(output.sqnr() > 110.0 && output.max_rel_error.unwrap() < 1e-5, "{output:?}");
    assert_eq!(output.top1.unwrap().agreement, 1.0);
}

#[test]
fn figures_do_not_depend_on_threads() {
    let run = |threads| {
        let options = CompareOptions { batch: 48, threads };
        compared("fashion_shufflenet.onnx", "fashion_mobilenetv2.onnx", options)
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
}

#[test]
fn a_model_against_itself_is_run_once_and_equal() {
    let e = load("fashion_gru.onnx");
    let (data, labels) = fashion(&e, 500);
    let mut progress = Vec::new();
    let options = CompareOptions { batch: 64, threads: 1 };
    let result =
        compare(&e, &e, &data, Some(&labels), &options, &mut |done, all| progress.push((done, all))).unwrap();
    assert_eq!(progress.last(), Some(&(500, 500)));
    assert_eq!(progress.len(), 8);
    let output = &result.outputs[0];
    assert_eq!(
        (output.sqnr(), output.top1.unwrap().accuracy.unwrap().candidate_correct),
        (f64::INFINITY, 423)
    );
    let json = serde_json::to_value(&result).unwrap();
    assert_eq!(json["outputs"][0]["top1"]["accuracy"]["reference_correct"], 423);
    assert!(json["outputs"][0]["sqnr_db"].is_null());
}

#[test]
fn logits_are_those_of_onnx_runtime() {
    let e = load("fashion_resnet20.onnx");
    let (data, _) = fashion(&e, 500);
    let out = e.run(&data.batch(0..1).unwrap()).unwrap();
    let expected = [
        0.09454042,
        -0.6772236,
        -0.6551913,
        -0.7694521,
        -0.6362465,
        5.213659,
        -0.23567311,
        -1.4123479,
        -1.1281503,
        -0.6544412,
    ];
    for (have, want) in out[0].1.slice::<f32>().unwrap().iter().zip(expected) {
        assert!((have - want).abs() < 1e-5, "{have} {want}");
    }
}

#[test]
fn every_level_of_rewriting_computes_the_same() {
    let e = load("fashion_shufflenet.onnx");
    let (data, _) = fashion(&e, 16);
    for level in [Level::Decluttered, Level::Typed] {
        let plain = load("fashion_shufflenet.onnx").with_level(level);
        assert_eq!(plain.prepare(&data.batch(0..16).unwrap()).unwrap(), level);
        let result = compare(&e, &plain, &data, None, &CompareOptions::default(), &mut |_, _| ()).unwrap();
        assert!(result.outputs[0].sqnr() > 100.0, "{level:?}");
    }
}

#[test]
fn image_size_left_open_by_the_model() {
    let e = load("ppocr_cls_v2.onnx");
    let args = parse_data_args(&[format!("x={}", fixture("ocr_cls_test_x.npy").display())]).unwrap();
    let recipe = Recipe::parse("scale = '1/255'\nmean = 0.5\nstd = [0.5]").unwrap();
    let data = InputSet::open(&args, e.inputs(), &recipe).unwrap().first(16);
    let labels = Labels::open(fixture("ocr_cls_test_y.npy")).unwrap().first(16);
    let result = compare(&e, &e, &data, Some(&labels), &CompareOptions::default(), &mut |_, _| ()).unwrap();
    assert_eq!(result.outputs[0].top1.unwrap().accuracy.unwrap().reference_correct, 16);
}

#[test]
fn labels_must_fit() {
    let e = load("fashion_gru.onnx");
    let (data, labels) = fashion(&e, 20);
    let mut quiet = |_, _| ();
    let error =
        compare(&e, &e, &data, Some(&labels.first(19)), &CompareOptions::default(), &mut quiet).unwrap_err();
    assert_eq!(error.title, "there are 19 labels for 20 samples");
    let high = Labels::from_file(&npy_file("|u1", "(20,)", &[10; 20])).unwrap();
    let error = compare(&e, &e, &data, Some(&high), &CompareOptions::default(), &mut quiet).unwrap_err();
    assert_eq!(error.title, "the labels go up to class 10, but no output has 11 classes");
}
