//! Shape and Size. <https://onnx.ai/onnx/operators/onnx__Shape.html>, <https://onnx.ai/onnx/operators/onnx__Size.html>
//!
//! Sizes as integers, followed as symbols. What reads a size sees it change, so the axis is pinned, unless no
//! reader picks it: `Gather(Shape(x), 0)` leaves the channels of `x` free.

use secateur_diag::Result;
use secateur_onnx::ElemType;

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_cost, no_fold, no_shrink, pinned};
use crate::moves::{X, constants};
use crate::{CoupleCx, FoldCx, InferCx, Op, Relations};
use secateur_ir::dim::Dim;
use secateur_ir::graph::{Graph, Ints, Node, ValueId};
use secateur_ir::norm_axis;
use secateur_tensor::Tensor;

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op {
        domain: "",
        name: "Shape",
        opsets: &[1, 13, 15, 19, 21, 23, 24],
        infer: shape,
        couple,
        shrink: no_shrink,
        cost: no_cost,
        fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
    Op {
        domain: "",
        name: "Size",
        opsets: &[1, 13, 19, 21, 23, 24],
        infer: size,
        couple: pinned,
        shrink: no_shrink,
        cost: no_cost,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
];

/// The axes from `start` to `end`, both clamped (opset 15).
fn range(node: &Node, rank: usize) -> Result<std::ops::Range<usize>> {
    let r = rank as i64;
    let clamp = |n: i64| (if n < 0 { n.saturating_add(r) } else { n }).clamp(0, r) as usize;
    let start = clamp(node.int_or("start", 0)?);
    let end = node.int("end")?.map_or(rank, clamp);
    Ok(start..end.max(start))
}

fn shape(cx: &mut InferCx) -> Result<()> {
    let Some(x) = cx.shape(0) else {
        cx.set(0, ElemType::I64, Some(vec![cx.unknown(0, 0)]));
        return Ok(());
    };
    let axes = range(cx.node, x.len())?;
    cx.set(0, ElemType::I64, Some(vec![Dim::fixed(axes.len())]));
    cx.set_ints(0, ElemType::I64, Ints { scalar: false, elems: x[axes].to_vec() });
    Ok(())
}

fn size(cx: &mut InferCx) -> Result<()> {
    cx.set(0, ElemType::I64, Some(vec![]));
    if let Some(n) = cx.shape(0).and_then(Dim::product) {
        cx.set_ints(0, ElemType::I64, Ints { scalar: true, elems: vec![n] });
    }
    Ok(())
}

/// Graphs of more nodes are not searched for the readers of every Shape.
const MAX_NODES: usize = 20_000;

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(X)?;
    let axes = range(cx.node, rank)?;
    let Some(y) = cx.node.output(0) else { return Ok(()) };
    let Some(read) = places_read(cx.graph, y, axes.len()) else { return Ok(()) };
    for a in 0..rank {
        if a.checked_sub(axes.start).and_then(|i| read.get(i)) != Some(&true) {
            r.free(X, a);
        }
    }
    Ok(())
}

/// Which elements of the vector `v` any node reads; `None` where it is used as a whole.
fn places_read(graph: &Graph, v: ValueId, len: usize) -> Option<Vec<bool>> {
    if graph.nodes.len() > MAX_NODES || graph.is_output(v) {
        return None;
    }
    let mut read = vec![false; len];
    for node in &graph.nodes {
        if node.captures.contains(&v) {
            return None;
        }
        if !node.inputs.contains(&Some(v)) {
            continue;
        }
        if node.input(0) != Some(v) || node.inputs[1..].contains(&Some(v)) {
            return None;
        }
        for place in reader(&CoupleCx { graph, node }, len)? {
            *read.get_mut(place)? = true;
        }
    }
    Some(read)
}

/// The elements of a vector of length `len` that this node reads of its first input.
fn reader(cx: &CoupleCx, len: usize) -> Option<Vec<usize>> {
    match cx.node.op() {
        "Gather" if cx.node.domain().is_empty() => {
            constants(cx, 1)?.into_iter().map(|i| norm_axis(i, len).ok()).collect()
        }
        "Slice" if cx.node.domain().is_empty() => crate::slice::chosen(cx, len),
        _ => None,
    }
}

fn fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    let Some(t) = cx.input(0) else { return Ok(None) };
    let dims: Vec<i64> = t.dims.iter().map(|&d| d as i64).collect();
    Ok(Some(vec![Tensor::vec_i64(&dims[range(cx.node, dims.len())?])]))
}
