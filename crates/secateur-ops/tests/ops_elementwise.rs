//! Elementwise operators: shapes, small integers, coupling, constant evaluation.

use secateur_ir::{Dim, Graph, Ints, Tensor, parse, print};
use secateur_ops::infer;
use secateur_ops::{CoupleCx, FoldCx, Port, Relation, Relations};

/// A graph of the given inputs, initializers and nodes, inferred.
fn graph(opset: i64, inputs: &str, body: &str) -> Graph {
    let mut g =
        parse::graph(&format!("graph t opset(\"\"={opset}) ({inputs}) -> (%y) {{ {body} }}")).unwrap();
    infer(&mut g).unwrap();
    g
}

fn error(opset: i64, inputs: &str, body: &str) -> String {
    let mut g =
        parse::graph(&format!("graph t opset(\"\"={opset}) ({inputs}) -> (%y) {{ {body} }}")).unwrap();
    infer(&mut g).unwrap_err().to_string()
}

/// Type of `%y`.
fn ty(g: &Graph) -> String {
    print::ty(g.value(g.outputs[0]).ty.as_ref())
}

/// Elements of `%y`, as far as they were followed.
fn ints(g: &Graph) -> Option<String> {
    let ints = g.value(g.outputs[0]).ints.as_ref()?;
    let list: Vec<String> = ints.elems.iter().map(ToString::to_string).collect();
    Some(if ints.scalar { list.concat() } else { format!("[{}]", list.join(",")) })
}

/// Relations of the last node, briefly: `In(0).1 = Out(0).1`, `free In(1).0`.
fn couple(g: &Graph) -> Vec<String> {
    let node = g.nodes.last().unwrap();
    let mut r = Relations::default();
    (secateur_ops::find(node.domain(), node.op()).unwrap().couple)(&CoupleCx { graph: g, node }, &mut r)
        .unwrap();
    let at = |p: Port, a: usize| format!("{p:?}.{a}");
    let mut out: Vec<String> = r
        .list
        .iter()
        .map(|r| match r {
            Relation::Run { a, b, .. } => format!("{} = {}", at(a.port, a.axis), at(b.port, b.axis)),
            Relation::Free { at: (p, a) } => format!("free {}", at(*p, *a)),
            Relation::Pin { at: (p, a), .. } => format!("pin {}", at(*p, *a)),
            other => format!("{other:?}"),
        })
        .collect();
    out.dedup();
    out
}

/// The only node's value where all its inputs are initializers.
fn fold(opset: i64, body: &str) -> Option<Tensor> {
    let g = graph(opset, "", body);
    let node = &g.nodes[0];
    let inputs = node.inputs.iter().map(|v| v.and_then(|v| g.init(v))).collect();
    let op = secateur_ops::find(node.domain(), node.op()).unwrap();
    (op.fold)(&FoldCx { graph: &g, node, inputs }).unwrap().map(|mut t| t.remove(0))
}

#[test]
fn shapes_broadcast_and_symbols_stay() {
    let shape =
        |a: &str, b: &str| ty(&graph(13, &format!("%a: f32[{a}], %b: f32[{b}]"), "%y: ? = Add(%a, %b)"));
    assert_eq!(shape("N,3,4", "4"), "f32[N,3,4]");
    assert_eq!(shape("N,1,4", "5,1"), "f32[N,5,4]");
    assert_eq!(shape("N,4", "1"), "f32[N,4]");
    assert_eq!(shape("", ""), "f32[]");
    let max = graph(13, "%a: f32[N,1], %b: f32[4], %c: f32[1,1,1]", "%y: ? = Max(%a, %b, %c)");
    assert_eq!(ty(&max), "f32[1,N,4]");
    let choice = graph(13, "%c: bool[3,1], %a: f16[4], %b: f16[2,1,1]", "%y: ? = Where(%c, %a, %b)");
    assert_eq!(ty(&choice), "f16[2,3,4]");
    assert_eq!(ty(&graph(13, "%a: f32[N,3]", "%y: ? = IsNaN(%a)")), "bool[N,3]");
    assert_eq!(ty(&graph(13, "%a: i64[N], %b: i64[N]", "%y: ? = Equal(%a, %b)")), "bool[N]");
    assert_eq!(ty(&graph(13, "%a: f32[2], %b: i64[]", "%y: ? = Pow(%a, %b)")), "f32[2]");
    // An unknown rank stays one.
    assert_eq!(ty(&graph(13, "%a: f32[..], %b: f32[2]", "%y: ? = Mul(%a, %b)")), "f32[..]");
}

#[test]
fn shapes_that_do_not_fit_are_reported() {
    assert_eq!(
        error(13, "%a: f32[2,3], %b: f32[4]", "%y: ? = Add(%a, %b) as sum"),
        "error[S001]: axis lengths 3 and 4 do not broadcast\n  node   \"sum\" (Add, opset 13)\n  input  %a: f32[2,3]\n  input  %b: f32[4]"
    );
    let prelu = error(13, "%a: f32[3], %b: f32[2,3]", "%y: ? = PRelu(%a, %b)");
    assert!(prelu.starts_with("error[S001]: a slope of rank 2 does not fit data of rank 1"), "{prelu}");
    let axis = error(6, "%a: f32[2,3], %b: f32[3]", "%y: ? = Add(%a, %b) {broadcast=1, axis=7}");
    assert!(axis.starts_with("error[S002]: axis 7 is out of range for rank 2"), "{axis}");
    let behind = error(6, "%a: f32[2,3], %b: f32[2,3]", "%y: ? = Add(%a, %b) {broadcast=1, axis=1}");
    assert!(behind.starts_with("error[S002]: 2 axes do not fit into rank 2 from axis 1 on"), "{behind}");
    let wrong = error(6, "%a: f32[2,3], %b: f32[2]", "%y: ? = Add(%a, %b) {broadcast=\"yes\"}");
    assert!(wrong.starts_with("error[S002]: attribute broadcast must be an integer"), "{wrong}");
}

#[test]
fn before_opset_7_an_axis_may_be_named() {
    let g = |attrs: &str| graph(6, "%x: f32[N,8,4,4], %b: f32[8]", &format!("%y: ? = Mul(%x, %b) {attrs}"));
    assert_eq!(ty(&g("{broadcast=1, axis=1}")), "f32[N,8,4,4]");
    assert_eq!(
        couple(&g("{broadcast=1, axis=1}")),
        ["In(0).1 = Out(0).1", "In(0).2 = Out(0).2", "In(0).3 = Out(0).3", "In(1).0 = Out(0).1"]
    );
    assert_eq!(couple(&g("{broadcast=1, axis=-3}")), couple(&g("{broadcast=1, axis=1}")));
    let slope = graph(6, "%x: f32[N,8,4,4], %b: f32[8]", "%y: ? = PRelu(%x, %b)");
    assert_eq!(couple(&slope).last().unwrap(), "In(1).0 = Out(0).1");
    let folded = fold(
        6,
        "@x: f32[2,2] = [1.0, 2.0, 3.0, 4.0] @b: f32[2] = [10.0, 20.0] %y: ? = Add(@x, @b) {broadcast=1, axis=0}",
    );
    assert_eq!(folded.unwrap().to_f32().unwrap(), [11.0, 12.0, 23.0, 24.0]);
}

#[test]
fn what_goes_from_one_operand_goes_from_all() {
    let g = graph(13, "%x: f32[N,8,4], %b: f32[8,1], %s: f32[]", "%y: ? = Sum(%x, %b, %s)");
    assert_eq!(
        couple(&g),
        ["In(0).1 = Out(0).1", "In(0).2 = Out(0).2", "In(1).0 = Out(0).1", "free In(1).1", "free Out(0).2"]
    );
    let clip = graph(13, "%x: f32[N,8], %lo: f32[1], %hi: f32[]", "%y: ? = Clip(%x, %lo, %hi)");
    assert_eq!(couple(&clip), ["free In(1).0", "In(0).1 = Out(0).1"]);
    // A size that may turn out to be 8 cannot be cut, so neither can the 8.
    let unsure = graph(13, "%x: f32[N,8], %b: f32[M]", "%y: ? = Add(%x, %b)");
    assert_eq!(couple(&unsure), ["In(0).1 = Out(0).1", "pin Out(0).1"]);
}

#[test]
fn small_integers_are_followed_through_symbols() {
    let y = |a: &str, b: &str, op: &str| {
        let init = |n: &str, v: &str| format!("@{n}: i64[{}] = [{v}]", v.split(',').count());
        ints(&graph(18, "", &format!("{} {} %y: ? = {op}(@a, @b)", init("a", a), init("b", b))))
    };
    assert_eq!(y("7,-7,8", "2", "Div").as_deref(), Some("[3,-3,4]"));
    assert_eq!(y("7,-7,8", "2", "Mod").as_deref(), Some("[1,1,0]"));
    assert_eq!(y("7,-7,8", "0,1,8", "Max").as_deref(), Some("[7,1,8]"));
    assert_eq!(y("7,-7,8", "7", "Equal").as_deref(), Some("[1,0,0]"));
    assert_eq!(y("7", "2,3", "Sub").as_deref(), Some("[5,4]"));
    // Division by zero and overflow leave a symbol of their own.
    assert_eq!(y("7", "0", "Div").as_deref(), Some("[\"?y.0\"]"));
    assert_eq!(y("9223372036854775807", "1", "Add").as_deref(), Some("[\"?y.0\"]"));
}

#[test]
fn sizes_that_hold_for_any_batch_are_known() {
    // What `Shape` says of `[N, 3, 64*N]`, as integers and cast to floats.
    let n = Dim::symbol("N");
    let sizes = vec![n.clone(), Dim::fixed(3), n.mul(&Dim::fixed(64)).unwrap()];
    let y = |elem: &str, body: &str| {
        let inputs = format!("%s: {elem}[3]");
        let mut g = parse::graph(&format!("graph t opset(\"\"=18) ({inputs}) -> (%y) {{ {body} }}")).unwrap();
        g.value_mut(g.inputs[0]).ints = Some(Ints { scalar: false, elems: sizes.clone() });
        infer(&mut g).unwrap();
        ints(&g).unwrap()
    };
    let with = |v: &str, op: &str| y("i64", &format!("@c: i64[1] = [{v}] %y: ? = {op}"));
    assert_eq!(with("2", "Mul(%s, @c)"), "[2*N,6,128*N]");
    assert_eq!(with("64", "Mod(%s, @c)"), "[\"?y.0\",3,0]");
    assert_eq!(with("0", "Add(%s, %s)"), "[2*N,6,128*N]");
    assert_eq!(with("0", "Sub(%s, %s)"), "[0,0,0]");
    assert_eq!(with("-1", "Equal(%s, @c)"), "[0,0,0]");
    // A batch may be empty.
    assert_eq!(with("0", "Equal(%s, @c)"), "[\"?y.0\",0,\"?y.2\"]");
    assert_eq!(with("0", "Less(%s, @c)"), "[0,0,0]");
    assert_eq!(with("0", "GreaterOrEqual(%s, @c)"), "[1,1,1]");
    assert_eq!(with("0", "Max(%s, @c)"), "[N,3,64*N]");
    assert_eq!(with("1", "Max(%s, @c)"), "[\"?y.0\",3,\"?y.2\"]");
    assert_eq!(with("-1", "Clip(%s, @c)"), "[N,3,64*N]");
    assert_eq!(with("-1", "ReduceProd(%s)"), "[192*N*N]");
    let expand = "@m: i64[1] = [-1] @one: i64[1] = [1] %e: ? = Equal(%s, @m) %y: ? = Where(%e, @one, %s)";
    assert_eq!(y("i64", expand), "[N,3,64*N]");
    let float = |v: &str, op: &str| y("f32", &format!("@c: f32[] = [{v}] %y: ? = {op}"));
    assert_eq!(float("2.0", "Mul(%s, @c)"), "[2*N,6,128*N]");
    assert_eq!(float("0.5", "Mul(%s, @c)"), "[\"?y.0\",\"?y.1\",32*N]");
    assert_eq!(float("0.5", "Div(%s, @c)"), "[2*N,6,128*N]");
    assert_eq!(float("0.0", "Floor(%s)"), "[N,3,64*N]");
}

#[test]
fn constants_are_evaluated_as_runtimes_do() {
    let f = |op: &str| {
        let t = fold(18, &format!("@a: f32[3] = [-1.5, 0.0, 2.5] %y: ? = {op}"))?;
        t.to_f32().or_else(|| Some(t.to_i64()?.into_iter().map(|v| v as f32).collect()))
    };
    assert_eq!(f("Relu(@a)").unwrap(), [0.0, 0.0, 2.5]);
    assert_eq!(f("Round(@a)").unwrap(), [-2.0, 0.0, 2.0]);
    assert_eq!(f("Mul(@a, @a)").unwrap(), [2.25, 0.0, 6.25]);
    assert_eq!(f("LeakyRelu(@a) {alpha=0.5}").unwrap(), [-0.75, 0.0, 2.5]);
    assert_eq!(f("IsInf(@a)").unwrap(), [0.0, 0.0, 0.0]);
    // There is no error function to evaluate it with.
    assert_eq!(f("Erf(@a)"), None);
    let i = |op: &str, b: &str| {
        let t = fold(18, &format!("@a: i32[2] = [7, -7] @b: i32[1] = [{b}] %y: ? = {op}"))?;
        t.to_i64()
    };
    assert_eq!(i("Div(@a, @b)", "2").unwrap(), [3, -3]);
    assert_eq!(i("Mod(@a, @b)", "-4").unwrap(), [-1, -3]);
    assert_eq!(i("Mod(@a, @b) {fmod=1}", "-4").unwrap(), [3, -3]);
    assert_eq!(i("Div(@a, @b)", "0"), None);
    assert_eq!(i("Mul(@a, @b)", "2147483647"), None);
    let clip = |opset, op: &str| {
        fold(opset, &format!("@a: f32[3] = [-1.5, 0.0, 2.5] @h: f32[] = [1.0] %y: ? = {op}"))
            .unwrap()
            .to_f32()
            .unwrap()
    };
    assert_eq!(clip(6, "Clip(@a) {min=-1.0, max=2.0}"), [-1.0, 0.0, 2.0]);
    assert_eq!(clip(13, "Clip(@a, _, @h)"), [-1.5, 0.0, 1.0]);
    let choice =
        fold(16, "@c: bool[2,1] = [1, 0] @a: i64[2] = [1, 2] @b: i64[] = [9] %y: ? = Where(@c, @a, @b)");
    assert_eq!(choice.unwrap().to_i64().unwrap(), [1, 2, 9, 9]);
}

#[test]
fn missing_operands_do_no_harm() {
    for op in ["Add", "Equal", "Pow", "BitShift", "PRelu", "Where", "Max", "Clip", "Not", "Relu"] {
        for inputs in ["", "@a", "_, @a", "_", "@a, _, @a"] {
            for elem in ["i64[1] = [1]", "f32[1] = [1.0]", "bool[] = [1]", "string[0] = #0000000000000000"] {
                let mut g = parse::graph(&format!(
                    "graph t opset(\"\"=18) () -> (%y) {{ @a: {elem} %y: ? = {op}({inputs}) }}"
                ))
                .unwrap();
                if infer(&mut g).is_err() {
                    continue;
                }
                let node = &g.nodes[0];
                let row = secateur_ops::find("", op).unwrap();
                let inputs = node.inputs.iter().map(|v| v.and_then(|v| g.init(v))).collect();
                let _ = (row.fold)(&FoldCx { graph: &g, node, inputs });
                let _ = (row.couple)(&CoupleCx { graph: &g, node }, &mut Relations::default());
            }
        }
    }
}

#[test]
fn constant_slices_are_written_over_constant_data() {
    let f = |data: &str, index: &str, updates: &str, more: &str| {
        let text = format!("@x: {data} @i: {index} @u: {updates} %y: ? = ScatterND(@x, @i, @u){more}");
        fold(18, &text).and_then(|t| t.to_f32())
    };
    let x = "f32[3,2] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]";
    let rows = f(x, "i64[2,1] = [2, -3]", "f32[2,2] = [7.0, 8.0, 9.0, 0.5]", "");
    assert_eq!(rows.unwrap(), [9.0, 0.5, 3.0, 4.0, 7.0, 8.0]);
    // The last of two writes to one place counts.
    let elements = f(x, "i64[3,2] = [0, 1, 2, 0, 0, 1]", "f32[3] = [7.0, 8.0, 9.0]", "");
    assert_eq!(elements.unwrap(), [1.0, 9.0, 3.0, 4.0, 8.0, 6.0]);
    assert_eq!(f(x, "i64[1,1] = [0]", "f32[1,2] = [1.0, 1.0]", " {reduction=\"add\"}"), None);
    let bad = |index: &str, updates: &str| {
        let text = format!("@x: {x} @i: {index} @u: {updates} %y: ? = ScatterND(@x, @i, @u)");
        let g = graph(18, "", &text);
        let inputs = g.nodes[0].inputs.iter().map(|v| v.and_then(|v| g.init(v))).collect();
        let op = secateur_ops::find("", "ScatterND").unwrap();
        (op.fold)(&FoldCx { graph: &g, node: &g.nodes[0], inputs }).unwrap_err().to_string()
    };
    assert!(bad("i64[1,1] = [3]", "f32[1,2] = [1.0, 1.0]").contains("index 3 is out of range"));
    assert!(bad("i64[1,1] = [0]", "f32[1,1] = [1.0]").contains("do not fit"));
}
