//! ArgMax and ArgMin. <https://onnx.ai/onnx/operators/onnx__ArgMax.html>

use secateur_diag::Result;

use super::{Lower, Row};
use crate::op::Op;

/// The rows of this file.
pub const ROWS: &[Row] =
    &[Row { name: "ArgMax", lower: |cx| lower(cx, true) }, Row { name: "ArgMin", lower: |cx| lower(cx, false) }];

fn lower(cx: &mut Lower, max: bool) -> Result<()> {
    let x = cx.input(0)?;
    let axis = cx.node.axis_or("axis", 0, x.dims.len())?;
    let last = cx.node.int_or("select_last_index", 0)? != 0;
    let mut perm: Vec<usize> = (0..x.dims.len()).filter(|&a| a != axis).collect();
    perm.push(axis);
    let x = x.transpose(&perm);
    let mut dims = x.dims.clone();
    *dims.last_mut().unwrap_or(&mut 1) = 1;
    let out = cx.emit(Op::ArgReduce { max, last }, vec![x], &dims);
    cx.bind(0, out)
}
