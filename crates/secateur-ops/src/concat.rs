//! Concat. <https://onnx.ai/onnx/operators/onnx__Concat.html>
//!
//! Along `axis` the inputs' rows are laid end to end; all other axes are the same.

use secateur_diag::{Code, Result, diag};

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_cost, no_shrink};
use crate::moves::{Y, differ};
use crate::scalar::add;
use crate::{CoupleCx, FoldCx, InferCx, Op, Port, Relations};
use secateur_ir::dim::{Dim, Shape};
use secateur_ir::graph::{Ints, Node};
use secateur_ir::norm_axis;
use secateur_tensor::{Data, Tensor};
use secateur_tensor::{bounded, is_int};

/// The rows of this file.
pub const OPS: &[Op] = &[Op {
    domain: "",
    name: "Concat",
    opsets: &[1, 4, 11, 13],
    infer,
    couple,
    shrink: no_shrink,
    cost: no_cost,
    fold,
    eval: NOT_YET,
    derive: NO_DERIVATIVE,
}];

/// Mandatory since opset 4, 1 before.
fn axis(node: &Node, opset: i64, rank: usize) -> Result<usize> {
    match node.int("axis")? {
        Some(a) => norm_axis(a, rank),
        None if opset < 4 => norm_axis(1, rank),
        None => Err(diag(Code::S002, "axis is missing")),
    }
}

fn infer(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let shapes: Vec<Option<&[Dim]>> = (0..cx.node.inputs.len()).map(|i| cx.shape(i)).collect();
    let Some(first) = shapes.iter().flatten().next() else {
        cx.set(0, elem, None);
        return Ok(());
    };
    let rank = first.len();
    let axis = axis(cx.node, cx.opset(), rank)?;
    let mut shape: Shape = first.to_vec();
    let mut sum = Some(Dim::fixed(0));
    for (i, s) in shapes.iter().enumerate() {
        let Some(s) = s else {
            sum = None;
            continue;
        };
        if s.len() != rank {
            return Err(diag(Code::S001, format!("input {i} has rank {}, the first has {rank}", s.len())));
        }
        for a in (0..rank).filter(|&a| a != axis) {
            if differ(&shape[a], &s[a]) {
                return Err(diag(
                    Code::S001,
                    format!("axis {a} has length {} in input {i} and {} before", s[a], shape[a]),
                ));
            }
            if shape[a].constant().is_none() && s[a].constant().is_some() {
                shape[a] = s[a].clone();
            }
        }
        sum = sum.and_then(|t| add(&t, &s[axis]));
    }
    shape[axis] = sum.unwrap_or_else(|| cx.unknown(0, axis));
    cx.set(0, elem, Some(shape));
    contents(cx);
    Ok(())
}

/// Follows the elements of small integer vectors; those of one that is not known get symbols of their own.
fn contents(cx: &mut InferCx) {
    let Some(elem) = cx.elem(0).filter(|e| is_int(*e)) else { return };
    let mut elems = Vec::new();
    let mut any = false;
    for i in 0..cx.node.inputs.len() {
        let (Some([n]), ints) = (cx.shape(i), cx.ints(i)) else { return };
        let Some(n) = n.size().filter(|n| n + elems.len() <= 64 || ints.is_some()) else { return };
        any |= ints.is_some();
        match ints {
            Some(v) => elems.extend(v.elems),
            None => elems.extend((0..n).map(|k| cx.unknown(0, elems.len() + k)).collect::<Vec<_>>()),
        }
    }
    if any {
        cx.set_ints(0, elem, Ints { scalar: false, elems });
    }
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(Y)?;
    let axis = axis(cx.node, cx.opset(), rank)?;
    // Behind a symbolic length nothing is known of the places in the output.
    let mut at = Some(0usize);
    for i in 0..cx.node.inputs.len() {
        let x = Port::In(i);
        for a in (0..cx.rank(x)?).filter(|&a| a != axis) {
            r.tie(cx, (x, a), (Y, a))?;
        }
        let n = cx.size(x, axis)?;
        if let (Some(start), Some(n), true) = (at, n, cx.size(Y, axis)?.is_some()) {
            r.run((x, axis), 0, (Y, axis), start, n);
        }
        at = at.zip(n).and_then(|(start, n)| start.checked_add(n));
    }
    Ok(())
}

fn fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    let inputs: Option<Vec<&Tensor>> = (0..cx.inputs.len()).map(|i| cx.input(i)).collect();
    let Some((inputs, first)) = inputs.and_then(|v| v.first().copied().map(|f| (v, f))) else {
        return Ok(None);
    };
    let rank = first.dims.len();
    let axis = axis(cx.node, cx.opset(), rank)?;
    let width = first.elem.bits() / 8;
    let fits = |t: &&Tensor| {
        t.elem == first.elem
            && t.dims.len() == rank
            && (0..rank).all(|a| a == axis || t.dims[a] == first.dims[a])
    };
    if first.elem.bits() % 8 != 0 || !inputs.iter().all(fits) {
        return Ok(None);
    }
    let mut dims = first.dims.clone();
    let Some(sum) = inputs.iter().try_fold(0usize, |n, t| n.checked_add(t.dims[axis])) else {
        return Ok(None);
    };
    dims[axis] = sum;
    // Beside a size of 0 the others may be anything.
    if bounded(&dims, &inputs).is_none_or(|n| n == 0) {
        return Ok(None);
    }
    let outer: usize = dims[..axis].iter().product();
    let inner: usize = dims[axis + 1..].iter().product();
    let (mut bytes, mut strings) = (Vec::new(), Vec::new());
    for o in 0..outer {
        for t in &inputs {
            let run = t.dims[axis] * inner;
            match &t.data {
                Data::Bytes(b) => bytes.extend_from_slice(&b[o * run * width..(o + 1) * run * width]),
                Data::Strings(s) => strings.extend_from_slice(&s[o * run..(o + 1) * run]),
                Data::Elided(_) => return Ok(None),
            }
        }
    }
    let data = match first.data {
        Data::Strings(_) => Data::Strings(strings),
        _ => Data::Bytes(bytes.into()),
    };
    Ok(Some(vec![Tensor { elem: first.elem, dims, data }]))
}
