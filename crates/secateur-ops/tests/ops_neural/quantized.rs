//! Quantized tensors.

use super::{couple, error, macs, shrunk, ty};

#[test]
fn a_scale_is_one_number_or_goes_with_its_axis_or_pins_its_blocks() {
    let x = "%x: f32[4,6], %s: f32[], %z: i8[]";
    assert_eq!(ty(13, x, "QuantizeLinear(%x, %s, %z)"), "i8[4,6]");
    assert_eq!(ty(13, x, "QuantizeLinear(%x, %s)"), "u8[4,6]");
    assert_eq!(ty(21, x, "QuantizeLinear(%x, %s) {output_dtype=22}"), "i4[4,6]");
    assert_eq!(couple(13, x, 1, "QuantizeLinear(%x, %s, %z)"), "x0.0 = y0.0\nx0.1 = y0.1");
    let w = "%w: i8[4,6], %s: f32[4], %z: i8[4]";
    assert_eq!(ty(13, w, "DequantizeLinear(%w, %s, %z) {axis=0}"), "f32[4,6]");
    assert_eq!(
        couple(13, w, 1, "DequantizeLinear(%w, %s, %z) {axis=0}"),
        "x0.0 = y0.0\nx0.1 = y0.1\nx1.0 = x0.0\nx2.0 = x0.0"
    );
    assert_eq!(
        couple(21, "%w: i4[4,6], %s: f32[4,2]", 1, "DequantizeLinear(%w, %s) {axis=1, block_size=3}"),
        "x0.0 = y0.0\npin x0.1\npin y0.1\nx1.0 = x0.0"
    );
    assert_eq!(
        error(13, w, "DequantizeLinear(%w, %s, %z)"),
        "error[S001]: 4 scales for 6 elements of axis 1"
    );
    assert_eq!(
        error(21, x, "QuantizeLinear(%x, %s) {output_dtype=999}"),
        "error[S002]: output_dtype = 999 is no element type"
    );
}

#[test]
fn a_quantized_convolution_has_scales_a_channel() {
    let inputs = "%x: u8[N,3,8], %xs: f32[], %xz: u8[], %w: i8[4,3,3], %ws: f32[4], %wz: i8[4], \
                  %ys: f32[], %yz: u8[], %b: i32[4]";
    let node = "QLinearConv(%x, %xs, %xz, %w, %ws, %wz, %ys, %yz, %b)";
    assert_eq!(ty(10, inputs, node), "u8[N,4,6]");
    let fixed = inputs.replace('N', "2");
    let said = couple(10, &fixed, 1, node);
    assert!(said.ends_with("x0.1 = x3.1\nsum x0.1 by x3.1\nx4.0 = x3.0\nx5.0 = x3.0"), "{said}");
    assert!(said.contains("x8.0 = x3.0\ny0.1 = x3.0"), "{said}");
    assert_eq!(macs(10, &fixed, node), 2 * 6 * 4 * 3 * 3);
    let grouped = "%x: u8[1,4,8], %w: i8[4,1,3]";
    assert_eq!(ty(10, grouped, "ConvInteger(%x, %w) {group=4}"), "i32[1,4,6]");
    let gone: [(&str, usize, &[usize]); 2] = [("x", 1, &[0, 3]), ("w", 0, &[0, 3])];
    assert_eq!(shrunk(10, grouped, "ConvInteger(%x, %w) {group=4}", &gone), "{group=2}");
}

#[test]
fn quantized_products_are_products() {
    let inputs = "%a: u8[2,5,3], %b: i8[3,4], %z: u8[], %bz: i8[4]";
    assert_eq!(ty(10, inputs, "MatMulInteger(%a, %b, %z, %bz)"), "i32[2,5,4]");
    let product = "x0.1 = y0.1\nx1.1 = y0.2\nx0.2 = x1.0\nsum x0.2 by x1.0\nsum x1.0 by x0.2\nx0.0 = y0.0";
    assert_eq!(couple(10, inputs, 1, "MatMulInteger(%a, %b, %z, %bz)"), format!("{product}\nx3.0 = x1.1"));
    assert_eq!(macs(10, inputs, "MatMulInteger(%a, %b)"), 2 * 5 * 3 * 4);
    let inputs = "%a: u8[5,3], %s: f32[], %z: u8[], %b: i8[4,3], %bs: f32[4], %bz: i8[4], %c: i32[4]";
    let node = "com.microsoft::QGemm(%a, %s, %z, %b, %bs, %bz, %c) {transB=1}";
    assert_eq!(ty(13, inputs, node), "f32[5,4]");
    assert_eq!(
        couple(13, inputs, 1, node),
        "x0.0 = y0.0\nx3.0 = y0.1\nx0.1 = x3.1\nsum x0.1 by x3.1\nx6.0 = y0.1\nx4.0 = x3.0\nx5.0 = x3.0"
    );
    let inputs = "%a: f32[N,5,64], %b: u8[16,2,16], %s: f32[32]";
    let node = "com.microsoft::MatMulNBits(%a, %b, %s) {K=64, N=16, bits=4, block_size=32}";
    assert_eq!(ty(13, inputs, node), "f32[N,5,16]");
    assert_eq!(couple(13, inputs, 1, node), "x0.1 = y0.1");
}

#[test]
fn quantized_elementwise_and_pooling_are_as_their_float_forms() {
    let q = "%s: f32[], %z: u8[]";
    let inputs = format!("%a: u8[2,3,1], %b: u8[3,4], {q}");
    let node = "com.microsoft::QLinearAdd(%a, %s, %z, %b, %s, %z, %s, %z)";
    assert_eq!(ty(13, &inputs, node), "u8[2,3,4]");
    assert_eq!(
        couple(13, &inputs, 1, node),
        "x0.0 = y0.0\nx0.1 = y0.1\nfree x0.2\nfree y0.2\nx3.0 = y0.1\nx3.1 = y0.2"
    );
    let inputs = format!("%x: u8[2,8,8,3], {q}");
    let pool = "com.microsoft::QLinearAveragePool(%x, %s, %z, %s, %z) {kernel_shape=[2, 2], strides=[2, 2], channels_last=1}";
    assert_eq!(ty(13, &inputs, pool), "u8[2,4,4,3]");
    assert_eq!(
        couple(13, &inputs, 1, pool),
        "x0.0 = y0.0\npin x0.1\npin y0.1\npin x0.2\npin y0.2\nx0.3 = y0.3"
    );
    let global = "com.microsoft::QLinearGlobalAveragePool(%x, %s, %z, %s, %z) {channels_last=0}";
    assert_eq!(ty(13, &inputs, global), "u8[2,8,1,1]");
    let inputs = format!("%a: u8[2,3], %b: u8[2,4], {q}");
    let node = "com.microsoft::QLinearConcat(%s, %z, %a, %s, %z, %b, %s, %z) {axis=1}";
    assert_eq!(ty(13, &inputs, node), "u8[2,7]");
    assert_eq!(
        couple(13, &inputs, 1, node),
        "x2.0 = y0.0\nx2.1 = y0.1\nx5.0 = y0.0\nx5.1[0..] = y0.1[3..] x4"
    );
}
