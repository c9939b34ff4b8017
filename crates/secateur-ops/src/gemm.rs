//! Gemm and MatMul. <https://onnx.ai/onnx/operators/onnx__Gemm.html>, <https://onnx.ai/onnx/operators/onnx__MatMul.html>

use secateur_diag::{Code, Result, diag};

use crate::forms::{NO_DERIVATIVE, NOT_YET, broadcast, no_fold, no_shrink};
use crate::{Cost, CostCx, CoupleCx, InferCx, Op, Port, Relation, Relations};
use secateur_ir::dim::{Dim, Shape};

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op {
        domain: "",
        name: "Gemm",
        opsets: &[1, 6, 7, 9, 11, 13],
        infer: infer_gemm,
        couple: couple_gemm,
        shrink: no_shrink,
        cost: cost_gemm,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
    Op {
        domain: "",
        name: "MatMul",
        opsets: &[1, 9, 13],
        infer: infer_matmul,
        couple: couple_matmul,
        shrink: no_shrink,
        cost: cost_matmul,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
];

const A: Port = Port::In(0);
const B: Port = Port::In(1);
const C: Port = Port::In(2);
const Y: Port = Port::Out(0);

/// `(m, k)` of `a` and `(k, n)` of `b`, as axes.
pub(super) fn gemm_axes(node: &secateur_ir::graph::Node) -> Result<([usize; 2], [usize; 2])> {
    let axes = |t: i64| if t != 0 { [1, 0] } else { [0, 1] };
    Ok((axes(node.int_or("transA", 0)?), axes(node.int_or("transB", 0)?)))
}

fn infer_gemm(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let shape = gemm_shape(cx, 0, 1)?;
    cx.set(0, elem, shape);
    Ok(())
}

/// Shape of the product of inputs `a` and `b`, `None` where either's is unknown.
pub(super) fn gemm_shape(cx: &InferCx, a: usize, b: usize) -> Result<Option<Shape>> {
    cx.want_rank(a, 2)?;
    cx.want_rank(b, 2)?;
    let ([m, k], [l, n]) = gemm_axes(cx.node)?;
    let (Some(a), Some(b)) = (cx.shape(a), cx.shape(b)) else { return Ok(None) };
    if a[k].constant().zip(b[l].constant()).is_some_and(|(p, q)| p != q) {
        return Err(diag(Code::S001, format!("inner lengths {} and {} differ", a[k], b[l])));
    }
    Ok(Some(vec![a[m].clone(), b[n].clone()]))
}

fn couple_gemm(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    gemm_relate(cx, r, A, B, C)
}

/// The relations of a Gemm whose operands are at these ports; `c` may be absent.
pub(super) fn gemm_relate(cx: &CoupleCx, r: &mut Relations, a: Port, b: Port, c: Port) -> Result<()> {
    let ([m, k], [l, n]) = gemm_axes(cx.node)?;
    r.tie(cx, (a, m), (Y, 0))?;
    r.tie(cx, (b, n), (Y, 1))?;
    r.contract(cx, (a, k), (b, l))?;
    let addend = cx.shape(c).unwrap_or_default();
    if addend.len() > 2 {
        return Err(diag(Code::S001, format!("the addend has rank {}", addend.len())));
    }
    for (i, d) in addend.iter().enumerate() {
        match d.is(1) {
            true => r.free(c, i),
            false => r.tie(cx, (c, i), (Y, i + 2 - addend.len()))?,
        }
    }
    Ok(())
}

fn cost_gemm(cx: &CostCx) -> Result<Cost> {
    let ([_, k], _) = gemm_axes(cx.node)?;
    Ok(Cost::macs(1, vec![(Y, 0), (Y, 1), (A, k)]))
}

fn infer_matmul(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let shape = match (cx.shape(0), cx.shape(1)) {
        (Some(a), Some(b)) => Some(matmul_shape(a, b)?),
        _ => None,
    };
    cx.set(0, elem, shape);
    Ok(())
}

/// Shape of the product of `a` and `b`, by numpy's rules.
pub(super) fn matmul_shape(a: &[Dim], b: &[Dim]) -> Result<Shape> {
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
    Ok(shape)
}

fn couple_matmul(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let axes = |p: Port| -> Result<Vec<usize>> { Ok((0..cx.rank(p)?).collect()) };
    matmul_relate(cx, r, (A, &axes(A)?), (B, &axes(B)?))
}

/// The relations of a product of two ports, each with its axes in the order in which it is read:
/// batches, rows, columns.
pub(super) fn matmul_relate(
    cx: &CoupleCx,
    r: &mut Relations,
    (pa, a): (Port, &[usize]),
    (pb, b): (Port, &[usize]),
) -> Result<()> {
    let (Some(&k), Some(&l)) = (a.last(), b.get(b.len().saturating_sub(2))) else {
        return Err(diag(Code::S001, "MatMul takes no scalars"));
    };
    let y = cx.rank(Y)?;
    // Rows and columns of the result, from its end.
    let (rows, columns) = (usize::from(a.len() > 1), usize::from(b.len() > 1));
    let batch = a.len().max(b.len()).max(2) - 2;
    if y != batch + rows + columns {
        return Err(diag(Code::S001, format!("a product of rank {} has {y} axes", batch + rows + columns)));
    }
    if rows > 0 {
        r.tie(cx, (pa, a[a.len() - 2]), (Y, batch))?;
    }
    if columns > 0 {
        r.tie(cx, (pb, b[b.len() - 1]), (Y, y - 1))?;
    }
    r.contract(cx, (pa, k), (pb, l))?;
    // Either side may be the data; the other way round the same axis is summed too.
    r.push(Relation::Contract { data: (pb, l), weight: Some((pa, k)) });
    for (port, axes) in [(pa, a), (pb, b)] {
        let n = axes.len().max(2) - 2;
        for (i, &axis) in axes[..n].iter().enumerate() {
            match cx.need(port)?[axis].is(1) {
                true => r.free(port, axis),
                false => r.tie(cx, (port, axis), (Y, i + batch - n))?,
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

fn cost_matmul(cx: &CostCx) -> Result<Cost> {
    let mut axes = cx.axes(Y)?;
    let k = cx.shape(A)?.len().checked_sub(1);
    axes.push((A, k.ok_or_else(|| diag(Code::S001, "MatMul takes no scalars"))?));
    Ok(Cost::macs(1, axes))
}
