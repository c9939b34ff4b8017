//! Attention in its forms.

use super::{couple, error, macs, shrunk, ty, types};

const THREE: &str = "%q: f32[N,5,12], %k: f32[N,7,12], %v: f32[N,7,8]";
const HEADS: &str = "q_num_heads=4, kv_num_heads=4";

#[test]
fn heads_are_an_axis_or_inside_one() {
    let three = format!("Attention(%q, %k, %v) {{{HEADS}}}");
    assert_eq!(types(23, THREE, 4, &three), ["f32[N,5,8]", "f32[N,4,7,3]", "f32[N,4,7,2]", "f32[N,4,5,7]"]);
    let four = "%q: f32[N,4,5,3], %k: f32[N,2,7,3], %v: f32[N,2,7,2]";
    assert_eq!(ty(23, four, "Attention(%q, %k, %v)"), "f32[N,4,5,2]");
}

#[test]
fn a_head_goes_from_all_or_places_from_every_head() {
    let inputs = "%q: f32[2,5,12], %k: f32[2,7,12], %v: f32[2,7,8], %m: f32[4,5,7]";
    assert_eq!(
        couple(23, inputs, 1, &format!("Attention(%q, %k, %v, %m) {{{HEADS}}}")),
        "x0.0 = x1.0\nx0.0 = x2.0\nx0.0 = y0.0\nchoose\n  \
         heads: x0.2:4x3 x1.2:4x3 x2.2:4x2 y0.2:4x2 x3.0:4x1\n  \
         within heads: x0.2:3x1 x1.2:3x1; x2.2:2x1 y0.2:2x1; sum x0.2 by x1.2; sum x1.2 by x0.2"
    );
    let four = "%q: f32[2,4,5,3], %k: f32[2,4,7,3], %v: f32[2,4,7,2]";
    assert_eq!(
        couple(23, four, 1, "Attention(%q, %k, %v)"),
        "x0.0 = x1.0\nx0.0 = x2.0\nx0.0 = y0.0\nx0.3:3x1 x1.3:3x1\nx2.3:2x1 y0.3:2x1\n\
         sum x0.3 by x1.3\nsum x1.3 by x0.3\nx0.1:4x1 x1.1:4x1 x2.1:4x1 y0.1:4x1"
    );
    // Shared heads stay, and so does a head that a mask of unknown size may speak of.
    let shared = "%q: f32[2,4,5,3], %k: f32[2,2,7,3], %v: f32[2,2,7,2]";
    assert!(!couple(23, shared, 1, "Attention(%q, %k, %v)").contains(".1:"));
    let masked = format!("{four}, %m: f32[2,H,5,7]");
    assert!(!couple(23, &masked, 1, "Attention(%q, %k, %v, %m)").contains(".1:"));
}

#[test]
fn the_scale_stays_when_heads_get_smaller() {
    let node = format!("Attention(%q, %k, %v) {{{HEADS}}}");
    let head: [(&str, usize, &[usize]); 3] =
        [("q", 2, &[0, 1, 2, 9, 10, 11]), ("v", 2, &[0, 1, 6, 7]), ("y", 2, &[0, 1, 6, 7])];
    assert_eq!(shrunk(23, THREE, &node, &head), "{q_num_heads=2, kv_num_heads=2}");
    let place: [(&str, usize, &[usize]); 1] = [("q", 2, &[0, 1, 3, 4, 6, 7, 9, 10])];
    assert_eq!(shrunk(23, THREE, &node, &place), "{q_num_heads=4, kv_num_heads=4, scale=0.57735026}");
}

#[test]
fn scores_and_sums_are_counted() {
    let four = "%q: f32[2,4,5,3], %k: f32[2,4,7,3], %v: f32[2,4,7,2]";
    assert_eq!(macs(23, four, "Attention(%q, %k, %v)"), 2 * 4 * 5 * 7 * (3 + 2));
}

#[test]
fn rotations_keep_the_places_of_a_head() {
    let inputs = "%x: f32[2,5,8], %c: f32[2,5,2]";
    let node = "RotaryEmbedding(%x, %c, %c) {num_heads=2}";
    assert_eq!(couple(23, inputs, 1, node), "x0.0 = y0.0\nx0.2:2x4 y0.2:2x4");
    assert_eq!(shrunk(23, inputs, node, &[("x", 2, &[4, 5, 6, 7])]), "{num_heads=1}");
}

#[test]
fn a_projection_holds_queries_keys_and_values_side_by_side() {
    let inputs = "%x: f32[2,5,3], %w: f32[3,12], %b: f32[12]";
    let node = "com.microsoft::Attention(%x, %w, %b) {num_heads=2, qkv_hidden_sizes=[4, 4, 4]}";
    assert_eq!(ty(17, inputs, node), "f32[2,5,4]");
    assert_eq!(
        couple(17, inputs, 1, node),
        "x0.0 = y0.0\nx0.2 = x1.0\nsum x0.2 by x1.0\ny0.2 at [0, 0, 2, 2] = y0.2\n\
         y0.2 at [0, 0, 2, 2, 0, 0, 2, 2, 0, 0, 2, 2] = x1.1\n\
         y0.2 at [0, 0, 2, 2, 0, 0, 2, 2, 0, 0, 2, 2] = x2.0"
    );
    assert_eq!(shrunk(17, inputs, node, &[("y", 2, &[2, 3])]), "{num_heads=1, qkv_hidden_sizes=[2, 2, 2]}");
    assert_eq!(
        error(17, inputs, "com.microsoft::Attention(%x, %w, %b) {num_heads=3}"),
        "error[S001]: 12 columns do not divide into 3 heads"
    );
}

#[test]
fn separate_projections_share_heads() {
    let inputs = "%q: f32[2,5,4], %k: f32[2,7,4], %v: f32[2,7,6], %b: f32[14]";
    let node = "com.microsoft::MultiHeadAttention(%q, %k, %v, %b) {num_heads=2}";
    assert_eq!(ty(17, inputs, node), "f32[2,5,6]");
    assert_eq!(
        couple(17, inputs, 1, node),
        "y0.0 = x0.0\ny0.0 = x1.0\ny0.0 = x2.0\n\
         y0.2 at [0, 0, 0, 3, 3, 3] = y0.2\ny0.2 at [0, 0, 3, 3] = x0.2\ny0.2 at [0, 0, 3, 3] = x1.2\n\
         y0.2 at [0, 0, 0, 3, 3, 3] = x2.2\n\
         y0.2 at [0, 0, 3, 3, 0, 0, 3, 3, 0, 0, 0, 3, 3, 3] = x3.0"
    );
    assert_eq!(shrunk(17, inputs, node, &[("y", 2, &[3, 4, 5])]), "{num_heads=1}");
}

#[test]
fn grouped_queries_have_shapes_alone() {
    let inputs = "%q: f32[N,5,8], %k: f32[N,5,4], %p: f32[N,2,P,2]";
    let node = "com.microsoft::GroupQueryAttention(%q, %k, %k, %p, %p) {num_heads=4, kv_num_heads=2}";
    assert_eq!(ty(17, inputs, node), "f32[N,5,8]");
    assert_eq!(couple(17, inputs, 1, node), "");
    let packed = "com.microsoft::GroupQueryAttention(%q, _, _, %p, %p) {num_heads=2, kv_num_heads=1}";
    assert_eq!(ty(17, inputs, packed), "f32[N,5,4]");
}

#[test]
fn heads_that_do_not_divide_are_reported() {
    assert_eq!(
        error(23, THREE, "Attention(%q, %k, %v) {q_num_heads=5, kv_num_heads=4}"),
        "error[S001]: 12 does not divide into 5 heads"
    );
    assert_eq!(
        error(23, THREE, "Attention(%q, %k, %v)"),
        "error[S002]: q_num_heads is missing, which inputs of rank 3 need"
    );
}
