//! Transpose. <https://onnx.ai/onnx/operators/onnx__Transpose.html>
//!
//! Output axis `i` is input axis `perm[i]`; without `perm` the axes are reversed.

use secateur_diag::{Code, Result, diag};

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_cost, no_shrink};
use crate::moves::{X, Y, norm_axes};
use crate::{CoupleCx, FoldCx, InferCx, Op, Relations};
use secateur_ir::graph::Node;
use secateur_tensor::Tensor;
use secateur_tensor::{strides, view};

/// The rows of this file.
pub const OPS: &[Op] = &[Op {
    domain: "",
    name: "Transpose",
    opsets: &[1, 13, 21, 23, 24],
    infer,
    couple,
    shrink: no_shrink,
    cost: no_cost,
    fold,
    eval: NOT_YET,
    derive: NO_DERIVATIVE,
}];

fn perm(node: &Node, rank: usize) -> Result<Vec<usize>> {
    match node.ints("perm")? {
        None => Ok((0..rank).rev().collect()),
        Some(p) if p.len() == rank => norm_axes(p, rank),
        Some(p) => Err(diag(Code::S002, format!("perm has {} numbers for rank {rank}", p.len()))),
    }
}

fn infer(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let shape = match cx.shape(0) {
        Some(x) => Some(perm(cx.node, x.len())?.into_iter().map(|a| x[a].clone()).collect()),
        // The rank is at least that of the permutation.
        None => cx.node.ints("perm")?.map(|p| cx.unknowns(0, p.len())),
    };
    cx.set(0, elem, shape);
    // A vector transposed is itself.
    if let Some(ints) = cx.ints(0) {
        cx.set_ints(0, elem, ints);
    }
    Ok(())
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    for (to, from) in perm(cx.node, cx.rank(X)?)?.into_iter().enumerate() {
        r.tie(cx, (X, from), (Y, to))?;
    }
    Ok(())
}

fn fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    let Some(t) = cx.input(0) else { return Ok(None) };
    let perm = perm(cx.node, t.dims.len())?;
    let steps = strides(&t.dims);
    let dims = perm.iter().map(|&a| t.dims[a]).collect();
    let steps: Vec<isize> = perm.iter().map(|&a| steps[a]).collect();
    Ok(view(t, dims, &steps, 0).map(|t| vec![t]))
}
