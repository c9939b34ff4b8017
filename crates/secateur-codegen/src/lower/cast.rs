//! Cast, and operators that hand their input on. <https://onnx.ai/onnx/operators/onnx__Cast.html>

use secateur_diag::Result;
use secateur_ir::ElemType;
use secateur_tensor::is_float;

use super::{Lower, Row, unsupported};
use crate::op::Op;
use crate::unary::Unary;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row { name: "Cast", lower },
    Row { name: "CastLike", lower },
    Row { name: "Identity", lower: same },
    Row { name: "Dropout", lower: same },
];

fn lower(cx: &mut Lower) -> Result<()> {
    let to = cx.node.output(0).and_then(|v| cx.graph.value(v).ty.as_ref()).map(|t| t.elem);
    let (Some(from), Some(to)) = (cx.elem(0), to) else { return Err(unsupported("an unknown type")) };
    let x = cx.input(0)?;
    if to == ElemType::Bool && from != ElemType::Bool {
        return cx.result(Op::Map(vec![Unary::Bool]), vec![x]);
    }
    if is_float(from) && !is_float(to) && to != ElemType::Bool {
        return cx.result(Op::Map(vec![Unary::Trunc]), vec![x]);
    }
    cx.bind(0, x)
}

fn same(cx: &mut Lower) -> Result<()> {
    let x = cx.input(0)?;
    cx.bind(0, x)
}
