//! Elements as packed bytes, from every field that can hold them.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{floats, raw};
use secateur_onnx::ElemType::{self, *};
use secateur_onnx::proto::TensorProto;
use secateur_onnx::{ExternalFiles, byte_count, element_count};

fn typed(elem: ElemType, dims: &[i64]) -> TensorProto {
    TensorProto { raw_data: None, ..raw("t", dims, elem.to_i32(), vec![]) }
}

fn ints(elem: ElemType, dims: &[i64], values: &[i32]) -> TensorProto {
    TensorProto { int32_data: values.to_vec(), ..typed(elem, dims) }
}

#[track_caller]
fn check(t: TensorProto, expected: &[u8]) {
    let bytes = ExternalFiles::default().tensor_bytes(&t).unwrap();
    assert_eq!(bytes, expected, "{:?}", t.data_type);
    // The same bytes, stored raw.
    let again = raw("t", &t.dims, t.data_type(), bytes);
    assert_eq!(ExternalFiles::default().tensor_bytes(&again).unwrap(), expected);
}

fn error(t: TensorProto) -> std::string::String {
    ExternalFiles::default().tensor_bytes(&t).unwrap_err().to_string()
}

#[test]
fn every_type_from_its_typed_field() {
    check(TensorProto { float_data: vec![0.0, 1.0], ..typed(F32, &[2]) }, &floats(2));
    check(TensorProto { float_data: vec![0.0, 1.0], ..typed(C64, &[1]) }, &floats(2));
    let doubles = [1.5f64.to_le_bytes(), (-2.0f64).to_le_bytes()].concat();
    check(TensorProto { double_data: vec![1.5, -2.0], ..typed(F64, &[2]) }, &doubles);
    check(TensorProto { double_data: vec![1.5, -2.0], ..typed(C128, &[1]) }, &doubles);
    check(TensorProto { int64_data: vec![-2], ..typed(I64, &[]) }, &(-2i64).to_le_bytes());
    check(TensorProto { uint64_data: vec![u64::MAX - 1], ..typed(U64, &[]) }, &(u64::MAX - 1).to_le_bytes());
    check(TensorProto { uint64_data: vec![0xffff_fffe], ..typed(U32, &[]) }, &0xffff_fffeu32.to_le_bytes());
    check(ints(I32, &[2], &[-1, 258]), &[255, 255, 255, 255, 2, 1, 0, 0]);
    check(ints(U16, &[2], &[65535, 258]), &[255, 255, 2, 1]);
    check(ints(I16, &[2], &[-2, 258]), &[254, 255, 2, 1]);
    check(ints(F16, &[1], &[0x3c00]), &[0, 0x3c]);
    check(ints(Bf16, &[1], &[0x3f80]), &[0x80, 0x3f]);
    check(ints(U8, &[2], &[255, 1]), &[255, 1]);
    check(ints(I8, &[2], &[-1, 1]), &[255, 1]);
    check(ints(Bool, &[3], &[0, 1, 2]), &[0, 1, 1]);
    for elem in [F8E4M3Fn, F8E4M3Fnuz, F8E5M2, F8E5M2Fnuz, F8E8M0] {
        check(ints(elem, &[2], &[0x7f, 0x80]), &[0x7f, 0x80]);
    }
}

#[test]
fn small_types_are_packed_lowest_bits_first() {
    for elem in [U4, I4, F4E2M1] {
        // Elements 1, 2, 3: two a byte.
        check(ints(elem, &[3], &[0x21, 0x03]), &[0x21, 0x03]);
    }
    for elem in [U2, I2] {
        // Elements 1, 2, 3, 0, 1: four a byte.
        check(ints(elem, &[5], &[0b00_11_10_01, 0b01]), &[0b00_11_10_01, 0b01]);
    }
    for elem in [F6E2M3, F6E3M2] {
        // One an entry: 1, 2, 3, 4, 5.
        check(ints(elem, &[5], &[1, 2, 3, 4, 5]), &[0x81, 0x30, 0x10, 0x05]);
        check(ints(elem, &[2], &[63, 63]), &[0xff, 0x0f]);
    }
    assert_eq!(byte_count(I4, &[3, 3]).unwrap(), 5);
    assert_eq!(byte_count(U2, &[3, 3]).unwrap(), 3);
    assert_eq!(byte_count(F6E2M3, &[3]).unwrap(), 3);
}

#[test]
fn empty_tensors_and_scalars() {
    check(typed(F32, &[0]), &[]);
    check(typed(I4, &[3, 0, i64::MAX, i64::MAX]), &[]);
    assert_eq!(element_count(&[]).unwrap(), 1);
    assert_eq!(element_count(&[2, 3, 4]).unwrap(), 24);
}

#[test]
fn mismatches_are_refused() {
    insta::assert_snapshot!(error(raw("conv1.weight", &[2, 3], 1, floats(5))), @r#"
    error[L004]: a tensor's data do not match its shape
      tensor "conv1.weight": f32[2, 3]
      needs  24 bytes
      has    20 bytes in raw_data
    "#);
    insta::assert_snapshot!(error(ints(I4, &[5], &[1, 2])), @r#"
    error[L004]: a tensor's data do not match its shape
      tensor "t": i4[5]
      needs  3 bytes
      has    2 bytes in int32_data
    "#);
    insta::assert_snapshot!(error(typed(F32, &[])), @r#"
    error[L004]: a tensor's data do not match its shape
      tensor "t": f32[]
      needs  4 bytes
      has    0 bytes in float_data
    "#);
    let segmented = TensorProto { segment: Some(Default::default()), ..raw("t", &[2], 1, floats(2)) };
    assert!(error(segmented).starts_with("error[L004]: a tensor stored in segments"));
}

#[test]
fn absurd_dimensions_are_refused() {
    insta::assert_snapshot!(error(typed(F32, &[2, -1])), @r#"
    error[L006]: a dimension is negative
      shape  [2, -1]
      tensor "t": f32[2, -1]
    "#);
    insta::assert_snapshot!(error(typed(F32, &[i64::MAX, 2])), @r#"
    error[L006]: the product of the dimensions overflows
      shape  [9223372036854775807, 2]
      tensor "t": f32[9223372036854775807, 2]
    "#);
    insta::assert_snapshot!(error(typed(C128, &[1 << 60])), @r#"
    error[L006]: the tensor's size overflows
      shape  [1152921504606846976]
      tensor "t": c128[1152921504606846976]
    "#);
    assert!(element_count(&[1 << 32, 1 << 31]).is_err());
    assert!(element_count(&[0, -1]).is_err());
}

#[test]
fn strings_and_unknown_types_are_refused() {
    insta::assert_snapshot!(error(typed(String, &[1])), @r#"
    error[L009]: string tensors have no packed form
      tensor "t": string[1]
    "#);
    insta::assert_snapshot!(error(raw("t", &[1], 99, vec![])), @r#"
    error[L009]: 99 is not an element type
      tensor "t"
    "#);
    assert!(error(raw("t", &[1], 0, vec![])).starts_with("error[L009]"));
}
