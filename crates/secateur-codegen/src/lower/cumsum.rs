//! CumSum. <https://onnx.ai/onnx/operators/onnx__CumSum.html>

use secateur_diag::Result;

use super::{Lower, Row, unsupported};
use crate::op::Op;

/// The rows of this file.
pub const ROWS: &[Row] = &[Row { name: "CumSum", lower }];

fn lower(cx: &mut Lower) -> Result<()> {
    let x = cx.input(0)?;
    let axis = cx.ints(1)?.and_then(|a| a.first().copied()).ok_or_else(|| unsupported("no axis"))?;
    let axis = secateur_ir::norm_axis(axis, x.dims.len())?;
    let exclusive = cx.node.int_or("exclusive", 0)? != 0;
    let reverse = cx.node.int_or("reverse", 0)? != 0;
    let mut perm: Vec<usize> = (0..x.dims.len()).collect();
    let end = perm.len() - 1;
    perm.swap(axis, end);
    let x = x.transpose(&perm);
    let out = cx.emit(Op::CumSum { exclusive, reverse }, vec![x.clone()], &x.dims);
    cx.bind(0, out.transpose(&perm))
}
