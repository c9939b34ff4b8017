//! Pooling.

use super::{couple, error, ty, types};

#[test]
fn windows_slide_over_what_is_behind_the_channels() {
    let x = "%x: f32[N,3,9,10]";
    assert_eq!(ty(12, x, "MaxPool(%x) {kernel_shape=[3, 2], strides=[2, 2]}"), "f32[N,3,4,5]");
    assert_eq!(ty(12, x, "MaxPool(%x) {kernel_shape=[3, 3], dilations=[2, 2]}"), "f32[N,3,5,6]");
    assert_eq!(
        ty(12, x, "AveragePool(%x) {kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1}"),
        "f32[N,3,5,6]"
    );
    assert_eq!(
        ty(12, x, "LpPool(%x) {kernel_shape=[2, 2], strides=[2, 3], auto_pad=\"SAME_UPPER\"}"),
        "f32[N,3,5,4]"
    );
    assert_eq!(ty(12, "%x: f32[N,3,L]", "MaxPool(%x) {kernel_shape=[3], pads=[1, 1]}"), "f32[N,3,L]");
    assert_eq!(ty(12, x, "GlobalAveragePool(%x)"), "f32[N,3,1,1]");
    assert_eq!(types(12, x, 2, "MaxPool(%x) {kernel_shape=[9, 10]}"), ["f32[N,3,1,1]", "i64[N,3,1,1]"]);
}

#[test]
fn a_last_window_that_starts_in_the_padding_is_left_out() {
    let pool = |attrs: &str| ty(12, "%x: f32[1,1,4]", &format!("MaxPool(%x) {{{attrs}, ceil_mode=1}}"));
    assert_eq!(pool("kernel_shape=[1], strides=[2]"), "f32[1,1,2]");
    assert_eq!(pool("kernel_shape=[2], strides=[3], pads=[1, 1]"), "f32[1,1,2]");
    assert_eq!(pool("kernel_shape=[3], strides=[2]"), "f32[1,1,2]");
}

#[test]
fn unpooling_undoes_the_lengths() {
    let x = "%x: f32[1,2,2,3], %i: i64[1,2,2,3]";
    assert_eq!(ty(11, x, "MaxUnpool(%x, %i) {kernel_shape=[2, 2], strides=[2, 2]}"), "f32[1,2,4,6]");
    assert_eq!(couple(11, x, 1, "MaxUnpool(%x, %i) {kernel_shape=[2, 2], strides=[2, 2]}"), "");
}

#[test]
fn bad_windows_are_reported() {
    let x = "%x: f32[1,3,4,4]";
    assert_eq!(error(12, x, "MaxPool(%x)"), "error[S002]: kernel_shape is missing");
    assert_eq!(
        error(12, x, "MaxPool(%x) {kernel_shape=[3]}"),
        "error[S001]: a window of 1 axes slides over 2"
    );
    assert_eq!(
        error(12, x, "MaxPool(%x) {kernel_shape=[3, 5]}"),
        "error[S001]: the window of 5 is longer than the padded input of 4"
    );
    assert_eq!(
        error(12, "%x: f32[3,4]", "AveragePool(%x) {kernel_shape=[3]}"),
        "error[S001]: the input has rank 2, pooling needs 3 or more"
    );
    assert_eq!(
        error(12, "%x: f32[3]", "GlobalMaxPool(%x)"),
        "error[S001]: the input has rank 1, pooling needs 2 or more"
    );
}

#[test]
fn channels_pass_unless_indices_are_read() {
    let x = "%x: f32[2,3,4]";
    assert_eq!(
        couple(12, x, 1, "MaxPool(%x) {kernel_shape=[2]}"),
        "x0.0 = y0.0\nx0.1 = y0.1\npin y0.2\npin x0.2"
    );
    // The second output is there, but nothing reads it.
    assert_eq!(
        couple(12, x, 2, "MaxPool(%x) {kernel_shape=[2]}"),
        "x0.0 = y0.0\nx0.1 = y0.1\npin y0.2\nx0.0 = y1.0\nx0.1 = y1.1\npin y1.2\npin x0.2"
    );
    assert_eq!(couple(12, x, 2, "MaxPool(%x) {kernel_shape=[2]} %z: ? = Relu(%y1)"), "");
    assert_eq!(couple(12, x, 1, "GlobalAveragePool(%x)"), "x0.0 = y0.0\nx0.1 = y0.1\nfree y0.2\npin x0.2");
}
