//! ConvTranspose.

use super::{couple, error, macs, shrunk, ty};

#[test]
fn lengths_grow_by_the_stride() {
    let x = "%x: f32[N,4,5,H], %w: f32[4,3,3,3]";
    let up = |attrs: &str| ty(11, x, &format!("ConvTranspose(%x, %w) {{{attrs}}}"));
    assert_eq!(up("strides=[2, 1], pads=[1, 1, 1, 1], output_padding=[1, 0]"), "f32[N,3,10,H]");
    assert_eq!(up("strides=[2, 2], auto_pad=\"SAME_LOWER\""), "f32[N,3,10,2*H]");
    assert_eq!(up("output_shape=[12, 13]"), "f32[N,3,12,13]");
    assert_eq!(up("group=2, dilations=[2, 2], pads=[2, 2, 2, 2]"), "f32[N,6,5,H]");
    let x = "%x: f32[1,4,5], %w: f32[4,3,2]";
    assert_eq!(ty(11, x, "ConvTranspose(%x, %w) {strides=[2]}"), "f32[1,3,10]");
}

#[test]
fn rows_are_inputs_and_columns_are_outputs() {
    let x = "%x: f32[1,4,5], %w: f32[4,3,2], %b: f32[3]";
    let around = "x0.0 = y0.0\npin x0.2\npin x1.2\npin y0.2\nx2.0 = y0.1\n";
    assert_eq!(
        couple(11, x, 1, "ConvTranspose(%x, %w, %b)"),
        format!("{around}x1.1 = y0.1\nx0.1 = x1.0\nsum x0.1 by x1.0")
    );
    assert_eq!(
        couple(11, "%x: f32[1,4,5], %w: f32[4,3,2], %b: f32[6]", 1, "ConvTranspose(%x, %w, %b) {group=2}"),
        format!(
            "{around}x0.1 = x1.0\nchoose\n  groups: x1.0:2x2 y0.1:2x3; pin x1.1\n  \
             within groups: x1.1:3x1 y0.1:3x1; x1.0:2x1; sum x0.1 by x1.0"
        )
    );
    let depthwise = couple(11, "%x: f32[1,4,5], %w: f32[4,1,2]", 1, "ConvTranspose(%x, %w) {group=4}");
    assert!(depthwise.ends_with("x0.1 = x1.0\nx1.0:4x1 y0.1:4x1\npin x1.1"), "{depthwise}");
}

#[test]
fn the_count_of_groups_follows() {
    let x = "%x: f32[1,4,5], %w: f32[4,3,2]";
    let node = "ConvTranspose(%x, %w) {group=2}";
    let gone = [("x", 1, &[2, 3][..]), ("w", 0, &[2, 3]), ("y", 1, &[3, 4, 5])];
    assert_eq!(shrunk(11, x, node, &gone), "{group=1}");
    // Places within the groups: the count stays.
    assert_eq!(shrunk(11, x, node, &[("w", 1, &[0, 2]), ("y", 1, &[0, 2, 3, 5])]), "{group=2}");
    let node = "ConvTranspose(%x, %w) {output_shape=[1, 3, 6]}";
    assert_eq!(shrunk(11, x, node, &[("w", 1, &[0, 2]), ("y", 1, &[0, 2])]), "{output_shape=[1, 2, 6]}");
}

#[test]
fn every_input_place_meets_its_row() {
    let x = "%x: f32[2,4,5], %w: f32[4,3,2]";
    assert_eq!(macs(11, x, "ConvTranspose(%x, %w) {strides=[2]}"), 2 * 5 * 4 * 3 * 2);
}

#[test]
fn what_does_not_fit_is_reported() {
    let x = "%x: f32[1,4,5], %w: f32[4,3,2]";
    assert_eq!(
        error(11, "%x: f32[1,5,5], %w: f32[4,3,2]", "ConvTranspose(%x, %w)"),
        "error[S001]: the input has 5 channels, the weight takes 4"
    );
    assert_eq!(
        error(11, x, "ConvTranspose(%x, %w) {group=3}"),
        "error[S001]: 4 input channels do not divide into 3 groups"
    );
    assert_eq!(
        error(11, x, "ConvTranspose(%x, %w) {pads=[3, 3]}"),
        "error[S001]: the output would be -5 longer than 5"
    );
    assert_eq!(
        error(
            11,
            x,
            "ConvTranspose(%x, %w) {strides=[9223372036854775807], dilations=[9223372036854775807]}"
        ),
        "error[S002]: kernel, stride, dilation or padding are out of range"
    );
}
