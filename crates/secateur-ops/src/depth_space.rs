//! DepthToSpace, SpaceToDepth and Col2Im. <https://onnx.ai/onnx/operators/onnx__DepthToSpace.html>,
//! <https://onnx.ai/onnx/operators/onnx__SpaceToDepth.html>, <https://onnx.ai/onnx/operators/onnx__Col2Im.html>
//!
//! A channel of the spatial side is a block of channels of the other: they go together.

use secateur_diag::{Code, Result, diag};

use crate::moves::{X, Y};
use crate::{Atom, CoupleCx, InferCx, Op, Relation, Relations};
use secateur_ir::dim::{Dim, Shape};
use secateur_ir::graph::Node;

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op::plain("DepthToSpace", &[1, 11, 13], depth_to_space, couple),
    Op::plain("SpaceToDepth", &[1, 13], space_to_depth, couple),
    Op::plain("Col2Im", &[18], col2im, couple),
];

fn block(node: &Node) -> Result<i64> {
    match node.int("blocksize")? {
        Some(b @ 1..=65536) => Ok(b),
        Some(b) => Err(diag(Code::S002, format!("blocksize = {b} is not a size"))),
        None => Err(diag(Code::S002, "blocksize is missing")),
    }
}

/// `d / by`; [`Code::S001`] where it does not divide.
fn part(cx: &InferCx, axis: usize, d: &Dim, by: i64) -> Result<Dim> {
    match d.div(&Dim::fixed(by)) {
        Some(q) => Ok(q),
        None if d.constant().is_some() => {
            Err(diag(Code::S001, format!("axis {axis} of length {d} does not divide by {by}")))
        }
        None => Ok(cx.unknown(0, axis)),
    }
}

fn times(cx: &InferCx, axis: usize, d: &Dim, by: i64) -> Dim {
    d.mul(&Dim::fixed(by)).unwrap_or_else(|| cx.unknown(0, axis))
}

/// Output from `[N, C, H, W]`; both blocks change the same axes, in opposite directions.
fn blocks(cx: &mut InferCx, shape: impl Fn(&InferCx, &[Dim], i64) -> Result<Shape>) -> Result<()> {
    cx.want_rank(0, 4)?;
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let b = block(cx.node)?;
    let shape = match cx.shape(0) {
        Some(x) => shape(cx, x, b)?,
        None => cx.unknowns(0, 4),
    };
    cx.set(0, elem, Some(shape));
    Ok(())
}

fn depth_to_space(cx: &mut InferCx) -> Result<()> {
    blocks(cx, |cx, x, b| {
        Ok(vec![x[0].clone(), part(cx, 1, &x[1], b * b)?, times(cx, 2, &x[2], b), times(cx, 3, &x[3], b)])
    })
}

fn space_to_depth(cx: &mut InferCx) -> Result<()> {
    blocks(cx, |cx, x, b| {
        Ok(vec![x[0].clone(), times(cx, 1, &x[1], b * b), part(cx, 2, &x[2], b)?, part(cx, 3, &x[3], b)?])
    })
}

fn col2im(cx: &mut InferCx) -> Result<()> {
    cx.want_rank(0, 3)?;
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let image = cx.ints(1).map(|v| v.elems).or_else(|| {
        let rank = cx.shape(1)?.first()?.size().filter(|&n| n <= 64)?;
        Some((2..2 + rank).map(|a| cx.unknown(0, a)).collect())
    });
    let (Some(x), Some(image)) = (cx.shape(0), image) else {
        cx.set(0, elem, None);
        return Ok(());
    };
    let area = cx.ints(2).and_then(|v| Dim::product(&v.elems));
    let channels = match area {
        Some(area) if area.constant().is_some_and(|n| n < 1) => {
            return Err(diag(Code::S002, format!("a block of {area} elements")));
        }
        Some(area) => match x[1].div(&area) {
            Some(c) => c,
            None if x[1].constant().is_some() && area.constant().is_some() => {
                return Err(diag(Code::S001, format!("{} rows do not divide by blocks of {area}", x[1])));
            }
            None => cx.unknown(0, 1),
        },
        None => cx.unknown(0, 1),
    };
    let shape = [vec![x[0].clone(), channels], image].concat();
    cx.set(0, elem, Some(shape));
    Ok(())
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    r.tie(cx, (X, 0), (Y, 0))?;
    for (port, rank) in [(X, cx.rank(X)?), (Y, cx.rank(Y)?)] {
        (2..rank).for_each(|a| r.pin(port, a, "elements move between it and the channels"));
    }
    let (Some(c), Some(d)) = (cx.size(X, 1)?, cx.size(Y, 1)?) else { return Ok(()) };
    // How many channels of the deep side make one, and whether those lie together.
    let (deep, shallow) = if cx.node.is("SpaceToDepth") { ((Y, d), (X, c)) } else { ((X, c), (Y, d)) };
    let Some(per) = deep.1.checked_div(shallow.1).filter(|p| p * shallow.1 == deep.1 && *p > 0) else {
        return Ok(());
    };
    let together = match cx.node.op() {
        "Col2Im" => true,
        "DepthToSpace" => match cx.node.string("mode")?.unwrap_or("DCR") {
            "DCR" => false,
            "CRD" => true,
            other => return Err(diag(Code::S002, format!("mode {other:?} is neither DCR nor CRD"))),
        },
        _ => false,
    };
    let inner = if together { per } else { 1 };
    r.push(Relation::Atoms(vec![
        Atom { port: deep.0, axis: 1, size: shallow.1, inner },
        Atom { port: shallow.0, axis: 1, size: shallow.1, inner: 1 },
    ]));
    Ok(())
}
