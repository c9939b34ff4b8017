//! Expand and Tile: repetition by strides. <https://onnx.ai/onnx/operators/onnx__Expand.html>

use secateur_diag::Result;

use super::{Lower, Row};
use crate::op::Op;
use crate::view::View;

/// The rows of this file.
pub const ROWS: &[Row] = &[Row { name: "Expand", lower: expand }, Row { name: "Tile", lower: tile }];

fn expand(cx: &mut Lower) -> Result<()> {
    let x = cx.input(0)?;
    let dims = cx.out_dims(0)?;
    let out = cx.broadcast(&x, &dims)?;
    cx.bind(0, out)
}

fn tile(cx: &mut Lower) -> Result<()> {
    let x = cx.input(0)?;
    let dims = cx.out_dims(0)?;
    // Every axis becomes two: which copy, and where in it.
    let mut from = View { dims: vec![], strides: vec![], ..x.clone() };
    for ((&n, &s), &to) in x.dims.iter().zip(&x.strides).zip(&dims) {
        from.dims.extend([to / n.max(1), n]);
        from.strides.extend([0, s]);
    }
    let out = cx.emit(Op::Copy, vec![from.clone()], &from.dims);
    cx.bind(0, out)
}
