//! ONNX Runtime's elementwise operators, pooling and Concat of quantized tensors.
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md>
//!
//! The rules of their float forms; every scale and zero point is a single number.

use secateur_diag::{Code, Result, diag};

use crate::forms::{
    NO_DERIVATIVE, NOT_YET, broadcast, no_cost, no_fold, no_shrink, pointwise_of, same_as_input, same_axes,
};
use crate::{CoupleCx, CoupleFn, InferCx, InferFn, Op, Port, Relations, pooling};
use secateur_ir::dim::{Dim, Shape};
use secateur_ir::graph::Node;
use secateur_ir::norm_axis;

const fn row(name: &'static str, infer: InferFn, couple: CoupleFn) -> Op {
    Op {
        domain: "com.microsoft",
        name,
        opsets: &[1],
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
pub const OPS: &[Op] = &[
    row("QLinearAdd", infer_binary, couple_binary),
    row("QLinearMul", infer_binary, couple_binary),
    row("QLinearSigmoid", same_as_input, same_axes),
    row("QLinearLeakyRelu", same_as_input, same_axes),
    row("QLinearAveragePool", infer_pool, couple_pool),
    row("QLinearGlobalAveragePool", infer_global, couple_pool),
    row("QLinearConcat", infer_concat, couple_concat),
];

const X: Port = Port::In(0);
const Y: Port = Port::Out(0);

/// `a, scale, zero, b, scale, zero, y's scale, zero`.
fn infer_binary(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let shape = match (cx.shape(0), cx.shape(3)) {
        (Some(a), Some(b)) => Some(broadcast(a, b)?),
        _ => None,
    };
    cx.set(0, elem, shape);
    Ok(())
}

fn couple_binary(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    pointwise_of(cx, r, [X, Port::In(3)])
}

/// The channel axis; the spatial axes are those between it and the batch, or behind it.
fn channels(node: &Node, rank: usize) -> Result<usize> {
    if rank < 3 {
        return Err(diag(Code::S001, format!("the input has rank {rank}, pooling needs 3 or more")));
    }
    Ok(if node.int_or("channels_last", 0)? != 0 { rank - 1 } else { 1 })
}

/// Output shape, with `pool` for the spatial axes, the first of which is an axis of the output.
fn pool(cx: &mut InferCx, pool: impl Fn(&InferCx, &[Dim], usize) -> Result<Shape>) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let shape = match cx.shape(0) {
        Some(x) if channels(cx.node, x.len())? == 1 => Some([&x[..2], &pool(cx, &x[2..], 2)?].concat()),
        Some(x) => {
            let c = x.len() - 1;
            Some([&x[..1], &pool(cx, &x[1..c], 1)?, &x[c..]].concat())
        }
        None => None,
    };
    cx.set(0, elem, shape);
    Ok(())
}

fn infer_pool(cx: &mut InferCx) -> Result<()> {
    pool(cx, pooling::pooled)
}

fn infer_global(cx: &mut InferCx) -> Result<()> {
    pool(cx, |_, spatial, _| Ok(vec![Dim::fixed(1); spatial.len()]))
}

fn couple_pool(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(X)?;
    let c = channels(cx.node, rank)?;
    for a in 0..rank {
        if a == 0 || a == c {
            r.tie(cx, (X, a), (Y, a))?;
        } else {
            [X, Y].into_iter().for_each(|p| r.pin(p, a, "a window slides along it"));
        }
    }
    Ok(())
}

/// Tensors stand at every third input, behind the output's scale and zero point.
fn tensors(node: &Node) -> impl Iterator<Item = usize> + use<> {
    (2..node.inputs.len()).step_by(3)
}

fn concat_axis(node: &Node, rank: usize) -> Result<usize> {
    match node.int("axis")? {
        Some(a) => norm_axis(a, rank),
        None => Err(diag(Code::S002, "axis is missing")),
    }
}

fn infer_concat(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(2) else { return Ok(()) };
    let Some(mut shape) = cx.shape(2).map(<[_]>::to_vec) else {
        cx.set(0, elem, None);
        return Ok(());
    };
    let axis = concat_axis(cx.node, shape.len())?;
    let mut sum = Some(0i64);
    for i in tensors(cx.node) {
        let s = cx.shape(i);
        if let Some(s) = s.filter(|s| s.len() != shape.len()) {
            return Err(diag(Code::S001, format!("input {i} has rank {}, not {}", s.len(), shape.len())));
        }
        let len = s.and_then(|s| s[axis].constant());
        sum = sum.zip(len).and_then(|(a, b)| a.checked_add(b));
    }
    shape[axis] = sum.map_or_else(|| cx.unknown(0, axis), Dim::fixed);
    cx.set(0, elem, Some(shape));
    Ok(())
}

fn couple_concat(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(Y)?;
    let axis = concat_axis(cx.node, rank)?;
    let mut start = Some(0);
    for i in tensors(cx.node) {
        let x = Port::In(i);
        for a in (0..rank).filter(|&a| a != axis) {
            r.tie(cx, (x, a), (Y, a))?;
        }
        let len = cx.size(x, axis)?;
        if let (Some(start), Some(len), Some(_)) = (start, len, cx.size(Y, axis)?) {
            r.run((x, axis), 0, (Y, axis), start, len);
        }
        start = start.zip(len).map(|(a, b)| a + b);
    }
    Ok(())
}
