//! Rows of neural layers: shapes, errors, relations between axes, what shrinks and what it costs.

mod attention;
mod conv_transpose;
mod einsum;
mod fused;
mod hostile;
mod normalization;
mod pooling;
mod quantized;
mod recurrent;
mod softmax;

use secateur_ir::{Dim, Graph, ValueId, parse, print};
use secateur_ops::infer;
use secateur_ops::{Cost, CostCx, CoupleCx, Port, Relation, Relations, ShrinkCx};

/// A graph of one node, from its inputs and its right-hand side; outputs are `%y`, `%y1`, ...
fn read(opset: i64, inputs: &str, outputs: usize, node: &str) -> Graph {
    let names: Vec<String> =
        (0..outputs).map(|i| if i == 0 { "%y".into() } else { format!("%y{i}") }).collect();
    let typed: Vec<String> = names.iter().map(|n| format!("{n}: ?")).collect();
    let text = format!(
        "graph t opset(\"\"={opset}, com.microsoft=1) ({inputs}) -> (%y) {{ {} = {node} }}",
        typed.join(", ")
    );
    parse::graph(&text).unwrap()
}

fn graph(opset: i64, inputs: &str, outputs: usize, node: &str) -> Graph {
    let mut g = read(opset, inputs, outputs, node);
    infer(&mut g).unwrap_or_else(|e| panic!("{e}"));
    g
}

/// The first output's type.
fn ty(opset: i64, inputs: &str, node: &str) -> String {
    types(opset, inputs, 1, node).remove(0)
}

/// The outputs' types.
fn types(opset: i64, inputs: &str, outputs: usize, node: &str) -> Vec<String> {
    let g = graph(opset, inputs, outputs, node);
    let v = g.nodes[0].outputs.iter().flatten();
    v.map(|&v| print::ty(g.value(v).ty.as_ref())).collect()
}

/// The first line of the shape rule's error.
fn error(opset: i64, inputs: &str, node: &str) -> String {
    let e = infer(&mut read(opset, inputs, 1, node)).unwrap_err().to_string();
    e.lines().next().unwrap_or_default().to_owned()
}

/// What the coupling rule says, one relation a line.
fn couple(opset: i64, inputs: &str, outputs: usize, node: &str) -> String {
    let g = graph(opset, inputs, outputs, node);
    let node = &g.nodes[0];
    let mut r = Relations::default();
    let op = secateur_ops::find(node.domain(), node.op()).unwrap();
    (op.couple)(&CoupleCx { graph: &g, node }, &mut r).unwrap_or_else(|e| panic!("{e}"));
    r.list.iter().map(brief).collect::<Vec<_>>().join("\n")
}

fn at(port: Port, axis: usize) -> String {
    match port {
        Port::In(i) => format!("x{i}.{axis}"),
        Port::Out(i) => format!("y{i}.{axis}"),
    }
}

fn brief(r: &Relation) -> String {
    match r {
        Relation::Run { a, b, len } if a.start == 0 && b.start == 0 => {
            let _ = len;
            format!("{} = {}", at(a.port, a.axis), at(b.port, b.axis))
        }
        Relation::Run { a, b, len } => {
            format!("{}[{}..] = {}[{}..] x{len}", at(a.port, a.axis), a.start, at(b.port, b.axis), b.start)
        }
        Relation::List { a, index, b } => format!("{} at {index:?} = {}", at(a.0, a.1), at(b.0, b.1)),
        // Length of the factor, and of what lies inside it.
        Relation::Atoms(atoms) => {
            let each = atoms.iter().map(|a| format!("{}:{}x{}", at(a.port, a.axis), a.size, a.inner));
            each.collect::<Vec<_>>().join(" ")
        }
        Relation::Pin { at: (p, a), .. } => format!("pin {}", at(*p, *a)),
        Relation::Inexact { at: (p, a), .. } => format!("inexact {}", at(*p, *a)),
        Relation::Contract { data: (p, a), weight: None } => format!("sum {}", at(*p, *a)),
        Relation::Contract { data: (p, a), weight: Some((q, b)) } => {
            format!("sum {} by {}", at(*p, *a), at(*q, *b))
        }
        Relation::Free { at: (p, a) } => format!("free {}", at(*p, *a)),
        Relation::Choose(ways) => {
            let way = |w: &secateur_ops::Alternative| {
                let said: Vec<String> = w.relations.iter().map(brief).collect();
                format!("  {}: {}", w.label, said.join("; "))
            };
            format!("choose\n{}", ways.iter().map(way).collect::<Vec<_>>().join("\n"))
        }
    }
}

/// The node after elements are gone from axes of its values, given as name, axis and what is kept.
fn shrunk(opset: i64, inputs: &str, node: &str, kept: &[(&str, usize, &[usize])]) -> String {
    let mut g = graph(opset, inputs, 1, node);
    let shapes: Vec<Option<Vec<Dim>>> = g.value_ids().map(|v| g.shape(v).map(<[Dim]>::to_vec)).collect();
    let kept: Vec<(ValueId, usize, &[usize])> =
        kept.iter().map(|(n, a, k)| (g.find(n).unwrap(), *a, *k)).collect();
    let keep = |v: ValueId, a: usize| kept.iter().find(|k| k.0 == v && k.1 == a).map(|k| k.2);
    let before = |v: ValueId| shapes.get(v.index()).and_then(|s| s.as_deref());
    let op = secateur_ops::find(g.nodes[0].domain(), g.nodes[0].op()).unwrap();
    (op.shrink)(&mut ShrinkCx::new(&mut g, 0, &keep, &before)).unwrap_or_else(|e| panic!("{e}"));
    let line = print::node(&g, &g.nodes[0]);
    line.split_once(" {").map_or(String::new(), |(_, attrs)| format!("{{{attrs}"))
}

/// Multiply-adds with all sizes fixed.
fn macs(opset: i64, inputs: &str, node: &str) -> u64 {
    let g = graph(opset, inputs, 1, node);
    let node = &g.nodes[0];
    let op = secateur_ops::find(node.domain(), node.op()).unwrap();
    let Cost { macs } = (op.cost)(&CostCx { graph: &g, node }).unwrap_or_else(|e| panic!("{e}"));
    let len = |p: Port, a: usize| {
        let v = match p {
            Port::In(i) => node.input(i),
            Port::Out(i) => node.output(i),
        };
        g.shape(v.unwrap()).unwrap()[a].size().unwrap() as u64
    };
    macs.iter().map(|t| t.coef * t.axes.iter().map(|&(p, a)| len(p, a)).product::<u64>()).sum()
}
