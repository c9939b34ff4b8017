//! Softmax and its kin.

use super::{couple, error, ty};

const X: &str = "%x: f32[2,3,4]";

#[test]
fn the_axis_is_pinned_and_before_opset_13_all_behind_it() {
    assert_eq!(couple(13, X, 1, "Softmax(%x)"), "x0.0 = y0.0\nx0.1 = y0.1\npin x0.2\npin y0.2");
    assert_eq!(couple(13, X, 1, "LogSoftmax(%x) {axis=1}"), "x0.0 = y0.0\npin x0.1\npin y0.1\nx0.2 = y0.2");
    assert_eq!(couple(11, X, 1, "Hardmax(%x)"), "x0.0 = y0.0\npin x0.1\npin y0.1\npin x0.2\npin y0.2");
    assert_eq!(couple(11, X, 1, "Softmax(%x) {axis=-1}"), "x0.0 = y0.0\nx0.1 = y0.1\npin x0.2\npin y0.2");
}

#[test]
fn the_shape_stays() {
    assert_eq!(ty(13, "%x: f16[N,S]", "Softmax(%x)"), "f16[N,S]");
    assert_eq!(error(13, X, "Softmax(%x) {axis=3}"), "error[S002]: axis 3 is out of range for rank 3");
}
