//! Reductions: axes as attribute and as operand, what may be cut along a reduced axis.

use secateur_ir::{Graph, parse, print};
use secateur_ops::infer;
use secateur_ops::{CoupleCx, FoldCx, Port, Relation, Relations};

fn read(opset: i64, inputs: &str, body: &str) -> Graph {
    parse::graph(&format!("graph t opset(\"\"={opset}) ({inputs}) -> (%y) {{ {body} }}")).unwrap()
}

fn graph(opset: i64, inputs: &str, body: &str) -> Graph {
    let mut g = read(opset, inputs, body);
    infer(&mut g).unwrap();
    g
}

fn ty(opset: i64, body: &str) -> String {
    let g = graph(opset, "%x: f32[N,3,4], %axes: i64[2]", body);
    print::ty(g.value(g.outputs[0]).ty.as_ref())
}

fn couple(opset: i64, body: &str) -> Vec<String> {
    let g = graph(opset, "%x: f32[2,3,4], %axes: i64[1]", body);
    let node = g.nodes.last().unwrap();
    let mut r = Relations::default();
    (secateur_ops::find("", node.op()).unwrap().couple)(&CoupleCx { graph: &g, node }, &mut r).unwrap();
    let at = |p: Port, a: usize| format!("{p:?}.{a}");
    let brief = |r: &Relation| match r {
        Relation::Run { a, b, .. } => format!("{} = {}", at(a.port, a.axis), at(b.port, b.axis)),
        Relation::Free { at: (p, a) } => format!("free {}", at(*p, *a)),
        Relation::Pin { at: (p, a), .. } => format!("pin {}", at(*p, *a)),
        Relation::Inexact { at: (p, a), .. } => format!("inexact {}", at(*p, *a)),
        Relation::Contract { data: (p, a), weight: None } => format!("sum {}", at(*p, *a)),
        other => format!("{other:?}"),
    };
    r.list.iter().map(brief).collect()
}

#[test]
fn axes_are_an_attribute_or_an_operand() {
    assert_eq!(ty(11, "%y: ? = ReduceSum(%x) {axes=[1]}"), "f32[N,1,4]");
    assert_eq!(ty(11, "%y: ? = ReduceMean(%x) {axes=[-1, 1], keepdims=0}"), "f32[N]");
    assert_eq!(ty(11, "%y: ? = ReduceMax(%x) {keepdims=0}"), "f32[]");
    assert_eq!(ty(18, "@a: i64[1] = [-2] %y: ? = ReduceMax(%x, @a) {keepdims=0}"), "f32[N,4]");
    assert_eq!(ty(18, "%y: ? = ReduceMax(%x)"), "f32[1,1,1]");
    assert_eq!(ty(13, "%y: ? = ReduceSum(%x) {noop_with_empty_axes=1}"), "f32[N,3,4]");
    assert_eq!(ty(13, "@a: i64[0] = [] %y: ? = ReduceSum(%x, @a) {noop_with_empty_axes=1}"), "f32[N,3,4]");
    assert_eq!(ty(13, "@a: i64[0] = [] %y: ? = ReduceSum(%x, @a)"), "f32[1,1,1]");
    // Unknown axes still leave a rank.
    assert_eq!(ty(13, "%y: ? = ReduceSum(%x, %axes) {keepdims=0}"), "f32[\"?y.0\"]");
    assert_eq!(ty(13, "%y: ? = ArgMax(%x) {axis=-1, keepdims=0}"), "i64[N,3]");
    assert_eq!(ty(13, "%y: ? = ArgMin(%x)"), "i64[1,3,4]");
}

#[test]
fn bad_axes_are_reported() {
    let error = |body: &str| infer(&mut read(11, "%x: f32[2,3]", body)).unwrap_err().to_string();
    assert_eq!(
        error("%y: ? = ReduceSum(%x) {axes=[2]} as sum"),
        "error[S002]: axis 2 is out of range for rank 2\n  node   \"sum\" (ReduceSum, opset 11)\n  input  %x: f32[2,3]"
    );
    assert!(error("%y: ? = ReduceSum(%x) {axes=[1, -1]}").starts_with("error[S002]: an axis is named twice"));
    assert!(error("%y: ? = ArgMax(%x) {axis=-9223372036854775808}").starts_with("error[S002]"));
    assert!(error("%y: ? = ReduceSum(%x) {axes=1}").starts_with("error[S002]"));
}

#[test]
fn sums_are_exact_means_are_not_and_the_rest_is_pinned() {
    let along = |op: &str| couple(11, &format!("%y: ? = {op}(%x) {{axes=[1]}}"));
    for op in ["ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceLogSum"] {
        assert_eq!(
            along(op),
            ["In(0).0 = Out(0).0", "sum In(0).1", "free Out(0).1", "In(0).2 = Out(0).2"],
            "{op}"
        );
    }
    for op in ["ReduceMax", "ReduceMin", "ReduceProd", "ReduceLogSumExp"] {
        assert_eq!(
            along(op),
            ["In(0).0 = Out(0).0", "pin In(0).1", "free Out(0).1", "In(0).2 = Out(0).2"],
            "{op}"
        );
    }
    assert_eq!(
        couple(11, "%y: ? = ReduceMean(%x) {axes=[1], keepdims=0}"),
        ["In(0).0 = Out(0).0", "free In(0).1", "inexact In(0).1", "In(0).2 = Out(0).1"]
    );
    assert_eq!(
        couple(13, "%y: ? = ArgMax(%x) {axis=2, keepdims=0}"),
        ["In(0).0 = Out(0).0", "In(0).1 = Out(0).1", "pin In(0).2"]
    );
    assert!(couple(13, "%y: ? = ReduceSum(%x, %axes)").is_empty());
}

#[test]
fn reductions_of_sizes_are_followed() {
    let total = |op: &str| {
        let g = graph(13, "", &format!("@s: i64[3] = [2, 3, 4] %y: ? = {op}(@s) {{keepdims=0}}"));
        let ints = g.value(g.outputs[0]).ints.clone().unwrap();
        assert!(ints.scalar);
        ints.elems[0].to_string()
    };
    assert_eq!(["ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin"].map(total), ["24", "9", "4", "2"]);
}

#[test]
fn constants_are_reduced() {
    let fold = |body: &str| {
        let g = graph(11, "", &format!("@x: f32[2,2] = [1.0, 2.0, 3.0, 4.0] {body}"));
        let node = &g.nodes[0];
        let inputs = node.inputs.iter().map(|v| v.and_then(|v| g.init(v))).collect();
        let out = (secateur_ops::find("", node.op()).unwrap().fold)(&FoldCx { graph: &g, node, inputs })
            .unwrap()?;
        Some((out[0].dims.clone(), out[0].to_f32()?))
    };
    assert_eq!(fold("%y: ? = ReduceSum(@x) {axes=[0]}"), Some((vec![1, 2], vec![4.0, 6.0])));
    assert_eq!(fold("%y: ? = ReduceMean(@x) {axes=[1], keepdims=0}"), Some((vec![2], vec![1.5, 3.5])));
    assert_eq!(fold("%y: ? = ReduceL2(@x) {axes=[0, 1], keepdims=0}"), Some((vec![], vec![30f32.sqrt()])));
}
