//! Flatten. <https://onnx.ai/onnx/operators/onnx__Flatten.html>
//!
//! A reshape to two axes: those before `axis` and those from it on.

use secateur_diag::Result;

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_cost, no_shrink};
use crate::moves::{X, Y, out_dims};
use crate::{CoupleCx, FoldCx, InferCx, Op, Relations, reshape_atoms};
use secateur_ir::dim::Dim;
use secateur_ir::graph::Node;
use secateur_ir::norm_axis;
use secateur_tensor::Tensor;

/// The rows of this file.
pub const OPS: &[Op] = &[Op {
    domain: "",
    name: "Flatten",
    opsets: &[1, 9, 11, 13, 21, 23, 24],
    infer,
    couple,
    shrink: no_shrink,
    cost: no_cost,
    fold,
    eval: NOT_YET,
    derive: NO_DERIVATIVE,
}];

/// The first axis of the second half; it may be the rank itself.
fn split_at(node: &Node, rank: usize) -> Result<usize> {
    match node.int_or("axis", 1)? {
        a if a == rank as i64 => Ok(rank),
        a => norm_axis(a, rank),
    }
}

fn infer(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let shape = match cx.shape(0) {
        Some(x) => {
            let (a, b) = x.split_at(split_at(cx.node, x.len())?);
            let half = |i: usize, d: &[Dim]| Dim::product(d).unwrap_or_else(|| cx.unknown(0, i));
            vec![half(0, a), half(1, b)]
        }
        None => cx.unknowns(0, 2),
    };
    cx.set(0, elem, Some(shape));
    Ok(())
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    reshape_atoms::relate(r, (X, cx.need(X)?), (Y, cx.need(Y)?));
    Ok(())
}

fn fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    Ok(out_dims(cx, 0).zip(cx.input(0)).map(|(dims, t)| vec![Tensor { dims, ..t.clone() }]))
}
