//! Gemm and MatMul. <https://onnx.ai/onnx/operators/onnx__Gemm.html>, <https://onnx.ai/onnx/operators/onnx__MatMul.html>

use secateur_diag::{Code, Result, diag};

use super::forms::{broadcast, no_fold, no_shrink};
use super::{Cost, CostCx, CoupleCx, InferCx, Op, Port, Relation, Relations};
use crate::dim::Dim;

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op {
        domain: "",
        name: "Gemm",
        opsets: &[1, 6, 7, 9, 11, 13],
        infer: gemm_infer,
        couple: gemm_couple,
        shrink: no_shrink,
        cost: gemm_cost,
        fold: no_fold,
    },
    Op {
        domain: "",
        name: "MatMul",
        opsets: &[1, 9, 13],
        infer: matmul_infer,
        couple: matmul_couple,
        shrink: no_shrink,
        cost: matmul_cost,
        fold: no_fold,
    },
];

const A: Port = Port::In(0);
const B: Port = Port::In(1);
const C: Port = Port::In(2);
const Y: Port = Port::Out(0);

/// `(m, k)` of `a` and `(k, n)` of `b`, as axes.
fn gemm_axes(node: &crate::graph::Node) -> Result<([usize; 2], [usize; 2])> {
    let axes = |t: i64| if t != 0 { [1, 0] } else { [0, 1] };
    Ok((axes(node.int_or("transA", 0)?), axes(node.int_or("transB", 0)?)))
}

fn gemm_infer(cx: &mut InferCx) -> Result<()> {
    cx.want_rank(0, 2)?;
    cx.want_rank(1, 2)?;
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let ([m, k], [l, n]) = gemm_axes(cx.node)?;
    let shape = match (cx.shape(0), cx.shape(1)) {
        (Some(a), Some(b)) => {
            if a[k].constant().zip(b[l].constant()).is_some_and(|(p, q)| p != q) {
                return Err(diag(Code::S001, format!("inner lengths {} and {} differ", a[k], b[l])));
            }
            Some(vec![a[m].clone(), b[n].clone()])
        }
        _ => None,
    };
    cx.set(0, elem, shape);
    Ok(())
}

fn gemm_couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let ([m, k], [l, n]) = gemm_axes(cx.node)?;
    r.tie(cx, (A, m), (Y, 0))?;
    r.tie(cx, (B, n), (Y, 1))?;
    r.contract(cx, (A, k), (B, l))?;
    if let Some(c) = cx.shape(C) {
        for (i, d) in c.iter().enumerate() {
            match d.is(1) {
                true => r.free(C, i),
                false => r.tie(cx, (C, i), (Y, i + 2 - c.len()))?,
            }
        }
    }
    Ok(())
}

fn gemm_cost(cx: &CostCx) -> Result<Cost> {
    let ([_, k], _) = gemm_axes(cx.node)?;
    Ok(Cost::macs(1, vec![(Y, 0), (Y, 1), (A, k)]))
}

fn matmul_infer(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let (Some(a), Some(b)) = (cx.shape(0), cx.shape(1)) else {
        cx.set(0, elem, None);
        return Ok(());
    };
    if a.is_empty() || b.is_empty() {
        return Err(diag(Code::S001, "MatMul takes no scalars"));
    }
    let one = [Dim::fixed(1)];
    let (ap, bp): (Vec<Dim>, Vec<Dim>) = (
        if a.len() == 1 { [&one, a].concat() } else { a.to_vec() },
        if b.len() == 1 { [b, &one].concat() } else { b.to_vec() },
    );
    let (k, l) = (&ap[ap.len() - 1], &bp[bp.len() - 2]);
    if k.constant().zip(l.constant()).is_some_and(|(p, q)| p != q) {
        return Err(diag(Code::S001, format!("inner lengths {k} and {l} differ")));
    }
    let mut shape = broadcast(&ap[..ap.len() - 2], &bp[..bp.len() - 2])?;
    if a.len() > 1 {
        shape.push(ap[ap.len() - 2].clone());
    }
    if b.len() > 1 {
        shape.push(bp[bp.len() - 1].clone());
    }
    cx.set(0, elem, Some(shape));
    Ok(())
}

fn matmul_couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let (a, b, y) = (cx.rank(A)?, cx.rank(B)?, cx.rank(Y)?);
    // Rows and columns of the result, from its end.
    let columns = usize::from(b > 1);
    if a > 1 {
        r.tie(cx, (A, a - 2), (Y, y - 1 - columns))?;
    }
    if b > 1 {
        r.tie(cx, (B, b - 1), (Y, y - 1))?;
    }
    let (k, l) = ((A, a - 1), (B, b.saturating_sub(2)));
    r.contract(cx, k, l)?;
    // Either side may be the data; the other way round the same axis is summed too.
    r.push(Relation::Contract { data: l, weight: Some(k) });
    let batch = y - usize::from(a > 1) - columns;
    for (port, rank) in [(A, a), (B, b)] {
        for i in 0..rank.saturating_sub(2) {
            match cx.need(port)?[i].is(1) {
                true => r.free(port, i),
                false => r.tie(cx, (port, i), (Y, i + batch - (rank - 2)))?,
            }
        }
    }
    for i in 0..batch {
        if cx.size(Y, i)? == Some(1) {
            r.free(Y, i);
        }
    }
    Ok(())
}

fn matmul_cost(cx: &CostCx) -> Result<Cost> {
    let mut axes = cx.axes(Y)?;
    axes.push((A, cx.shape(A)?.len() - 1));
    Ok(Cost::macs(1, axes))
}
