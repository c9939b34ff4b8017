//! Layer, instance, group and root-mean-square normalization.
//! <https://onnx.ai/onnx/operators/onnx__LayerNormalization.html> and its siblings.

use secateur_diag::Result;

use super::{Lower, Row, unsupported};
use crate::op::Op;
use crate::view::View;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row { name: "LayerNormalization", lower: |cx| layer(cx, false) },
    Row { name: "RMSNormalization", lower: |cx| layer(cx, true) },
    Row { name: "InstanceNormalization", lower: instance },
    Row { name: "GroupNormalization", lower: group },
];

fn epsilon(cx: &Lower) -> Result<f32> {
    Ok(cx.node.float("epsilon")?.unwrap_or(1e-5))
}

/// A constant 1 in that shape.
fn ones(cx: &mut Lower, dims: &[usize]) -> Result<View> {
    let one = cx.p.constant("one", &[], vec![1.0]);
    cx.broadcast(&one, dims)
}

fn layer(cx: &mut Lower, rms: bool) -> Result<()> {
    let x = cx.input(0)?;
    let axis = cx.node.axis_or("axis", -1, x.dims.len())?;
    let len = x.dims[axis..].iter().product();
    let rows = x.dims[..axis].iter().product();
    let flat = cx.reshape(&x, &[rows, len])?;
    let mut inputs = vec![flat];
    for i in 1..3 {
        if cx.has(i) {
            let v = cx.input(i)?;
            let v = cx.broadcast(&v, &x.dims[axis..])?;
            let v = cx.reshape(&v, &[len])?;
            inputs.push(cx.broadcast(&v, &[rows, len])?);
        }
    }
    if inputs.len() == 1 {
        inputs.push(ones(cx, &[rows, len])?);
    }
    let out = cx.emit(Op::Norm { epsilon: epsilon(cx)?, rms }, inputs, &[rows, len]);
    cx.bind(0, out)
}

fn instance(cx: &mut Lower) -> Result<()> {
    let x = cx.input(0)?;
    let &[n, c, ..] = x.dims.as_slice() else { return Err(unsupported("this rank")) };
    let len = x.dims[2..].iter().product();
    let dims = [n, c, len];
    let mut inputs = vec![cx.reshape(&x, &dims)?];
    for i in 1..3 {
        let v = cx.input(i)?;
        let v = cx.reshape(&v, &[c, 1])?;
        inputs.push(cx.broadcast(&v, &dims)?);
    }
    let out = cx.emit(Op::Norm { epsilon: epsilon(cx)?, rms: false }, inputs, &dims);
    cx.bind(0, out)
}

fn group(cx: &mut Lower) -> Result<()> {
    let x = cx.input(0)?;
    let &[n, c, ..] = x.dims.as_slice() else { return Err(unsupported("this rank")) };
    let groups = usize::try_from(cx.node.int_or("num_groups", 1)?).unwrap_or(0);
    if groups == 0 || !c.is_multiple_of(groups) {
        return Err(unsupported("this number of groups"));
    }
    let rows = [n, groups, x.dims[1..].iter().product::<usize>() / groups];
    let flat = cx.reshape(&x, &rows)?;
    let one = ones(cx, &rows)?;
    let normal = cx.emit(Op::Norm { epsilon: epsilon(cx)?, rms: false }, vec![flat, one], &rows);
    let mut inputs = vec![cx.reshape(&normal, &x.dims)?];
    for i in 1..3 {
        let v = cx.input(i)?;
        // Before opset 21 there is one number a group.
        let v = match v.len() {
            k if k == c => v,
            _ => {
                let v = cx.reshape(&v, &[groups, 1])?;
                let v = cx.broadcast(&v, &[groups, c / groups])?;
                cx.reshape(&v, &[c])?
            }
        };
        let mut shape = vec![1; x.dims.len() - 1];
        shape[0] = c;
        let v = cx.reshape(&v, &shape)?;
        inputs.push(cx.broadcast(&v, &x.dims)?);
    }
    cx.result(Op::MulAdd(vec![]), inputs)
}
