//! Operators that rename, add and drop axes, and those that carry sizes: Transpose to Range.

mod rows;
use rows::{couple, cut, error, folded, ints, ty};

#[test]
fn transpose_permutes() {
    let x = "%x: f32[N,3,4]";
    assert_eq!(ty(13, x, "%y: ? = Transpose(%x) {perm=[2, 0, 1]}"), "f32[4,N,3]");
    assert_eq!(ty(13, x, "%y: ? = Transpose(%x)"), "f32[4,3,N]");
    assert_eq!(ty(13, "%x: f32[..]", "%y: ? = Transpose(%x) {perm=[1, 0]}"), "f32[\"?y.0\",\"?y.1\"]");
    assert_eq!(
        couple(13, x, "%y: ? = Transpose(%x) {perm=[2, 0, 1]}"),
        ["x.2[0..3] = y.0[0..3]", "x.1[0..2] = y.2[0..2]"]
    );
    assert_eq!(error(13, x, "%y: ? = Transpose(%x) {perm=[0, 0, 1]}"), "error[S002]: axis 0 is named twice");
    assert_eq!(
        error(13, x, "%y: ? = Transpose(%x) {perm=[0, 1]}"),
        "error[S002]: perm has 2 numbers for rank 3"
    );
    let t = "@x: i64[2,3] = [0, 1, 2, 3, 4, 5] %y: ? = Transpose(@x)";
    assert_eq!(folded(13, t), Some((vec![3, 2], vec![0, 3, 1, 4, 2, 5])));
}

#[test]
fn flatten_makes_two_axes() {
    let x = "%x: f32[N,3,4]";
    assert_eq!(ty(13, x, "%y: ? = Flatten(%x)"), "f32[N,12]");
    assert_eq!(ty(13, x, "%y: ? = Flatten(%x) {axis=3}"), "f32[12*N,1]");
    assert_eq!(ty(13, x, "%y: ? = Flatten(%x) {axis=-1}"), "f32[3*N,4]");
    assert_eq!(couple(13, x, "%y: ? = Flatten(%x)"), ["(x.1 /1 %3 = y.1 /4 %3) or (x.2 /1 %4 = y.1 /1 %4)"]);
    assert_eq!(
        error(13, x, "%y: ? = Flatten(%x) {axis=4}"),
        "error[S002]: axis 4 is out of range for rank 3"
    );
}

#[test]
fn squeeze_and_unsqueeze_at_all_opsets() {
    let x = "%x: f32[N,1,4,1]";
    assert_eq!(ty(11, x, "%y: ? = Squeeze(%x) {axes=[1]}"), "f32[N,4,1]");
    assert_eq!(ty(13, x, "@a: i64[2] = [-1, 1] %y: ? = Squeeze(%x, @a)"), "f32[N,4]");
    // Without axes a symbolic size may be one of those that go.
    assert_eq!(ty(13, x, "%y: ? = Squeeze(%x)"), "f32[..]");
    assert_eq!(ty(13, "%x: f32[2,1]", "%y: ? = Squeeze(%x)"), "f32[2]");
    assert_eq!(error(11, x, "%y: ? = Squeeze(%x) {axes=[2]}"), "error[S001]: axis 2 has length 4, not 1");
    assert_eq!(ty(11, x, "%y: ? = Unsqueeze(%x) {axes=[0, -1]}"), "f32[1,N,1,4,1,1]");
    assert_eq!(ty(13, "%x: f32[N]", "@a: i64[1] = [1] %y: ? = Unsqueeze(%x, @a)"), "f32[N,1]");
    assert_eq!(error(13, x, "%y: ? = Unsqueeze(%x)"), "error[S002]: axes are missing");
    assert_eq!(
        couple(11, "%x: f32[2,1,4]", "%y: ? = Squeeze(%x) {axes=[1]}"),
        ["x.0[0..1] = y.0[0..1]", "x.2[0..3] = y.1[0..3]"]
    );
    assert_eq!(
        couple(11, "%x: f32[2,4]", "%y: ? = Unsqueeze(%x) {axes=[1]}"),
        ["y.0[0..1] = x.0[0..1]", "y.2[0..3] = x.1[0..3]"]
    );
}

#[test]
fn squeeze_names_its_axes_when_another_becomes_one() {
    let keep: [rows::Keep; 2] = [("x", 0, &[2]), ("y", 0, &[2])];
    assert_eq!(cut(13, "%x: f32[3,1]", "%y: ? = Squeeze(%x)", &keep), "Squeeze(%x, @y.operand1[1]) [1]");
    assert_eq!(cut(11, "%x: f32[3,1]", "%y: ? = Squeeze(%x)", &keep), "Squeeze(%x) {axes=[1]}");
    assert_eq!(cut(13, "%x: f32[3,2]", "%y: ? = Squeeze(%x)", &keep), "Identity(%x)");
}

#[test]
fn identity_and_dropout_pass() {
    let d = "%y: ?, %m: ? = Dropout(%x)";
    assert_eq!(ty(13, "%x: f32[N,4]", d), "f32[N,4] bool[N,4]");
    assert_eq!(ty(7, "%x: f32[N,4]", d), "f32[N,4] f32[N,4]");
    assert_eq!(couple(13, "%x: f32[N,4]", d), ["x.1[0..3] = y.1[0..3]", "x.1[0..3] = out1.1[0..3]"]);
    assert_eq!(ints(13, "%x: f32[N,4]", "%s: ? = Shape(%x) %y: ? = Identity(%s)"), "[N,4]");
}

#[test]
fn casts_follow_sizes_as_far_as_the_type_holds_them() {
    let to = |to: i64| ints(13, "%x: f32[N,300]", &format!("%s: ? = Shape(%x) %y: ? = Cast(%s) {{to={to}}}"));
    assert_eq!((to(7), to(6), to(1)), ("[N,300]".into(), "[N,300]".into(), "[N,300]".into()));
    assert_eq!(to(2), "?");
    assert_eq!(ty(13, "%x: f32[N,4]", "%y: ? = Cast(%x) {to=10}"), "f16[N,4]");
    assert_eq!(ty(1, "%x: f32[2]", "%y: ? = Cast(%x) {to=\"INT64\"}"), "i64[2]");
    assert_eq!(ty(15, "%x: f32[N], %t: f64[3]", "%y: ? = CastLike(%x, %t)"), "f64[N]");
    assert_eq!(error(13, "%x: f32[2]", "%y: ? = Cast(%x) {to=99}"), "error[S002]: 99 is not an element type");
    // Toward zero; what does not fit is left to the runtime.
    let f = "@x: f32[3] = [1.9, -1.9, 3.0] %y: ? = Cast(@x) {to=7}";
    assert_eq!(folded(13, f), Some((vec![3], vec![1, -1, 3])));
    assert_eq!(folded(13, "@x: f32[1] = [300.0] %y: ? = Cast(@x) {to=2}"), None);
}

#[test]
fn constants() {
    assert_eq!(ty(13, "", "%y: ? = Constant() {value_ints=[2, 3]}"), "i64[2]");
    assert_eq!(ints(13, "", "%y: ? = Constant() {value_int=7}"), "7");
    assert_eq!(folded(13, "%y: ? = Constant() {value_float=2.0}"), Some((vec![], vec![2])));
    let s = "@s: i64[2] = [2, 3] %y: ? = ConstantOfShape(@s)";
    assert_eq!(ty(9, "", s), "f32[2,3]");
    assert_eq!(couple(9, "", s), ["free y.0", "free y.1"]);
    assert_eq!(cut(9, "", s, &[("y", 1, &[0, 2])]), "ConstantOfShape(@s_1[2]) [2, 2]");
    assert_eq!(folded(9, s), Some((vec![2, 3], vec![0; 6])));
    // A shape that is computed cannot follow.
    let s = "%s: ? = Shape(%x) %y: ? = ConstantOfShape(%s)";
    assert_eq!(ty(9, "%x: f32[N,3]", s), "f32[N,3]");
    assert!(couple(9, "%x: f32[N,3]", s).is_empty());
    assert_eq!(
        error(9, "", "@s: i64[1] = [-3] %y: ? = ConstantOfShape(@s)"),
        "error[S002]: a size of -3 is negative"
    );
}

#[test]
fn shape_frees_what_no_reader_picks() {
    let x = "%x: f32[N,3,4]";
    assert_eq!(ints(13, x, "%y: ? = Shape(%x)"), "[N,3,4]");
    assert_eq!(ints(15, x, "%y: ? = Shape(%x) {start=-2}"), "[3,4]");
    assert_eq!(ints(15, x, "%y: ? = Shape(%x) {start=2, end=1}"), "[]");
    assert_eq!(ints(13, x, "%y: ? = Size(%x)"), "12*N");
    let shape = |reader: &str| {
        // The rule is that of the last node, so the reader stands before it here.
        let g = rows::graph(13, x, &format!("@i: i64[] = [0] @b: i64[1] = [0] @e: i64[1] = [2] {reader}"));
        let mut r = secateur_ops::Relations::default();
        let cx = secateur_ops::CoupleCx { graph: &g, node: &g.nodes[0] };
        (secateur_ops::find("", "Shape").unwrap().couple)(&cx, &mut r).unwrap();
        r.list.len()
    };
    assert_eq!(shape("%s: ? = Shape(%x) %y: ? = Gather(%s, @i)"), 2);
    assert_eq!(shape("%s: ? = Shape(%x) %y: ? = Slice(%s, @b, @e)"), 1);
    assert_eq!(shape("%s: ? = Shape(%x) %y: ? = Relu(%s)"), 0);
}

#[test]
fn range_counts() {
    let r = |s: i64, l: i64, d: i64| {
        let c = format!("@s: i64[] = [{s}] @l: i64[] = [{l}] @d: i64[] = [{d}] %y: ? = Range(@s, @l, @d)");
        (ints(11, "", &c), folded(11, &c).unwrap().1)
    };
    assert_eq!(r(0, 5, 2), ("[0,2,4]".into(), vec![0, 2, 4]));
    assert_eq!(r(3, -1, -2), ("[3,1]".into(), vec![3, 1]));
    assert_eq!(r(3, 5, -1), ("[]".into(), vec![]));
    let n = "@s: i64[] = [0] @d: i64[] = [1] @i: i64[] = [0] %h: ? = Shape(%x) %l: ? = Gather(%h, @i)";
    assert_eq!(ty(11, "%x: f32[N,3]", &format!("{n} %y: ? = Range(@s, %l, @d)")), "i64[N]");
    let zero = "@s: i64[] = [0] %y: ? = Range(@s, @s, @s)";
    assert_eq!(error(11, "", zero), "error[S002]: delta is 0");
}
