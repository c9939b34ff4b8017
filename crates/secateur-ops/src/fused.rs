//! ONNX Runtime's fusions of a product or an activation with what stands around it.
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md>
//!
//! The rules of the parts; activations work element by element.

use secateur_diag::Result;

use crate::forms::{
    NO_DERIVATIVE, NOT_YET, broadcasting, no_cost, no_fold, no_shrink, pointwise, same_as_input,
};
use crate::{Cost, CostCx, CoupleCx, CoupleFn, InferCx, InferFn, Op, Port, Relations, conv, gemm};
use secateur_ir::dim::Dim;
use secateur_ir::graph::Node;

const MS: &str = "com.microsoft";

const fn row(name: &'static str, infer: InferFn, couple: CoupleFn) -> Op {
    Op {
        domain: MS,
        name,
        opsets: &[1],
        infer,
        couple,
        shrink: no_shrink,
        cost: no_cost,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    }
}

/// The rows of this file.
pub const OPS: &[Op] = &[
    row("Gelu", same_as_input, pointwise),
    row("QuickGelu", same_as_input, pointwise),
    row("FastGelu", broadcasting, pointwise),
    row("BiasGelu", broadcasting, pointwise),
    Op {
        shrink: |cx| conv::follow(cx, A, B),
        cost: |cx| conv::taps(cx, B),
        ..row("FusedConv", infer_conv, couple_conv)
    },
    Op { cost: cost_gemm, ..row("FusedGemm", infer_gemm, couple_gemm) },
    Op { cost: cost_matmul, ..row("FusedMatMul", infer_matmul, couple_matmul) },
    Op { cost: cost_matmul, ..row("FusedMatMulActivation", infer_matmul, couple_matmul) },
];

const A: Port = Port::In(0);
const B: Port = Port::In(1);
const C: Port = Port::In(2);
const Y: Port = Port::Out(0);

fn infer_conv(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let shape = match (cx.shape(0), cx.shape(1)) {
        (Some(x), Some(w)) => Some(conv::shape(cx, x, w)?),
        _ => None,
    };
    cx.set(0, elem, shape);
    Ok(())
}

/// Conv, then `z` added.
fn couple_conv(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    conv::relate(cx, r, A, B, C)?;
    let z = Port::In(3);
    for a in 0..cx.shape(z).map_or(0, <[_]>::len) {
        r.tie(cx, (z, a), (Y, a))?;
    }
    Ok(())
}

fn infer_gemm(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let shape = gemm::gemm_shape(cx, 0, 1)?;
    cx.set(0, elem, shape);
    Ok(())
}

/// Whether the activation looks at one element at a time.
fn by_element(node: &Node) -> Result<bool> {
    Ok(!matches!(node.string("activation")?, Some("Softmax" | "LogSoftmax" | "Hardmax")))
}

fn couple_gemm(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    if by_element(cx.node)? { gemm::gemm_relate(cx, r, A, B, C) } else { Ok(()) }
}

fn cost_gemm(cx: &CostCx) -> Result<Cost> {
    let ([_, k], _) = gemm::gemm_axes(cx.node)?;
    Ok(Cost::macs(1, vec![(Y, 0), (Y, 1), (A, k)]))
}

/// The axes of an operand in the order in which MatMul reads them. `transBatch` has the rows in front of the
/// batches, `trans` has rows and columns swapped.
fn order(node: &Node, side: char, rank: usize) -> Result<Vec<usize>> {
    let mut axes: Vec<usize> = (0..rank).collect();
    if rank > 2 && node.int_or(&format!("transBatch{side}"), 0)? != 0 {
        axes[..rank - 1].rotate_left(1);
    }
    if rank > 1 && node.int_or(&format!("trans{side}"), 0)? != 0 {
        axes.swap(rank - 2, rank - 1);
    }
    Ok(axes)
}

fn infer_matmul(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let read = |side: char, s: &[Dim]| -> Result<Vec<Dim>> {
        Ok(order(cx.node, side, s.len())?.into_iter().map(|a| s[a].clone()).collect())
    };
    let shape = match (cx.shape(0), cx.shape(1)) {
        (Some(a), Some(b)) => Some(gemm::matmul_shape(&read('A', a)?, &read('B', b)?)?),
        _ => None,
    };
    cx.set(0, elem, shape);
    Ok(())
}

fn couple_matmul(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    if !by_element(cx.node)? {
        return Ok(());
    }
    let a = order(cx.node, 'A', cx.rank(A)?)?;
    let b = order(cx.node, 'B', cx.rank(B)?)?;
    gemm::matmul_relate(cx, r, (A, &a), (B, &b))
}

fn cost_matmul(cx: &CostCx) -> Result<Cost> {
    let mut axes = cx.axes(Y)?;
    if let Some(&k) = order(cx.node, 'A', cx.shape(A)?.len())?.last() {
        axes.push((A, k));
    }
    Ok(Cost::macs(1, axes))
}
