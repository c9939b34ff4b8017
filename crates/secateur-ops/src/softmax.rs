//! Softmax, LogSoftmax and Hardmax. <https://onnx.ai/onnx/operators/onnx__Softmax.html>,
//! <https://onnx.ai/onnx/operators/onnx__LogSoftmax.html>, <https://onnx.ai/onnx/operators/onnx__Hardmax.html>
//!
//! The elements of an axis are weighed against each other, so the axis is pinned. Before opset 13 the input
//! is read as a matrix whose columns are all axes from `axis` on.

use std::ops::Range;

use secateur_diag::Result;

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_cost, no_fold, no_shrink, same_as_input, same_axes_but};
use crate::{CoupleCx, InferCx, Op, Port, Relations};
use secateur_ir::graph::Node;
use secateur_ir::norm_axis;

const fn row(name: &'static str) -> Op {
    Op {
        domain: "",
        name,
        opsets: &[1, 11, 13],
        infer,
        couple,
        shrink: no_shrink,
        cost: no_cost,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    }
}

/// The rows of this file.
pub const OPS: &[Op] = &[row("Softmax"), row("LogSoftmax"), row("Hardmax")];

/// The axes that one sum of exponentials runs over.
fn axes(node: &Node, opset: i64, rank: usize) -> Result<Range<usize>> {
    let axis = node.int_or("axis", if opset < 13 { 1 } else { -1 })?;
    if opset >= 13 {
        let a = norm_axis(axis, rank)?;
        return Ok(a..a + 1);
    }
    // `axis` may stand behind the last axis of a vector: then nothing is left to sum over.
    let first = if axis >= 0 && axis as usize == rank { rank } else { norm_axis(axis, rank)? };
    Ok(first..rank)
}

fn infer(cx: &mut InferCx) -> Result<()> {
    if let Some(x) = cx.shape(0) {
        axes(cx.node, cx.opset(), x.len())?;
    }
    same_as_input(cx)
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let axes: Vec<usize> = axes(cx.node, cx.opset(), cx.rank(Port::In(0))?)?.collect();
    same_axes_but(cx, r, &axes, "its elements are weighed against each other")
}
