//! MaxPool, AveragePool and their global forms. <https://onnx.ai/onnx/operators/onnx__MaxPool.html>,
//! <https://onnx.ai/onnx/operators/onnx__AveragePool.html>

use secateur_diag::{Code, Result, diag};

use super::conv::{Window, plane_dims, planes};
use super::{Lower, Row, unsupported};
use crate::op::{Op, Pool, Reduce};
use crate::view::View;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row { name: "MaxPool", lower: |cx| pool(cx, true) },
    Row { name: "AveragePool", lower: |cx| pool(cx, false) },
    Row { name: "GlobalMaxPool", lower: |cx| global(cx, Reduce::Max) },
    Row { name: "GlobalAveragePool", lower: |cx| global(cx, Reduce::Mean) },
];

fn global(cx: &mut Lower, r: Reduce) -> Result<()> {
    let x = cx.input(0)?;
    cx.result(Op::Reduce(r, vec![]), vec![x])
}

fn pool(cx: &mut Lower, max: bool) -> Result<()> {
    let x = cx.input(0)?;
    let x = planes(cx, &x)?;
    let out = plane_dims(&cx.out_dims(0)?)?;
    let given = cx.node.ints("kernel_shape")?.unwrap_or(&[]);
    let size = |n: i64| usize::try_from(n).ok().filter(|&n| n > 0);
    let bad = || diag(Code::S002, "attribute kernel_shape does not fit");
    let kernel = match *given {
        [w] => [1, size(w).ok_or_else(bad)?],
        [h, w] => [size(h).ok_or_else(bad)?, size(w).ok_or_else(bad)?],
        _ => return Err(bad()),
    };
    let input = [x.dims[2], x.dims[3]];
    let w = Window::of(cx.node, kernel, given.len(), input, [out[2], out[3]])?;
    let count_pad = cx.node.int_or("count_include_pad", 0)? != 0;
    let whole = w.pads == [0; 4] && kernel == input && [out[2], out[3]] == [1, 1];
    let op = match whole {
        true => Op::Reduce(if max { Reduce::Max } else { Reduce::Mean }, vec![]),
        false => Op::Pool(Pool {
            max,
            kernel,
            strides: w.strides,
            dilations: w.dilations,
            pads: w.pads,
            count_pad,
        }),
    };
    let y = cx.temp(&out);
    for n in 0..out[0] {
        let one = |v: &View| v.slice(0, n, 1, 1).to_rank(3);
        let (Some(x), Some(y)) = (one(&x), one(&y)) else { return Err(unsupported("this batch")) };
        cx.step(op.clone(), vec![x], y);
    }
    cx.bind(0, y)
}
