//! Where. <https://onnx.ai/onnx/operators/onnx__Where.html>

use secateur_diag::Result;

use super::{Lower, Row};
use crate::op::Op;

/// The rows of this file.
pub const ROWS: &[Row] = &[Row { name: "Where", lower }];

fn lower(cx: &mut Lower) -> Result<()> {
    let dims = cx.out_dims(0)?;
    let mut inputs = Vec::new();
    for i in 0..3 {
        let v = cx.input(i)?;
        inputs.push(cx.broadcast(&v, &dims)?);
    }
    cx.result(Op::Select, inputs)
}
