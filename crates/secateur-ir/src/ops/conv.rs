//! Conv. <https://onnx.ai/onnx/operators/onnx__Conv.html>
//!
//! `x[N, C, ..]`, `w[O, C/g, k..]`, `b[O]` give `y[N, O, ..]`. With one group an output channel is a row of
//! `w` and of `b`, an input channel a column of `w`. With several, whole groups may be cut, or the same places
//! in every group; a depthwise convolution has only groups.

use secateur_diag::{Code, Result, diag};

use super::forms::{no_fold, window};
use super::{Alternative, Atom, Cost, CostCx, CoupleCx, InferCx, Op, Port, Relation, Relations, ShrinkCx};
use crate::dim::{Dim, Shape};

/// The rows of this file.
pub const OPS: &[Op] =
    &[Op { domain: "", name: "Conv", opsets: &[1, 11, 22], infer, couple, shrink, cost, fold: no_fold }];

const X: Port = Port::In(0);
const W: Port = Port::In(1);
const B: Port = Port::In(2);
const Y: Port = Port::Out(0);

/// Output lengths of the spatial axes of a convolution or pooling over `input[2..]`.
pub(super) fn spatial(cx: &InferCx, input: &[Dim], kernel: &[i64], ceil: bool) -> Result<Shape> {
    let n = kernel.len();
    let list = |name: &str, len: usize, default: i64| -> Result<Vec<i64>> {
        match cx.node.ints(name)? {
            Some(v) if v.len() == len => Ok(v.to_vec()),
            Some(v) => Err(diag(Code::S002, format!("{name} must hold {len} numbers, not {}", v.len()))),
            None => Ok(vec![default; len]),
        }
    };
    let strides = list("strides", n, 1)?;
    let dilations = list("dilations", n, 1)?;
    let pads = list("pads", 2 * n, 0)?;
    let auto = cx.node.string("auto_pad")?.unwrap_or("NOTSET");
    (0..n)
        .map(|i| {
            let len = &input[i + 2];
            let out = match auto {
                "NOTSET" | "" => {
                    window(len, kernel[i], strides[i], dilations[i], pads[i].saturating_add(pads[i + n]), ceil)?
                }
                "VALID" => window(len, kernel[i], strides[i], dilations[i], 0, ceil)?,
                "SAME_UPPER" | "SAME_LOWER" => match (len.constant(), strides[i]) {
                    (_, 1) => Some(len.clone()),
                    (Some(l), s) if s > 0 => Some(Dim::fixed((l + s - 1) / s)),
                    _ => None,
                },
                other => return Err(diag(Code::S002, format!("auto_pad {other:?} is not one of ONNX"))),
            };
            Ok(out.unwrap_or_else(|| cx.unknown(0, i + 2)))
        })
        .collect()
}

fn infer(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let (Some(x), Some(w)) = (cx.shape(0), cx.shape(1)) else {
        cx.set(0, elem, None);
        return Ok(());
    };
    if x.len() < 3 || w.len() != x.len() {
        return Err(diag(Code::S001, format!("input of rank {} and weight of rank {} do not fit", x.len(), w.len())));
    }
    let group = cx.node.int_or("group", 1)?;
    if group < 1 {
        return Err(diag(Code::S002, format!("group = {group} must be positive")));
    }
    if let (Some(c), Some(i), Some(o)) = (x[1].constant(), w[1].constant(), w[0].constant()) {
        if Some(c) != i.checked_mul(group) {
            return Err(diag(Code::S001, format!("the input has {c} channels, the weight takes {i} in each of {group} groups")));
        }
        if o % group != 0 {
            return Err(diag(Code::S001, format!("{o} output channels do not divide into {group} groups")));
        }
    }
    let kernel = match cx.node.ints("kernel_shape")? {
        Some(k) if k.len() + 2 != w.len() => {
            return Err(diag(Code::S002, format!("kernel_shape has {} numbers for a weight of rank {}", k.len(), w.len())));
        }
        Some(k) => {
            if w[2..].iter().zip(k).any(|(d, &k)| d.constant().is_some_and(|d| d != k)) {
                return Err(diag(Code::S001, format!("kernel_shape {k:?} differs from the weight's")));
            }
            Some(k.to_vec())
        }
        None => w[2..].iter().map(Dim::constant).collect(),
    };
    let mut shape = vec![x[0].clone(), w[0].clone()];
    match kernel {
        Some(k) => shape.extend(spatial(cx, x, &k, false)?),
        None => shape.extend((2..x.len()).map(|a| cx.unknown(0, a))),
    }
    cx.set(0, elem, Some(shape));
    Ok(())
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(X)?;
    r.tie(cx, (X, 0), (Y, 0))?;
    for a in 2..rank {
        for p in [X, W, Y] {
            r.pin(p, a, "a window slides along it");
        }
    }
    let group = cx.node.int_or("group", 1)? as usize;
    let (Some(i), Some(o)) = (cx.size(W, 1)?, cx.size(W, 0)?) else { return Ok(()) };
    if cx.shape(B).is_some() {
        r.tie(cx, (B, 0), (W, 0))?;
    }
    r.tie(cx, (Y, 1), (W, 0))?;
    if group == 1 {
        return r.contract(cx, (X, 1), (W, 1));
    }
    let Some(c) = cx.size(X, 1)? else { return Ok(()) };
    if c != group * i || o % group != 0 {
        return Err(diag(Code::S001, "channels do not divide into the groups"));
    }
    let whole = Alternative {
        label: "groups".into(),
        relations: vec![
            Relation::Atoms(vec![
                Atom { port: X, axis: 1, size: group, inner: i },
                Atom { port: W, axis: 0, size: group, inner: o / group },
            ]),
            Relation::Pin { at: (W, 1), why: "channels within each group stay together".into() },
        ],
    };
    let inside = Alternative {
        label: "within groups".into(),
        relations: vec![
            Relation::Atoms(vec![
                Atom { port: X, axis: 1, size: i, inner: 1 },
                Atom { port: W, axis: 1, size: i, inner: 1 },
            ]),
            Relation::Atoms(vec![Atom { port: W, axis: 0, size: o / group, inner: 1 }]),
            Relation::Contract { data: (X, 1), weight: Some((W, 1)) },
        ],
    };
    r.choose(if i == 1 && o == group { vec![whole] } else { vec![whole, inside] });
    Ok(())
}

fn shrink(cx: &mut ShrinkCx) -> Result<()> {
    let group = cx.node().int_or("group", 1)?;
    // Depthwise and "whole groups" lose input channels without losing columns of the weight.
    if group > 1 && cx.kept(X, 1).is_some() {
        let columns = cx.len(W, 1)?.max(1);
        let channels = cx.len(X, 1)?;
        if channels % columns != 0 {
            return Err(diag(Code::P004, format!("{channels} channels left do not divide into groups of {columns}")));
        }
        cx.node_mut().set_int("group", (channels / columns) as i64);
    }
    Ok(())
}

fn cost(cx: &CostCx) -> Result<Cost> {
    // Outputs times columns times taps; the groups are in the columns.
    let mut axes = cx.axes(W)?;
    axes.push((Y, 0));
    axes.extend((2..cx.shape(Y)?.len()).map(|a| (Y, a)));
    Ok(Cost::macs(1, axes))
}
