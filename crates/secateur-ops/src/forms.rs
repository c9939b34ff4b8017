//! The named forms that most rows of the operator table are made of.

use secateur_diag::{Code, Result, diag};
use secateur_onnx::ElemType;

use crate::{Column, Cost, CostCx, CoupleCx, DeriveFn, EvalFn, FoldCx, InferCx, Port, Relations, ShrinkCx};
use secateur_ir::dim::{Dim, Shape};
use secateur_tensor::Tensor;

/// Shrink: neither attributes nor operands speak of sizes.
pub fn no_shrink(_: &mut ShrinkCx) -> Result<()> {
    Ok(())
}

/// Cost: no multiply-adds are counted (the convention counts Conv, Gemm and MatMul alone).
pub fn no_cost(_: &CostCx) -> Result<Cost> {
    Ok(Cost::default())
}

/// Fold: not evaluated at compile time.
pub fn no_fold(_: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    Ok(None)
}

/// Eval: nobody has written it.
pub const NOT_YET: Column<EvalFn> = Column::No("not written yet");

/// Derive: nobody has written it.
pub const NO_DERIVATIVE: Column<DeriveFn> = Column::No("not written yet");

/// Couple: every axis of every input and output is pinned, by saying nothing.
pub fn pinned(_: &CoupleCx, _: &mut Relations) -> Result<()> {
    Ok(())
}

/// Infer: output 0 is like input 0.
pub fn same_as_input(cx: &mut InferCx) -> Result<()> {
    if let Some(t) = cx.ty(0) {
        cx.set(0, t.elem, t.shape.clone());
    }
    Ok(())
}

/// The shape that two broadcast to (numpy rules); [`Code::S001`] where they do not fit.
///
/// Two different symbols may both be right: the first is taken, as nothing is cut along either.
pub fn broadcast(a: &[Dim], b: &[Dim]) -> Result<Shape> {
    let rank = a.len().max(b.len());
    let one = Dim::fixed(1);
    let at =
        |s: &[Dim], i: usize| if i + s.len() >= rank { s[i + s.len() - rank].clone() } else { one.clone() };
    (0..rank)
        .map(|i| {
            let (x, y) = (at(a, i), at(b, i));
            Ok(match (x.size(), y.size()) {
                _ if x == y => x,
                (Some(1), _) => y,
                (_, Some(1)) => x,
                (Some(n), Some(m)) => {
                    return Err(diag(Code::S001, format!("axis lengths {n} and {m} do not broadcast")));
                }
                (Some(_), None) => x,
                (None, Some(_)) => y,
                (None, None) => x,
            })
        })
        .collect()
}

/// The shape that all inputs broadcast to, `None` where a shape is unknown.
pub fn broadcast_inputs(cx: &InferCx) -> Result<Option<Shape>> {
    let mut shape: Option<Shape> = None;
    for i in 0..cx.node.inputs.len() {
        if cx.node.input(i).is_none() {
            continue;
        }
        let Some(s) = cx.shape(i) else { return Ok(None) };
        shape = Some(match shape {
            None => s.to_vec(),
            Some(t) => broadcast(&t, s)?,
        });
    }
    Ok(shape)
}

/// Infer: all inputs broadcast, the element type is input 0's.
pub fn broadcasting(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let shape = broadcast_inputs(cx)?;
    cx.set(0, elem, shape);
    Ok(())
}

/// Infer: all inputs broadcast, the result is bool.
pub fn broadcasting_bool(cx: &mut InferCx) -> Result<()> {
    let shape = broadcast_inputs(cx)?;
    cx.set(0, ElemType::Bool, shape);
    Ok(())
}

/// Couple: `y[a][i] = x[a][i]` for every input that is broadcast to output 0; a side of size 1 says nothing.
pub fn pointwise(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    pointwise_of(cx, r, (0..cx.node.inputs.len()).map(Port::In))
}

/// Couple: as [`pointwise`], of these inputs alone.
pub fn pointwise_of(cx: &CoupleCx, r: &mut Relations, inputs: impl IntoIterator<Item = Port>) -> Result<()> {
    let y = Port::Out(0);
    let rank = cx.rank(y)?;
    for x in inputs {
        let Some(shape) = cx.shape(x).filter(|s| s.len() <= rank) else { continue };
        for (a, d) in shape.iter().enumerate() {
            let b = a + rank - shape.len();
            if d.is(1) {
                r.free(x, a);
                r.free(y, b);
            } else {
                r.tie(cx, (x, a), (y, b))?;
            }
        }
    }
    // An axis that every input broadcasts from size 1 has size 1 itself.
    for b in 0..rank {
        if cx.size(y, b)? == Some(1) {
            r.free(y, b);
        }
    }
    Ok(())
}

/// Couple: output 0 is input 0 along every axis; other inputs are pinned.
pub fn same_axes(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    for a in 0..cx.rank(Port::In(0))? {
        r.tie(cx, (Port::In(0), a), (Port::Out(0), a))?;
    }
    Ok(())
}

/// Couple: as [`same_axes`] on all axes but `axis`, which is pinned on both sides for `why`.
pub fn same_axes_but(cx: &CoupleCx, r: &mut Relations, axes: &[usize], why: &'static str) -> Result<()> {
    for a in 0..cx.rank(Port::In(0))? {
        if axes.contains(&a) {
            r.pin(Port::In(0), a, why);
            r.pin(Port::Out(0), a, why);
        } else {
            r.tie(cx, (Port::In(0), a), (Port::Out(0), a))?;
        }
    }
    Ok(())
}

/// Output length of a sliding window: kernel `k`, stride `s`, dilation `d`, both pads together `p`.
///
/// `None` where it cannot be told: `n` is a symbol and the window changes the length.
/// [`Code::S001`] where the window is longer than the padded input, [`Code::S002`] for a zero stride.
pub fn window(n: &Dim, k: i64, s: i64, d: i64, p: i64, ceil: bool) -> Result<Option<Dim>> {
    if s < 1 || d < 1 || k < 1 {
        return Err(diag(Code::S002, format!("kernel {k}, stride {s} and dilation {d} must be positive")));
    }
    let span = d.checked_mul(k - 1).and_then(|x| x.checked_add(1)).filter(|&x| x < 1 << 40);
    let (Some(span), true) = (span, p.abs() < 1 << 40) else {
        return Err(diag(Code::S002, "kernel, dilation or padding are absurdly large"));
    };
    let Some(len) = n.constant() else {
        return Ok((s == 1 && p == span - 1).then(|| n.clone()));
    };
    let room = len.saturating_add(p) - span;
    if room < 0 {
        return Err(diag(
            Code::S001,
            format!("the window of {span} is longer than the padded input of {}", len + p),
        ));
    }
    let steps = room / s + i64::from(ceil && room % s != 0);
    Ok(Some(Dim::fixed(steps + 1)))
}
