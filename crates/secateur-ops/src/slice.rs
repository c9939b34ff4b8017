//! Slice. <https://onnx.ai/onnx/operators/onnx__Slice.html>
//!
//! Each output axis is a stretch of the input's, maybe with steps, maybe backwards. Attributes before opset
//! 10, operands since. A stretch of steps longer than 1 is cut in whole blocks: what lies between two chosen
//! elements goes with the first, so that the step stays as it is.

use secateur_diag::{Code, Result, diag};

use crate::forms::no_cost;
use crate::forms::{NO_DERIVATIVE, NOT_YET};
use crate::moves::{Param, X, Y, kept_below, norm_axes, set_ints};
use crate::{Atom, CoupleCx, FoldCx, InferCx, Op, Relation, Relations, ShrinkCx, Span};
use secateur_ir::dim::Dim;
use secateur_ir::graph::Ints;
use secateur_tensor::Tensor;
use secateur_tensor::{strides, view};

/// The rows of this file.
pub const OPS: &[Op] = &[Op {
    domain: "",
    name: "Slice",
    opsets: &[1, 10, 11, 13],
    infer,
    couple,
    shrink,
    cost: no_cost,
    fold,
    eval: NOT_YET,
    derive: NO_DERIVATIVE,
}];

/// What happens to one axis.
#[derive(Clone, Copy, Debug)]
struct Cut {
    axis: usize,
    start: i64,
    end: i64,
    step: i64,
}

impl Cut {
    /// First element and number of elements of an axis of `n`, after clamping.
    fn on(&self, n: usize) -> (usize, usize) {
        let len = i64::try_from(n).unwrap_or(i64::MAX);
        let wrap = |i: i64| if i < 0 { i.saturating_add(len) } else { i };
        let (lo, hi) = if self.step > 0 { (0, len) } else { (-1, len - 1) };
        let start = wrap(self.start).clamp(lo.max(0), hi.max(0));
        let end = wrap(self.end).clamp(lo, hi);
        let room = if self.step > 0 { end - start } else { start - end };
        if room <= 0 || n == 0 {
            return (start as usize, 0);
        }
        (start as usize, ((room - 1) as u64 / self.step.unsigned_abs()) as usize + 1)
    }

    /// Whether it takes an axis of any length whole and in order.
    fn is_whole(&self) -> bool {
        self.start == 0 && self.step == 1 && self.end >= 1 << 29
    }
}

/// The cuts; `None` where an operand is not known.
fn cuts(rank: usize, get: impl Fn(usize, &str) -> Result<Param>) -> Result<Option<Vec<Cut>>> {
    let (starts, ends) = (get(1, "starts")?, get(2, "ends")?);
    if starts == Param::Absent || ends == Param::Absent {
        return Err(diag(Code::S002, "starts or ends are missing"));
    }
    let (Param::Known(starts), Param::Known(ends)) = (starts, ends) else { return Ok(None) };
    let axes = match get(3, "axes")? {
        Param::Known(v) => v,
        Param::Absent => (0..starts.len() as i64).collect(),
        Param::Unknown => return Ok(None),
    };
    let steps = match get(4, "")? {
        Param::Known(v) => v,
        Param::Absent => vec![1; starts.len()],
        Param::Unknown => return Ok(None),
    };
    if [ends.len(), axes.len(), steps.len()].iter().any(|&n| n != starts.len()) {
        return Err(diag(
            Code::S002,
            format!(
                "{} starts, {} ends, {} axes, {} steps",
                starts.len(),
                ends.len(),
                axes.len(),
                steps.len()
            ),
        ));
    }
    if steps.contains(&0) {
        return Err(diag(Code::S002, "a step is 0"));
    }
    let axes = norm_axes(&axes, rank)?;
    let cut = |i: usize| Cut { axis: axes[i], start: starts[i], end: ends[i], step: steps[i] };
    Ok(Some((0..starts.len()).map(cut).collect()))
}

fn infer(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let Some(x) = cx.shape(0) else {
        cx.set(0, elem, None);
        return Ok(());
    };
    let mut shape = x.to_vec();
    match cuts(x.len(), |i, attr| Param::infer(cx, i, attr))? {
        Some(cuts) => {
            for c in &cuts {
                shape[c.axis] = match x[c.axis].size() {
                    Some(n) => Dim::fixed(c.on(n).1),
                    None if c.is_whole() || (c.step == -1 && c.start == -1 && c.end < -(1 << 30)) => {
                        x[c.axis].clone()
                    }
                    None => cx.unknown(0, c.axis),
                };
            }
            if let ([c], Some(ints)) = (cuts.as_slice(), cx.ints(0)) {
                let (start, len) = c.on(ints.elems.len());
                let at = |k: usize| ints.elems.get((start as i64 + c.step.saturating_mul(k as i64)) as usize);
                if let Some(elems) = (0..len).map(|k| at(k).cloned()).collect() {
                    cx.set_ints(0, elem, Ints { scalar: false, elems });
                    return Ok(());
                }
            }
        }
        None => unknown_cuts(cx, &mut shape)?,
    }
    cx.set(0, elem, Some(shape));
    Ok(())
}

/// Only the axes that are sliced change, where those are known; `x[0:n]` of at least `n` elements has `n`.
fn unknown_cuts(cx: &InferCx, shape: &mut [Dim]) -> Result<()> {
    let axes = match Param::infer(cx, 3, "axes")? {
        Param::Known(axes) => norm_axes(&axes, shape.len())?,
        Param::Absent => {
            let n = cx.shape(1).and_then(|s| s.first()?.size()).unwrap_or(shape.len());
            (0..shape.len().min(n)).collect()
        }
        Param::Unknown => (0..shape.len()).collect(),
    };
    let steps_are_one = match Param::infer(cx, 4, "")? {
        Param::Absent => true,
        Param::Known(v) => v.iter().all(|s| *s == 1),
        Param::Unknown => false,
    };
    let (starts, ends) = (cx.ints(1), cx.ints(2));
    for (i, a) in axes.into_iter().enumerate() {
        let bound = |v: &Option<Ints>| v.as_ref().and_then(|v| v.elems.get(i).cloned());
        let whole = |end: &Dim| *end == shape[a];
        shape[a] = match (bound(&starts), bound(&ends)) {
            (Some(s), Some(e)) if steps_are_one && s.is(0) && whole(&e) => e,
            _ => cx.unknown(0, a),
        };
    }
    Ok(())
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(X)?;
    let Some(cuts) = cuts(rank, |i, attr| Param::couple(cx, i, attr))? else {
        // Where they are sliced is not known, but maybe along which axes.
        if let Param::Known(axes) = Param::couple(cx, 3, "axes")? {
            crate::moves::tie_others(cx, r, X, Y, &norm_axes(&axes, rank)?)?;
        }
        return Ok(());
    };
    let sliced: Vec<usize> = cuts.iter().map(|c| c.axis).collect();
    crate::moves::tie_others(cx, r, X, Y, &sliced)?;
    for c in cuts {
        let (Some(n), Some(m)) = (cx.size(X, c.axis)?, cx.size(Y, c.axis)?) else { continue };
        let (start, len) = c.on(n);
        if len != m {
            return Err(diag(Code::S001, format!("axis {} has length {m}, the slice takes {len}", c.axis)));
        }
        let b = Span { port: Y, axis: c.axis, start: 0, step: 1 };
        match c.step {
            1 | -1 => {
                let a = Span { port: X, axis: c.axis, start, step: c.step as isize };
                r.push(Relation::Run { a, b, len });
            }
            2.. if block(&c, n).is_some() => r.push(Relation::Atoms(vec![
                Atom { port: X, axis: c.axis, size: len, inner: c.step as usize },
                Atom { port: Y, axis: c.axis, size: len, inner: 1 },
            ])),
            _ => {}
        }
    }
    Ok(())
}

/// The places of a vector of `len` elements that a Slice takes, where they are known.
pub(super) fn chosen(cx: &CoupleCx, len: usize) -> Option<Vec<usize>> {
    let cuts = cuts(1, |i, attr| Param::couple(cx, i, attr)).ok()??;
    let [c] = cuts.as_slice() else { return None };
    let (start, n) = c.on(len);
    (0..n as i64).map(|k| usize::try_from(c.step.checked_mul(k)?.checked_add(start as i64)?).ok()).collect()
}

/// The length of a block, where the axis is a number of them and one element of each is taken.
fn block(c: &Cut, n: usize) -> Option<usize> {
    let step = usize::try_from(c.step).ok()?;
    let (start, len) = c.on(n);
    (n.is_multiple_of(step) && start < step && len == n / step).then_some(step)
}

fn shrink(cx: &mut ShrinkCx) -> Result<()> {
    let before = cx.before(X)?;
    let touched = |cx: &ShrinkCx, a: usize| cx.kept(X, a).is_some() || cx.kept(Y, a).is_some();
    if !(0..before.len()).any(|a| touched(cx, a)) {
        return Ok(());
    }
    if let Param::Known(axes) = Param::shrink(cx, 3, "axes")?
        && !norm_axes(&axes, before.len())?.iter().any(|&a| touched(cx, a))
    {
        return Ok(());
    }
    let Some(mut cuts) = cuts(before.len(), |i, attr| Param::shrink(cx, i, attr))? else { return Ok(()) };
    let mut changed = false;
    for c in cuts.iter_mut().filter(|c| touched(cx, c.axis)) {
        let n = before[c.axis]
            .size()
            .ok_or_else(|| diag(Code::P004, "the length of a sliced axis is not known"))?;
        let kept = cx.kept(X, c.axis);
        let (start, len) = c.on(n);
        changed = true;
        let now = kept_below(kept, n) as i64;
        match c.step {
            1 => {
                (c.start, c.end) = (kept_below(kept, start) as i64, kept_below(kept, start + len) as i64);
            }
            -1 => {
                // The lowest chosen element is `start + 1 - len`.
                let last = kept_below(kept, (start + 1).saturating_sub(len)) as i64;
                let top = kept_below(kept, if len == 0 { start } else { start + 1 }) as i64 - 1;
                // Before the first element only a negative number points that stays so when wrapped.
                (c.start, c.end) = (top.max(0), if last == 0 { -now - 1 } else { last - 1 });
            }
            _ => {
                block(c, n).ok_or_else(|| diag(Code::P004, "the steps do not divide the axis"))?;
                (c.start, c.end) = (start as i64, now);
            }
        }
    }
    if !changed {
        return Ok(());
    }
    let (starts, ends): (Vec<i64>, Vec<i64>) = cuts.iter().map(|c| (c.start, c.end)).unzip();
    if cx.node().input(1).is_none() {
        cx.node_mut().set_ints("starts", starts);
        cx.node_mut().set_ints("ends", ends);
        return Ok(());
    }
    set_ints(cx, 1, &[starts.len()], &starts)?;
    set_ints(cx, 2, &[ends.len()], &ends)
}

fn fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    let Some(t) = cx.input(0) else { return Ok(None) };
    let Some(cuts) = cuts(t.dims.len(), |i, attr| Param::fold(cx, i, attr))? else { return Ok(None) };
    let (mut dims, mut steps, mut at) = (t.dims.clone(), strides(&t.dims), 0usize);
    for c in cuts {
        let (start, len) = c.on(t.dims[c.axis]);
        at = at.saturating_add(start.saturating_mul(steps[c.axis].unsigned_abs()));
        dims[c.axis] = len;
        steps[c.axis] = steps[c.axis].saturating_mul(c.step as isize);
    }
    Ok(view(t, dims, &steps, at).map(|t| vec![t]))
}
