//! GatherElements and GatherND. <https://onnx.ai/onnx/operators/onnx__GatherElements.html>,
//! <https://onnx.ai/onnx/operators/onnx__GatherND.html>
//!
//! Along the axes that the indices speak of any element may be read, so those stay whole. All others pass; the
//! indices may cover only the first elements of them.

use secateur_diag::{Code, Result, diag};

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_cost, no_fold, no_shrink};
use crate::moves::{X, Y};
use crate::{CoupleCx, InferCx, Op, Port, Relations};
use secateur_ir::dim::Dim;
use secateur_ir::graph::Node;

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op {
        domain: "",
        name: "GatherElements",
        opsets: &[11, 13],
        infer: elements,
        couple: elements_couple,
        shrink: no_shrink,
        cost: no_cost,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
    Op {
        domain: "",
        name: "GatherND",
        opsets: &[11, 12, 13],
        infer: nd,
        couple: nd_couple,
        shrink: no_shrink,
        cost: no_cost,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
];

const INDEX: Port = Port::In(1);

/// Element `i` of the shorter axis is element `i` of the longer one.
pub(super) fn prefix(cx: &CoupleCx, r: &mut Relations, a: (Port, usize), b: (Port, usize)) -> Result<()> {
    match (cx.size(a.0, a.1)?, cx.size(b.0, b.1)?) {
        (Some(n), Some(m)) => {
            r.run(a, 0, b, 0, n.min(m));
            Ok(())
        }
        _ => r.tie(cx, a, b),
    }
}

fn elements(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    if let (Some(x), Some(i)) = (cx.shape(0), cx.shape(1)) {
        if x.len() != i.len() {
            return Err(diag(
                Code::S001,
                format!("data of rank {} and indices of rank {}", x.len(), i.len()),
            ));
        }
        cx.node.axis_or("axis", 0, x.len())?;
    }
    cx.set(0, elem, cx.shape(1).map(<[_]>::to_vec));
    Ok(())
}

fn elements_couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(X)?;
    let axis = cx.node.axis_or("axis", 0, rank)?;
    for a in 0..rank {
        r.tie(cx, (INDEX, a), (Y, a))?;
        match a == axis {
            true => r.pin(X, a, "indices of any value pick from it"),
            false => prefix(cx, r, (X, a), (Y, a))?,
        }
    }
    Ok(())
}

fn batch_dims(node: &Node) -> Result<usize> {
    usize::try_from(node.int_or("batch_dims", 0)?).map_err(|_| diag(Code::S002, "batch_dims is negative"))
}

/// Rank of the indices, how many axes they speak of, and the first axis behind those.
fn nd_axes(node: &Node, x: &[Dim], index: &[Dim]) -> Result<Option<(usize, usize)>> {
    let b = batch_dims(node)?;
    let Some(last) = index.last() else { return Err(diag(Code::S001, "indices must not be a scalar")) };
    if b >= index.len() || b >= x.len() {
        return Err(diag(Code::S002, format!("batch_dims = {b} for ranks {} and {}", x.len(), index.len())));
    }
    let Some(k) = last.constant() else { return Ok(None) };
    match usize::try_from(k).ok().and_then(|k| b.checked_add(k)) {
        Some(rest) if k > 0 && rest <= x.len() => Ok(Some((b, rest))),
        _ => Err(diag(Code::S001, format!("indices of {k} numbers into rank {} behind {b} axes", x.len()))),
    }
}

fn nd(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let shape = match (cx.shape(0), cx.shape(1)) {
        (Some(x), Some(index)) => {
            nd_axes(cx.node, x, index)?.map(|(_, rest)| [&index[..index.len() - 1], &x[rest..]].concat())
        }
        _ => None,
    };
    cx.set(0, elem, shape);
    Ok(())
}

fn nd_couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let (x, index) = (cx.need(X)?, cx.need(INDEX)?);
    let Some((batch, rest)) = nd_axes(cx.node, x, index)? else { return Ok(()) };
    let q = index.len() - 1;
    for a in 0..batch {
        r.tie(cx, (X, a), (Y, a))?;
    }
    for a in 0..q {
        r.tie(cx, (INDEX, a), (Y, a))?;
    }
    for a in batch..rest {
        r.pin(X, a, "indices of any value pick from it");
    }
    for a in rest..x.len() {
        r.tie(cx, (X, a), (Y, q + a - rest))?;
    }
    Ok(())
}
