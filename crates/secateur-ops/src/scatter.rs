//! ScatterElements (once Scatter) and ScatterND. <https://onnx.ai/onnx/operators/onnx__ScatterElements.html>,
//! <https://onnx.ai/onnx/operators/onnx__ScatterND.html>
//!
//! The output is the data with updates written over it. Along the axes that the indices speak of any element
//! may be written, so those stay whole; all others pass, for data and updates alike.

use secateur_diag::{Code, Result, diag};

use crate::forms::same_as_input;
use crate::gather_elements::prefix;
use crate::moves::{X, Y};
use crate::{CoupleCx, FoldCx, InferCx, Op, Port, Relations};
use secateur_ir::norm_axis;
use secateur_tensor::Tensor;

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op::plain("Scatter", &[9, 11], elements, elements_couple),
    Op::plain("ScatterElements", &[11, 13, 16, 18], elements, elements_couple),
    Op { fold: nd_fold, ..Op::plain("ScatterND", &[11, 13, 16, 18], nd, nd_couple) },
];

const INDEX: Port = Port::In(1);
const UPDATES: Port = Port::In(2);

fn elements(cx: &mut InferCx) -> Result<()> {
    same_as_input(cx)?;
    let Some(x) = cx.shape(0) else { return Ok(()) };
    cx.node.axis_or("axis", 0, x.len())?;
    for i in [1, 2] {
        cx.want_rank(i, x.len())?;
    }
    Ok(())
}

fn elements_couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(X)?;
    let axis = cx.node.axis_or("axis", 0, rank)?;
    // Along the axis itself an update may be written anywhere, and all of them are.
    for a in (0..rank).filter(|&a| a != axis) {
        r.tie(cx, (X, a), (Y, a))?;
        r.tie(cx, (INDEX, a), (UPDATES, a))?;
        prefix(cx, r, (X, a), (INDEX, a))?;
    }
    Ok(())
}

/// How many axes of the data the indices speak of; `None` where it is not known.
fn nd_depth(rank: usize, index: &[secateur_ir::dim::Dim]) -> Result<Option<usize>> {
    let Some(last) = index.last() else { return Err(diag(Code::S001, "indices must not be a scalar")) };
    match last.constant() {
        None => Ok(None),
        Some(k) if k >= 1 && k <= rank as i64 => Ok(Some(k as usize)),
        Some(k) => Err(diag(Code::S001, format!("indices of {k} numbers into rank {rank}"))),
    }
}

fn nd(cx: &mut InferCx) -> Result<()> {
    same_as_input(cx)?;
    if let (Some(x), Some(index)) = (cx.shape(0), cx.shape(1))
        && let Some(k) = nd_depth(x.len(), index)?
    {
        cx.want_rank(2, index.len() - 1 + x.len() - k)?;
    }
    Ok(())
}

fn nd_couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let (rank, index) = (cx.rank(X)?, cx.need(INDEX)?);
    let Some(k) = nd_depth(rank, index)? else { return Ok(()) };
    for a in k..rank {
        r.tie(cx, (X, a), (Y, a))?;
        r.tie(cx, (UPDATES, index.len() - 1 + a - k), (Y, a))?;
    }
    Ok(())
}

/// Constant data with constant slices written over it, the last of those for one place; masks of shifted windows are
/// exported so.
fn nd_fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    let (Some(t), Some(at), Some(updates)) = (cx.input(0), cx.input(1), cx.input(2)) else { return Ok(None) };
    let replaces = cx.node.string("reduction")?.is_none_or(|r| r == "none");
    let (Some(index), Some(old), Some(new), Some(&k)) =
        (at.to_i64(), t.bytes(), updates.bytes(), at.dims.last())
    else {
        return Ok(None);
    };
    let whole = t.elem == updates.elem && t.elem.bits().is_multiple_of(8) && !t.is_empty();
    if !replaces || !whole || k == 0 || k > t.dims.len() {
        return Ok(None);
    }
    let (outer, inner) = t.dims.split_at(k);
    if updates.dims != [&at.dims[..at.dims.len() - 1], inner].concat() {
        return Err(diag(Code::S001, "updates that do not fit the indices"));
    }
    let run = inner.iter().product::<usize>() * t.elem.bits() / 8;
    let mut out = old.to_vec();
    for (place, new) in index.chunks_exact(k).zip(new.chunks_exact(run)) {
        let mut to = 0;
        for (&i, &n) in place.iter().zip(outer) {
            let i = norm_axis(i, n)
                .map_err(|_| diag(Code::S002, format!("index {i} is out of range for a length of {n}")))?;
            to = to * n + i;
        }
        out[to * run..][..run].copy_from_slice(new);
    }
    Ok(Some(vec![Tensor::from_bytes(t.elem, t.dims.clone(), out)]))
}
