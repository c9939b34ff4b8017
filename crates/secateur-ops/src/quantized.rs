//! Convolutions and products of quantized tensors.
//! <https://onnx.ai/onnx/operators/onnx__QLinearConv.html>, <https://onnx.ai/onnx/operators/onnx__ConvInteger.html>,
//! <https://onnx.ai/onnx/operators/onnx__QLinearMatMul.html>,
//! <https://onnx.ai/onnx/operators/onnx__MatMulInteger.html>, and ONNX Runtime's QGemm and MatMulNBits:
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md>
//!
//! The rules of Conv, MatMul and Gemm, with scales and zero points that are one number or one an output channel.

use secateur_diag::{Code, Result, diag};
use secateur_onnx::ElemType;

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_fold, no_shrink};
use crate::quantize::per_element;
use crate::{Cost, CostCx, CoupleCx, CoupleFn, InferCx, InferFn, Op, Port, Relations, ShrinkCx, conv, gemm};
use secateur_ir::dim::Dim;

const fn product(
    domain: &'static str,
    name: &'static str,
    opsets: &'static [i64],
    infer: InferFn,
    couple: CoupleFn,
) -> Op {
    Op {
        domain,
        name,
        opsets,
        infer,
        couple,
        shrink: no_shrink,
        cost: cost_product,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    }
}

const MS: &str = "com.microsoft";

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op {
        domain: "",
        name: "QLinearConv",
        opsets: &[10],
        infer: infer_conv,
        couple: couple_conv,
        shrink: |cx| conv::follow(cx, A, Port::In(3)),
        cost: |cx| conv::taps(cx, Port::In(3)),
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
    Op {
        domain: "",
        name: "ConvInteger",
        opsets: &[10],
        infer: infer_conv_integer,
        couple: couple_conv_integer,
        shrink: shrink_conv_integer,
        cost: cost_conv_integer,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
    product("", "QLinearMatMul", &[10, 21], infer_matmul, couple_matmul),
    product("", "MatMulInteger", &[10], infer_matmul_integer, couple_matmul_integer),
    Op { cost: cost_gemm, ..product(MS, "QGemm", &[1], infer_gemm, couple_gemm) },
    product(MS, "MatMulNBits", &[1], infer_bits, couple_bits),
];

const A: Port = Port::In(0);
const Y: Port = Port::Out(0);

/// `x, scale, zero, w, scale, zero, y's scale, zero, bias`.
fn infer_conv(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(7).or(cx.elem(0)) else { return Ok(()) };
    let shape = match (cx.shape(0), cx.shape(3)) {
        (Some(x), Some(w)) => Some(conv::shape(cx, x, w)?),
        _ => None,
    };
    cx.set(0, elem, shape);
    Ok(())
}

fn couple_conv(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let w = Port::In(3);
    conv::relate(cx, r, A, w, Port::In(8))?;
    for q in [4, 5] {
        per_element(cx, r, Port::In(q), (w, 0))?;
    }
    Ok(())
}

/// `x, w, x's zero, w's zero`.
fn infer_conv_integer(cx: &mut InferCx) -> Result<()> {
    let shape = match (cx.shape(0), cx.shape(1)) {
        (Some(x), Some(w)) => Some(conv::shape(cx, x, w)?),
        _ => None,
    };
    cx.set(0, ElemType::I32, shape);
    Ok(())
}

fn couple_conv_integer(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let w = Port::In(1);
    // There is no bias: that port does not exist.
    conv::relate(cx, r, A, w, Port::In(usize::MAX))?;
    per_element(cx, r, Port::In(3), (w, 0))
}

fn shrink_conv_integer(cx: &mut ShrinkCx) -> Result<()> {
    conv::follow(cx, A, Port::In(1))
}

fn cost_conv_integer(cx: &CostCx) -> Result<Cost> {
    conv::taps(cx, Port::In(1))
}

/// `a, scale, zero, b, scale, zero, y's scale, zero`.
fn infer_matmul(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(7).or(cx.elem(0)) else { return Ok(()) };
    let shape = match (cx.shape(0), cx.shape(3)) {
        (Some(a), Some(b)) => Some(gemm::matmul_shape(a, b)?),
        _ => None,
    };
    cx.set(0, elem, shape);
    Ok(())
}

/// A scale or zero point of a matrix: one number, one for each element of `axis`, or the matrix's own shape
/// with all other axes of length 1.
fn per_line(cx: &CoupleCx, r: &mut Relations, q: Port, of: Port, axis: usize) -> Result<()> {
    let (Some(shape), rank) = (cx.shape(q), cx.rank(of)?) else { return Ok(()) };
    if shape.len() < 2 || shape.len() != rank {
        return per_element(cx, r, q, (of, axis));
    }
    for (a, d) in shape.iter().enumerate() {
        match d.is(1) {
            true => r.free(q, a),
            false => r.tie(cx, (q, a), (of, a))?,
        }
    }
    Ok(())
}

fn relate_matmul(cx: &CoupleCx, r: &mut Relations, b: Port, qa: &[usize], qb: &[usize]) -> Result<()> {
    let (rows, columns) = (cx.rank(A)?, cx.rank(b)?);
    let axes = |n: usize| (0..n).collect::<Vec<_>>();
    gemm::matmul_relate(cx, r, (A, &axes(rows)), (b, &axes(columns)))?;
    for &q in qa {
        per_line(cx, r, Port::In(q), A, rows.saturating_sub(2))?;
    }
    for &q in qb {
        per_line(cx, r, Port::In(q), b, columns.saturating_sub(1))?;
    }
    Ok(())
}

fn couple_matmul(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    relate_matmul(cx, r, Port::In(3), &[1, 2], &[4, 5])
}

/// `a, b, a's zero, b's zero`.
fn infer_matmul_integer(cx: &mut InferCx) -> Result<()> {
    let shape = match (cx.shape(0), cx.shape(1)) {
        (Some(a), Some(b)) => Some(gemm::matmul_shape(a, b)?),
        _ => None,
    };
    cx.set(0, ElemType::I32, shape);
    Ok(())
}

fn couple_matmul_integer(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    relate_matmul(cx, r, Port::In(1), &[2], &[3])
}

/// Every output sums over the last axis of `a`.
fn cost_product(cx: &CostCx) -> Result<Cost> {
    let mut axes = cx.axes(Y)?;
    match cx.shape(A)?.len().checked_sub(1) {
        Some(k) => axes.push((A, k)),
        None => return Err(diag(Code::S001, "a product takes no scalars")),
    }
    Ok(Cost::macs(1, axes))
}

/// `a, scale, zero, b, scale, zero, c, y's scale, zero`; without the last two the result is float.
fn infer_gemm(cx: &mut InferCx) -> Result<()> {
    let shape = gemm::gemm_shape(cx, 0, 3)?;
    let elem = match (cx.node.input(7), cx.node.input(8)) {
        (None, _) => Some(ElemType::F32),
        (_, Some(_)) => cx.elem(8),
        _ => cx.elem(0),
    };
    if let Some(elem) = elem {
        cx.set(0, elem, shape);
    }
    Ok(())
}

fn couple_gemm(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let b = Port::In(3);
    gemm::gemm_relate(cx, r, A, b, Port::In(6))?;
    let (_, [_, n]) = gemm::gemm_axes(cx.node)?;
    for q in [4, 5] {
        per_element(cx, r, Port::In(q), (b, n))?;
    }
    Ok(())
}

fn cost_gemm(cx: &CostCx) -> Result<Cost> {
    let ([_, k], _) = gemm::gemm_axes(cx.node)?;
    Ok(Cost::macs(1, vec![(Y, 0), (Y, 1), (A, k)]))
}

/// `a[.., K]` by a matrix of `N` rows whose blocks of a few bits are packed: all of it stays but `a`'s rows.
fn infer_bits(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let n = cx.node.int_or("N", 0)?;
    if n < 1 {
        return Err(diag(Code::S002, format!("N = {n} must be positive")));
    }
    let shape = cx.shape(0).map(|a| {
        let mut shape = a.to_vec();
        if let Some(last) = shape.last_mut() {
            *last = Dim::fixed(n);
        }
        shape
    });
    cx.set(0, elem, shape);
    Ok(())
}

fn couple_bits(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    for a in 0..cx.rank(A)?.saturating_sub(1) {
        r.tie(cx, (A, a), (Y, a))?;
    }
    Ok(())
}
