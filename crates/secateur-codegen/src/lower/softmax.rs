//! Softmax and LogSoftmax. <https://onnx.ai/onnx/operators/onnx__Softmax.html>

use secateur_diag::Result;

use super::{Lower, Row};
use crate::op::Op;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row { name: "Softmax", lower: |cx| lower(cx, false) },
    Row { name: "LogSoftmax", lower: |cx| lower(cx, true) },
];

fn lower(cx: &mut Lower, log: bool) -> Result<()> {
    let x = cx.input(0)?;
    let rank = x.dims.len();
    if cx.graph.opset("") < 13 {
        // The input is a matrix, split at the axis.
        let axis = cx.node.axis_or("axis", 1, rank)?;
        let rows = x.dims[..axis].iter().product();
        let flat = cx.reshape(&x, &[rows, x.dims[axis..].iter().product()])?;
        let out = cx.emit(Op::Softmax { log }, vec![flat.clone()], &flat.dims);
        return cx.bind(0, out);
    }
    let axis = cx.node.axis_or("axis", -1, rank)?;
    let mut perm: Vec<usize> = (0..rank).collect();
    perm.swap(axis, rank - 1);
    let x = x.transpose(&perm);
    let out = cx.emit(Op::Softmax { log }, vec![x.clone()], &x.dims);
    cx.bind(0, out.transpose(&perm))
}
