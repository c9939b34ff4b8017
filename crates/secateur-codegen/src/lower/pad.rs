//! Pad with a constant: the input in the middle, the number around it. Reflecting and repeating pads are copies of the
//! rows that they repeat. <https://onnx.ai/onnx/operators/onnx__Pad.html>

use secateur_diag::Result;

use super::{Lower, Row, unsupported};
use crate::op::Op;
use crate::view::View;

/// The rows of this file.
pub const ROWS: &[Row] = &[Row { name: "Pad", lower }];

fn lower(cx: &mut Lower) -> Result<()> {
    let x = cx.input(0)?;
    let rank = x.dims.len();
    let given = cx.ints_attr("pads", 1)?.unwrap_or_default();
    let axes: Vec<usize> = match cx.ints(3)? {
        Some(a) => a.into_iter().map(|a| secateur_ir::norm_axis(a, rank)).collect::<Result<_>>()?,
        None => (0..rank).collect(),
    };
    if given.len() != 2 * axes.len() {
        return Err(unsupported("this number of pads"));
    }
    let mut pads = vec![(0i64, 0i64); rank];
    for (i, &a) in axes.iter().enumerate() {
        pads[a] = (given[i], given[i + axes.len()]);
    }
    if pads.iter().any(|p| p.0 < 0 || p.1 < 0) {
        return Err(unsupported("negative pads"));
    }
    match cx.node.string("mode")?.unwrap_or("constant") {
        "constant" => {}
        mode @ ("edge" | "reflect") => return mirrored(cx, x, &pads, mode == "edge"),
        mode => return Err(unsupported(format!("mode={mode:?}"))),
    }
    let value = match cx.node.float("value")? {
        Some(v) => v,
        None => cx.constant(2)?.and_then(|v| v.first().copied()).unwrap_or(0.0),
    };
    let dims = cx.out_dims(0)?;
    let out = cx.temp(&dims);
    let mut middle = out.clone();
    for (a, &(before, after)) in pads.iter().enumerate() {
        for (at, n) in [(0, before as usize), (dims[a] - after as usize, after as usize)] {
            if n > 0 {
                let slab = middle.slice(a, at, n, 1);
                cx.step(Op::Fill(value), vec![], slab);
            }
        }
        middle = middle.slice(a, before as usize, x.dims[a], 1);
    }
    cx.step(Op::Copy, vec![x], middle);
    cx.bind(0, out)
}

/// One axis after the other: rows of the result so far are copied to their mirror places.
fn mirrored(cx: &mut Lower, x: View, pads: &[(i64, i64)], edge: bool) -> Result<()> {
    let mut from = x;
    for (a, &(before, after)) in pads.iter().enumerate() {
        let (before, after, n) = (before as usize, after as usize, from.dims[a]);
        if before + after == 0 {
            continue;
        }
        if n == 0 || (!edge && before.max(after) >= n) {
            return Err(unsupported("pads longer than the axis"));
        }
        let mut dims = from.dims.clone();
        dims[a] += before + after;
        let out = cx.temp(&dims);
        let row = |v: &View, i: usize| v.slice(a, i, 1, 1);
        for i in 0..before {
            cx.step(Op::Copy, vec![row(&from, if edge { 0 } else { before - i })], row(&out, i));
        }
        for i in 0..after {
            cx.step(Op::Copy, vec![row(&from, if edge { n - 1 } else { n - 2 - i })], row(&out, before + n + i));
        }
        cx.step(Op::Copy, vec![from], out.slice(a, before, n, 1));
        from = out;
    }
    cx.bind(0, from)
}
