//! Operators that read a picture at computed places: GridSample, RoiAlign, MaxRoiPool and CenterCropPad.
//!
//! <https://onnx.ai/onnx/operators/onnx__GridSample.html>, <https://onnx.ai/onnx/operators/onnx__RoiAlign.html>,
//! <https://onnx.ai/onnx/operators/onnx__MaxRoiPool.html>, <https://onnx.ai/onnx/operators/onnx__CenterCropPad.html>
//!
//! Channels pass, the axes of the places stay whole.

use secateur_diag::{Code, Result, diag};

use crate::forms::same_axes_but;
use crate::moves::{X, Y, differ, norm_axes};
use crate::{CoupleCx, InferCx, Op, Port, Relations};
use secateur_ir::dim::Dim;
use secateur_ir::graph::Node;

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op::plain("GridSample", &[16, 20, 22], grid, grid_couple),
    Op::plain("RoiAlign", &[10, 16, 22], roi_align, roi_couple),
    Op::plain("MaxRoiPool", &[1, 22], max_roi_pool, roi_couple),
    Op::plain("CenterCropPad", &[18], center, center_couple),
];

const GRID: Port = Port::In(1);

fn grid(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let shape = match (cx.shape(0), cx.shape(1)) {
        (Some(x), Some(g)) => {
            if x.len() < 3 || g.len() != x.len() {
                return Err(diag(
                    Code::S001,
                    format!("input of rank {} and grid of rank {}", x.len(), g.len()),
                ));
            }
            if differ(&x[0], &g[0]) {
                return Err(diag(Code::S001, format!("{} pictures and {} grids", x[0], g[0])));
            }
            Some([&x[..2], &g[1..g.len() - 1]].concat())
        }
        _ => None,
    };
    cx.set(0, elem, shape);
    Ok(())
}

fn grid_couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(X)?;
    r.tie(cx, (X, 0), (Y, 0))?;
    r.tie(cx, (X, 0), (GRID, 0))?;
    r.tie(cx, (X, 1), (Y, 1))?;
    for a in 2..rank {
        r.tie(cx, (GRID, a - 1), (Y, a))?;
        r.pin(X, a, "it is read at computed places");
    }
    Ok(())
}

/// `[regions, channels]` and the size of each region's picture.
fn regions(cx: &mut InferCx, size: [Dim; 2]) -> Result<()> {
    cx.want_rank(0, 4)?;
    cx.want_rank(1, 2)?;
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let count = cx.shape(1).map_or_else(|| cx.unknown(0, 0), |s| s[0].clone());
    let channels = cx.shape(0).map_or_else(|| cx.unknown(0, 1), |s| s[1].clone());
    let [h, w] = size;
    cx.set(0, elem, Some(vec![count, channels, h, w]));
    Ok(())
}

fn positive(what: &str, n: i64) -> Result<Dim> {
    match n {
        1.. => Ok(Dim::fixed(n)),
        _ => Err(diag(Code::S002, format!("{what} = {n} must be positive"))),
    }
}

fn roi_align(cx: &mut InferCx) -> Result<()> {
    let size = |name: &str| positive(name, cx.node.int_or(name, 1)?);
    let size = [size("output_height")?, size("output_width")?];
    regions(cx, size)
}

fn max_roi_pool(cx: &mut InferCx) -> Result<()> {
    let size = match cx.node.ints("pooled_shape")? {
        Some(&[h, w]) => [positive("pooled_shape", h)?, positive("pooled_shape", w)?],
        _ => return Err(diag(Code::S002, "pooled_shape must hold two numbers")),
    };
    regions(cx, size)
}

fn roi_couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    r.tie(cx, (X, 1), (Y, 1))?;
    r.tie(cx, (Port::In(1), 0), (Y, 0))?;
    // RoiAlign names each region's picture in an input of its own.
    if cx.shape(Port::In(2)).is_some() {
        r.tie(cx, (Port::In(2), 0), (Y, 0))?;
    }
    Ok(())
}

fn center_axes(node: &Node, rank: usize) -> Result<Vec<usize>> {
    match node.ints("axes")? {
        Some(axes) => norm_axes(axes, rank),
        None => Ok((0..rank).collect()),
    }
}

fn center(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let Some(x) = cx.shape(0) else {
        cx.set(0, elem, None);
        return Ok(());
    };
    let axes = center_axes(cx.node, x.len())?;
    let want = cx.ints(1).map(|v| v.elems);
    if let Some(n) = want.as_ref().map(Vec::len).filter(|n| *n != axes.len()) {
        return Err(diag(Code::S002, format!("{n} sizes for {} axes", axes.len())));
    }
    let mut shape = x.to_vec();
    for (i, &a) in axes.iter().enumerate() {
        shape[a] = want.as_ref().map_or_else(|| cx.unknown(0, a), |w| w[i].clone());
        if let Some(n) = shape[a].constant().filter(|n| *n < 0) {
            return Err(diag(Code::S002, format!("a size of {n} is negative")));
        }
    }
    cx.set(0, elem, Some(shape));
    Ok(())
}

fn center_couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    same_axes_but(cx, r, &center_axes(cx.node, cx.rank(X)?)?, "it is cut or padded around its middle")
}
