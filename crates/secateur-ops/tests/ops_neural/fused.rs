//! ONNX Runtime's fusions.

use super::{couple, macs, ty};

#[test]
fn what_is_added_to_a_convolution_is_tied_to_its_output() {
    let inputs = "%x: f32[1,3,8], %w: f32[4,3,3], %b: f32[4], %z: f32[1,4,6]";
    let node = "com.microsoft::FusedConv(%x, %w, %b, %z) {activation=\"Relu\"}";
    assert_eq!(ty(13, inputs, node), "f32[1,4,6]");
    let said = couple(13, inputs, 1, node);
    assert!(said.ends_with("x3.0 = y0.0\nx3.1 = y0.1\nx3.2 = y0.2"), "{said}");
}

#[test]
fn products_read_their_operands_transposed() {
    let inputs = "%a: f32[3,2,5], %b: f32[4,3]";
    let node = "com.microsoft::FusedMatMul(%a, %b) {transBatchA=1, transA=1, transB=1}";
    // Read as [2, 3, 5] and then as [2, 5, 3].
    assert_eq!(ty(13, inputs, node), "f32[2,5,4]");
    assert_eq!(
        couple(13, inputs, 1, node),
        "x0.2 = y0.1\nx1.0 = y0.2\nx0.0 = x1.1\nsum x0.0 by x1.1\nsum x1.1 by x0.0\nx0.1 = y0.0"
    );
    assert_eq!(macs(13, inputs, node), 2 * 5 * 3 * 4);
    let softmax = "com.microsoft::FusedMatMulActivation(%a, %b) {transBatchA=1, transA=1, transB=1, activation=\"Softmax\"}";
    assert_eq!(couple(13, inputs, 1, softmax), "");
    let inputs = "%a: f32[N,3], %b: f32[3,4], %c: f32[1,4]";
    let gemm = "com.microsoft::FusedGemm(%a, %b, %c) {activation=\"Relu\"}";
    assert_eq!(ty(13, inputs, gemm), "f32[N,4]");
    assert_eq!(
        couple(13, inputs, 1, gemm),
        "x1.1 = y0.1\nx0.1 = x1.0\nsum x0.1 by x1.0\nfree x2.0\nx2.1 = y0.1"
    );
}

#[test]
fn a_bias_is_tied_to_what_it_is_added_to() {
    let inputs = "%x: f32[2,3,4], %b: f32[4]";
    let axes = "x0.0 = y0.0\nx0.1 = y0.1\nx0.2 = y0.2";
    assert_eq!(couple(13, inputs, 1, "com.microsoft::BiasGelu(%x, %b)"), format!("{axes}\nx1.0 = y0.2"));
    assert_eq!(couple(13, inputs, 1, "com.microsoft::FastGelu(%x)"), axes);
}
