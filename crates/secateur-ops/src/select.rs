//! Clip and Where: every element is one of several candidates.
//!
//! <https://onnx.ai/onnx/operators/onnx__Clip.html>, <https://onnx.ai/onnx/operators/onnx__Where.html>. As all
//! that works element by element: whatever goes from one tensor goes from those broadcast with it.

use secateur_diag::{Code, Result, diag};
use secateur_onnx::ElemType;

use crate::forms::{
    NO_DERIVATIVE, NOT_YET, broadcast_inputs, no_cost, no_shrink, pointwise, same_as_input, same_axes,
};
use crate::scalar::pick;
use crate::{CoupleCx, FoldCx, InferCx, Op, Port, Relations};
use secateur_ir::dim::Dim;
use secateur_ir::graph::Ints;
use secateur_tensor::Tensor;
use secateur_tensor::{is_float, is_int};

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op {
        domain: "",
        name: "Clip",
        opsets: &[1, 6, 11, 12, 13],
        infer: clip_infer,
        couple: clip_couple,
        shrink: no_shrink,
        cost: no_cost,
        fold: clip_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
    Op {
        domain: "",
        name: "Where",
        opsets: &[9, 16],
        infer: where_infer,
        couple: pointwise,
        shrink: no_shrink,
        cost: no_cost,
        fold: where_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
];

fn clip_infer(cx: &mut InferCx) -> Result<()> {
    same_as_input(cx)?;
    for i in [1, 2] {
        if let Some(d) = cx.shape(i).unwrap_or(&[]).iter().find(|d| d.size().is_some_and(|n| n != 1)) {
            return Err(diag(Code::S001, format!("a bound is one number, input {i} has an axis of {d}")));
        }
    }
    let (Some(ints), Some(elem)) = (cx.ints(0), cx.elem(0)) else { return Ok(()) };
    // A bound that is given but unknown leaves nothing known.
    let bound = |i: usize| match cx.node.input(i) {
        None => Some(None),
        Some(_) => cx.ints(i).and_then(|b| b.elems.into_iter().next()).map(Some),
    };
    let clip = |d: Dim| {
        let low = match bound(1)? {
            Some(b) => pick(true, d, b)?,
            None => d,
        };
        match bound(2)? {
            Some(b) => pick(false, low, b),
            None => Some(low),
        }
    };
    let elems = ints.elems.into_iter().enumerate();
    let elems = elems.map(|(i, d)| clip(d).unwrap_or_else(|| cx.unknown(0, i))).collect();
    cx.set_ints(0, elem, Ints { scalar: ints.scalar, elems });
    Ok(())
}

/// The bounds are scalars; some exporters give them one axis of size 1.
fn clip_couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    for bound in [Port::In(1), Port::In(2)] {
        for (a, _) in cx.shape(bound).unwrap_or(&[]).iter().enumerate().filter(|(_, d)| d.is(1)) {
            r.free(bound, a);
        }
    }
    same_axes(cx, r)
}

fn clip_fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    let Some(x) = cx.input(0) else { return Ok(None) };
    let bounds = [cx.input(1), cx.input(2)];
    if bounds.iter().flatten().any(|b| b.elem != x.elem || b.len() != 1) {
        return Ok(None);
    }
    let result = if is_int(x.elem) {
        // `u64` bounds beyond `i64` come out negative: left alone.
        let bound = |b: Option<&Tensor>, open: i128| match b {
            None => Some(open),
            Some(_) if x.elem == ElemType::U64 => None,
            Some(b) => b.to_i64()?.first().map(|&v| v.into()),
        };
        match (bound(bounds[0], i128::MIN), bound(bounds[1], i128::MAX)) {
            (Some(low), Some(high)) => {
                secateur_tensor::map_ints(&[x], x.elem, |v| Some(v[0].max(low).min(high)))
            }
            _ => None,
        }
    } else if is_float(x.elem) && x.elem != ElemType::F64 {
        let attr = |name: &str, i: usize| -> Result<Option<f32>> {
            if cx.opset() < 11 {
                cx.node.float(name)
            } else {
                Ok(bounds[i].and_then(|b| b.to_f32()?.first().copied()))
            }
        };
        let low = attr("min", 0)?.map_or(f64::NEG_INFINITY, f64::from);
        let high = attr("max", 1)?.map_or(f64::INFINITY, f64::from);
        // Comparisons with NaN fail, which keeps it.
        let clip = |v: f64| {
            let v = if v < low { low } else { v };
            if v > high { high } else { v }
        };
        secateur_tensor::map_floats(&[x], x.elem, |v| clip(v[0]))
    } else {
        None
    };
    Ok(result.map(|t| vec![t]))
}

fn where_infer(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(1).or(cx.elem(2)) else { return Ok(()) };
    let shape = broadcast_inputs(cx)?;
    cx.set(0, elem, shape);
    let (Some(cond), Some(a), Some(b)) = (cx.ints(0), cx.ints(1), cx.ints(2)) else { return Ok(()) };
    let all = [&cond, &a, &b];
    let n = all.iter().map(|x| x.elems.len()).find(|&n| n != 1).unwrap_or(1);
    if all.iter().any(|x| x.elems.len() != 1 && x.elems.len() != n) {
        return Ok(());
    }
    let at = |x: &Ints, i: usize| x.elems[if x.elems.len() == 1 { 0 } else { i }].clone();
    let elems = (0..n)
        .map(|i| match at(&cond, i).constant() {
            Some(c) => at(if c != 0 { &a } else { &b }, i),
            None if at(&a, i) == at(&b, i) => at(&a, i),
            None => cx.unknown(0, i),
        })
        .collect();
    cx.set_ints(0, elem, Ints { scalar: all.iter().all(|x| x.scalar), elems });
    Ok(())
}

fn where_fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    let (Some(cond), Some(a), Some(b)) = (cx.input(0), cx.input(1), cx.input(2)) else { return Ok(None) };
    Ok(secateur_tensor::select(cond, a, b).map(|t| vec![t]))
}
