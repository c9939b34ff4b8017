//! Reshape. <https://onnx.ai/onnx/operators/onnx__Reshape.html>

use secateur_diag::{Code, Result, diag};

use crate::forms::no_cost;
use crate::forms::{NO_DERIVATIVE, NOT_YET};
use crate::{CoupleCx, FoldCx, InferCx, Op, Port, Relations, ShrinkCx, reshape_atoms};
use secateur_ir::dim::{Dim, Shape};
use secateur_tensor::Tensor;

/// The rows of this file.
pub const OPS: &[Op] = &[Op {
    domain: "",
    name: "Reshape",
    opsets: &[5, 13, 14, 19, 21],
    infer,
    couple,
    shrink,
    cost: no_cost,
    fold,
    eval: NOT_YET,
    derive: NO_DERIVATIVE,
}];

/// Resolves `0` and `-1` of a target shape.
fn target(cx: &InferCx, input: &[Dim], want: &[Dim]) -> Result<Shape> {
    let keep_zero = cx.node.int_or("allowzero", 0)? != 0;
    let mut shape = Vec::with_capacity(want.len());
    let mut wild = None;
    for (i, d) in want.iter().enumerate() {
        if d.is(-1) {
            if wild.replace(i).is_some() {
                return Err(diag(Code::S002, "more than one -1 in the target shape"));
            }
            shape.push(Dim::fixed(1));
        } else if d.is(0) && !keep_zero {
            let same = input.get(i).ok_or_else(|| {
                diag(
                    Code::S002,
                    format!("0 at place {i} of the target shape copies an axis that is not there"),
                )
            })?;
            shape.push(same.clone());
        } else {
            shape.push(d.clone());
        }
    }
    let total = Dim::product(input);
    if let Some(w) = wild {
        let rest = Dim::product(&shape);
        shape[w] = match (&total, &rest) {
            (Some(t), Some(p)) if !p.is(0) => match t.div(p) {
                Some(q) => q,
                None if t.constant().is_some() && p.constant().is_some() => {
                    return Err(diag(
                        Code::S001,
                        format!("{t} elements do not fill a shape of {p} times -1"),
                    ));
                }
                None => cx.unknown(0, w),
            },
            _ => cx.unknown(0, w),
        };
    } else if let (Some(t), Some(p)) =
        (total.and_then(|t| t.constant()), Dim::product(&shape).and_then(|p| p.constant()))
        && t != p
    {
        return Err(diag(Code::S001, format!("{t} elements do not fill a shape of {p}")));
    }
    Ok(shape)
}

fn infer(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let shape = match (cx.shape(0), cx.ints(1)) {
        (Some(input), Some(want)) => Some(target(cx, input, &want.elems)?),
        // A file may claim any length for the target shape.
        _ => (cx.shape(1).and_then(|s| s.first()?.size()).filter(|&rank| rank <= 64))
            .map(|rank| cx.unknowns(0, rank)),
    };
    cx.set(0, elem, shape.clone());
    if let (Some(ints), Some(shape)) = (cx.ints(0), shape)
        && shape.len() <= 1
    {
        cx.set_ints(0, elem, secateur_ir::graph::Ints { scalar: shape.is_empty(), elems: ints.elems });
    }
    Ok(())
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let (x, y) = (Port::In(0), Port::Out(0));
    reshape_atoms::relate(r, (x, cx.need(x)?), (y, cx.need(y)?));
    Ok(())
}

fn shrink(cx: &mut ShrinkCx) -> Result<()> {
    if !cx.touched(Port::Out(0)) {
        return Ok(());
    }
    let mut want = match cx.operand(1) {
        Ok(want) => want,
        Err(e) => return shrink_computed(cx).ok_or(e),
    };
    for (axis, d) in want.iter_mut().enumerate() {
        if *d > 0 {
            *d = cx.len(Port::Out(0), axis)? as i64;
        }
    }
    cx.set_operand(1, Tensor::vec_i64(&want));
    Ok(())
}

/// A target that is put together when the model runs, as `[N, 24, 16, 16]` is: its constants are lessened by what
/// is removed.
fn shrink_computed(cx: &mut ShrinkCx) -> Option<()> {
    let sizes = cx.sizes(1)?;
    let mut delta = vec![0; sizes.len()];
    for (axis, d) in sizes.iter().enumerate() {
        if cx.kept(Port::Out(0), axis).is_some() {
            let old = d.constant()?;
            // What is copied or left open follows by itself.
            delta[axis] = if old > 0 { cx.len(Port::Out(0), axis).ok()? as i64 - old } else { 0 };
        }
    }
    if delta.iter().any(|d| *d != 0) {
        cx.add_to_operand(1, &delta);
    }
    Some(())
}

fn fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    let Some(dims) = cx.node.output(0).and_then(|v| cx.graph.shape(v)) else { return Ok(None) };
    let dims: Option<Vec<usize>> = dims.iter().map(Dim::size).collect();
    Ok(dims.zip(cx.input(0)).map(|(dims, t)| vec![Tensor { dims, ..t.clone() }]))
}
