//! Normalizations.

use super::{couple, error, shrunk, ty, types};

const XSB: &str = "%x: f32[2,6,5], %s: f32[6], %b: f32[6]";

#[test]
fn channels_with_statistics_of_their_own_are_exact() {
    let node = "BatchNormalization(%x, %s, %b, %m, %v)";
    let inputs = "%x: f32[2,6,5], %s: f32[6], %b: f32[6], %m: f32[6], %v: f32[6]";
    let rows = "x0.0 = y0.0\nx0.1 = y0.1\nx0.2 = y0.2\nx1.0 = y0.1\nx2.0 = y0.1\nx3.0 = y0.1\nx4.0 = y0.1";
    assert_eq!(couple(15, inputs, 1, node), rows);
    assert_eq!(
        types(15, inputs, 3, &format!("{node} {{training_mode=1}}")),
        ["f32[2,6,5]", "f32[6]", "f32[6]"]
    );
    assert_eq!(
        couple(15, inputs, 3, &format!("{node} {{training_mode=1}}")),
        format!("{rows}\ny1.0 = y0.1\ny2.0 = y0.1")
    );
    // Statistics of every place.
    let placed = "%x: f32[2,6,5], %s: f32[6,5], %b: f32[6,5], %m: f32[6,5], %v: f32[6,5]";
    assert_eq!(couple(7, placed, 1, &format!("{node} {{spatial=0}}")), "");
    assert_eq!(
        couple(6, XSB, 1, "InstanceNormalization(%x, %s, %b)"),
        "x0.0 = y0.0\nx0.1 = y0.1\nx0.2 = y0.2\ninexact x0.2\nx1.0 = y0.1\nx2.0 = y0.1"
    );
}

#[test]
fn whole_groups_are_exact_and_single_channels_are_not() {
    let node = "GroupNormalization(%x, %s, %b) {num_groups=3}";
    let around = "x0.0 = y0.0\npin x0.2\npin y0.2\nchoose\n";
    assert_eq!(
        couple(21, XSB, 1, node),
        format!(
            "{around}  groups: x0.1:3x2 y0.1:3x2 x1.0:3x2 x2.0:3x2\n  \
             within groups: x0.1:2x1 y0.1:2x1 x1.0:2x1 x2.0:2x1; inexact x0.1"
        )
    );
    assert_eq!(
        couple(18, "%x: f32[2,6,5], %s: f32[3], %b: f32[3]", 1, node),
        format!(
            "{around}  groups: x0.1:3x2 y0.1:3x2 x1.0:3x1 x2.0:3x1\n  \
             within groups: x0.1:2x1 y0.1:2x1; inexact x0.1"
        )
    );
    // A group of one channel, and one group of all.
    let one = couple(21, XSB, 1, "GroupNormalization(%x, %s, %b) {num_groups=6}");
    assert_eq!(one, "x0.0 = y0.0\npin x0.2\npin y0.2\nx0.1:6x1 y0.1:6x1 x1.0:6x1 x2.0:6x1");
    let all = couple(21, XSB, 1, "GroupNormalization(%x, %s, %b) {num_groups=1}");
    assert!(all.ends_with("x0.1:6x1 y0.1:6x1 x1.0:6x1 x2.0:6x1\ninexact x0.1"), "{all}");
}

#[test]
fn the_count_of_groups_follows_whole_groups() {
    let node = "GroupNormalization(%x, %s, %b) {num_groups=3}";
    assert_eq!(shrunk(21, XSB, node, &[("x", 1, &[0, 1, 4, 5])]), "{num_groups=2}");
    assert_eq!(shrunk(21, XSB, node, &[("x", 1, &[0, 2, 4])]), "{num_groups=3}");
}

#[test]
fn layers_are_normalized_over_their_last_axes() {
    let inputs = "%x: f32[N,5,4], %s: f32[4]";
    assert_eq!(
        couple(17, "%x: f32[2,5,4], %s: f32[4]", 1, "LayerNormalization(%x, %s)"),
        "x0.0 = y0.0\nx0.1 = y0.1\nx0.2 = y0.2\ninexact x0.2\nx1.0 = y0.2"
    );
    assert_eq!(
        couple(23, "%x: f32[2,5,4], %s: f32[5,1]", 1, "RMSNormalization(%x, %s) {axis=1}"),
        "x0.0 = y0.0\nx0.1 = y0.1\ninexact x0.1\nx0.2 = y0.2\ninexact x0.2\nx1.0 = y0.1\nfree x1.1"
    );
    assert_eq!(
        types(17, inputs, 3, "LayerNormalization(%x, %s)"),
        ["f32[N,5,4]", "f32[N,5,1]", "f32[N,5,1]"]
    );
    let ms = "com.microsoft::SkipLayerNormalization(%x, %k, %s, _, %s)";
    assert_eq!(
        couple(17, "%x: f32[2,5,4], %k: f32[1,5,4], %s: f32[4]", 1, ms),
        "x0.0 = y0.0\nx0.1 = y0.1\nx0.2 = y0.2\ninexact x0.2\n\
         free x1.0\nx1.1 = y0.1\nx1.2 = y0.2\nx2.0 = y0.2\nx4.0 = y0.2"
    );
}

#[test]
fn neighbours_and_norms_are_inexact_along_their_axis() {
    let x = "%x: f32[2,3,4]";
    let inexact = |opset, node: &str| -> Vec<String> {
        let lines = couple(opset, x, 1, node);
        lines.lines().filter(|l| l.starts_with("inexact")).map(ToOwned::to_owned).collect()
    };
    assert_eq!(inexact(13, "LRN(%x) {size=3}"), ["inexact x0.1"]);
    assert_eq!(inexact(13, "LpNormalization(%x)"), ["inexact x0.2"]);
    assert_eq!(inexact(13, "MeanVarianceNormalization(%x) {axes=[0, 2]}"), ["inexact x0.0", "inexact x0.2"]);
    assert_eq!(inexact(13, "DynamicQuantizeLinear(%x)").len(), 3);
}

#[test]
fn an_embedding_is_tied_over_its_width() {
    let inputs = "%i: i32[N,5], %w: f32[9,4], %p: f32[6,4], %g: f32[4], %b: f32[4]";
    let node = "com.microsoft::EmbedLayerNormalization(%i, _, %w, %p, _, %g, %b)";
    assert_eq!(ty(17, inputs, node), "f32[N,5,4]");
    assert_eq!(
        couple(17, inputs, 1, node),
        "x2.1 = y0.2\nx3.1 = y0.2\nx5.0 = y0.2\nx6.0 = y0.2\ninexact y0.2"
    );
}

#[test]
fn bad_channels_are_reported() {
    assert_eq!(
        error(15, "%x: f32[2,6,5], %s: f32[5]", "InstanceNormalization(%x, %s, %s)"),
        "error[S001]: input 1 of shape [5] is not one for each of 6 channels"
    );
    assert_eq!(
        error(21, XSB, "GroupNormalization(%x, %s, %b) {num_groups=4}"),
        "error[S001]: 6 channels do not divide into 4 groups"
    );
    assert_eq!(
        error(21, XSB, "GroupNormalization(%x, %s, %b)"),
        "error[S002]: num_groups = none must be positive"
    );
    assert_eq!(
        error(17, "%x: f32[2,6], %s: f32[5]", "LayerNormalization(%x, %s)"),
        "error[S001]: axis lengths 6 and 5 do not broadcast"
    );
}
