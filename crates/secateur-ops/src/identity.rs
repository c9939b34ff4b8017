//! Identity and Dropout. <https://onnx.ai/onnx/operators/onnx__Identity.html>,
//! <https://onnx.ai/onnx/operators/onnx__Dropout.html>
//!
//! The output is the input; Dropout's mask has its shape too.

use secateur_diag::Result;
use secateur_onnx::ElemType;

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_cost, no_fold, no_shrink, same_as_input};
use crate::moves::{X, tie_others};
use crate::{CoupleCx, FoldCx, InferCx, Op, Port, Relations};
use secateur_tensor::Tensor;

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op {
        domain: "",
        name: "Identity",
        opsets: &[1, 13, 14, 16, 19, 21, 23, 24],
        infer: identity,
        couple,
        shrink: no_shrink,
        cost: no_cost,
        fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
    Op {
        domain: "",
        name: "Dropout",
        opsets: &[1, 6, 7, 10, 12, 13, 22],
        infer: dropout,
        couple,
        shrink: no_shrink,
        cost: no_cost,
        // In training mode it is not a constant.
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
];

fn identity(cx: &mut InferCx) -> Result<()> {
    same_as_input(cx)?;
    if let (Some(elem), Some(ints)) = (cx.elem(0), cx.ints(0)) {
        cx.set_ints(0, elem, ints);
    }
    Ok(())
}

fn dropout(cx: &mut InferCx) -> Result<()> {
    same_as_input(cx)?;
    if let Some(t) = cx.ty(0) {
        // Before opset 10 the mask is of the data's type.
        let mask = if cx.opset() < 10 { t.elem } else { ElemType::Bool };
        cx.set(1, mask, t.shape.clone());
    }
    Ok(())
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    for o in 0..cx.node.outputs.len() {
        if cx.shape(Port::Out(o)).is_some() {
            tie_others(cx, r, X, Port::Out(o), &[])?;
        }
    }
    Ok(())
}

fn fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    Ok(cx.input(0).map(|t| vec![t.clone()]))
}
