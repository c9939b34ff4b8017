//! Gather. <https://onnx.ai/onnx/operators/onnx__Gather.html>
//!
//! The indices' axes take the place of `axis`. A constant vector of indices picks elements of that axis, each
//! of which is the same thing in the output; otherwise the axis must stay whole. All other axes pass.

use secateur_diag::{Code, Result, diag};

use crate::forms::no_cost;
use crate::forms::{NO_DERIVATIVE, NOT_YET};
use crate::moves::{X, Y, constants, set_ints};
use crate::{CoupleCx, FoldCx, InferCx, Op, Port, Relation, Relations, ShrinkCx};
use secateur_ir::dim::Dim;
use secateur_ir::graph::Ints;
use secateur_ir::norm_axis;
use secateur_tensor::Tensor;
use secateur_tensor::bounded;

/// The rows of this file.
pub const OPS: &[Op] = &[Op {
    domain: "",
    name: "Gather",
    opsets: &[1, 11, 13],
    infer,
    couple,
    shrink,
    cost: no_cost,
    fold,
    eval: NOT_YET,
    derive: NO_DERIVATIVE,
}];

const INDEX: Port = Port::In(1);

/// Indices counted from the front.
fn places(index: &[i64], n: usize) -> Result<Vec<usize>> {
    let place = |&i: &i64| {
        norm_axis(i, n)
            .map_err(|_| diag(Code::S002, format!("index {i} is out of range for a length of {n}")))
    };
    index.iter().map(place).collect()
}

fn infer(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let (Some(x), Some(index)) = (cx.shape(0), cx.shape(1)) else {
        cx.set(0, elem, None);
        return Ok(());
    };
    let axis = cx.node.axis_or("axis", 0, x.len())?;
    let shape = [&x[..axis], index, &x[axis + 1..]].concat();
    cx.set(0, elem, Some(shape));
    if let (Some(data), Some(at)) = (cx.ints(0).filter(|d| !d.scalar), cx.ints(1)) {
        // An index that is not known gives an element that is not.
        let pick = |(i, d): (usize, &Dim)| match d.constant() {
            Some(c) => Ok(data.elems[places(&[c], data.elems.len())?[0]].clone()),
            None => Ok(cx.unknown(0, i)),
        };
        let elems = at.elems.iter().enumerate().map(pick).collect::<Result<_>>()?;
        cx.set_ints(0, elem, Ints { scalar: at.scalar, elems });
    }
    Ok(())
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(X)?;
    let axis = cx.node.axis_or("axis", 0, rank)?;
    let q = cx.rank(INDEX)?;
    for a in (0..rank).filter(|&a| a != axis) {
        r.tie(cx, (X, a), (Y, if a < axis { a } else { a + q - 1 }))?;
    }
    let Some(index) = constants(cx, 1) else {
        r.pin(X, axis, "indices of any value pick from it");
        for i in 0..q {
            r.tie(cx, (INDEX, i), (Y, axis + i))?;
        }
        return Ok(());
    };
    if let (1, Some(n)) = (q, cx.size(X, axis)?) {
        r.push(Relation::List { a: (X, axis), index: places(&index, n)?, b: (Y, axis) });
    }
    Ok(())
}

fn shrink(cx: &mut ShrinkCx) -> Result<()> {
    let before = cx.before(X)?;
    let axis = cx.node().axis_or("axis", 0, before.len())?;
    let (rows, picked) = (cx.kept(X, axis), cx.kept(Y, axis));
    // The indices of an embedding pass through and are sliced on their own.
    let constant_vector = cx.before(INDEX)?.len() == 1 && cx.known(1).is_ok();
    if !constant_vector || (rows.is_none() && picked.is_none()) {
        return Ok(());
    }
    let n = before[axis].size().ok_or_else(|| diag(Code::P004, "the length of the axis is not known"))?;
    let index = places(&cx.known(1)?, n)?;
    let all: Vec<usize> = (0..index.len()).collect();
    let now = picked
        .unwrap_or(&all)
        .iter()
        .map(|&i| {
            let at = *index.get(i).ok_or_else(|| diag(Code::P004, "an output element has no index"))?;
            let place = rows.map_or(Ok(at), |rows| rows.binary_search(&at));
            place
                .map(|p| p as i64)
                .map_err(|_| diag(Code::P004, format!("element {at} is gone but still picked")))
        })
        .collect::<Result<Vec<_>>>()?;
    set_ints(cx, 1, &[now.len()], &now)
}

fn fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    let (Some(t), Some(at)) = (cx.input(0), cx.input(1)) else { return Ok(None) };
    let axis = cx.node.axis_or("axis", 0, t.dims.len())?;
    let Some(index) = at.to_i64() else { return Ok(None) };
    let index = places(&index, t.dims[axis])?;
    let dims = [&t.dims[..axis], &at.dims, &t.dims[axis + 1..]].concat();
    if bounded(&dims, &[t, at]).is_none() {
        return Ok(None);
    }
    Ok(t.take(axis, &index).map(|out| vec![Tensor { dims, ..out }]))
}
