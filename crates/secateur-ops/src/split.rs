//! Split. <https://onnx.ai/onnx/operators/onnx__Split.html>
//!
//! Along `axis` each output is a run of the input's row; all other axes are the same. The lengths come from an
//! attribute, from an operand (opset 13), or are equal, the last one shorter (opset 18).

use secateur_diag::{Code, Result, diag};

use crate::forms::no_cost;
use crate::forms::{NO_DERIVATIVE, NOT_YET};
use crate::moves::{Param, X, kept_below, set_ints};
use crate::{CoupleCx, FoldCx, InferCx, Op, Port, Relations, ShrinkCx};
use secateur_ir::dim::Dim;
use secateur_ir::graph::Node;
use secateur_tensor::Tensor;
use secateur_tensor::{strides, view};

/// The rows of this file.
pub const OPS: &[Op] = &[Op {
    domain: "",
    name: "Split",
    opsets: &[1, 2, 11, 13, 18],
    infer,
    couple,
    shrink,
    cost: no_cost,
    fold,
    eval: NOT_YET,
    derive: NO_DERIVATIVE,
}];

/// Lengths along the axis of `n` elements; `None` where they are not known.
fn lengths(node: &Node, n: &Dim, param: Param, opset: i64) -> Result<Option<Vec<Dim>>> {
    let outputs = node.outputs.len();
    match param {
        Param::Known(v) => {
            if v.len() != outputs {
                return Err(diag(Code::S002, format!("{} lengths for {outputs} outputs", v.len())));
            }
            if let Some(bad) = v.iter().find(|l| **l < 0) {
                return Err(diag(Code::S002, format!("a length of {bad} is negative")));
            }
            let sum = v.iter().try_fold(0i64, |s, l| s.checked_add(*l));
            if n.constant().is_some_and(|n| sum != Some(n)) {
                return Err(diag(Code::S001, format!("lengths {v:?} do not add up to {n}")));
            }
            Ok(Some(v.into_iter().map(Dim::fixed).collect()))
        }
        Param::Unknown => Ok(None),
        Param::Absent => {
            let parts = node.int_or("num_outputs", outputs as i64)?;
            if parts != outputs as i64 || parts < 1 {
                return Err(diag(Code::S002, format!("num_outputs = {parts} for {outputs} outputs")));
            }
            let Some(len) = n.constant() else {
                return Ok(n.div(&Dim::fixed(parts)).map(|d| vec![d; outputs]));
            };
            if len % parts != 0 && opset < 18 {
                return Err(diag(
                    Code::S001,
                    format!("{len} elements do not divide into {parts} equal parts"),
                ));
            }
            let part = len / parts + i64::from(len % parts != 0);
            let last = len - part.saturating_mul(parts - 1);
            if last < 0 {
                return Err(diag(Code::S001, format!("{len} elements do not fill {parts} parts of {part}")));
            }
            let mut out = vec![Dim::fixed(part); outputs];
            out[outputs - 1] = Dim::fixed(last);
            Ok(Some(out))
        }
    }
}

fn infer(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let outputs = cx.node.outputs.len();
    let Some(x) = cx.shape(0) else {
        (0..outputs).for_each(|o| cx.set(o, elem, None));
        return Ok(());
    };
    let axis = cx.node.axis_or("axis", 0, x.len())?;
    let lens = lengths(cx.node, &x[axis], Param::infer(cx, 1, "split")?, cx.opset())?;
    let ints = cx.ints(0);
    let mut at = 0usize;
    for o in 0..outputs {
        let mut shape = x.to_vec();
        let len = lens.as_ref().map(|l| l[o].clone());
        shape[axis] = len.clone().unwrap_or_else(|| cx.unknown(o, axis));
        cx.set(o, elem, Some(shape));
        let part = len
            .and_then(|d| d.size())
            .and_then(|n| Some((n, ints.as_ref()?.elems.get(at..at.checked_add(n)?)?)));
        if let Some((n, part)) = part {
            cx.set_ints(o, elem, secateur_ir::graph::Ints { scalar: false, elems: part.to_vec() });
            at += n;
        }
    }
    Ok(())
}

/// Lengths that are all fixed.
fn fixed(node: &Node, n: usize, param: Param, opset: i64) -> Result<Option<Vec<usize>>> {
    Ok(lengths(node, &Dim::fixed(n), param, opset)?.and_then(|l| l.iter().map(Dim::size).collect()))
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(X)?;
    let axis = cx.node.axis_or("axis", 0, rank)?;
    let outputs: Vec<Port> = (0..cx.node.outputs.len()).map(Port::Out).collect();
    for &y in outputs.iter().filter(|y| cx.shape(**y).is_some()) {
        crate::moves::tie_others(cx, r, X, y, &[axis])?;
    }
    let Some(n) = cx.size(X, axis)? else { return Ok(()) };
    let Some(lens) = fixed(cx.node, n, Param::couple(cx, 1, "split")?, cx.opset())? else { return Ok(()) };
    let mut at = 0;
    for (y, len) in outputs.into_iter().zip(lens) {
        if cx.shape(y).is_some() {
            r.run((X, axis), at, (y, axis), 0, len);
        }
        at += len;
    }
    Ok(())
}

fn shrink(cx: &mut ShrinkCx) -> Result<()> {
    let before = cx.before(X)?;
    let axis = cx.node().axis_or("axis", 0, before.len())?;
    let (Some(kept), Some(n)) = (cx.kept(X, axis), before[axis].size()) else { return Ok(()) };
    let opset = cx.opset();
    let param = Param::shrink(cx, 1, "split")?;
    let lens =
        fixed(cx.node(), n, param, opset)?.ok_or_else(|| diag(Code::P004, "the lengths are not known"))?;
    let mut at = 0;
    let lens: Vec<i64> = lens
        .into_iter()
        .map(|len| {
            let (from, to) = (at, at + len);
            at = to;
            (kept_below(Some(kept), to) - kept_below(Some(kept), from)) as i64
        })
        .collect();
    if opset < 13 && cx.node().input(1).is_none() {
        cx.node_mut().set_ints("split", lens);
        return Ok(());
    }
    // Only one of the two may be there.
    cx.node_mut().remove_attr("num_outputs");
    set_ints(cx, 1, &[lens.len()], &lens)
}

fn fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    let Some(t) = cx.input(0) else { return Ok(None) };
    let axis = cx.node.axis_or("axis", 0, t.dims.len())?;
    let Some(lens) = fixed(cx.node, t.dims[axis], Param::fold(cx, 1, "split")?, cx.opset())? else {
        return Ok(None);
    };
    let steps = strides(&t.dims);
    let mut at = 0;
    let part = |len: usize| {
        let start = at * steps[axis].unsigned_abs();
        at += len;
        let mut dims = t.dims.clone();
        dims[axis] = len;
        view(t, dims, &steps, start)
    };
    Ok(lens.into_iter().map(part).collect())
}
