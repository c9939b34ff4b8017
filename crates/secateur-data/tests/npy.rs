//! `.npy` files, well-formed and hostile.

mod common;
use common::*;
use secateur_data::*;
use secateur_diag::Code;
use secateur_tensor::{ElemType, Tensor};

fn refused(bytes: Vec<u8>) -> String {
    let error = NpyFile::from_bytes("x.npy", bytes).unwrap_err();
    assert_eq!(error.code, Code::D001);
    error.title
}

#[test]
fn reads_samples_of_every_type() {
    let file = npy_file("<f4", "(2, 2)", &f32_bytes(&[1., 2., 3., 4.]));
    assert_eq!((file.samples(), file.dtype(), file.shape()), (2, ElemType::F32, &[2, 2][..]));
    assert_eq!(file.samples_at(1..9), Tensor::of(&[1, 2], vec![3f32, 4.]));
    assert_eq!(file.samples_at(5..9).dims, [0, 2]);
    let one = |descr, data: &[u8]| npy_file(descr, "(1,)", data).samples_at(0..1);
    assert_eq!(one("|u1", &[7]), Tensor::of(&[1], vec![7u8]));
    assert_eq!(one("|b1", &[1]), Tensor::bools(&[1], vec![1]));
    assert_eq!(one("|i1", &[0xff]), Tensor::of(&[1], vec![-1i8]));
    assert_eq!(one("<i2", &(-2i16).to_le_bytes()), Tensor::of(&[1], vec![-2i16]));
    assert_eq!(one("<i4", &(-3i32).to_le_bytes()), Tensor::of(&[1], vec![-3i32]));
    assert_eq!(one("<i8", &(-4i64).to_le_bytes()), Tensor::of(&[1], vec![-4i64]));
    assert_eq!(one("<u2", &5u16.to_le_bytes()), Tensor::of(&[1], vec![5u16]));
    assert_eq!(one("<f8", &0.5f64.to_le_bytes()), Tensor::of(&[1], vec![0.5f64]));
    assert_eq!(one("<f2", &0x3c00u16.to_le_bytes()).to_f64().unwrap(), [1.0]);
}

#[test]
fn other_header_versions_and_one_axis_in_fortran_order() {
    let text = "{'descr': '|u1', 'fortran_order': True, 'shape': (3,)}\n";
    for version in [2, 3] {
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend([version, 0]);
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend([1, 2, 3]);
        assert_eq!(NpyFile::from_bytes("x", bytes).unwrap().shape(), [3]);
    }
}

#[test]
fn maps_files_and_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npy");
    std::fs::write(&path, npy("|u1", "(3, 1)", &[1, 2, 3])).unwrap();
    assert_eq!(NpyFile::open(&path).unwrap().samples(), 3);
    std::fs::write(&path, []).unwrap();
    for bad in [path, dir.path().to_owned(), dir.path().join("missing")] {
        let error = NpyFile::open(&bad).unwrap_err();
        assert_eq!((error.code, &error.fields[0].1), (Code::D001, &bad.display().to_string()));
    }
}

#[test]
fn truncated_files() {
    let whole = npy("<f4", "(2, 2)", &f32_bytes(&[1., 2., 3., 4.]));
    for length in 0..whole.len() {
        refused(whole[..length].to_vec());
    }
    assert_eq!(refused(whole[..whole.len() - 1].to_vec()), "the file is truncated: 15 of 16 bytes of data");
    assert_eq!(refused(whole[..20].to_vec()), "the file is truncated inside its header");
}

#[test]
fn layouts_and_types_that_are_not_read() {
    let fortran = "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1)}";
    assert!(refused(npy_raw(fortran, &[0; 4])).contains("Fortran order"));
    assert!(refused(npy(">f4", "(1,)", &[0; 4])).contains("big-endian"));
    for descr in ["|O", "<c8", "<U4", "<M8[s]", "|S3", "<f16", "<f0", "|i3"] {
        refused(npy(descr, "(1,)", &[0; 64]));
    }
    let record = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}";
    assert!(refused(npy_raw(record, &[0; 4])).contains("not supported"));
    assert!(refused(npy("|u1", "()", &[0])).contains("scalar"));
    assert!(refused(npy("|u1", "(4, 0)", &[])).contains("no elements"));
}

#[test]
fn hostile_headers() {
    for shape in [
        "(18446744073709551615, 18446744073709551615)",
        "(4294967296, 4294967296, 16)",
        "(99999999999999999999999,)",
        "(0, 9223372036854775807, 9223372036854775807)",
        "(-1,)",
        "(1.5,)",
        "3",
    ] {
        refused(npy("<f4", shape, &[0; 16]));
    }
    for header in
        ["", "{", "[]", "{'descr': '<f4'}", "\u{0}", "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}"]
    {
        refused(npy_raw(header, &[0; 16]));
    }
    assert!(refused(npy_raw(&"(".repeat(9000), &[])).contains("nests too deeply"));
    assert!(refused(npy_raw(&" ".repeat(60000), &[])).contains("claims 60001 bytes"));
    let mut long = b"\x93NUMPY\x02\x00".to_vec();
    long.extend(u32::MAX.to_le_bytes());
    assert!(refused(long).contains("claims 4294967295 bytes"));
}
