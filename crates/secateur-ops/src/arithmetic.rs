//! Arithmetic, element by element. <https://onnx.ai/onnx/operators/> under each name.
//!
//! `y[i] = f(a[i], b[i], ..)` with broadcasting: whatever goes from one goes from all. Small integer tensors
//! are followed element by element.

use secateur_diag::Result;

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
            fold: |cx| scalar::fold(cx, None),
            eval: NOT_YET,
            derive: NO_DERIVATIVE,
        }),*]
    };
}

/// The rows of this file.
pub const OPS: &[Op] = rows! {
    "Abs" [1, 6, 13],
    "Add" [1, 6, 7, 13, 14],
    "BitShift" [11],
    "BitwiseAnd" [18],
    "BitwiseNot" [18],
    "BitwiseOr" [18],
    "BitwiseXor" [18],
    "Ceil" [1, 6, 13],
    "Div" [1, 6, 7, 13, 14],
    "Floor" [1, 6, 13],
    "Max" [1, 6, 8, 12, 13],
    "Mean" [1, 6, 8, 13],
    "Min" [1, 6, 8, 12, 13],
    "Mod" [10, 13],
    "Mul" [1, 6, 7, 13, 14],
    "Neg" [1, 6, 13],
    "Pow" [1, 7, 12, 13, 15],
    "Round" [11, 22],
    "Sign" [9, 13],
    "Sub" [1, 6, 7, 13, 14],
    "Sum" [1, 6, 8, 13],
};

fn infer(cx: &mut InferCx) -> Result<()> {
    // All operands have one type; only Pow's exponent may have another.
    let known = match cx.node.op() {
        "Pow" => cx.elem(0),
        _ => (0..cx.node.inputs.len()).find_map(|i| cx.elem(i)),
    };
    known.map_or(Ok(()), |elem| scalar::infer(cx, elem))
}
