//! DepthToSpace and SpaceToDepth: a transposed copy. <https://onnx.ai/onnx/operators/onnx__DepthToSpace.html>

use secateur_diag::Result;

use super::{Lower, Row, unsupported};
use crate::op::Op;

/// The rows of this file.
pub const ROWS: &[Row] =
    &[Row { name: "DepthToSpace", lower: to_space }, Row { name: "SpaceToDepth", lower: to_depth }];

fn to_space(cx: &mut Lower) -> Result<()> {
    let x = cx.input(0)?;
    let b = usize::try_from(cx.node.int_or("blocksize", 1)?).unwrap_or(0).max(1);
    let &[n, c, h, w] = x.dims.as_slice() else { return Err(unsupported("this rank")) };
    let (shape, perm) = match cx.node.string("mode")?.unwrap_or("DCR") {
        "DCR" => ([n, b, b, c / b / b, h, w], [0, 3, 4, 1, 5, 2]),
        "CRD" => ([n, c / b / b, b, b, h, w], [0, 1, 4, 2, 5, 3]),
        mode => return Err(unsupported(format!("mode={mode:?}"))),
    };
    let v = cx.reshape(&x, &shape)?.transpose(&perm);
    let out = cx.emit(Op::Copy, vec![v.clone()], &v.dims);
    cx.bind(0, out)
}

fn to_depth(cx: &mut Lower) -> Result<()> {
    let x = cx.input(0)?;
    let b = usize::try_from(cx.node.int_or("blocksize", 1)?).unwrap_or(0).max(1);
    let &[n, c, h, w] = x.dims.as_slice() else { return Err(unsupported("this rank")) };
    let v = cx.reshape(&x, &[n, c, h / b, b, w / b, b])?.transpose(&[0, 3, 5, 1, 2, 4]);
    let out = cx.emit(Op::Copy, vec![v.clone()], &v.dims);
    cx.bind(0, out)
}
