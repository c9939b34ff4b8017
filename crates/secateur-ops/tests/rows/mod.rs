//! What the tests of single operators share: read one node, show its types, relations and what shrinks.
#![allow(dead_code)]

use secateur_ir::{Dim, Graph, Tensor, ValueId, parse, print};
use secateur_ops::infer;
use secateur_ops::{Atom, CoupleCx, FoldCx, Port, Relation, Relations, ShrinkCx, Span};

/// A graph whose output is `%y`, not yet inferred.
pub fn read(opset: i64, inputs: &str, body: &str) -> Graph {
    parse::graph(&format!("graph t opset(\"\"={opset}) ({inputs}) -> (%y) {{ {body} }}")).unwrap()
}

pub fn graph(opset: i64, inputs: &str, body: &str) -> Graph {
    let mut g = read(opset, inputs, body);
    infer(&mut g).unwrap();
    g
}

/// The types of the last node's outputs.
pub fn ty(opset: i64, inputs: &str, body: &str) -> String {
    let g = graph(opset, inputs, body);
    let all: Vec<String> = outputs(&g).iter().map(|v| print::ty(g.value(*v).ty.as_ref())).collect();
    all.join(" ")
}

fn outputs(g: &Graph) -> Vec<ValueId> {
    g.nodes.last().unwrap().outputs.iter().flatten().copied().collect()
}

/// The contents of `%y`, as far as they are followed.
pub fn ints(opset: i64, inputs: &str, body: &str) -> String {
    let g = graph(opset, inputs, body);
    match &g.value(g.outputs[0]).ints {
        Some(t) => {
            let all: Vec<String> = t.elems.iter().map(Dim::to_string).collect();
            if t.scalar { all.join(",") } else { format!("[{}]", all.join(",")) }
        }
        None => "?".into(),
    }
}

/// The first line of what a bad graph gives.
pub fn error(opset: i64, inputs: &str, body: &str) -> String {
    let e = infer(&mut read(opset, inputs, body)).unwrap_err().to_string();
    e.lines().next().unwrap().to_owned()
}

fn port(p: Port) -> String {
    match p {
        Port::In(0) => "x".into(),
        Port::Out(0) => "y".into(),
        Port::In(i) => format!("in{i}"),
        Port::Out(i) => format!("out{i}"),
    }
}

fn brief(r: &Relation) -> String {
    let at = |p: &(Port, usize)| format!("{}.{}", port(p.0), p.1);
    let span = |s: &Span, len: usize| {
        let end = s.start as isize + s.step * (len as isize - 1);
        format!("{}[{}..{end}]", at(&(s.port, s.axis)), s.start)
    };
    match r {
        Relation::Run { a, b, len } => format!("{} = {}", span(a, *len), span(b, *len)),
        Relation::List { a, index, b } => format!("{}{index:?} = {}", at(a), at(b)),
        Relation::Atoms(atoms) => {
            let atom = |t: &Atom| format!("{} /{} %{}", at(&(t.port, t.axis)), t.inner, t.size);
            atoms.iter().map(atom).collect::<Vec<_>>().join(" = ")
        }
        Relation::Pin { at: a, .. } => format!("pin {}", at(a)),
        Relation::Free { at: a } => format!("free {}", at(a)),
        Relation::Choose(all) => {
            let one =
                |a: &secateur_ops::Alternative| a.relations.iter().map(brief).collect::<Vec<_>>().join(", ");
            format!("({})", all.iter().map(one).collect::<Vec<_>>().join(") or ("))
        }
        other => format!("{other:?}"),
    }
}

/// What the last node's coupling rule says.
pub fn couple(opset: i64, inputs: &str, body: &str) -> Vec<String> {
    let g = graph(opset, inputs, body);
    let node = g.nodes.last().unwrap();
    let mut r = Relations::default();
    (secateur_ops::find("", node.op()).unwrap().couple)(&CoupleCx { graph: &g, node }, &mut r).unwrap();
    r.list.iter().map(brief).collect()
}

/// An axis by value and number, and its elements that stay.
pub type Keep<'a> = (&'a str, usize, &'a [usize]);

/// The last node after the removal, its constant integer operands written out behind it.
pub fn cut(opset: i64, inputs: &str, body: &str, keep: &[Keep]) -> String {
    let mut g = graph(opset, inputs, body);
    let shapes: Vec<Option<Vec<Dim>>> = g.value_ids().map(|v| g.shape(v).map(<[Dim]>::to_vec)).collect();
    let of = |name: &str| g.find(name).unwrap();
    let keep: Vec<(ValueId, usize, &[usize])> = keep.iter().map(|(n, a, k)| (of(n), *a, *k)).collect();
    let kept = |v: ValueId, a: usize| keep.iter().find(|k| (k.0, k.1) == (v, a)).map(|k| k.2);
    let before = |v: ValueId| shapes.get(v.index()).and_then(|s| s.as_deref());
    let at = g.nodes.len() - 1;
    let op = secateur_ops::find("", g.nodes[at].op()).unwrap();
    if let Err(e) = (op.shrink)(&mut ShrinkCx::new(&mut g, at, &kept, &before)) {
        return e.to_string();
    }
    let node = &g.nodes[at];
    let text = print::node(&g, node);
    let mut text = text[text.find(" = ").unwrap() + 3..].to_owned();
    for &v in node.inputs.iter().flatten() {
        if let Some(values) = g.init(v).and_then(Tensor::to_i64) {
            text += &format!(" {values:?}");
        }
    }
    text
}

/// The constant that the last node's first output is, as integers, with its sizes.
pub fn folded(opset: i64, body: &str) -> Option<(Vec<usize>, Vec<i64>)> {
    let g = graph(opset, "", body);
    let node = g.nodes.last().unwrap();
    let inputs = node.inputs.iter().map(|v| v.and_then(|v| g.init(v))).collect();
    let cx = FoldCx { graph: &g, node, inputs };
    let t = (secateur_ops::find("", node.op()).unwrap().fold)(&cx).unwrap()?.remove(0);
    Some((
        t.dims.clone(),
        t.to_i64().unwrap_or_else(|| t.to_f32().unwrap().iter().map(|v| *v as i64).collect()),
    ))
}
