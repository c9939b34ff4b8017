//! Operators that say the same elements in another shape.
//! <https://onnx.ai/onnx/operators/onnx__Reshape.html>

use secateur_diag::Result;

use super::{Lower, Row};

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row { name: "Reshape", lower },
    Row { name: "Flatten", lower },
    Row { name: "Squeeze", lower },
    Row { name: "Unsqueeze", lower },
];

/// Shape inference has the new sizes.
fn lower(cx: &mut Lower) -> Result<()> {
    let x = cx.input(0)?;
    cx.bind(0, x)
}
