//! Resize and Upsample. <https://onnx.ai/onnx/operators/onnx__Resize.html>,
//! <https://onnx.ai/onnx/operators/onnx__Upsample.html>
//!
//! An axis that keeps its length passes as it is; along the others elements are mixed, so those stay whole.
//! Where the operand `sizes` names the length of an axis that passes, it follows the removal.

use secateur_diag::{Code, Result, diag};

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_cost, no_fold};
use crate::moves::{Param, X, Y, differ, norm_axes, set_ints};
use crate::{CoupleCx, InferCx, Op, Port, Relations, ShrinkCx};
use secateur_ir::dim::Dim;
use secateur_ir::graph::{Graph, Node};
use secateur_tensor::Tensor;

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op {
        domain: "",
        name: "Resize",
        opsets: &[10, 11, 13, 18, 19],
        infer,
        couple,
        shrink,
        cost: no_cost,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
    Op {
        domain: "",
        name: "Upsample",
        opsets: &[1, 7, 9, 10],
        infer,
        couple,
        shrink,
        cost: no_cost,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
];

/// Which inputs hold the scales and the sizes, if any.
fn operands(node: &Node, opset: i64) -> (usize, Option<usize>) {
    match node.is("Upsample") || opset < 11 {
        true => (1, None),
        false => (2, Some(3)),
    }
}

/// How far one axis is stretched.
#[derive(Clone, PartialEq, Debug)]
enum Scale {
    By(f32),
    To(Dim),
    Unknown,
}

/// A constant operand of floats; `Some(None)` where it is there but not known. An empty one counts as absent.
fn floats(graph: &Graph, node: &Node, i: usize) -> Option<Option<Vec<f32>>> {
    let v = node.input(i)?;
    let empty = graph.shape(v).is_some_and(|s| s.first().is_some_and(|d| d.is(0)));
    (!empty).then(|| graph.init(v).and_then(Tensor::to_f32))
}

/// One entry for each axis of the input.
fn scales(graph: &Graph, node: &Node, x: &[Dim], opset: i64) -> Result<Vec<Scale>> {
    let rank = x.len();
    let axes = match node.ints("axes")? {
        Some(axes) => norm_axes(axes, rank)?,
        None => (0..rank).collect(),
    };
    let mut out = vec![Scale::By(1.0); rank];
    let wrong = |n: usize| diag(Code::S002, format!("{n} scales or sizes for {} axes", axes.len()));
    let (scales, sizes) = operands(node, opset);
    if let Some(i) = sizes.and_then(|i| node.input(i)) {
        let ints = crate::facts::ints_of(graph, i);
        let len = graph.shape(i).and_then(|s| s.first()?.size());
        if len != Some(0) {
            match ints {
                Some(v) if v.elems.len() == axes.len() => {
                    axes.iter().zip(v.elems).for_each(|(&a, d)| out[a] = Scale::To(d));
                }
                Some(v) => return Err(wrong(v.elems.len())),
                None => axes.iter().for_each(|&a| out[a] = Scale::Unknown),
            }
            return Ok(out);
        }
    }
    let known = match floats(graph, node, scales) {
        Some(known) => known,
        None if node.is("Upsample") => attr_scales(node, rank)?,
        None => None,
    };
    match known {
        Some(v) if v.len() == axes.len() => axes.iter().zip(v).for_each(|(&a, s)| out[a] = Scale::By(s)),
        Some(v) => return Err(wrong(v.len())),
        None => axes.iter().for_each(|&a| out[a] = Scale::Unknown),
    }
    Ok(out)
}

/// Upsample before opset 9: one scale an axis, or those of height and width alone in the first version.
fn attr_scales(node: &Node, rank: usize) -> Result<Option<Vec<f32>>> {
    if let Some(a) = node.attr("scales") {
        return Ok(Some(a.floats.clone()));
    }
    Ok(match (node.float("height_scale")?, node.float("width_scale")?) {
        (Some(h), Some(w)) if rank == 4 => Some(vec![1.0, 1.0, h, w]),
        _ => None,
    })
}

/// Whether lengths are taken as they are, not adapted to keep the picture's proportions.
fn stretches(node: &Node) -> Result<bool> {
    Ok(node.string("keep_aspect_ratio_policy")?.unwrap_or("stretch") == "stretch")
}

/// Whether lengths come from the region of interest.
fn crops(node: &Node) -> Result<bool> {
    Ok(node.string("coordinate_transformation_mode")? == Some("tf_crop_and_resize"))
}

fn infer(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let Some(x) = cx.shape(0) else {
        cx.set(0, elem, None);
        return Ok(());
    };
    let plain = stretches(cx.node)?;
    let scales = scales(cx.graph, cx.node, x, cx.opset())?;
    let crops = crops(cx.node)?;
    let roi = cx.tensor(1).and_then(Tensor::to_f32).filter(|r| crops && r.len() == 2 * x.len());
    let mut shape = Vec::with_capacity(x.len());
    for (a, s) in scales.into_iter().enumerate() {
        let known = match (s, x[a].constant()) {
            (Scale::To(d), n) if plain || Some(&d) == n.map(Dim::fixed).as_ref() => Some(d),
            (Scale::By(s), _) if !s.is_finite() || s <= 0.0 => {
                return Err(diag(Code::S002, format!("a scale of {s} is not positive")));
            }
            (Scale::By(s), Some(n)) => match &roi {
                Some(r) => scaled(n, s * (r[a + x.len()] - r[a])),
                None if crops && cx.node.ints("axes")?.is_some() => None,
                None if crops && cx.tensor(1).is_none() => None,
                None => scaled(n, s),
            },
            (Scale::By(s), None) if s == 1.0 && !crops => Some(x[a].clone()),
            (Scale::By(s), None) if s.fract() == 0.0 && !crops => x[a].mul(&Dim::fixed(s as i64)),
            _ => None,
        };
        if let Some(n) = known.as_ref().and_then(Dim::constant).filter(|n| *n < 0) {
            return Err(diag(Code::S002, format!("a size of {n} is negative")));
        }
        shape.push(known.unwrap_or_else(|| cx.unknown(0, a)));
    }
    cx.set(0, elem, Some(shape));
    Ok(())
}

/// Rounded down, in single precision as runtimes do.
fn scaled(n: i64, s: f32) -> Option<Dim> {
    let out = (n as f32 * s).floor();
    (0.0..1e15).contains(&out).then(|| Dim::fixed(out as i64))
}

/// Whether an axis of scale 1 maps every element to itself.
fn keeps_places(node: &Node) -> Result<bool> {
    Ok(match node.string("coordinate_transformation_mode")?.unwrap_or("half_pixel") {
        "tf_crop_and_resize" => false,
        // Places lie half an element further; only rounding down leads back.
        "tf_half_pixel_for_nn" => {
            node.string("mode")?.unwrap_or("nearest") == "nearest"
                && matches!(
                    node.string("nearest_mode")?.unwrap_or("round_prefer_floor"),
                    "floor" | "round_prefer_floor"
                )
        }
        _ => true,
    })
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let x = cx.need(X)?;
    let scales = scales(cx.graph, cx.node, x, cx.opset())?;
    let constant_sizes = Param::couple(cx, 3, "").is_ok_and(|p| matches!(p, Param::Known(_)));
    let (same, plain) = (keeps_places(cx.node)?, stretches(cx.node)?);
    for (a, s) in scales.into_iter().enumerate() {
        let passes = match s {
            Scale::By(s) => s == 1.0,
            // A length that is not a constant of its own cannot follow.
            Scale::To(d) => d == x[a] && plain && (constant_sizes || d.size().is_none()),
            Scale::Unknown => false,
        };
        match passes && same && !differ(&x[a], &cx.need(Y)?[a]) {
            true => r.tie(cx, (X, a), (Y, a))?,
            false => {
                r.pin(X, a, "elements are mixed along it");
                r.pin(Y, a, "elements are mixed along it");
            }
        }
    }
    Ok(())
}

fn shrink(cx: &mut ShrinkCx) -> Result<()> {
    let (_, Some(sizes)) = operands(cx.node(), cx.opset()) else { return Ok(()) };
    if cx.node().input(sizes).is_none() || cx.before(Port::In(sizes))?.first().is_some_and(|d| d.is(0)) {
        return Ok(());
    }
    let rank = cx.before(X)?.len();
    let axes = match cx.node().ints("axes")? {
        Some(axes) => norm_axes(axes, rank)?,
        None => (0..rank).collect(),
    };
    if !axes.iter().any(|&a| cx.kept(Y, a).is_some()) {
        return Ok(());
    }
    let mut want = cx.known(sizes)?;
    for (w, a) in want.iter_mut().zip(axes) {
        if cx.kept(Y, a).is_some() {
            *w = cx.len(Y, a)? as i64;
        }
    }
    set_ints(cx, sizes, &[want.len()], &want)
}
