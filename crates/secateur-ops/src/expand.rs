//! Expand and Tile. <https://onnx.ai/onnx/operators/onnx__Expand.html>,
//! <https://onnx.ai/onnx/operators/onnx__Tile.html>
//!
//! Expand broadcasts to a shape; Tile repeats an axis as it is, so an element goes from every repeat at once.
//! Copies of a single element are free of each other: the operand that counts them is rewritten.

use secateur_diag::{Code, Result, diag};

use crate::forms::{NO_DERIVATIVE, NOT_YET, broadcast, no_cost};
use crate::moves::{Param, X, Y, constants, out_dims, set_ints};
use crate::{Atom, CoupleCx, FoldCx, InferCx, Op, Port, Relation, Relations, ShrinkCx};
use secateur_ir::dim::{Dim, Shape};
use secateur_ir::graph::Ints;
use secateur_tensor::Tensor;
use secateur_tensor::{strides, view};

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op {
        domain: "",
        name: "Expand",
        opsets: &[8, 13],
        infer: expand,
        couple: expand_couple,
        shrink: expand_shrink,
        cost: no_cost,
        fold: expand_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
    Op {
        domain: "",
        name: "Tile",
        opsets: &[1, 6, 13],
        infer: tile,
        couple: tile_couple,
        shrink: tile_shrink,
        cost: no_cost,
        fold: tile_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
];

fn expand(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    cx.want_rank(1, 1)?;
    let shape = match (cx.shape(0), cx.ints(1)) {
        (Some(x), Some(want)) => {
            if let Some(bad) = want.elems.iter().filter_map(Dim::constant).find(|n| *n < 0) {
                return Err(diag(Code::S002, format!("a size of {bad} is negative")));
            }
            Some(broadcast(x, &want.elems)?)
        }
        (Some(x), None) => {
            let rank = cx.shape(1).and_then(|s| s.first()?.size()).filter(|&n| n <= 64);
            rank.map(|n| cx.unknowns(0, n.max(x.len())))
        }
        _ => None,
    };
    cx.set(0, elem, shape.clone());
    // A single element repeated.
    if let (Some([n]), Some(ints)) = (shape.as_deref(), cx.ints(0)) {
        match n.size() {
            Some(n) if ints.elems.len() == n => cx.set_ints(0, elem, Ints { scalar: false, ..ints }),
            Some(n @ 0..=4096) if ints.elems.len() == 1 => {
                cx.set_ints(0, elem, Ints { scalar: false, elems: vec![ints.elems[0].clone(); n] });
            }
            _ => {}
        }
    }
    Ok(())
}

fn expand_couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let (x, y) = (cx.need(X)?, cx.need(Y)?);
    let Some(pad) = y.len().checked_sub(x.len()) else { return Ok(()) };
    let all = constants(cx, 1);
    // An entry of 1 follows the input, which may be all that is known of the operand.
    let entries = cx.ints(1).map_or_else(Vec::new, |t| t.elems);
    let follows = |b: usize| (b + entries.len()).checked_sub(y.len()).is_none_or(|i| entries[i].is(1));
    let can = |b: usize| all.is_some() || (!entries.is_empty() && follows(b));
    for (b, d) in y.iter().enumerate() {
        match b.checked_sub(pad) {
            Some(a) if !x[a].is(1) || d.is(1) => {
                if can(b) {
                    r.tie(cx, (X, a), (Y, b))?;
                }
            }
            from => {
                if let Some(a) = from {
                    r.free(X, a);
                }
                if all.is_some() {
                    r.free(Y, b);
                }
            }
        }
    }
    Ok(())
}

fn expand_shrink(cx: &mut ShrinkCx) -> Result<()> {
    let rank = cx.before(Y)?.len();
    if !cx.touched(Y) {
        return Ok(());
    }
    let mut want = match cx.known(1) {
        Ok(want) => want,
        // Coupling let go only what needs no change of the operand.
        Err(_) => return Ok(()),
    };
    let pad = rank.saturating_sub(want.len());
    let mut changed = false;
    for (i, w) in want.iter_mut().enumerate().filter(|(_, w)| **w != 1) {
        if cx.kept(Y, i + pad).is_some() {
            *w = cx.len(Y, i + pad)? as i64;
            changed = true;
        }
    }
    match changed {
        true => set_ints(cx, 1, &[want.len()], &want),
        false => Ok(()),
    }
}

fn expand_fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    let (Some(t), Some(dims)) = (cx.input(0), out_dims(cx, 0)) else { return Ok(None) };
    // A file should not grow by copies of what it holds once.
    let Some(pad) = dims.len().checked_sub(t.dims.len()) else { return Ok(None) };
    if secateur_tensor::bounded(&dims, &[]).is_none_or(|n| n > t.len().max(1 << 16)) {
        return Ok(None);
    }
    let own = strides(&t.dims).into_iter().zip(&t.dims).map(|(s, &d)| if d == 1 { 0 } else { s });
    let steps: Vec<isize> = std::iter::repeat_n(0, pad).chain(own).collect();
    Ok(view(t, dims, &steps, 0).map(|t| vec![t]))
}

/// How often each axis is repeated; before opset 6 one axis by two scalars.
fn repeats(rank: usize, get: impl Fn(usize) -> Result<Param>, opset: i64) -> Result<Option<Vec<i64>>> {
    let Param::Known(v) = get(1)? else { return Ok(None) };
    if opset < 6 {
        let Param::Known(axis) = get(2)? else { return Ok(None) };
        let (&[n], &[axis]) = (v.as_slice(), axis.as_slice()) else {
            return Err(diag(Code::S002, "tiles and axis must be scalars"));
        };
        let mut out = vec![1; rank];
        out[secateur_ir::norm_axis(axis, rank)?] = n;
        return Ok(Some(out));
    }
    if v.len() != rank {
        return Err(diag(Code::S002, format!("{} repeats for rank {rank}", v.len())));
    }
    match v.iter().find(|n| **n < 0) {
        Some(n) => Err(diag(Code::S002, format!("{n} repeats are negative"))),
        None => Ok(Some(v)),
    }
}

fn tile(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let Some(x) = cx.shape(0) else {
        cx.set(0, elem, None);
        return Ok(());
    };
    let known = repeats(x.len(), |i| Param::infer(cx, i, ""), cx.opset())?;
    let shape: Shape = match known {
        Some(v) => v
            .into_iter()
            .zip(x)
            .enumerate()
            .map(|(a, (n, d))| d.mul(&Dim::fixed(n)).unwrap_or_else(|| cx.unknown(0, a)))
            .collect(),
        None => match cx.ints(1).filter(|v| v.elems.len() == x.len() && cx.opset() >= 6) {
            Some(v) => {
                (0..x.len()).map(|a| x[a].mul(&v.elems[a]).unwrap_or_else(|| cx.unknown(0, a))).collect()
            }
            None => cx.unknowns(0, x.len()),
        },
    };
    cx.set(0, elem, Some(shape.clone()));
    let len = if let [n] = shape.as_slice() { n.size() } else { None };
    if let (Some(n @ 0..=4096), Some(ints)) = (len, cx.ints(0)) {
        let elems = ints.elems.iter().cycle().take(n).cloned().collect();
        cx.set_ints(0, elem, Ints { scalar: false, elems });
    }
    Ok(())
}

fn tile_couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let shape = cx.need(X)?;
    let get = |i: usize| Param::couple(cx, i, "");
    let Some(times) = repeats(shape.len(), get, cx.opset())? else {
        // Entries of 1 may be known while others are symbols.
        let ints = cx.ints(1).filter(|v| v.elems.len() == shape.len() && cx.opset() >= 6);
        for (a, _) in ints.iter().flat_map(|v| v.elems.iter().enumerate()).filter(|(_, d)| d.is(1)) {
            r.tie(cx, (X, a), (Y, a))?;
        }
        return Ok(());
    };
    for (a, &n) in times.iter().enumerate() {
        match shape[a].size() {
            _ if n == 1 => r.tie(cx, (X, a), (Y, a))?,
            Some(1) => {
                r.free(X, a);
                if cx.opset() >= 6 {
                    r.free(Y, a);
                }
            }
            Some(size) if n > 1 && size > 1 => {
                let atom = |port: Port| Atom { port, axis: a, size, inner: 1 };
                r.push(Relation::Atoms(vec![atom(X), atom(Y)]));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Repeats stay, but for those of a single element, which are counted by them.
fn tile_shrink(cx: &mut ShrinkCx) -> Result<()> {
    let x = cx.before(X)?;
    let single: Vec<usize> = (0..x.len()).filter(|&a| x[a].is(1) && cx.kept(Y, a).is_some()).collect();
    if single.is_empty() || cx.opset() < 6 {
        return Ok(());
    }
    let mut times = cx.known(1)?;
    for a in single {
        let n = cx.len(Y, a)? as i64;
        *times.get_mut(a).ok_or_else(|| diag(Code::S002, "repeats are too few"))? = n;
    }
    set_ints(cx, 1, &[times.len()], &times)
}

fn tile_fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    let Some(t) = cx.input(0) else { return Ok(None) };
    let Some(times) = repeats(t.dims.len(), |i| Param::fold(cx, i, ""), cx.opset())? else { return Ok(None) };
    let mut dims = Vec::with_capacity(times.len());
    for (n, d) in times.iter().zip(&t.dims) {
        let Some(d) = usize::try_from(*n).ok().and_then(|n| n.checked_mul(*d)) else { return Ok(None) };
        dims.push(d);
    }
    // Beside a size of 0 the others may be anything.
    if secateur_tensor::bounded(&dims, &[]).is_none_or(|n| n == 0 || n > t.len().max(1 << 16)) {
        return Ok(None);
    }
    let mut out = t.clone();
    for (a, &d) in dims.iter().enumerate().filter(|(a, d)| t.dims[*a] != **d) {
        let index: Vec<usize> = (0..d).map(|i| i % t.dims[a]).collect();
        match out.take(a, &index) {
            Some(t) => out = t,
            None => return Ok(None),
        }
    }
    Ok(Some(vec![out]))
}
