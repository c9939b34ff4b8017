//! Samples against declared inputs, and preparation of batches.

mod common;
use common::*;
use secateur_data::*;
use secateur_diag::{Code, Diagnostic};
use secateur_tensor::{ElemType, Tensor};

fn input(name: &str, dtype: ElemType, dims: &[usize]) -> ValueInfo {
    let dim = |&n: &usize| if n == 0 { Dim::Symbol("N".into()) } else { Dim::Fixed(n) };
    ValueInfo { name: name.into(), dtype: Some(dtype), shape: Some(dims.iter().map(dim).collect()) }
}

fn set(file: NpyFile, input: ValueInfo, prep: Preparation) -> Result<InputSet, Box<Diagnostic>> {
    InputSet::new(vec![(None, file)], &[input], &Recipe::from(prep))
}

#[test]
fn bytes_are_prepared_by_channel() {
    let prep = Preparation::parse("1/255", "0.5,0.25", "0.5,2").unwrap();
    let file = npy_file("|u1", "(2, 2, 1, 2)", &[0, 255, 0, 255, 51, 102, 51, 102]);
    let data = set(file, input("x", ElemType::F32, &[0, 2, 1, 2]), prep).unwrap();
    assert_eq!((data.samples(), data.warnings().len()), (2, 0));
    let (name, batch) = data.batch(0..2).unwrap().remove(0);
    assert_eq!((name.as_str(), batch.dims.as_slice()), ("x", &[2, 2, 1, 2][..]));
    let expected = [-1.0, 1.0, -0.125, 0.375, -0.6, -0.2, -0.025, 0.075];
    for (have, want) in batch.slice::<f32>().unwrap().iter().zip(expected) {
        assert!((have - want).abs() < 1e-6, "{have} {want}");
    }
    let (_, last) = data.batch(1..9).unwrap().remove(0);
    assert_eq!(last.slice::<f32>().unwrap(), &batch.slice::<f32>().unwrap()[4..]);
}

#[test]
fn every_stored_type_is_prepared_alike() {
    let prep = Preparation::parse("1/2", "1", "4").unwrap();
    let cases = [
        npy_file("|u1", "(1, 2)", &[4, 10]),
        npy_file("<f4", "(1, 2)", &f32_bytes(&[4., 10.])),
        npy_file("<i2", "(1, 2)", &[4, 0, 10, 0]),
        npy_file("<f8", "(1, 2)", &[4f64.to_le_bytes(), 10f64.to_le_bytes()].concat()),
    ];
    for file in cases {
        for dtype in [ElemType::F32, ElemType::F64, ElemType::F16] {
            let file = NpyFile::from_bytes("y", npy_copy(&file)).unwrap();
            let data = set(file, input("x", dtype, &[0, 2]), prep.clone()).unwrap();
            let tensor = data.batch(0..1).unwrap().remove(0).1;
            assert_eq!((tensor.elem, tensor.to_f64().unwrap_or_default()), (dtype, vec![0.25, 1.0]));
        }
    }
}

/// The file's samples again, as f64.
fn npy_copy(file: &NpyFile) -> Vec<u8> {
    let values = file.samples_at(0..file.samples()).to_f64().unwrap_or_default();
    npy("<f8", "(1, 2)", &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
}

#[test]
fn misfits_name_the_input_and_both_shapes() {
    let file = npy_file("|u1", "(2, 3, 4, 4)", &[0; 96]);
    let error = set(file, input("x", ElemType::F32, &[0, 1, 4, 4]), Preparation::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "error[D002]: axis 1 of the data has length 3, the input wants 1\n  \
         input  %x: f32[N,1,4,4]\n  file   x.npy: u8[2,3,4,4]"
    );
    let rank =
        set(npy_file("|u1", "(2, 3)", &[0; 6]), input("x", ElemType::F32, &[0, 3, 1]), Default::default());
    assert_eq!(rank.unwrap_err().title, "the data have 2 axes, the input has 3");
    let empty = set(npy_file("|u1", "(0, 3)", &[]), input("x", ElemType::F32, &[0, 3]), Default::default());
    assert_eq!(empty.unwrap_err().title, "the data file holds no samples");
    let float = npy_file("<f4", "(1, 1)", &[0; 4]);
    let into_int = set(float, input("x", ElemType::I32, &[0, 1]), Default::default());
    assert_eq!(into_int.unwrap_err().title, "f32 data cannot be fed to a i32 input");
    let channels = Preparation::parse("1", "0,0", "1").unwrap();
    let error =
        set(npy_file("|u1", "(1, 3)", &[0; 3]), input("x", ElemType::F32, &[0, 3]), channels).unwrap_err();
    assert_eq!(error.code, Code::D003);
}

#[test]
fn a_fixed_batch_and_open_axes_always_fit() {
    for dims in [&[1, 3][..], &[8, 0], &[0, 0]] {
        set(npy_file("|u1", "(2, 3)", &[0; 6]), input("x", ElemType::F32, dims), Default::default()).unwrap();
    }
    let any = ValueInfo { name: "x".into(), dtype: Some(ElemType::F32), shape: None };
    set(npy_file("|u1", "(2, 3)", &[0; 6]), any, Default::default()).unwrap();
}

#[test]
fn integers_pass_unprepared() {
    let wide = [5i64.to_le_bytes(), (1i64 << 40).to_le_bytes()].concat();
    let scaled = Preparation::parse("1/255", "0", "1").unwrap();
    let data = set(npy_file("<i8", "(2, 1)", &wide), input("ids", ElemType::I32, &[0, 1]), scaled).unwrap();
    assert!(data.summary()[0].preparation.is_identity());
    assert_eq!(data.batch(0..1).unwrap()[0].1, Tensor::of(&[1, 1], vec![5i32]));
    let error = data.batch(0..2).unwrap_err();
    assert_eq!((error.code, error.fields.last().unwrap().1.as_str()), (Code::D002, "1"));
}

#[test]
fn nan_and_infinity_name_the_sample() {
    for bad in [f32::NAN, f32::INFINITY] {
        let mut values = [0.0; 8];
        values[6] = bad;
        let file = npy_file("<f4", "(4, 2)", &f32_bytes(&values));
        let data = set(file, input("x", ElemType::F32, &[0, 2]), Default::default()).unwrap();
        assert!(data.batch(0..3).is_ok());
        let error = data.batch(2..4).unwrap_err();
        assert_eq!((error.code, error.fields.last().unwrap()), (Code::D004, &("sample", "3".to_string())));
    }
    let huge = npy_file("<f4", "(1, 1)", &f32_bytes(&[1e38]));
    let prep = Preparation::parse("1000", "0", "1").unwrap();
    let error = set(huge, input("x", ElemType::F32, &[0, 1]), prep).unwrap().batch(0..1).unwrap_err();
    assert_eq!(error.code, Code::D004);
}

#[test]
fn several_inputs_by_name() {
    let inputs = [input("a", ElemType::F32, &[0, 1]), input("b", ElemType::I64, &[0, 1])];
    let byte = |n: usize| npy_file("|u1", &format!("({n}, 1)"), &vec![9; n]);
    let recipe = Recipe::parse("[input.a]\nscale = 2").unwrap();
    let files = |names: &[(&str, usize)]| names.iter().map(|&(n, len)| (Some(n.into()), byte(len))).collect();
    let data = InputSet::new(files(&[("b", 2), ("a", 2)]), &inputs, &recipe).unwrap();
    let batch = data.batch(1..2).unwrap();
    assert_eq!(batch[0], ("b".into(), Tensor::of(&[1, 1], vec![9i64])));
    assert_eq!(batch[1], ("a".into(), Tensor::of(&[1, 1], vec![18.0f32])));
    assert!(serde_json::to_string(&data.summary()).unwrap().contains(r#""scale":2.0"#));

    let none = Recipe::default();
    for wrong in [&[("a", 2)][..], &[("a", 2), ("c", 2)], &[("a", 2), ("b", 3)]] {
        assert_eq!(InputSet::new(files(wrong), &inputs, &none).unwrap_err().code, Code::D002);
    }
    assert_eq!(InputSet::new(vec![(None, byte(1))], &inputs, &none).unwrap_err().code, Code::D002);
    for text in ["[input.b]\nscale = 2", "[input.c]\nscale = 2"] {
        let recipe = Recipe::parse(text).unwrap();
        assert_eq!(
            InputSet::new(files(&[("b", 2), ("a", 2)]), &inputs, &recipe).unwrap_err().code,
            Code::D003
        );
    }
}

#[test]
fn raw_bytes_for_a_float_input_are_a_warning() {
    let data =
        set(npy_file("|u1", "(1, 1)", &[9]), input("x", ElemType::F32, &[0, 1]), Default::default()).unwrap();
    assert_eq!(data.warnings()[0].title, "bytes are fed to a float input as 0 to 255");
}

#[test]
fn labels_are_integers_of_one_axis() {
    let labels = Labels::from_file(&npy_file(
        "<i8",
        "(2,)",
        &[[3u8, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]].concat(),
    ));
    assert_eq!(labels.unwrap().classes(), [3, 1]);
    assert_eq!(Labels::from_file(&npy_file("|u1", "(2,)", &[3, 1])).unwrap().first(1).classes(), [3]);
    for bad in
        [npy_file("<f4", "(1,)", &[0; 4]), npy_file("|u1", "(1, 1)", &[0]), npy_file("|i1", "(1,)", &[255])]
    {
        assert_eq!(Labels::from_file(&bad).unwrap_err().code, Code::D002);
    }
}
