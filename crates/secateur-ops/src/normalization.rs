//! Normalizations of channels, each by itself or group by group.
//!
//! <https://onnx.ai/onnx/operators/onnx__BatchNormalization.html>,
//! <https://onnx.ai/onnx/operators/onnx__InstanceNormalization.html>,
//! <https://onnx.ai/onnx/operators/onnx__GroupNormalization.html>
//!
//! Channels of the first two and whole groups of the third have statistics of their own and may go; a single
//! channel inside a group may not without changing its neighbours.

use secateur_diag::{Code, Result, diag};

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_cost, no_fold, no_shrink, same_as_input};
use crate::{Alternative, Atom, CoupleCx, InferCx, Op, Port, Relation, Relations, ShrinkCx};
use secateur_ir::dim::Dim;

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op {
        domain: "",
        name: "BatchNormalization",
        opsets: &[1, 6, 7, 9, 14, 15],
        infer: infer_batch,
        couple: couple_batch,
        shrink: no_shrink,
        cost: no_cost,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
    Op {
        domain: "",
        name: "InstanceNormalization",
        opsets: &[1, 6, 22],
        infer: infer_instance,
        couple: couple_instance,
        shrink: no_shrink,
        cost: no_cost,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
    Op {
        domain: "",
        name: "GroupNormalization",
        opsets: &[18, 21],
        infer: infer_group,
        couple: couple_group,
        shrink: shrink_group,
        cost: no_cost,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
];

const X: Port = Port::In(0);
const Y: Port = Port::Out(0);

/// Inputs `1..=n` must be as long as the channel axis.
fn want_channels(cx: &InferCx, n: usize) -> Result<()> {
    let Some(x) = cx.shape(0) else { return Ok(()) };
    let c = x.get(1).cloned().unwrap_or(Dim::fixed(1));
    for i in 1..=n {
        let Some(s) = cx.shape(i) else { continue };
        let len = if s.len() == 1 { s[0].constant() } else { None };
        if s.len() != 1 || len.zip(c.constant()).is_some_and(|(p, q)| p != q) {
            let s: Vec<_> = s.iter().map(ToString::to_string).collect();
            return Err(diag(
                Code::S001,
                format!("input {i} of shape [{}] is not one for each of {c} channels", s.join(",")),
            ));
        }
    }
    Ok(())
}

/// Until opset 9, `spatial = 0` had statistics for every place of a channel.
fn by_place(node: &secateur_ir::graph::Node) -> Result<bool> {
    Ok(node.int_or("spatial", 1)? == 0)
}

fn infer_batch(cx: &mut InferCx) -> Result<()> {
    if !by_place(cx.node)? {
        want_channels(cx, 4)?;
    }
    same_as_input(cx)?;
    // Running statistics, in training mode only.
    for i in 1..cx.node.outputs.len() {
        if let Some(t) = cx.ty(if i % 2 == 1 { 3 } else { 4 }) {
            cx.set(i, t.elem, t.shape.clone());
        }
    }
    Ok(())
}

fn couple_batch(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(X)?;
    if by_place(cx.node)? {
        return Ok(());
    }
    for a in 0..rank {
        r.tie(cx, (X, a), (Y, a))?;
    }
    let channels = (1..5).map(Port::In).chain((1..cx.node.outputs.len()).map(Port::Out));
    for p in channels.filter(|_| rank > 1) {
        if cx.shape(p).is_some_and(|s| s.len() == 1) {
            r.tie(cx, (p, 0), (Y, 1))?;
        }
    }
    Ok(())
}

fn infer_instance(cx: &mut InferCx) -> Result<()> {
    if cx.shape(0).is_some_and(|s| s.len() < 2) {
        return Err(diag(Code::S001, "the input has no channel axis"));
    }
    want_channels(cx, 2)?;
    same_as_input(cx)
}

/// All axes pass through; statistics are taken over all but batch and channels. Exporters write a group
/// normalization as this one over `[N, groups, -1]`, where the last axis holds the channels of a group.
fn couple_instance(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    for a in 0..cx.rank(X)? {
        r.tie(cx, (X, a), (Y, a))?;
        if a > 1 {
            r.inexact(X, a, "mean and variance are taken over it");
        }
    }
    r.tie(cx, (Port::In(1), 0), (Y, 1))?;
    r.tie(cx, (Port::In(2), 0), (Y, 1))
}

/// Number of groups; [`Code::S002`] where there are none.
fn num_groups(node: &secateur_ir::graph::Node) -> Result<usize> {
    let n = node.int("num_groups")?;
    n.and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0).ok_or_else(|| {
        diag(
            Code::S002,
            format!("num_groups = {} must be positive", n.map_or("none".into(), |n| n.to_string())),
        )
    })
}

fn infer_group(cx: &mut InferCx) -> Result<()> {
    let groups = num_groups(cx.node)?;
    if let Some(s) = cx.shape(0) {
        let Some(c) = s.get(1) else { return Err(diag(Code::S001, "the input has no channel axis")) };
        if c.size().is_some_and(|c| c % groups != 0) {
            return Err(diag(Code::S001, format!("{c} channels do not divide into {groups} groups")));
        }
    }
    same_as_input(cx)
}

fn couple_group(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    for a in (0..cx.rank(X)?).filter(|&a| a != 1) {
        match a {
            0 => r.tie(cx, (X, a), (Y, a))?,
            _ => [X, Y].into_iter().for_each(|p| r.pin(p, a, "mean and variance are taken over it")),
        }
    }
    let groups = num_groups(cx.node)?;
    let Some(c) = cx.size(X, 1)? else { return Ok(()) };
    let per = c / groups;
    let (mut whole, mut inside) = (Vec::new(), Vec::new());
    for port in [X, Y, Port::In(1), Port::In(2)] {
        let axis = usize::from(port == X || port == Y);
        // Scale and bias are one a group in opset 18, one a channel from opset 21.
        match cx.size(port, axis)? {
            Some(n) if n == c => {
                whole.push(Atom { port, axis, size: groups, inner: per });
                inside.push(Atom { port, axis, size: per, inner: 1 });
            }
            Some(n) if n == groups => whole.push(Atom { port, axis, size: groups, inner: 1 }),
            _ => return Err(diag(Code::S001, "scale and bias are neither one a group nor one a channel")),
        }
    }
    let whole = Alternative { label: "groups".into(), relations: vec![Relation::Atoms(whole)] };
    let why = "mean and variance are taken over the channels of a group";
    let inside = Alternative {
        label: "within groups".into(),
        relations: vec![Relation::Atoms(inside), Relation::Inexact { at: (X, 1), why: why.into() }],
    };
    r.choose(match (groups, per) {
        (_, 1) => vec![whole],
        (1, _) => vec![inside],
        _ => vec![whole, inside],
    });
    Ok(())
}

fn shrink_group(cx: &mut ShrinkCx) -> Result<()> {
    let groups = num_groups(cx.node())?;
    let channels = cx.before(X)?.get(1).and_then(Dim::size).unwrap_or(0);
    if let Some(left) = cx.blocks(X, 1, channels / groups)? {
        cx.node_mut().set_int("num_groups", left as i64);
    }
    Ok(())
}
