//! Reductions over axes, and ArgMax and ArgMin. <https://onnx.ai/onnx/operators/> under each name.
//!
//! The axes that stay are the same on both sides. Of those that go: a sum (of the elements, of their squares or
//! magnitudes) is not changed by an element that is zero, so they are summed away; a mean is; and of a maximum,
//! a product or an index nothing can be taken.

use secateur_diag::{Code, Result, diag};
use secateur_onnx::ElemType;

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_cost, no_shrink};
use crate::scalar::{add, pick};
use crate::{CoupleCx, FoldCx, InferCx, Op, Port, Relation, Relations};
use secateur_ir::dim::{Dim, Shape};
use secateur_ir::graph::{Ints, Node};
use secateur_ir::norm_axis;
use secateur_tensor::Tensor;
use secateur_tensor::{fold_floats, fold_ints, is_float};

macro_rules! rows {
    ($($name:literal $opsets:expr,)*) => {
        &[
            $(Op {
                domain: "",
                name: $name,
                opsets: &$opsets,
                infer,
                couple,
                shrink: no_shrink,
                cost: no_cost,
                fold,
                eval: NOT_YET,
                derive: NO_DERIVATIVE,
            }),*
        ]
    };
}

/// The rows of this file.
pub const OPS: &[Op] = rows! {
    "ArgMax" [1, 11, 12, 13],
    "ArgMin" [1, 11, 12, 13],
    "ReduceL1" [1, 11, 13, 18],
    "ReduceL2" [1, 11, 13, 18],
    "ReduceLogSum" [1, 11, 13, 18],
    "ReduceLogSumExp" [1, 11, 13, 18],
    "ReduceMax" [1, 11, 12, 13, 18, 20],
    "ReduceMean" [1, 11, 13, 18],
    "ReduceMin" [1, 11, 12, 13, 18, 20],
    "ReduceProd" [1, 11, 13, 18],
    "ReduceSum" [1, 11, 13],
    "ReduceSumSquare" [1, 11, 13, 18],
};

const X: Port = Port::In(0);
const Y: Port = Port::Out(0);

fn keeps(node: &Node) -> Result<bool> {
    Ok(node.int_or("keepdims", 1)? != 0)
}

fn is_arg(node: &Node) -> bool {
    matches!(node.op(), "ArgMax" | "ArgMin")
}

/// The reduced axes, ascending; `None` where they are an operand that is not known.
///
/// `operand` is input 1 where it is known.
fn axes(node: &Node, operand: Option<&[i64]>, rank: usize) -> Result<Option<Vec<usize>>> {
    if is_arg(node) {
        let axis = node.int_or("axis", 0)?;
        // A scalar's only index is 0.
        return if rank == 0 { Ok(Some(vec![])) } else { Ok(Some(vec![norm_axis(axis, rank)?])) };
    }
    let given = match (node.input(1), operand) {
        (Some(_), None) => return Ok(None),
        (Some(_), operand) => operand,
        (None, _) => node.ints("axes")?,
    };
    let mut out = match given {
        Some(list) if !list.is_empty() => {
            list.iter().map(|&a| norm_axis(a, rank)).collect::<Result<Vec<usize>>>()?
        }
        _ if node.int_or("noop_with_empty_axes", 0)? != 0 => vec![],
        _ => (0..rank).collect(),
    };
    out.sort_unstable();
    if out.windows(2).any(|w| w[0] == w[1]) {
        return Err(diag(Code::S002, "an axis is named twice").at("attr", "axes"));
    }
    Ok(Some(out))
}

fn infer(cx: &mut InferCx) -> Result<()> {
    let elem = if is_arg(cx.node) { Some(ElemType::I64) } else { cx.elem(0) };
    let Some(elem) = elem else { return Ok(()) };
    let Some(x) = cx.shape(0) else {
        cx.set(0, elem, None);
        return Ok(());
    };
    let keep = keeps(cx.node)?;
    let Some(axes) = axes(cx.node, cx.const_ints(1).as_deref(), x.len())? else {
        let rank = match cx.shape(1) {
            _ if keep => Some(x.len()),
            Some([n]) => n.size().filter(|&n| n > 0).and_then(|n| x.len().checked_sub(n)),
            _ => None,
        };
        let shape = rank.map(|r| cx.unknowns(0, r));
        cx.set(0, elem, shape);
        return Ok(());
    };
    let size = |(a, d): (usize, &Dim)| match axes.contains(&a) {
        true => keep.then(|| Dim::fixed(1)),
        false => Some(d.clone()),
    };
    let shape: Shape = x.iter().enumerate().filter_map(size).collect();
    cx.set(0, elem, Some(shape));
    let Some(ints) = cx.ints(0).filter(|i| !i.scalar && axes == [0]) else { return Ok(()) };
    if let Some(d) = total(cx.node.op(), &ints.elems) {
        cx.set_ints(0, elem, Ints { scalar: !keep, elems: vec![d] });
    }
    Ok(())
}

/// The reduction of small integers, symbols included.
fn total(op: &str, x: &[Dim]) -> Option<Dim> {
    let (first, rest) = x.split_first()?;
    match op {
        "ReduceProd" => Dim::product(x),
        "ReduceSum" => rest.iter().try_fold(first.clone(), |s, d| add(&s, d)),
        "ReduceMax" | "ReduceMin" => {
            rest.iter().try_fold(first.clone(), |m, d| pick(op == "ReduceMax", m, d.clone()))
        }
        _ => None,
    }
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(X)?;
    let operand: Option<Vec<i64>> = cx.ints(1).and_then(|i| i.elems.iter().map(Dim::constant).collect());
    let Some(axes) = axes(cx.node, operand.as_deref(), rank)? else { return Ok(()) };
    let keep = keeps(cx.node)?;
    let mut to = 0;
    for a in 0..rank {
        if !axes.contains(&a) {
            r.tie(cx, (X, a), (Y, to))?;
            to += 1;
            continue;
        }
        match cx.node.op() {
            "ReduceSum" | "ReduceSumSquare" | "ReduceL1" | "ReduceL2" | "ReduceLogSum" => {
                r.push(Relation::Contract { data: (X, a), weight: None });
            }
            "ReduceMean" => {
                r.free(X, a);
                r.inexact(X, a, "a mean is taken over it");
            }
            "ArgMax" | "ArgMin" => r.pin(X, a, "the result is an index along it"),
            _ => r.pin(X, a, "it is reduced by an operator that a zero changes"),
        }
        if keep {
            r.free(Y, to);
            to += 1;
        }
    }
    Ok(())
}

fn fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    let Some(x) = cx.input(0) else { return Ok(None) };
    let operand = cx.input(1).and_then(Tensor::to_i64);
    let Some(axes) = axes(cx.node, operand.as_deref(), x.dims.len())? else { return Ok(None) };
    // Over no element at all definitions differ; over no axis the squares' and magnitudes' do.
    if axes.iter().any(|&a| x.dims[a] == 0) || (axes.is_empty() && !x.dims.is_empty()) {
        return Ok(None);
    }
    let keep = keeps(cx.node)?;
    let result = if is_float(x.elem) {
        let sum = |v: &[f64], f: fn(f64) -> f64| v.iter().map(|&v| f(v)).sum::<f64>();
        let op = cx.node.op();
        fold_floats(x, &axes, keep, |v| {
            Some(match op {
                "ReduceSum" => sum(v, |v| v),
                "ReduceMean" => sum(v, |v| v) / v.len() as f64,
                "ReduceProd" => v.iter().product(),
                "ReduceL1" => sum(v, f64::abs),
                "ReduceL2" => sum(v, |v| v * v).sqrt(),
                "ReduceSumSquare" => sum(v, |v| v * v),
                "ReduceLogSum" => sum(v, |v| v).ln(),
                _ if v.iter().any(|v| v.is_nan()) => return None,
                "ReduceMax" => v.iter().copied().reduce(f64::max)?,
                "ReduceMin" => v.iter().copied().reduce(f64::min)?,
                _ => return None,
            })
        })
    } else {
        let op = cx.node.op();
        let add = |s: i128, v: i128| s.checked_add(v);
        fold_ints(x, &axes, keep, |v| match op {
            "ReduceSum" => v.iter().try_fold(0, |s, &v| add(s, v)),
            "ReduceProd" => v.iter().try_fold(1i128, |p, &v| p.checked_mul(v)),
            "ReduceL1" => v.iter().try_fold(0, |s, &v| add(s, v.checked_abs()?)),
            "ReduceSumSquare" => v.iter().try_fold(0, |s, &v| add(s, v.checked_mul(v)?)),
            "ReduceMax" => v.iter().copied().max(),
            "ReduceMin" => v.iter().copied().min(),
            _ => None,
        })
    };
    Ok(result.map(|t| vec![t]))
}
