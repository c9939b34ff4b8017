//! Operators that lay rows end to end, take parts of them or repeat them: Concat to Tile.

mod rows;
use rows::{couple, cut, error, folded, ints, ty};

#[test]
fn concat_lays_rows_end_to_end() {
    let x = "%a: f32[N,3], %b: f32[N,2]";
    let c = "%y: ? = Concat(%a, %b) {axis=-1}";
    assert_eq!(ty(13, x, c), "f32[N,5]");
    assert_eq!(couple(13, x, c), ["x.1[0..2] = y.1[0..2]", "in1.1[0..1] = y.1[3..4]"]);
    assert_eq!(ty(13, "%a: f32[N,3], %b: f32[N,3]", "%y: ? = Concat(%a, %b) {axis=0}"), "f32[2*N,3]");
    assert_eq!(
        error(13, "%a: f32[4,3], %b: f32[5,3]", "%y: ? = Concat(%a, %b) {axis=1}"),
        "error[S001]: axis 0 has length 5 in input 1 and 4 before"
    );
    assert_eq!(error(13, x, "%y: ? = Concat(%a, %b)"), "error[S002]: axis is missing");
    let s = "@m: i64[1] = [-1] %s: ? = Shape(%a) %y: ? = Concat(%s, @m) {axis=0}";
    assert_eq!(ints(13, x, s), "[N,3,-1]");
    let f = "@a: i64[2,1] = [0, 1] @b: i64[2,2] = [2, 3, 4, 5] %y: ? = Concat(@a, @b) {axis=1}";
    assert_eq!(folded(13, f), Some((vec![2, 3], vec![0, 2, 3, 1, 4, 5])));
}

#[test]
fn split_in_all_its_forms() {
    let x = "%x: f32[N,6]";
    assert_eq!(ty(11, x, "%y: ?, %z: ? = Split(%x) {axis=1, split=[2, 4]}"), "f32[N,2] f32[N,4]");
    assert_eq!(ty(11, x, "%y: ?, %z: ? = Split(%x) {axis=1}"), "f32[N,3] f32[N,3]");
    let o = "@s: i64[2] = [2, 4] %y: ?, %z: ? = Split(%x, @s) {axis=-1}";
    assert_eq!(ty(13, x, o), "f32[N,2] f32[N,4]");
    let n = "%y: ?, %z: ?, %u: ?, %v: ? = Split(%x) {axis=1, num_outputs=4}";
    assert_eq!(ty(18, "%x: f32[N,7]", n), "f32[N,2] f32[N,2] f32[N,2] f32[N,1]");
    assert_eq!(
        error(13, "%x: f32[N,7]", "%y: ?, %z: ? = Split(%x) {axis=1}"),
        "error[S001]: 7 elements do not divide into 2 equal parts"
    );
    assert_eq!(
        error(11, x, "%y: ?, %z: ? = Split(%x) {axis=1, split=[2, 3]}"),
        "error[S001]: lengths [2, 3] do not add up to 6"
    );
    assert_eq!(couple(13, x, o), ["x.1[0..1] = y.1[0..1]", "x.1[2..5] = out1.1[0..3]"]);
}

#[test]
fn split_writes_lengths() {
    let keep: [rows::Keep; 3] = [("x", 1, &[0, 1, 4]), ("y", 1, &[0, 1]), ("z", 1, &[1])];
    let (x, node) = ("%x: f32[2,6]", "%y: ?, %z: ? = Split(%x)");
    assert_eq!(cut(11, x, &format!("{node} {{axis=1}}"), &keep), "Split(%x) {axis=1, split=[2, 1]}");
    assert_eq!(cut(13, x, &format!("{node} {{axis=1}}"), &keep), "Split(%x, @y.operand1[2]) {axis=1} [2, 1]");
    // The number of outputs and their lengths exclude each other.
    assert_eq!(
        cut(18, x, &format!("{node} {{axis=1, num_outputs=2}}"), &keep),
        "Split(%x, @y.operand1[2]) {axis=1} [2, 1]"
    );
}

#[test]
fn slice_clamps() {
    let s = |start: i64, end: i64, step: i64| {
        let c = format!(
            "@b: i64[1] = [{start}] @e: i64[1] = [{end}] @a: i64[1] = [1] @s: i64[1] = [{step}] \
             %y: ? = Slice(%x, @b, @e, @a, @s)"
        );
        (ty(13, "%x: f32[N,6]", &c), couple(13, "%x: f32[N,6]", &c).join(" "))
    };
    let t = |ty: &str, r: &str| (ty.to_owned(), r.to_owned());
    assert_eq!(s(1, 3, 1), t("f32[N,2]", "x.1[1..2] = y.1[0..1]"));
    assert_eq!(s(-2, i64::MAX, 1), t("f32[N,2]", "x.1[4..5] = y.1[0..1]"));
    assert_eq!(s(-100, 100, 1), t("f32[N,6]", "x.1[0..5] = y.1[0..5]"));
    assert_eq!(s(-1, i64::MIN, -1), t("f32[N,6]", "x.1[5..0] = y.1[0..5]"));
    assert_eq!(s(4, 1, -1), t("f32[N,3]", "x.1[4..2] = y.1[0..2]"));
    // Steps over whole blocks are cut block by block, others not at all.
    assert_eq!(s(1, i64::MAX, 2), t("f32[N,3]", "x.1 /2 %3 = y.1 /1 %3"));
    assert_eq!(s(0, 5, 4), t("f32[N,2]", ""));
    assert_eq!(ty(9, "%x: f32[N,6]", "%y: ? = Slice(%x) {starts=[1], ends=[-1], axes=[1]}"), "f32[N,4]");
    assert_eq!(ty(9, "%x: f32[N,6]", "%y: ? = Slice(%x) {starts=[0, 0], ends=[2147483647, 2]}"), "f32[N,2]");
    assert_eq!(
        error(9, "%x: f32[6]", "%y: ? = Slice(%x) {starts=[1], ends=[2, 3]}"),
        "error[S002]: 1 starts, 2 ends, 1 axes, 1 steps"
    );
    assert_eq!(
        ints(
            13,
            "%x: f32[N,6,7]",
            "@b: i64[1] = [1] @e: i64[1] = [9] %s: ? = Shape(%x) %y: ? = Slice(%s, @b, @e)"
        ),
        "[6,7]"
    );
}

#[test]
fn slice_moves_its_ends() {
    let x = "%x: f32[6]";
    let keep: [rows::Keep; 2] = [("x", 0, &[0, 2, 3, 5]), ("y", 0, &[1, 2])];
    let node = "%y: ? = Slice(%x) {starts=[1], ends=[-1]}";
    assert_eq!(cut(9, x, node, &keep), "Slice(%x) {starts=[1], ends=[3]}");
    let back = "@b: i32[1] = [3] @e: i32[1] = [-100] @a: i32[1] = [0] @s: i32[1] = [-1] \
                %y: ? = Slice(%x, @b, @e, @a, @s)";
    // The types of the operands stay, and an end before the first element stays one.
    assert_eq!(
        cut(13, x, back, &[("x", 0, &[0, 2, 3, 5]), ("y", 0, &[0, 1, 3])]),
        "Slice(%x, @b_1[1], @e_1[1], @a[1], @s[1]) [2] [-5] [0] [-1]"
    );
}

#[test]
fn gather_by_constant_indices() {
    let g = |index: &str| format!("{index} %y: ? = Gather(%x, @i) {{axis=1}}");
    let list = g("@i: i64[3] = [4, 0, -1]");
    assert_eq!(ty(13, "%x: f32[N,5,2]", &list), "f32[N,3,2]");
    assert_eq!(couple(13, "%x: f32[N,5,2]", &list), ["x.2[0..1] = y.2[0..1]", "x.1[4, 0, 4] = y.1"]);
    assert_eq!(
        cut(13, "%x: f32[N,5,2]", &list, &[("x", 1, &[1, 2, 4]), ("y", 1, &[0, 2])]),
        "Gather(%x, @i_1[2]) {axis=1} [2, 2]"
    );
    // A scalar takes the axis away, a matrix splits it: both leave it whole.
    assert_eq!(ty(13, "%x: f32[N,5,2]", &g("@i: i64[] = [1]")), "f32[N,2]");
    assert_eq!(couple(13, "%x: f32[N,5,2]", &g("@i: i64[] = [1]")), ["x.2[0..1] = y.1[0..1]"]);
    assert_eq!(ty(13, "%x: f32[N,5,2]", &g("@i: i64[1,2] = [1, 2]")), "f32[N,1,2,2]");
    assert_eq!(ints(13, "%x: f32[N,5]", "@i: i64[] = [0] %s: ? = Shape(%x) %y: ? = Gather(%s, @i)"), "N");
    let bad = "@i: i64[] = [2] %s: ? = Shape(%x) %y: ? = Gather(%s, @i)";
    assert_eq!(error(13, "%x: f32[N,5]", bad), "error[S002]: index 2 is out of range for a length of 2");
    let f = "@x: i64[2,3] = [0, 1, 2, 3, 4, 5] @i: i64[2] = [-1, 0] %y: ? = Gather(@x, @i) {axis=1}";
    assert_eq!(folded(13, f), Some((vec![2, 2], vec![2, 0, 5, 3])));
}

#[test]
fn embeddings_pass_the_width() {
    assert_eq!(
        couple(13, "%i: i64[N,7]", "@w: f32[10,4] = #0000000000000000 %y: ? = Gather(@w, %i)"),
        ["x.1[0..3] = y.2[0..3]", "pin x.0", "in1.1[0..6] = y.1[0..6]"]
    );
}

#[test]
fn pad_adds_free_elements() {
    let p = |op: i64, pads: &str, more: &str| {
        let node = match op < 11 {
            true => format!("%y: ? = Pad(%x) {{pads={pads}{more}}}"),
            false => format!("@p: i64[4] = {pads} %y: ? = Pad(%x, @p) {{mode=\"constant\"{more}}}"),
        };
        (ty(op, "%x: f32[N,3]", &node), couple(op, "%x: f32[N,3]", &node).join(" "))
    };
    let t = |ty: &str, r: &str| (ty.to_owned(), r.to_owned());
    assert_eq!(p(2, "[0, 1, 0, 2]", ""), t("f32[N,6]", "x.1[0..2] = y.1[1..3]"));
    assert_eq!(p(11, "[0, 1, 0, 2]", ""), t("f32[N,6]", "x.1[0..2] = y.1[1..3]"));
    assert_eq!(p(13, "[0, -1, 0, 2]", ""), t("f32[N,4]", "x.1[1..2] = y.1[0..1]"));
    assert_eq!(p(2, "[0, 1, 0, 0]", ", mode=\"reflect\""), t("f32[N,4]", "pin x.1 pin y.1"));
    let axes = "@p: i64[2] = [1, 0] @a: i64[1] = [-1] %y: ? = Pad(%x, @p, _, @a)";
    assert_eq!(ty(18, "%x: f32[N,3]", axes), "f32[N,4]");
    assert_eq!(
        error(2, "%x: f32[2,3]", "%y: ? = Pad(%x) {pads=[0, -2, 0, -2]}"),
        "error[S001]: pads -2 and -2 leave -1 elements of 3"
    );
    assert_eq!(error(2, "%x: f32[2,3]", "%y: ? = Pad(%x) {pads=[0, 1]}"), "error[S002]: 2 pads for 2 axes");
    let f = "@x: i64[1,2] = [1, 2] @p: i64[4] = [1, 0, 0, 1] %y: ? = Pad(@x, @p)";
    assert_eq!(folded(13, f), Some((vec![2, 3], vec![0, 0, 0, 1, 2, 0])));
}

#[test]
fn pad_counts_what_is_left_on_either_side() {
    let keep: [rows::Keep; 2] = [("x", 1, &[0, 2]), ("y", 1, &[0, 2, 4, 6])];
    // Two before and two behind; one of each goes, and the middle of the row.
    assert_eq!(
        cut(2, "%x: f32[1,3]", "%y: ? = Pad(%x) {pads=[0, 2, 0, 2]}", &keep),
        "Pad(%x) {pads=[0, 1, 0, 1]}"
    );
    let axes = "@p: i64[2] = [2, 2] @a: i64[1] = [1] %y: ? = Pad(%x, @p, _, @a)";
    assert_eq!(cut(18, "%x: f32[1,3]", axes, &keep), "Pad(%x, @p_1[2], _, @a[1]) [1, 1] [1]");
    let less = "%y: ? = Pad(%x) {pads=[-2, -1]}";
    assert_eq!(
        cut(2, "%x: f32[5]", less, &[("x", 0, &[0, 2, 4]), ("y", 0, &[0])]),
        "Pad(%x) {pads=[-1, -1]}"
    );
}

#[test]
fn expand_and_tile() {
    let e = "@s: i64[3] = [2, 1, 4] %y: ? = Expand(%x, @s)";
    assert_eq!(ty(13, "%x: f32[3,1]", e), "f32[2,3,4]");
    assert_eq!(couple(13, "%x: f32[3,1]", e), ["free y.0", "x.0[0..2] = y.1[0..2]", "free x.1", "free y.2"]);
    assert_eq!(
        cut(13, "%x: f32[3,1]", e, &[("x", 0, &[0]), ("y", 1, &[0]), ("y", 2, &[1, 3])]),
        "Expand(%x, @s_1[3]) [2, 1, 2]"
    );
    // Of a computed shape only entries of 1 are known to follow.
    let s = "@o: i64[1] = [1] @i: i64[1] = [0] %h: ? = Shape(%z) %n: ? = Gather(%h, @i) \
             %s: ? = Concat(%n, @o) {axis=0} %y: ? = Expand(%x, %s)";
    assert_eq!(ty(13, "%x: f32[1,3], %z: f32[N]", s), "f32[N,3]");
    assert_eq!(couple(13, "%x: f32[1,3], %z: f32[N]", s), ["free x.0", "x.1[0..2] = y.1[0..2]"]);
    let t = "@r: i64[3] = [2, 1, 4] %y: ? = Tile(%x, @r)";
    assert_eq!(ty(13, "%x: f32[3,N,1]", t), "f32[6,N,4]");
    assert_eq!(couple(13, "%x: f32[3,N,1]", t), ["x.0 /1 %3 = y.0 /1 %3", "free x.2", "free y.2"]);
    assert_eq!(cut(13, "%x: f32[3,N,1]", t, &[("y", 2, &[0, 1])]), "Tile(%x, @r_1[3]) [2, 1, 2]");
    assert_eq!(error(13, "%x: f32[3]", t), "error[S002]: 3 repeats for rank 1");
}

#[test]
fn sizes_beside_a_zero_cost_nothing() {
    let tile = "@x: i64[1,0] = [] @r: i64[2] = [1099511627776, 1] %y: ? = Tile(@x, @r)";
    assert_eq!(folded(13, tile), None);
    let concat = "@x: i64[1099511627776,0] = [] %y: ? = Concat(@x, @x) {axis=1}";
    assert_eq!(folded(13, concat), None);
    let gather = "@x: i64[1099511627776,1099511627776,0] = [] @i: i64[1] = [7] %y: ? = Gather(@x, @i)";
    assert_eq!(folded(13, gather), Some((vec![1, 1 << 40, 0], vec![])));
}
