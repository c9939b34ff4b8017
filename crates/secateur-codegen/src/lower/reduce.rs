//! Reductions. <https://onnx.ai/onnx/operators/onnx__ReduceMean.html> and its siblings.

use secateur_diag::Result;

use super::{Lower, Row};
use crate::op::{Binary, Op, Reduce};
use crate::unary::Unary;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row { name: "ReduceSum", lower: |cx| lower(cx, Reduce::Sum, vec![]) },
    Row { name: "ReduceMean", lower: |cx| lower(cx, Reduce::Mean, vec![]) },
    Row { name: "ReduceMax", lower: |cx| lower(cx, Reduce::Max, vec![]) },
    Row { name: "ReduceMin", lower: |cx| lower(cx, Reduce::Min, vec![]) },
    Row { name: "ReduceProd", lower: |cx| lower(cx, Reduce::Prod, vec![]) },
    Row { name: "ReduceL1", lower: |cx| lower(cx, Reduce::L1, vec![]) },
    Row { name: "ReduceL2", lower: |cx| lower(cx, Reduce::L2, vec![]) },
    Row { name: "ReduceSumSquare", lower: |cx| lower(cx, Reduce::SumSquare, vec![]) },
    Row { name: "ReduceLogSum", lower: |cx| lower(cx, Reduce::Sum, vec![Unary::Log]) },
    Row { name: "ReduceLogSumExp", lower: log_sum_exp },
];

/// The sizes of the result with all axes kept; `None` where nothing is reduced.
fn reduced(cx: &Lower, dims: &[usize]) -> Result<Option<Vec<usize>>> {
    let given = cx.ints_attr("axes", 1)?.unwrap_or_default();
    let noop = cx.node.int_or("noop_with_empty_axes", 0)? != 0;
    if given.is_empty() && noop {
        return Ok(None);
    }
    let mut out = if given.is_empty() { vec![1; dims.len()] } else { dims.to_vec() };
    for a in given {
        out[secateur_ir::norm_axis(a, dims.len())?] = 1;
    }
    Ok(Some(out))
}

fn lower(cx: &mut Lower, r: Reduce, chain: Vec<Unary>) -> Result<()> {
    let x = cx.input(0)?;
    let Some(dims) = reduced(cx, &x.dims)? else { return cx.bind(0, x) };
    let out = cx.emit(Op::Reduce(r, chain), vec![x], &dims);
    cx.bind(0, out)
}

/// `m + log Σ exp(x - m)` with the largest element `m`, so that nothing overflows.
fn log_sum_exp(cx: &mut Lower) -> Result<()> {
    let x = cx.input(0)?;
    let Some(dims) = reduced(cx, &x.dims)? else { return cx.bind(0, x) };
    let max = cx.emit(Op::Reduce(Reduce::Max, vec![]), vec![x.clone()], &dims);
    let far = cx.broadcast(&max, &x.dims)?;
    let e = cx.emit(Op::Binary(Binary::Sub, vec![Unary::Exp]), vec![x.clone(), far], &x.dims);
    let sum = cx.emit(Op::Reduce(Reduce::Sum, vec![Unary::Log]), vec![e], &dims);
    let out = cx.emit(Op::Binary(Binary::Add, vec![]), vec![sum, max], &dims);
    cx.bind(0, out)
}
