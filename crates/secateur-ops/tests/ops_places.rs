//! Operators that resize, move elements between axes, or read and write at computed places.

mod rows;
use rows::{couple, cut, error, ty};

const PICTURE: &str = "%x: f32[N,8,4,6]";

#[test]
fn resize_passes_axes_of_scale_one() {
    let pins = ["pin x.2", "pin y.2", "pin x.3", "pin y.3"];
    let scales = "@s: f32[4] = [1.0, 1.0, 2.0, 1.5]";
    let r10 = format!("{scales} %y: ? = Resize(%x, @s)");
    assert_eq!(ty(10, PICTURE, &r10), "f32[N,8,8,9]");
    assert_eq!(couple(10, PICTURE, &r10)[0], "x.1[0..7] = y.1[0..7]");
    assert_eq!(couple(10, PICTURE, &r10)[1..], pins);
    let empty = "@e: f32[0] = []";
    assert_eq!(ty(11, PICTURE, &format!("{empty} {scales} %y: ? = Resize(%x, @e, @s)")), "f32[N,8,8,9]");
    let axes = "@z: i64[2] = [5, 6] %y: ? = Resize(%x, _, _, @z) {axes=[2, 3]}";
    assert_eq!(ty(18, PICTURE, axes), "f32[N,8,5,6]");
    assert_eq!(couple(18, PICTURE, axes)[0], "x.1[0..7] = y.1[0..7]");
    assert_eq!(
        error(10, PICTURE, "@s: f32[1] = [2.0] %y: ? = Resize(%x, @s)"),
        "error[S002]: 1 scales or sizes for 4 axes"
    );
    assert_eq!(
        error(10, "%x: f32[3]", "@s: f32[1] = [-2.0] %y: ? = Resize(%x, @s)"),
        "error[S002]: a scale of -2 is not positive"
    );
}

#[test]
fn resize_sizes_follow_a_cut_channel() {
    let z = "@z: i64[4] = [1, 8, 8, 8] %y: ? = Resize(%x, _, _, @z)";
    let x = "%x: f32[1,8,4,4]";
    assert_eq!(couple(13, x, z)[..2], ["x.0[0..0] = y.0[0..0]", "x.1[0..7] = y.1[0..7]"]);
    let keep: [rows::Keep; 2] = [("x", 1, &[0, 3]), ("y", 1, &[0, 3])];
    assert_eq!(cut(13, x, z, &keep), "Resize(%x, _, _, @z_1[4]) [1, 2, 8, 8]");
    // A size that is computed cannot.
    let s = "@h: i64[2] = [8, 8] @b: i64[1] = [0] @e: i64[1] = [2] %t: ? = Shape(%x) \
             %u: ? = Slice(%t, @b, @e) %z: ? = Concat(%u, @h) {axis=0} %y: ? = Resize(%x, _, _, %z)";
    assert_eq!(ty(13, PICTURE, s), "f32[N,8,8,8]");
    assert_eq!(couple(13, PICTURE, s)[..2], ["pin x.1", "pin y.1"]);
}

#[test]
fn coordinates_that_do_not_lead_back_pin_all() {
    let r = |mode: &str, nearest: &str| {
        let c = format!(
            "@s: f32[2] = [1.0, 2.0] %y: ? = Resize(%x, _, @s) \
             {{coordinate_transformation_mode=\"{mode}\", mode=\"nearest\", nearest_mode=\"{nearest}\"}}"
        );
        couple(13, "%x: f32[3,4]", &c)[0].clone()
    };
    assert_eq!(r("asymmetric", "ceil"), "x.0[0..2] = y.0[0..2]");
    assert_eq!(r("tf_half_pixel_for_nn", "floor"), "x.0[0..2] = y.0[0..2]");
    assert_eq!(r("tf_half_pixel_for_nn", "ceil"), "pin x.0");
    assert_eq!(r("tf_crop_and_resize", "floor"), "pin x.0");
}

#[test]
fn upsample_in_all_its_forms() {
    assert_eq!(ty(7, PICTURE, "%y: ? = Upsample(%x) {scales=[1.0, 1.0, 2.0, 2.0]}"), "f32[N,8,8,12]");
    assert_eq!(ty(1, PICTURE, "%y: ? = Upsample(%x) {height_scale=2.0, width_scale=1.0}"), "f32[N,8,8,6]");
    assert_eq!(ty(9, PICTURE, "@s: f32[4] = [1.0, 1.0, 2.0, 2.0] %y: ? = Upsample(%x, @s)"), "f32[N,8,8,12]");
}

#[test]
fn channels_of_a_block_go_together() {
    let d = |mode: &str| format!("%y: ? = DepthToSpace(%x) {{blocksize=2, mode=\"{mode}\"}}");
    let atoms = |c: &str| couple(13, PICTURE, c).pop().unwrap();
    assert_eq!(ty(13, PICTURE, &d("DCR")), "f32[N,2,8,12]");
    assert_eq!(atoms(&d("DCR")), "x.1 /1 %2 = y.1 /1 %2");
    assert_eq!(atoms(&d("CRD")), "x.1 /4 %2 = y.1 /1 %2");
    let s = "%y: ? = SpaceToDepth(%x) {blocksize=2}";
    assert_eq!(ty(13, PICTURE, s), "f32[N,32,2,3]");
    assert_eq!(atoms(s), "y.1 /1 %8 = x.1 /1 %8");
    assert_eq!(
        error(13, PICTURE, "%y: ? = DepthToSpace(%x) {blocksize=3}"),
        "error[S001]: axis 1 of length 8 does not divide by 9"
    );
    let c = "@i: i64[2] = [4, 5] @b: i64[2] = [1, 2] %y: ? = Col2Im(%x, @i, @b)";
    assert_eq!(ty(18, "%x: f32[N,6,16]", c), "f32[N,3,4,5]");
    assert_eq!(couple(18, "%x: f32[N,6,16]", c).pop().unwrap(), "x.1 /2 %3 = y.1 /1 %3");
}

#[test]
fn gathers_and_scatters_leave_indexed_axes_whole() {
    assert_eq!(
        couple(13, "%x: f32[5,4], %i: i64[2,3]", "%y: ? = GatherElements(%x, %i)"),
        ["in1.0[0..1] = y.0[0..1]", "pin x.0", "in1.1[0..2] = y.1[0..2]", "x.1[0..2] = y.1[0..2]"]
    );
    let nd = "%y: ? = GatherND(%x, %i) {batch_dims=1}";
    assert_eq!(ty(13, "%x: f32[N,5,4], %i: i64[N,2,1]", nd), "f32[N,2,4]");
    assert_eq!(
        couple(13, "%x: f32[N,5,4], %i: i64[N,2,1]", nd),
        ["in1.1[0..1] = y.1[0..1]", "pin x.1", "x.2[0..3] = y.2[0..3]"]
    );
    assert_eq!(
        error(13, "%x: f32[5], %i: i64[2,2]", "%y: ? = GatherND(%x, %i)"),
        "error[S001]: indices of 2 numbers into rank 1 behind 0 axes"
    );
    assert_eq!(
        couple(18, "%x: f32[5,4], %i: i64[2,1], %u: f32[2,4]", "%y: ? = ScatterND(%x, %i, %u)"),
        ["x.1[0..3] = y.1[0..3]", "in2.1[0..3] = y.1[0..3]"]
    );
    assert_eq!(
        couple(18, "%x: f32[5,4], %i: i64[1,3], %u: f32[1,3]", "%y: ? = ScatterElements(%x, %i, %u)"),
        ["x.1[0..3] = y.1[0..3]", "in1.1[0..2] = in2.1[0..2]", "x.1[0..2] = in1.1[0..2]"]
    );
}

#[test]
fn one_axis_stays_whole() {
    let k = "@k: i64[1] = [2] %y: ?, %i: ? = TopK(%x, @k) {axis=0}";
    assert_eq!(ty(11, "%x: f32[5,4]", k), "f32[2,4] i64[2,4]");
    assert_eq!(
        couple(11, "%x: f32[5,4]", k),
        ["x.1[0..3] = y.1[0..3]", "pin y.0", "x.1[0..3] = out1.1[0..3]", "pin out1.0", "pin x.0"]
    );
    assert_eq!(ty(1, "%x: f32[5,N]", "%y: ?, %i: ? = TopK(%x) {axis=0, k=3}"), "f32[3,N] i64[3,N]");
    assert_eq!(error(11, "%x: f32[1,4]", k), "error[S002]: the first 2 of 1 elements");
    let one_hot = "@d: i64[] = [6] @v: f32[2] = [0.0, 1.0] %y: ? = OneHot(%i, @d, @v)";
    assert_eq!(ty(11, "%i: i64[N,3]", one_hot), "f32[N,3,6]");
    assert_eq!(couple(11, "%i: i64[N,3]", one_hot), ["x.1[0..2] = y.1[0..2]"]);
    let c = "@a: i64[] = [1] %y: ? = CumSum(%x, @a)";
    assert_eq!(couple(14, "%x: f32[5,4]", c), ["x.0[0..4] = y.0[0..4]", "pin x.1", "pin y.1"]);
    let c = "@c: bool[4] = [1, 0, 1, 0] %y: ? = Compress(%x, @c) {axis=1}";
    assert_eq!(ty(11, "%x: f32[N,4]", c), "f32[N,2]");
}

#[test]
fn sampled_pictures_pass_channels() {
    let grid = "%x: f32[N,8,4,6], %g: f32[N,3,5,2]";
    assert_eq!(ty(16, grid, "%y: ? = GridSample(%x, %g)"), "f32[N,8,3,5]");
    assert_eq!(couple(16, grid, "%y: ? = GridSample(%x, %g)")[0], "x.1[0..7] = y.1[0..7]");
    let rois = "%x: f32[1,8,4,6], %r: f32[R,4], %b: i64[R]";
    let roi = "%y: ? = RoiAlign(%x, %r, %b) {output_height=2, output_width=3}";
    assert_eq!(ty(16, rois, roi), "f32[R,8,2,3]");
    assert_eq!(couple(16, rois, roi), ["x.1[0..7] = y.1[0..7]"]);
    let pool = "%y: ? = MaxRoiPool(%x, %r) {pooled_shape=[2, 2]}";
    assert_eq!(ty(1, "%x: f32[1,8,4,6], %r: f32[3,5]", pool), "f32[3,8,2,2]");
    let crop = "@s: i64[1] = [9] %y: ? = CenterCropPad(%x, @s) {axes=[-1]}";
    assert_eq!(ty(18, PICTURE, crop), "f32[N,8,4,9]");
}

#[test]
fn places_of_unknown_number() {
    assert_eq!(ty(13, "%x: f32[N,4]", "%y: ? = NonZero(%x)"), "i64[2,\"?y.1\"]");
    assert_eq!(ty(11, "%x: f32[N,4]", "%y: ?, %i: ? = Unique(%x)"), "f32[\"?y.0\"] i64[\"?i.0\"]");
    assert_eq!(ty(9, "%x: f32[3,4]", "%y: ? = EyeLike(%x) {dtype=7}"), "i64[3,4]");
    assert_eq!(
        ty(11, "%b: f32[1,9,4], %s: f32[1,3,9]", "%y: ? = NonMaxSuppression(%b, %s)"),
        "i64[\"?y.0\",3]"
    );
}
