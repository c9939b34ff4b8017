//! Normalizations over a set of axes.
//!
//! <https://onnx.ai/onnx/operators/onnx__LayerNormalization.html>,
//! <https://onnx.ai/onnx/operators/onnx__RMSNormalization.html>, <https://onnx.ai/onnx/operators/onnx__LRN.html>,
//! <https://onnx.ai/onnx/operators/onnx__MeanVarianceNormalization.html>,
//! <https://onnx.ai/onnx/operators/onnx__LpNormalization.html>, and ONNX Runtime's with a residual or an
//! embedding in front:
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md>
//!
//! All axes pass through; an element of a normalized axis changes the others when it goes.

use secateur_diag::{Code, Result, diag};
use secateur_onnx::ElemType;

use crate::forms::{broadcast, same_as_input};
use crate::{CoupleCx, InferCx, Op, Port, Relations};
use secateur_ir::dim::Dim;
use secateur_ir::graph::Node;
use secateur_ir::norm_axis;

const MS: &str = "com.microsoft";

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op::plain("LayerNormalization", &[1, 17], infer_layer, couple_layer),
    Op::plain("RMSNormalization", &[23], infer_layer, couple_layer),
    Op::plain("SimplifiedLayerNormalization", &[1], infer_layer, couple_layer),
    Op::plain_in(MS, "LayerNormalization", &[1], infer_layer, couple_layer),
    Op::plain_in(MS, "SimplifiedLayerNormalization", &[1], infer_layer, couple_layer),
    Op::plain_in(MS, "SkipLayerNormalization", &[1], infer_skip, couple_skip),
    Op::plain_in(MS, "SkipSimplifiedLayerNormalization", &[1], infer_skip, couple_skip),
    Op::plain_in(MS, "EmbedLayerNormalization", &[1], infer_embed, couple_embed),
    Op::plain("LRN", &[1, 13], same_as_input, couple_lrn),
    Op::plain("MeanVarianceNormalization", &[9, 13], infer_mean_variance, couple_mean_variance),
    Op::plain("LpNormalization", &[1, 22], infer_lp, couple_lp),
];

const X: Port = Port::In(0);
const Y: Port = Port::Out(0);
const STATISTICS: &str = "statistics are taken over it";

/// All axes of `x` and `y` are the same; those for which `normal` holds are normalized over.
fn through(cx: &CoupleCx, r: &mut Relations, y: Port, normal: impl Fn(usize) -> bool) -> Result<()> {
    for a in 0..cx.rank(X)? {
        r.tie(cx, (X, a), (y, a))?;
        if normal(a) {
            r.inexact(X, a, STATISTICS);
        }
    }
    Ok(())
}

/// `p` is broadcast to the last axes of `to`.
fn aligned(cx: &CoupleCx, r: &mut Relations, p: Port, to: Port) -> Result<()> {
    let (Some(shape), rank) = (cx.shape(p), cx.rank(to)?) else { return Ok(()) };
    let Some(ahead) = rank.checked_sub(shape.len()) else {
        return Err(diag(Code::S001, format!("{p:?} has more axes than what it is broadcast to")));
    };
    for (i, d) in shape.iter().enumerate() {
        match d.is(1) {
            true => r.free(p, i),
            false => r.tie(cx, (p, i), (to, i + ahead))?,
        }
    }
    Ok(())
}

fn infer_layer(cx: &mut InferCx) -> Result<()> {
    same_as_input(cx)?;
    let (Some(elem), Some(x)) = (cx.elem(0), cx.shape(0)) else { return Ok(()) };
    let first = cx.node.axis_or("axis", -1, x.len())?;
    for i in [1, 2] {
        if let Some(s) = cx.shape(i)
            && broadcast(x, s)?.len() > x.len()
        {
            return Err(diag(Code::S001, format!("input {i} has more axes than the data")));
        }
    }
    // Mean and inverse deviation, in single precision unless the data are double.
    let statistics = match cx.node.int("stash_type")? {
        Some(t) => i32::try_from(t).ok().and_then(ElemType::from_i32).unwrap_or(ElemType::F32),
        None if elem == ElemType::F64 => elem,
        None => ElemType::F32,
    };
    let shape = x.iter().enumerate().map(|(a, d)| if a < first { d.clone() } else { Dim::fixed(1) });
    let shape: Vec<Dim> = shape.collect();
    cx.set(1, statistics, Some(shape.clone()));
    cx.set(2, statistics, Some(shape));
    Ok(())
}

fn couple_layer(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let first = cx.node.axis_or("axis", -1, cx.rank(X)?)?;
    through(cx, r, Y, |a| a >= first)?;
    for p in [Port::In(1), Port::In(2)] {
        aligned(cx, r, p, Y)?;
    }
    for p in [Port::Out(1), Port::Out(2)] {
        for a in 0..cx.shape(p).map_or(0, <[Dim]>::len) {
            match a < first {
                true => r.tie(cx, (X, a), (p, a))?,
                false => r.free(p, a),
            }
        }
    }
    Ok(())
}

/// `input, skip, gamma[, beta], [bias]`; output 3 is the sum that is normalized.
fn infer_skip(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let (x, skip) = (cx.shape(0), cx.shape(1));
    if let (Some(x), Some(skip)) = (x, skip)
        && broadcast(x, skip)?.len() > x.len()
    {
        return Err(diag(Code::S001, "the skip has more axes than the data"));
    }
    let shape = x.map(<[Dim]>::to_vec);
    if let Some(s) = &shape {
        let mut per_row = s.clone();
        if let Some(last) = per_row.last_mut() {
            *last = Dim::fixed(1);
        }
        cx.set(1, ElemType::F32, Some(per_row.clone()));
        cx.set(2, ElemType::F32, Some(per_row));
    }
    cx.set(0, elem, shape.clone());
    cx.set(3, elem, shape);
    Ok(())
}

fn couple_skip(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let last = cx.rank(X)?.saturating_sub(1);
    through(cx, r, Y, |a| a == last)?;
    for p in 1..cx.node.inputs.len() {
        aligned(cx, r, Port::In(p), Y)?;
    }
    for i in 1..cx.node.outputs.len() {
        let p = Port::Out(i);
        for a in 0..cx.shape(p).map_or(0, <[Dim]>::len) {
            match i < 3 && a == last {
                true => r.free(p, a),
                false => r.tie(cx, (X, a), (p, a))?,
            }
        }
    }
    Ok(())
}

/// `ids, segments, word, position, segment, gamma, beta, mask`: three tables are looked up, summed, normalized.
fn infer_embed(cx: &mut InferCx) -> Result<()> {
    cx.want_rank(0, 2)?;
    cx.want_rank(2, 2)?;
    let (Some(ids), Some(table), Some(elem)) = (cx.shape(0), cx.shape(2), cx.elem(2)) else { return Ok(()) };
    let shape = vec![ids[0].clone(), ids[1].clone(), table[1].clone()];
    cx.set(0, elem, Some(shape.clone()));
    cx.set(1, ElemType::I32, Some(vec![ids[0].clone()]));
    cx.set(2, elem, Some(shape));
    Ok(())
}

fn couple_embed(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    for (p, axis) in [(2, 1), (3, 1), (4, 1), (5, 0), (6, 0)] {
        if cx.shape(Port::In(p)).is_some() {
            r.tie(cx, (Port::In(p), axis), (Y, 2))?;
        }
    }
    if cx.shape(Port::Out(2)).is_some() {
        r.tie(cx, (Port::Out(2), 2), (Y, 2))?;
    }
    r.inexact(Y, 2, STATISTICS);
    Ok(())
}

/// Every channel is divided by the energy of its neighbours.
fn couple_lrn(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    through(cx, r, Y, |a| a == 1)
}

fn axes(node: &Node, rank: usize) -> Result<Vec<usize>> {
    let axes = node.ints("axes")?.unwrap_or(&[0, 2, 3]);
    axes.iter().map(|&a| norm_axis(a, rank)).collect()
}

fn infer_mean_variance(cx: &mut InferCx) -> Result<()> {
    if let Some(x) = cx.shape(0) {
        axes(cx.node, x.len())?;
    }
    same_as_input(cx)
}

fn couple_mean_variance(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let axes = axes(cx.node, cx.rank(X)?)?;
    through(cx, r, Y, |a| axes.contains(&a))
}

fn infer_lp(cx: &mut InferCx) -> Result<()> {
    if let Some(x) = cx.shape(0) {
        cx.node.axis_or("axis", -1, x.len())?;
    }
    same_as_input(cx)
}

fn couple_lp(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let axis = cx.node.axis_or("axis", -1, cx.rank(X)?)?;
    through(cx, r, Y, |a| a == axis)
}
