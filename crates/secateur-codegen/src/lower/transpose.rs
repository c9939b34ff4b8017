//! Transpose. <https://onnx.ai/onnx/operators/onnx__Transpose.html>

use secateur_diag::{Code, Result, diag};

use super::{Lower, Row};

/// The rows of this file.
pub const ROWS: &[Row] = &[Row { name: "Transpose", lower }];

fn lower(cx: &mut Lower) -> Result<()> {
    let x = cx.input(0)?;
    let rank = x.dims.len();
    let perm: Vec<usize> = match cx.node.ints("perm")? {
        Some(p) => p.iter().map(|&a| secateur_ir::norm_axis(a, rank)).collect::<Result<_>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        return Err(diag(Code::S002, "perm is not a permutation of the axes"));
    }
    cx.bind(0, x.transpose(&perm))
}
