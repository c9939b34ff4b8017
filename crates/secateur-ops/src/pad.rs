//! Pad. <https://onnx.ai/onnx/operators/onnx__Pad.html>
//!
//! With `constant` the input's row is a run of the output's, and what is added around it is free. Negative pads
//! leave elements out. The other modes copy elements from within, so a padded axis must stay whole. Pads are
//! an attribute before opset 11 (`paddings` in the first).

use secateur_diag::{Code, Result, diag};

use crate::forms::no_cost;
use crate::forms::{NO_DERIVATIVE, NOT_YET};
use crate::moves::{Param, X, Y, kept_below, norm_axes, set_ints};
use crate::scalar::add;
use crate::{CoupleCx, FoldCx, InferCx, Op, Relations, ShrinkCx};
use secateur_ir::dim::Dim;
use secateur_ir::graph::Node;
use secateur_tensor::Tensor;

/// The rows of this file.
pub const OPS: &[Op] = &[Op {
    domain: "",
    name: "Pad",
    opsets: &[1, 2, 11, 13, 18, 19, 21, 23, 24],
    infer,
    couple,
    shrink,
    cost: no_cost,
    fold,
    eval: NOT_YET,
    derive: NO_DERIVATIVE,
}];

/// Pads beyond this are no sizes.
const ABSURD: u64 = 1 << 40;

/// What is added before and after each axis.
fn pads(rank: usize, pads: Param, axes: Param) -> Result<Option<Vec<(i64, i64)>>> {
    let pads = match pads {
        Param::Known(v) => v,
        Param::Unknown => return Ok(None),
        Param::Absent => return Err(diag(Code::S002, "pads are missing")),
    };
    let axes = match axes {
        Param::Known(v) => norm_axes(&v, rank)?,
        Param::Absent => (0..rank).collect(),
        Param::Unknown => return Ok(None),
    };
    if pads.len() != 2 * axes.len() {
        return Err(diag(Code::S002, format!("{} pads for {} axes", pads.len(), axes.len())));
    }
    if let Some(p) = pads.iter().find(|p| p.unsigned_abs() > ABSURD) {
        return Err(diag(Code::S002, format!("a pad of {p} is absurd")));
    }
    let mut out = vec![(0, 0); rank];
    for (i, &a) in axes.iter().enumerate() {
        out[a] = (pads[i], pads[i + axes.len()]);
    }
    Ok(Some(out))
}

/// The attribute's name, while pads are one.
fn attr(opset: i64) -> &'static str {
    if opset < 2 { "paddings" } else { "pads" }
}

fn mode(node: &Node) -> Result<&str> {
    Ok(node.string("mode")?.unwrap_or("constant"))
}

fn infer(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let Some(x) = cx.shape(0) else {
        cx.set(0, elem, None);
        return Ok(());
    };
    let known = pads(x.len(), Param::infer(cx, 1, attr(cx.opset()))?, Param::infer(cx, 3, "")?)?;
    let shape = match known {
        Some(pads) => {
            let mut shape = Vec::with_capacity(x.len());
            for (a, (before, after)) in pads.into_iter().enumerate() {
                let sum = Dim::fixed(before.saturating_add(after));
                let d = add(&x[a], &sum).unwrap_or_else(|| cx.unknown(0, a));
                if d.constant().is_some_and(|n| n < 0) {
                    return Err(diag(
                        Code::S001,
                        format!("pads {before} and {after} leave {d} elements of {}", x[a]),
                    ));
                }
                shape.push(d);
            }
            shape
        }
        None => partly_known(cx, x)?,
    };
    cx.set(0, elem, Some(shape));
    Ok(())
}

/// Axes whose pads are 0 stay, while others are not known.
fn partly_known(cx: &InferCx, x: &[Dim]) -> Result<Vec<Dim>> {
    let mut shape = cx.unknowns(0, x.len());
    let axes = match Param::infer(cx, 3, "")? {
        Param::Known(v) => norm_axes(&v, x.len())?,
        Param::Absent => (0..x.len()).collect(),
        Param::Unknown => return Ok(shape),
    };
    for a in (0..x.len()).filter(|a| !axes.contains(a)) {
        shape[a] = x[a].clone();
    }
    let Some(pads) = cx.ints(1).filter(|p| p.elems.len() == 2 * axes.len()) else { return Ok(shape) };
    for (i, &a) in axes.iter().enumerate() {
        if let Some(d) = add(&x[a], &pads.elems[i]).and_then(|d| add(&d, &pads.elems[i + axes.len()])) {
            shape[a] = d;
        }
    }
    Ok(shape)
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(X)?;
    let Some(pads) = pads(rank, Param::couple(cx, 1, attr(cx.opset()))?, Param::couple(cx, 3, "")?)? else {
        return Ok(());
    };
    let constant = mode(cx.node)? == "constant";
    for (a, (before, after)) in pads.into_iter().enumerate() {
        if (before, after) == (0, 0) {
            r.tie(cx, (X, a), (Y, a))?;
            continue;
        }
        if !constant {
            r.pin(X, a, "its elements are copied to its ends");
            r.pin(Y, a, "its elements are copied to its ends");
            continue;
        }
        let (Some(n), Some(m)) = (cx.size(X, a)?, cx.size(Y, a)?) else { continue };
        let (from, to, len) = run(n, before, after);
        if to + len > m {
            return Err(diag(
                Code::S001,
                format!("axis {a} of length {m} does not hold {len} elements at {to}"),
            ));
        }
        r.run((X, a), from, (Y, a), to, len);
    }
    Ok(())
}

/// First element in the input, first in the output and number of those that both have.
fn run(n: usize, before: i64, after: i64) -> (usize, usize, usize) {
    let cut = |p: i64| p.min(0).unsigned_abs() as usize;
    let from = cut(before).min(n);
    (from, before.max(0) as usize, n.saturating_sub(cut(before)).saturating_sub(cut(after)))
}

fn shrink(cx: &mut ShrinkCx) -> Result<()> {
    let shape = cx.before(X)?;
    let rank = shape.len();
    let touched = |cx: &ShrinkCx, a: usize| cx.kept(X, a).is_some() || cx.kept(Y, a).is_some();
    if !(0..rank).any(|a| touched(cx, a)) {
        return Ok(());
    }
    let (param, axes) = (Param::shrink(cx, 1, attr(cx.opset()))?, Param::shrink(cx, 3, "")?);
    let Some(mut all) = pads(rank, param, axes.clone())? else { return Ok(()) };
    let mut changed = false;
    for a in (0..rank).filter(|&a| touched(cx, a)) {
        let (before, after) = all[a];
        if (before, after) == (0, 0) {
            continue;
        }
        let fixed =
            |d: &Dim| d.size().ok_or_else(|| diag(Code::P004, "the length of a padded axis is not known"));
        let (n, m) = (fixed(&shape[a])?, fixed(&cx.before(Y)?[a])?);
        let (from, to, len) = run(n, before, after);
        let (x, y) = (cx.kept(X, a), cx.kept(Y, a));
        // Kept elements before and behind the common run: those added, or those left out.
        let side = |pad: i64, added: usize, cut: usize| if pad < 0 { -(cut as i64) } else { added as i64 };
        all[a] = (
            side(before, kept_below(y, to), kept_below(x, from)),
            side(
                after,
                kept_below(y, m) - kept_below(y, (to + len).min(m)),
                kept_below(x, n) - kept_below(x, (from + len).min(n)),
            ),
        );
        changed = true;
    }
    if !changed {
        return Ok(());
    }
    let axes = match axes {
        Param::Known(v) => norm_axes(&v, rank)?,
        _ => (0..rank).collect(),
    };
    let flat: Vec<i64> = axes.iter().map(|&a| all[a].0).chain(axes.iter().map(|&a| all[a].1)).collect();
    if cx.node().input(1).is_none() {
        let name = attr(cx.opset());
        cx.node_mut().set_ints(name, flat);
        return Ok(());
    }
    set_ints(cx, 1, &[flat.len()], &flat)
}

/// Weights padded with zeros; other fillings are rare on constants.
fn fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    let Some(t) = cx.input(0) else { return Ok(None) };
    let param = Param::fold(cx, 1, attr(cx.opset()))?;
    let Some(pads) = pads(t.dims.len(), param, Param::fold(cx, 3, "")?)? else { return Ok(None) };
    let zero = cx.input(2).is_none() && cx.node.float("value")?.unwrap_or(0.0) == 0.0;
    if !zero || mode(cx.node)? != "constant" || pads.iter().any(|&(b, a)| b < 0 || a < 0) {
        return Ok(None);
    }
    let (width, Some(bytes)) = (t.elem.bits() / 8, t.bytes()) else { return Ok(None) };
    let dims: Vec<usize> =
        t.dims.iter().zip(&pads).map(|(d, (b, a))| d + *b as usize + *a as usize).collect();
    let Some(total) = secateur_tensor::bounded(&dims, &[t]) else { return Ok(None) };
    if t.elem.bits() % 8 != 0 {
        return Ok(None);
    }
    let steps = secateur_tensor::strides(&dims);
    let start: usize = pads.iter().zip(&steps).map(|((b, _), s)| *b as usize * s.unsigned_abs()).sum();
    let mut out = vec![0u8; total * width];
    let Some(walk) = secateur_tensor::Walk::new(&t.dims, &steps, start) else { return Ok(None) };
    for (from, to) in walk.enumerate() {
        out[to * width..(to + 1) * width].copy_from_slice(&bytes[from * width..(from + 1) * width]);
    }
    Ok(Some(vec![Tensor::from_bytes(t.elem, dims, out)]))
}
