//! Concat: every input is copied to its place, which the forwarding of copies turns into being written there.
//! <https://onnx.ai/onnx/operators/onnx__Concat.html>

use secateur_diag::Result;

use super::{Lower, Row};
use crate::op::Op;

/// The rows of this file.
pub const ROWS: &[Row] = &[Row { name: "Concat", lower }];

fn lower(cx: &mut Lower) -> Result<()> {
    let dims = cx.out_dims(0)?;
    let axis = cx.node.axis_or("axis", 1, dims.len())?;
    let out = cx.temp(&dims);
    let mut at = 0;
    for i in 0..cx.node.inputs.len() {
        let x = cx.input(i)?;
        let n = x.dims[axis];
        if !x.is_empty() {
            cx.step(Op::Copy, vec![x], out.slice(axis, at, n, 1));
        }
        at += n;
    }
    cx.bind(0, out)
}
