//! Operators whose result depends on every element's place or value: nothing of them can go.
//!
//! <https://onnx.ai/onnx/operators/onnx__EyeLike.html>, <https://onnx.ai/onnx/operators/onnx__NonZero.html>,
//! <https://onnx.ai/onnx/operators/onnx__Unique.html>, <https://onnx.ai/onnx/operators/onnx__NonMaxSuppression.html>

use secateur_diag::{Code, Result, diag};
use secateur_onnx::ElemType;

use crate::forms::pinned;
use crate::{InferCx, Op};
use secateur_ir::dim::Dim;
use secateur_ir::norm_axis;

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op::plain("EyeLike", &[9, 22], eye_like, pinned),
    Op::plain("NonZero", &[9, 13], non_zero, pinned),
    Op::plain("Unique", &[11], unique, pinned),
    Op::plain("NonMaxSuppression", &[10, 11], non_max_suppression, pinned),
];

fn eye_like(cx: &mut InferCx) -> Result<()> {
    cx.want_rank(0, 2)?;
    let elem =
        match cx.node.int("dtype")? {
            Some(n) => Some(i32::try_from(n).ok().and_then(ElemType::from_i32).ok_or_else(|| {
                diag(Code::S002, format!("{n} is not an element type")).at("attr", "dtype")
            })?),
            None => cx.elem(0),
        };
    if let Some(elem) = elem {
        cx.set(0, elem, cx.shape(0).map(<[_]>::to_vec));
    }
    Ok(())
}

fn non_zero(cx: &mut InferCx) -> Result<()> {
    let rank = cx.shape(0).map_or_else(|| cx.unknown(0, 0), |x| Dim::fixed(x.len()));
    cx.set(0, ElemType::I64, Some(vec![rank, cx.unknown(0, 1)]));
    Ok(())
}

fn unique(cx: &mut InferCx) -> Result<()> {
    if let Some(elem) = cx.elem(0) {
        let shape = match (cx.node.int("axis")?, cx.shape(0)) {
            (None, _) => Some(vec![cx.unknown(0, 0)]),
            (Some(a), Some(x)) => {
                let axis = norm_axis(a, x.len())?;
                let mut shape = x.to_vec();
                shape[axis] = cx.unknown(0, axis);
                Some(shape)
            }
            (Some(_), None) => None,
        };
        cx.set(0, elem, shape);
    }
    for o in 1..4 {
        cx.set(o, ElemType::I64, Some(vec![cx.unknown(o, 0)]));
    }
    Ok(())
}

fn non_max_suppression(cx: &mut InferCx) -> Result<()> {
    cx.want_rank(0, 3)?;
    cx.want_rank(1, 3)?;
    cx.set(0, ElemType::I64, Some(vec![cx.unknown(0, 0), Dim::fixed(3)]));
    Ok(())
}
