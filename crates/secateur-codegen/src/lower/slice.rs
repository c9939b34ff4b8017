//! Slice: a view of the input. <https://onnx.ai/onnx/operators/onnx__Slice.html>

use secateur_diag::{Code, Result, diag};

use super::{Lower, Row};

/// The rows of this file.
pub const ROWS: &[Row] = &[Row { name: "Slice", lower }];

fn lower(cx: &mut Lower) -> Result<()> {
    let mut x = cx.input(0)?;
    let out = cx.out_dims(0)?;
    let starts = cx.ints_attr("starts", 1)?.unwrap_or_default();
    let axes = cx.ints_attr("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = cx.ints(4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if axes.len() != starts.len() || steps.len() != starts.len() {
        return Err(diag(Code::S002, "starts, axes and steps differ in number"));
    }
    for ((&start, &axis), &step) in starts.iter().zip(&axes).zip(&steps) {
        let axis = secateur_ir::norm_axis(axis, x.dims.len())?;
        let n = x.dims[axis] as i64;
        let start = if start < 0 { start.saturating_add(n) } else { start };
        let start = if step > 0 { start.clamp(0, n) } else { start.clamp(0, (n - 1).max(0)) };
        x = x.slice(axis, start as usize, out[axis], step as isize);
    }
    cx.bind(0, x)
}
