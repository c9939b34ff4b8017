//! Recurrent cells. <https://onnx.ai/onnx/operators/onnx__LSTM.html>,
//! <https://onnx.ai/onnx/operators/onnx__GRU.html>, <https://onnx.ai/onnx/operators/onnx__RNN.html>
//!
//! A hidden unit is its row in every gate of `W`, `R`, `B` and `P`, its column of `R`, and its place in every
//! state and output; both directions share it. Input features are contracted with `W`'s last axis, the hidden
//! state with `R`'s.

use secateur_diag::{Code, Result, diag};

use crate::forms::no_fold;
use crate::forms::{NO_DERIVATIVE, NOT_YET};
use crate::{Atom, Cost, CostCx, CoupleCx, InferCx, Op, Port, Relation, Relations, ShrinkCx, Term};
use secateur_ir::dim::{Dim, Shape};
use secateur_ir::graph::Node;

const fn row(name: &'static str, opsets: &'static [i64]) -> Op {
    Op {
        domain: "",
        name,
        opsets,
        infer,
        couple,
        shrink,
        cost,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    }
}

/// The rows of this file.
pub const OPS: &[Op] =
    &[row("RNN", &[1, 7, 14, 22]), row("GRU", &[1, 3, 7, 14, 22]), row("LSTM", &[1, 7, 14, 22])];

const X: Port = Port::In(0);
const W: Port = Port::In(1);
const R: Port = Port::In(2);
const B: Port = Port::In(3);
const LENGTHS: Port = Port::In(4);
const P: Port = Port::In(7);
const Y: Port = Port::Out(0);
/// Initial and last states: `[directions, batch, hidden]`, or batch first.
const STATES: [Port; 4] = [Port::In(5), Port::In(6), Port::Out(1), Port::Out(2)];

/// Gates of a cell.
fn gates(node: &Node) -> i64 {
    match node.op() {
        "LSTM" => 4,
        "GRU" => 3,
        _ => 1,
    }
}

/// Where an axis of `X`, `Y` and the states is.
struct Layout {
    /// Batch in `X`.
    x: usize,
    /// Time in `X`.
    time: usize,
    /// Batch in `Y`.
    y: usize,
    /// Batch in the states.
    state: usize,
}

fn layout(node: &Node) -> Result<Layout> {
    Ok(match node.int_or("layout", 0)? {
        0 => Layout { x: 1, time: 0, y: 2, state: 1 },
        _ => Layout { x: 0, time: 1, y: 0, state: 0 },
    })
}

fn directions(node: &Node) -> Result<i64> {
    match node.string("direction")?.unwrap_or("forward") {
        "forward" | "reverse" => Ok(1),
        "bidirectional" => Ok(2),
        other => Err(diag(Code::S002, format!("direction {other:?} is not one of ONNX"))),
    }
}

fn infer(cx: &mut InferCx) -> Result<()> {
    for i in [0, 1, 2] {
        cx.want_rank(i, 3)?;
    }
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let both = directions(cx.node)?;
    let at = layout(cx.node)?;
    let gates = Dim::fixed(gates(cx.node));
    let hidden = match (cx.node.int("hidden_size")?, cx.shape(2), cx.shape(1)) {
        (Some(h), ..) if h < 1 => {
            return Err(diag(Code::S002, format!("hidden_size = {h} must be positive")));
        }
        (Some(h), ..) => Some(Dim::fixed(h)),
        (None, Some(r), _) => Some(r[2].clone()),
        (None, None, Some(w)) => w[1].div(&gates),
        _ => None,
    };
    let hidden = hidden.unwrap_or_else(|| cx.unknown(0, 3));
    let differ = |d: &Dim, e: &Dim| d.constant().zip(e.constant()).is_some_and(|(p, q)| p != q);
    let rows = hidden.mul(&gates);
    for (i, name) in [(1, "W"), (2, "R")] {
        let Some(s) = cx.shape(i) else { continue };
        if rows.as_ref().is_some_and(|rows| differ(rows, &s[1])) {
            return Err(diag(Code::S001, format!("{name} has {} rows for {gates} gates of {hidden}", s[1])));
        }
        if differ(&s[0], &Dim::fixed(both)) {
            return Err(diag(Code::S001, format!("{name} has {} directions, not {both}", s[0])));
        }
    }
    if let (Some(x), Some(w)) = (cx.shape(0), cx.shape(1))
        && differ(&x[2], &w[2])
    {
        return Err(diag(Code::S001, format!("the input has {} features, W takes {}", x[2], w[2])));
    }
    let (time, batch) = match cx.shape(0) {
        Some(x) => (x[at.time].clone(), x[at.x].clone()),
        None => (cx.unknown(0, 0), cx.unknown(0, at.y)),
    };
    let both = Dim::fixed(both);
    let (y, state): (Shape, Shape) = match at.state {
        0 => (vec![batch.clone(), time, both.clone(), hidden.clone()], vec![batch, both, hidden]),
        _ => (vec![time, both.clone(), batch.clone(), hidden.clone()], vec![both, batch, hidden]),
    };
    cx.set(0, elem, Some(y));
    for i in 1..cx.node.outputs.len().min(3) {
        cx.set(i, elem, Some(state.clone()));
    }
    Ok(())
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let at = layout(cx.node)?;
    r.contract(cx, (X, 2), (W, 2))?;
    for (port, axis) in STATES.map(|s| (s, at.state)).into_iter().chain([(Y, at.y), (LENGTHS, 0)]) {
        if cx.shape(port).is_some() {
            r.tie(cx, (X, at.x), (port, axis))?;
        }
    }
    let Some(hidden) = cx.size(R, 2)? else { return Ok(()) };
    let axes = [(W, 1), (R, 1), (R, 2), (B, 1), (P, 1), (Y, 3)];
    let mut atoms = Vec::new();
    for (port, axis) in axes.into_iter().chain(STATES.map(|s| (s, 2))) {
        let Some(shape) = cx.shape(port) else { continue };
        match shape.get(axis).and_then(Dim::size) {
            Some(n) if hidden > 0 && n % hidden == 0 => {
                atoms.push(Atom { port, axis, size: hidden, inner: 1 })
            }
            _ => return Err(diag(Code::S001, format!("{port:?} is not made of units of {hidden}"))),
        }
    }
    r.push(Relation::Atoms(atoms));
    // The state of the last step is no value of the graph; its contraction stands at the weight itself.
    r.push(Relation::Contract { data: (R, 2), weight: Some((R, 2)) });
    Ok(())
}

fn shrink(cx: &mut ShrinkCx) -> Result<()> {
    if cx.kept(R, 2).is_some() {
        let hidden = cx.len(R, 2)? as i64;
        cx.node_mut().set_int("hidden_size", hidden);
    }
    Ok(())
}

fn cost(cx: &CostCx) -> Result<Cost> {
    let at = layout(cx.node)?;
    let term = |weight: Port| {
        let axes = [(weight, 0), (weight, 1), (weight, 2), (X, at.time), (X, at.x)];
        Term { coef: 1, axes: axes.to_vec() }
    };
    Ok(Cost { macs: vec![term(W), term(R)] })
}
