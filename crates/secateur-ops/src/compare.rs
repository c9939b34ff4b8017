//! Comparison and logic, element by element; the result is bool. <https://onnx.ai/onnx/operators/> under each
//! name.

use secateur_diag::Result;
use secateur_onnx::ElemType;

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_cost, no_shrink};
use crate::{InferCx, Op, broadcast, scalar};

macro_rules! rows {
    ($($name:literal $opsets:expr,)*) => {
        &[$(Op {
            domain: "",
            name: $name,
            opsets: &$opsets,
            infer,
            couple: broadcast::couple,
            shrink: no_shrink,
            cost: no_cost,
            fold: |cx| scalar::fold(cx, Some(ElemType::Bool)),
            eval: NOT_YET,
            derive: NO_DERIVATIVE,
        }),*]
    };
}

/// The rows of this file.
pub const OPS: &[Op] = rows! {
    "And" [1, 7],
    "Equal" [1, 7, 11, 13, 19],
    "Greater" [1, 7, 9, 13],
    "GreaterOrEqual" [12, 16],
    "Less" [1, 7, 9, 13],
    "LessOrEqual" [12, 16],
    "Not" [1],
    "Or" [1, 7],
    "Xor" [1, 7],
};

fn infer(cx: &mut InferCx) -> Result<()> {
    scalar::infer(cx, ElemType::Bool)
}
