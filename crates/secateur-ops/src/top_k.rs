//! Operators that order, sum up or pick along one axis, which must stay whole; all other axes pass.
//!
//! <https://onnx.ai/onnx/operators/onnx__TopK.html>, <https://onnx.ai/onnx/operators/onnx__CumSum.html>,
//! <https://onnx.ai/onnx/operators/onnx__ReverseSequence.html>, <https://onnx.ai/onnx/operators/onnx__Compress.html>,
//! <https://onnx.ai/onnx/operators/onnx__Trilu.html>, <https://onnx.ai/onnx/operators/onnx__OneHot.html>

use secateur_diag::{Code, Result, diag};
use secateur_onnx::ElemType;

use crate::forms::{same_as_input, same_axes_but};
use crate::moves::{Param, X, Y, constants, differ, tie_others};
use crate::{CoupleCx, InferCx, Op, Port, Relations};
use secateur_ir::dim::Dim;
use secateur_ir::norm_axis;

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op::plain("TopK", &[1, 10, 11, 24], top_k, top_k_couple),
    Op::plain("CumSum", &[11, 14], same_as_input, cum_sum),
    Op::plain("ReverseSequence", &[10], same_as_input, reverse_sequence),
    Op::plain("Compress", &[9, 11], compress, compress_couple),
    Op::plain("Trilu", &[14], trilu, trilu_couple),
    Op::plain("OneHot", &[9, 11], one_hot, one_hot_couple),
];

fn top_k(cx: &mut InferCx) -> Result<()> {
    let k = match Param::infer(cx, 1, "")? {
        Param::Known(v) if v.len() == 1 => Some(Dim::fixed(v[0])),
        Param::Known(v) => return Err(diag(Code::S002, format!("k must be one number, not {}", v.len()))),
        Param::Unknown => cx.ints(1).and_then(|v| v.elems.into_iter().next()),
        Param::Absent => Some(Dim::fixed(cx.node.int("k")?.ok_or_else(|| diag(Code::S002, "k is missing"))?)),
    };
    let shape = match cx.shape(0) {
        Some(x) => {
            let axis = cx.node.axis_or("axis", -1, x.len())?;
            let n = x[axis].constant().unwrap_or(i64::MAX);
            if let Some(k) = k.as_ref().and_then(Dim::constant).filter(|k| !(0..=n).contains(k)) {
                return Err(diag(Code::S002, format!("the first {k} of {} elements", x[axis])));
            }
            let mut shape = x.to_vec();
            shape[axis] = k.unwrap_or_else(|| cx.unknown(0, axis));
            Some(shape)
        }
        None => None,
    };
    if let Some(elem) = cx.elem(0) {
        cx.set(0, elem, shape.clone());
    }
    cx.set(1, ElemType::I64, shape);
    Ok(())
}

fn top_k_couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let axis = cx.node.axis_or("axis", -1, cx.rank(X)?)?;
    for o in 0..cx.node.outputs.len() {
        let y = Port::Out(o);
        if cx.shape(y).is_some() {
            tie_others(cx, r, X, y, &[axis])?;
            r.pin(y, axis, "elements are ordered along it");
        }
    }
    r.pin(X, axis, "elements are ordered along it");
    Ok(())
}

fn cum_sum(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let Some(&[axis]) = constants(cx, 1).as_deref() else { return Ok(()) };
    let axis = norm_axis(axis, cx.rank(X)?)?;
    same_axes_but(cx, r, &[axis], "elements are summed up along it")
}

fn reverse_sequence(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(X)?;
    let (batch, time) = (cx.node.axis_or("batch_axis", 1, rank)?, cx.node.axis_or("time_axis", 0, rank)?);
    same_axes_but(cx, r, &[time], "it is a sequence in time")?;
    r.tie(cx, (Port::In(1), 0), (X, batch))
}

fn compress(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let picked = cx.const_ints(1).map(|c| c.iter().filter(|b| **b != 0).count());
    let shape = match (cx.node.int("axis")?, cx.shape(0)) {
        (None, _) => Some(vec![picked.map_or_else(|| cx.unknown(0, 0), Dim::fixed)]),
        (Some(a), Some(x)) => {
            let axis = norm_axis(a, x.len())?;
            let mut shape = x.to_vec();
            shape[axis] = picked.map_or_else(|| cx.unknown(0, axis), Dim::fixed);
            Some(shape)
        }
        (Some(_), None) => None,
    };
    cx.set(0, elem, shape);
    Ok(())
}

fn compress_couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    // Without an axis the data are one row.
    let Some(axis) = cx.node.int("axis")? else { return Ok(()) };
    same_axes_but(cx, r, &[norm_axis(axis, cx.rank(X)?)?], "elements are picked by a condition")
}

fn trilu(cx: &mut InferCx) -> Result<()> {
    if let Some(x) = cx.shape(0).filter(|x| x.len() < 2) {
        return Err(diag(Code::S001, format!("input 0 must have rank 2 or more, not {}", x.len())));
    }
    same_as_input(cx)
}

fn trilu_couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(X)?;
    same_axes_but(cx, r, &[rank.wrapping_sub(2), rank.wrapping_sub(1)], "a triangle lies in it")
}

/// The axis of the new row in an output of `rank` axes.
fn one_hot_axis(node: &secateur_ir::graph::Node, rank: usize) -> Result<usize> {
    node.axis_or("axis", -1, rank)
}

fn one_hot(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(2) else { return Ok(()) };
    let shape = match cx.shape(0) {
        Some(x) => {
            let axis = one_hot_axis(cx.node, x.len() + 1)?;
            let depth = cx.ints(1).and_then(|v| v.elems.into_iter().next());
            if let Some(d) = depth.as_ref().and_then(Dim::constant).filter(|d| *d < 0) {
                return Err(diag(Code::S002, format!("a depth of {d} is negative")));
            }
            let mut shape = x.to_vec();
            shape.insert(axis, depth.unwrap_or_else(|| cx.unknown(0, axis)));
            Some(shape)
        }
        None => None,
    };
    cx.set(0, elem, shape);
    Ok(())
}

fn one_hot_couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(Y)?;
    let axis = one_hot_axis(cx.node, rank)?;
    for (from, to) in (0..rank).filter(|&a| a != axis).enumerate() {
        let (a, b) = (cx.need(X)?.get(from), &cx.need(Y)?[to]);
        if a.is_some_and(|a| !differ(a, b)) {
            r.tie(cx, (X, from), (Y, to))?;
        }
    }
    Ok(())
}
