//! Gemm. <https://onnx.ai/onnx/operators/onnx__Gemm.html>

use secateur_diag::Result;

use super::{Lower, Row};
use crate::op::{MatMul, Op};
use crate::unary::Unary;

/// The rows of this file.
pub const ROWS: &[Row] = &[Row { name: "Gemm", lower }];

fn lower(cx: &mut Lower) -> Result<()> {
    let (mut a, mut b) = (cx.input(0)?, cx.input(1)?);
    if cx.node.int_or("transA", 0)? != 0 {
        a = a.transpose(&[1, 0]);
    }
    if cx.node.int_or("transB", 0)? != 0 {
        b = b.transpose(&[1, 0]);
    }
    let alpha = cx.node.float("alpha")?.unwrap_or(1.0);
    let beta = cx.node.float("beta")?.unwrap_or(1.0);
    let dims = cx.out_dims(0)?;
    let mut inputs = vec![a, b];
    let add = cx.has(2) && beta != 0.0;
    if add {
        let mut c = cx.input(2)?;
        if beta != 1.0 {
            let chain = vec![Unary::Affine { scale: beta, shift: 0.0 }];
            c = cx.emit(Op::Map(chain), vec![c.clone()], &c.dims);
        }
        inputs.push(cx.broadcast(&c, &dims)?);
    }
    cx.result(Op::MatMul(MatMul { alpha, add, chain: vec![] }), inputs)
}
