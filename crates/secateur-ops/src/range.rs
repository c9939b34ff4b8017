//! Range. <https://onnx.ai/onnx/operators/onnx__Range.html>
//!
//! `start`, `start + delta`, ... below `limit`; its places are numbers, so none can go.

use secateur_diag::{Code, Result, diag};

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_cost, no_shrink, pinned};
use crate::{FoldCx, InferCx, Op};
use secateur_ir::dim::Dim;
use secateur_ir::graph::Ints;
use secateur_tensor::Tensor;

/// The rows of this file.
pub const OPS: &[Op] = &[Op {
    domain: "",
    name: "Range",
    opsets: &[11],
    infer,
    couple: pinned,
    shrink: no_shrink,
    cost: no_cost,
    fold,
    eval: NOT_YET,
    derive: NO_DERIVATIVE,
}];

/// How many numbers there are; at least none.
fn count(start: i64, limit: i64, delta: i64) -> Result<i64> {
    if delta == 0 {
        return Err(diag(Code::S002, "delta is 0"));
    }
    let (room, step) = (i128::from(limit) - i128::from(start), i128::from(delta));
    let n = room / step + i128::from(room % step != 0 && (room < 0) == (step < 0));
    Ok(n.clamp(0, i64::MAX.into()) as i64)
}

fn infer(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let one = |i: usize| cx.ints(i).and_then(|t| t.elems.into_iter().next());
    let (start, limit, delta) = (one(0), one(1), one(2));
    let known = match (&start, &limit, &delta) {
        (Some(s), Some(l), Some(d)) => match (s.constant(), l.constant(), d.constant()) {
            (Some(s), Some(l), Some(d)) => Some(Dim::fixed(count(s, l, d)?)),
            (Some(0), None, Some(1)) => Some(l.clone()),
            _ => None,
        },
        _ => float_count(cx),
    };
    cx.set(0, elem, Some(vec![known.clone().unwrap_or_else(|| cx.unknown(0, 0))]));
    let consts = (start.and_then(|d| d.constant()), delta.and_then(|d| d.constant()));
    if let (Some(n @ 0..=4096), (Some(s), Some(d))) = (known.and_then(|n| n.size()), consts) {
        let at = |k: usize| d.checked_mul(k as i64).and_then(|x| x.checked_add(s)).map(Dim::fixed);
        if let Some(elems) = (0..n).map(at).collect() {
            cx.set_ints(0, elem, Ints { scalar: false, elems });
        }
    }
    Ok(())
}

/// The count of constant floats, computed in their type as runtimes do: `ceil((limit - start) / delta)`.
fn float_count(cx: &InferCx) -> Option<Dim> {
    let one = |i: usize| {
        cx.tensor(i).filter(|t| t.elem == secateur_onnx::ElemType::F32)?.to_f32()?.first().copied()
    };
    let n = (f64::from(one(1)? - one(0)?) / f64::from(one(2)?)).ceil();
    (n.is_finite() && n < 1e15).then(|| Dim::fixed(n.max(0.0) as i64))
}

fn fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    let one = |i: usize| cx.input(i).filter(|t| t.len() == 1)?.to_i64().map(|v| v[0]);
    let (Some(s), Some(l), Some(d)) = (one(0), one(1), one(2)) else { return Ok(None) };
    let n = count(s, l, d)?;
    if n > 1 << 16 {
        return Ok(None);
    }
    let values: Option<Vec<i64>> = (0..n).map(|k| d.checked_mul(k).and_then(|x| x.checked_add(s))).collect();
    let elem = cx.input(0).map(|t| t.elem);
    let out = values.map(|v| Tensor::vec_i64(&v)).and_then(|t| {
        // In the type of the operands.
        secateur_tensor::map_ints(&[&t], elem?, |x| Some(x[0]))
    });
    Ok(out.map(|t| vec![t]))
}
