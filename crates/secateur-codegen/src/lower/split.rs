//! Split: views of the input. <https://onnx.ai/onnx/operators/onnx__Split.html>

use secateur_diag::Result;

use super::{Lower, Row};

/// The rows of this file.
pub const ROWS: &[Row] = &[Row { name: "Split", lower }];

fn lower(cx: &mut Lower) -> Result<()> {
    let x = cx.input(0)?;
    let axis = cx.node.axis_or("axis", 0, x.dims.len())?;
    let mut at = 0;
    for i in 0..cx.node.outputs.len() {
        let n = cx.out_dims(i)?[axis];
        cx.bind(i, x.slice(axis, at, n, 1))?;
        at += n;
    }
    Ok(())
}
