//! Conv. <https://onnx.ai/onnx/operators/onnx__Conv.html>
//!
//! `x[N, C, ..]`, `w[O, C/g, k..]`, `b[O]` give `y[N, O, ..]`. With one group an output channel is a row of
//! `w` and of `b`, an input channel a column of `w`. With several, whole groups may be cut, or the same places
//! in every group; a depthwise convolution has only groups.

use secateur_diag::{Code, Result, diag};

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_fold, window};
use crate::{Alternative, Atom, Cost, CostCx, CoupleCx, InferCx, Op, Port, Relation, Relations, ShrinkCx};
use secateur_ir::dim::{Dim, Shape};
use secateur_ir::graph::Node;

/// The rows of this file.
pub const OPS: &[Op] = &[Op {
    domain: "",
    name: "Conv",
    opsets: &[1, 11, 22],
    infer,
    couple,
    shrink,
    cost,
    fold: no_fold,
    eval: NOT_YET,
    derive: NO_DERIVATIVE,
}];

const X: Port = Port::In(0);
const W: Port = Port::In(1);
const B: Port = Port::In(2);
const Y: Port = Port::Out(0);

/// A list attribute of `len` numbers, all `default` where it is left out.
pub(super) fn list(node: &Node, name: &str, len: usize, default: i64) -> Result<Vec<i64>> {
    match node.ints(name)? {
        Some(v) if v.len() == len => Ok(v.to_vec()),
        Some(v) => Err(diag(Code::S002, format!("{name} must hold {len} numbers, not {}", v.len()))),
        None => Ok(vec![default; len]),
    }
}

/// Output lengths of a window sliding over the axes `input`, of which the first is axis `first` of output 0.
pub(super) fn slide(cx: &InferCx, input: &[Dim], first: usize, kernel: &[i64], ceil: bool) -> Result<Shape> {
    let n = kernel.len();
    if input.len() != n {
        return Err(diag(Code::S001, format!("a window of {n} axes slides over {}", input.len())));
    }
    let strides = list(cx.node, "strides", n, 1)?;
    let dilations = list(cx.node, "dilations", n, 1)?;
    let pads = list(cx.node, "pads", 2 * n, 0)?;
    let auto = cx.node.string("auto_pad")?.unwrap_or("NOTSET");
    (0..n)
        .map(|i| {
            let (len, k, s, d) = (&input[i], kernel[i], strides[i], dilations[i]);
            let out = match auto {
                "NOTSET" | "" => window(len, k, s, d, pads[i].saturating_add(pads[i + n]), ceil)?,
                "VALID" => window(len, k, s, d, 0, ceil)?,
                "SAME_UPPER" | "SAME_LOWER" => match (len.constant(), s) {
                    (_, 1) => Some(len.clone()),
                    (Some(l), s) if s > 0 => Some(Dim::fixed(l / s + i64::from(l % s > 0))),
                    _ => None,
                },
                other => return Err(diag(Code::S002, format!("auto_pad {other:?} is not one of ONNX"))),
            };
            Ok(out.unwrap_or_else(|| cx.unknown(0, first + i)))
        })
        .collect()
}

/// The kernel's lengths, from the attribute or the weight; `None` where the weight's are not fixed.
pub(super) fn kernel(node: &Node, w: &[Dim]) -> Result<Option<Vec<i64>>> {
    let taps = w.get(2..).unwrap_or_default();
    match node.ints("kernel_shape")? {
        Some(k) if k.len() != taps.len() => Err(diag(
            Code::S002,
            format!("kernel_shape has {} numbers for a weight of rank {}", k.len(), w.len()),
        )),
        Some(k) => {
            if taps.iter().zip(k).any(|(d, &k)| d.constant().is_some_and(|d| d != k)) {
                return Err(diag(Code::S001, format!("kernel_shape {k:?} differs from the weight's")));
            }
            Ok(Some(k.to_vec()))
        }
        None => Ok(taps.iter().map(Dim::constant).collect()),
    }
}

/// The `group` attribute, checked.
pub(super) fn groups(node: &Node) -> Result<usize> {
    let group = node.int_or("group", 1)?;
    usize::try_from(group)
        .ok()
        .filter(|&g| g > 0)
        .ok_or_else(|| diag(Code::S002, format!("group = {group} must be positive")))
}

/// Shape of the convolution of `x` by `w`.
pub(super) fn shape(cx: &InferCx, x: &[Dim], w: &[Dim]) -> Result<Shape> {
    if x.len() < 3 || w.len() != x.len() {
        return Err(diag(
            Code::S001,
            format!("input of rank {} and weight of rank {} do not fit", x.len(), w.len()),
        ));
    }
    let group = groups(cx.node)?;
    if let (Some(c), Some(i), Some(o)) = (x[1].size(), w[1].size(), w[0].size()) {
        if Some(c) != i.checked_mul(group) {
            return Err(diag(
                Code::S001,
                format!("the input has {c} channels, the weight takes {i} in each of {group} groups"),
            ));
        }
        if o % group != 0 {
            return Err(diag(Code::S001, format!("{o} output channels do not divide into {group} groups")));
        }
    }
    let mut shape = vec![x[0].clone(), w[0].clone()];
    match kernel(cx.node, w)? {
        Some(k) => shape.extend(slide(cx, &x[2..], 2, &k, false)?),
        None => shape.extend((2..x.len()).map(|a| cx.unknown(0, a))),
    }
    Ok(shape)
}

fn infer(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let out = match (cx.shape(0), cx.shape(1)) {
        (Some(x), Some(w)) => Some(shape(cx, x, w)?),
        _ => None,
    };
    cx.set(0, elem, out);
    Ok(())
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    relate(cx, r, X, W, B)
}

/// The relations of a convolution whose operands are at these ports; the bias may be absent.
pub(super) fn relate(cx: &CoupleCx, r: &mut Relations, x: Port, w: Port, b: Port) -> Result<()> {
    let rank = cx.rank(x)?;
    r.tie(cx, (x, 0), (Y, 0))?;
    for a in 2..rank {
        if one_tap(cx, w, a)? {
            r.tie(cx, (x, a), (Y, a))?;
            r.free(w, a);
            continue;
        }
        for p in [x, w, Y] {
            r.pin(p, a, "a window slides along it");
        }
    }
    let group = groups(cx.node)?;
    let (Some(i), Some(o)) = (cx.size(w, 1)?, cx.size(w, 0)?) else { return Ok(()) };
    if cx.shape(b).is_some() {
        r.tie(cx, (b, 0), (w, 0))?;
    }
    r.tie(cx, (Y, 1), (w, 0))?;
    if group == 1 {
        return r.contract(cx, (x, 1), (w, 1));
    }
    let Some(c) = cx.size(x, 1)? else { return Ok(()) };
    if Some(c) != group.checked_mul(i) || o % group != 0 {
        return Err(diag(Code::S001, "channels do not divide into the groups"));
    }
    let whole = Alternative {
        label: "groups".into(),
        relations: vec![
            Relation::Atoms(vec![
                Atom { port: x, axis: 1, size: group, inner: i },
                Atom { port: w, axis: 0, size: group, inner: o / group },
            ]),
            Relation::Pin { at: (w, 1), why: "channels within each group stay together".into() },
        ],
    };
    let inside = Alternative {
        label: "within groups".into(),
        relations: vec![
            Relation::Atoms(vec![
                Atom { port: x, axis: 1, size: i, inner: 1 },
                Atom { port: w, axis: 1, size: i, inner: 1 },
            ]),
            Relation::Atoms(vec![Atom { port: w, axis: 0, size: o / group, inner: 1 }]),
            Relation::Contract { data: (x, 1), weight: Some((w, 1)) },
        ],
    };
    r.choose(if i == 1 && o == group { vec![whole] } else { vec![whole, inside] });
    Ok(())
}

/// Whether the kernel looks at one element of an axis at a time and at all of them: places along it do not meet.
fn one_tap(cx: &CoupleCx, w: Port, axis: usize) -> Result<bool> {
    let n = cx.rank(w)?.saturating_sub(2);
    let (i, pads) = (axis - 2, list(cx.node, "pads", 2 * n, 0)?);
    Ok(cx.size(w, axis)? == Some(1)
        && list(cx.node, "strides", n, 1)?[i] == 1
        // Whatever auto_pad says, a kernel of one element with stride 1 needs none.
        && pads[i] == 0
        && pads[i + n] == 0)
}

fn shrink(cx: &mut ShrinkCx) -> Result<()> {
    follow(cx, X, W)
}

/// `group` after the removal.
pub(super) fn follow(cx: &mut ShrinkCx, x: Port, w: Port) -> Result<()> {
    let group = cx.node().int_or("group", 1)?;
    // Depthwise and "whole groups" lose input channels without losing columns of the weight.
    if group > 1 && cx.kept(x, 1).is_some() {
        let columns = cx.len(w, 1)?.max(1);
        let channels = cx.len(x, 1)?;
        if channels % columns != 0 {
            return Err(diag(
                Code::P004,
                format!("{channels} channels left do not divide into groups of {columns}"),
            ));
        }
        cx.node_mut().set_int("group", (channels / columns) as i64);
    }
    Ok(())
}

fn cost(cx: &CostCx) -> Result<Cost> {
    taps(cx, W)
}

/// Outputs times columns times taps; the groups are in the columns.
pub(super) fn taps(cx: &CostCx, w: Port) -> Result<Cost> {
    let mut axes = cx.axes(w)?;
    axes.push((Y, 0));
    axes.extend((2..cx.shape(Y)?.len()).map(|a| (Y, a)));
    Ok(Cost::macs(1, axes))
}
