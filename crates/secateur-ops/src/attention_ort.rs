//! ONNX Runtime's Attention, MultiHeadAttention and GroupQueryAttention.
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md>
//!
//! The heads stand in the columns of the projections: queries, keys and values of all heads, side by side.
//! A whole head may go; the scores' scale depends on the size of a head, which stays.

use secateur_diag::{Code, Result, diag};

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_cost, no_fold, no_shrink, pinned};
use crate::{Cost, CostCx, CoupleCx, InferCx, Op, Port, Relation, Relations, ShrinkCx, Term};
use secateur_ir::dim::Dim;
use secateur_ir::graph::Node;

const MS: &str = "com.microsoft";

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op {
        domain: MS,
        name: "Attention",
        opsets: &[1],
        infer,
        couple,
        shrink,
        cost,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
    Op {
        domain: MS,
        name: "MultiHeadAttention",
        opsets: &[1],
        infer: infer_separate,
        couple: couple_separate,
        shrink: shrink_separate,
        cost: cost_separate,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
    Op {
        domain: MS,
        name: "GroupQueryAttention",
        opsets: &[1],
        infer: infer_grouped,
        couple: pinned,
        shrink: no_shrink,
        cost: no_cost,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
];

const X: Port = Port::In(0);
const W: Port = Port::In(1);
const BIAS: Port = Port::In(2);
const Y: Port = Port::Out(0);

/// An attribute that counts heads; [`Code::S002`] where it is not positive.
fn heads(node: &Node, name: &str) -> Result<usize> {
    let n = node.int_or(name, 0)?;
    usize::try_from(n)
        .ok()
        .filter(|&n| n > 0)
        .ok_or_else(|| diag(Code::S002, format!("{name} = {n} must be positive")))
}

/// Where heads are in an axis: sections side by side, each of `n` heads of its own size.
struct Columns {
    at: (Port, usize),
    sections: Vec<usize>,
}

/// All heads of the same number are one thing, in every axis and every section of it.
fn tie_heads(r: &mut Relations, n: usize, columns: &[Columns]) {
    let Some(anchor) = columns.first() else { return };
    let step = anchor.sections.first().map_or(0, |s| s / n);
    for c in columns {
        let index = c.sections.iter().flat_map(|&s| (0..s).map(move |e| e / (s / n).max(1) * step));
        r.push(Relation::List { a: anchor.at, index: index.collect(), b: c.at });
    }
}

/// Columns of queries, keys and values in a weight of `columns`.
fn sections(node: &Node, columns: usize) -> Result<[usize; 3]> {
    let n = heads(node, "num_heads")?;
    let sizes = match node.ints("qkv_hidden_sizes")? {
        None => [columns / 3; 3],
        Some(s) => match s {
            [q, k, v] => {
                let size = |d: &i64| usize::try_from(*d).unwrap_or(usize::MAX);
                [size(q), size(k), size(v)]
            }
            _ => return Err(diag(Code::S002, "qkv_hidden_sizes must hold 3 numbers")),
        },
    };
    let sum = sizes.iter().try_fold(0usize, |a, b| a.checked_add(*b));
    if sum != Some(columns) || sizes.iter().any(|s| *s == 0 || s % n != 0) {
        return Err(diag(Code::S001, format!("{columns} columns do not divide into {n} heads")));
    }
    Ok(sizes)
}

fn infer(cx: &mut InferCx) -> Result<()> {
    cx.want_rank(0, 3)?;
    cx.want_rank(1, 2)?;
    let (Some(elem), Some(x), Some(w)) = (cx.elem(0), cx.shape(0), cx.shape(1)) else { return Ok(()) };
    if x[2].constant().zip(w[0].constant()).is_some_and(|(a, b)| a != b) {
        return Err(diag(Code::S001, format!("the input has {} features, the weight takes {}", x[2], w[0])));
    }
    let Some(columns) = w[1].size() else { return Ok(()) };
    let [q, _, v] = sections(cx.node, columns)?;
    cx.set(0, elem, Some(vec![x[0].clone(), x[1].clone(), Dim::fixed(v)]));
    let n = heads(cx.node, "num_heads")?;
    let total = match (cx.node.input(4), cx.shape(4).and_then(|s| s.get(3)?.constant()), x[1].constant()) {
        // One buffer for both: its length is what was allocated.
        _ if cx.node.int_or("past_present_share_buffer", 0)? != 0 => cx.unknown(1, 3),
        (None, ..) => x[1].clone(),
        (_, Some(p), Some(f)) => p.checked_add(f).map_or_else(|| cx.unknown(1, 3), Dim::fixed),
        _ => cx.unknown(1, 3),
    };
    cx.set(1, elem, Some(vec![Dim::fixed(2), x[0].clone(), Dim::fixed(n), total, Dim::fixed(q / n)]));
    Ok(())
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    r.tie(cx, (X, 0), (Y, 0))?;
    r.contract(cx, (X, 2), (W, 0))?;
    let Some(columns) = cx.size(W, 1)? else { return Ok(()) };
    let n = heads(cx.node, "num_heads")?;
    let sizes = sections(cx.node, columns)?;
    let mut all = vec![Columns { at: (Y, 2), sections: vec![sizes[2]] }];
    all.push(Columns { at: (W, 1), sections: sizes.to_vec() });
    if cx.size(BIAS, 0).is_ok_and(|d| d == Some(columns)) {
        all.push(Columns { at: (BIAS, 0), sections: sizes.to_vec() });
    }
    // Past and present: keys and values, batch, heads, length, size.
    for p in [Port::In(4), Port::Out(1)] {
        if cx.shape(p).is_some_and(|s| s.len() == 5) {
            r.tie(cx, (X, 0), (p, 1))?;
            all.push(Columns { at: (p, 2), sections: vec![n] });
        }
    }
    if score_bias(cx, r, Port::In(5), n, &mut all)? {
        tie_heads(r, n, &all);
    }
    Ok(())
}

/// What is added to the scores, `[batch or 1, heads or 1, ..]`; whether its heads can be told.
fn score_bias(cx: &CoupleCx, r: &mut Relations, p: Port, n: usize, all: &mut Vec<Columns>) -> Result<bool> {
    let Some([_, h, ..]) = cx.shape(p) else { return Ok(cx.shape(p).is_none()) };
    match h.size() {
        Some(1) => r.free(p, 1),
        Some(m) if m == n => all.push(Columns { at: (p, 1), sections: vec![n] }),
        _ => return Ok(false),
    }
    Ok(true)
}

fn shrink(cx: &mut ShrinkCx) -> Result<()> {
    let Some(columns) = cx.before(W)?.get(1).and_then(Dim::size) else { return Ok(()) };
    let n = heads(cx.node(), "num_heads")?;
    let sizes = sections(cx.node(), columns)?;
    let Some(left) = cx.blocks(Y, 2, sizes[2] / n)? else { return Ok(()) };
    cx.node_mut().set_int("num_heads", left as i64);
    if cx.node().attr("qkv_hidden_sizes").is_some() {
        let sizes = sizes.iter().map(|s| (s / n * left) as i64).collect();
        cx.node_mut().set_ints("qkv_hidden_sizes", sizes);
    }
    Ok(())
}

/// The projections, then every query against every key and every score against every value.
fn cost(cx: &CostCx) -> Result<Cost> {
    let project = Term { coef: 1, axes: vec![(X, 0), (X, 1), (W, 0), (W, 1)] };
    let meet = Term { coef: 2, axes: vec![(Y, 0), (Y, 1), (Y, 2), (X, 1)] };
    Ok(Cost { macs: if cx.node.input(4).is_some() { vec![project] } else { vec![project, meet] } })
}

/// `query, key, value` of rank 3, or keys and values with heads as an axis: `[batch, heads, length, size]`.
fn infer_separate(cx: &mut InferCx) -> Result<()> {
    let n = heads(cx.node, "num_heads")?;
    let (Some(elem), Some([batch, len, q])) = (cx.elem(0), cx.shape(0)) else { return Ok(()) };
    let (fresh, value) = match (cx.shape(1), cx.shape(2)) {
        (Some([_, t, _]), Some([_, _, v])) => (t, v.clone()),
        (Some(_), Some([_, h, t, v])) => (t, h.mul(v).unwrap_or_else(|| cx.unknown(0, 2))),
        _ => return Ok(()),
    };
    cx.set(0, elem, Some(vec![batch.clone(), len.clone(), value.clone()]));
    let n = Dim::fixed(n);
    let total = match (cx.node.input(6), cx.shape(6).and_then(|s| s.get(2)?.constant()), fresh.constant()) {
        (None, ..) => fresh.clone(),
        (_, Some(p), Some(f)) => p.checked_add(f).map_or_else(|| cx.unknown(1, 2), Dim::fixed),
        _ => cx.unknown(1, 2),
    };
    for (i, hidden) in [(1, q), (2, &value)] {
        let size = hidden.div(&n).unwrap_or_else(|| cx.unknown(i, 3));
        cx.set(i, elem, Some(vec![batch.clone(), n.clone(), total.clone(), size]));
    }
    Ok(())
}

fn couple_separate(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let n = heads(cx.node, "num_heads")?;
    let (k, v) = (Port::In(1), Port::In(2));
    // Packed forms, and a query alone, are left to their pins.
    if [X, k, v].iter().any(|p| cx.shape(*p).is_none()) || cx.rank(X)? != 3 {
        return Ok(());
    }
    let hidden = |p: Port| -> Result<Option<usize>> {
        Ok(match cx.need(p)? {
            [_, _, h] => h.size().filter(|h| *h > 0 && h % n == 0),
            [_, h, _, _] => h.size().filter(|h| *h == n),
            _ => None,
        })
    };
    let (Some(hq), Some(hk), Some(hv)) = (hidden(X)?, hidden(k)?, hidden(v)?) else { return Ok(()) };
    let axis = |p: Port| -> Result<usize> { Ok(if cx.rank(p)? == 3 { 2 } else { 1 }) };
    let Some(y) = cx.size(Y, 2)?.filter(|y| *y > 0 && y % n == 0) else { return Ok(()) };
    let mut all = vec![Columns { at: (Y, 2), sections: vec![y] }];
    for (p, size) in [(X, hq), (k, hk), (v, hv)] {
        all.push(Columns { at: (p, axis(p)?), sections: vec![size] });
        r.tie(cx, (Y, 0), (p, 0))?;
    }
    let bias = Port::In(3);
    if let Some(b) = cx.shape(bias) {
        // Added to query, key and value before they are split into heads.
        let sections = vec![hq, hq, y];
        if b.len() != 1 || b[0].size() != Some(2 * hq + y) {
            return Ok(());
        }
        all.push(Columns { at: (bias, 0), sections });
    }
    for p in [Port::In(6), Port::In(7), Port::Out(1), Port::Out(2), Port::Out(3)] {
        match cx.shape(p) {
            Some([_, h, _, _]) if h.size() == Some(n) => {
                r.tie(cx, (Y, 0), (p, 0))?;
                all.push(Columns { at: (p, 1), sections: vec![n] });
            }
            Some(_) => return Ok(()),
            None => {}
        }
    }
    if score_bias(cx, r, Port::In(5), n, &mut all)? {
        tie_heads(r, n, &all);
    }
    Ok(())
}

fn shrink_separate(cx: &mut ShrinkCx) -> Result<()> {
    let n = heads(cx.node(), "num_heads")?;
    let hidden = cx.before(Y)?.get(2).and_then(Dim::size).unwrap_or(0);
    if let Some(left) = cx.blocks(Y, 2, hidden / n)? {
        cx.node_mut().set_int("num_heads", left as i64);
    }
    Ok(())
}

fn cost_separate(cx: &CostCx) -> Result<Cost> {
    let k = Port::In(1);
    if cx.node.input(1).is_none() || cx.node.input(6).is_some() || cx.shape(X)?.len() != 3 {
        return Ok(Cost::default());
    }
    let keys = (k, cx.shape(k)?.len().saturating_sub(2));
    let term = |p: Port| Term { coef: 1, axes: vec![(p, 0), (p, 1), (p, 2), keys] };
    Ok(Cost { macs: vec![term(X), term(Y)] })
}

/// `query, key, value, past key, past value`; the query may hold all three.
fn infer_grouped(cx: &mut InferCx) -> Result<()> {
    let (n, kv) = (heads(cx.node, "num_heads")?, heads(cx.node, "kv_num_heads")?);
    let (Some(elem), Some([batch, len, hidden])) = (cx.elem(0), cx.shape(0)) else { return Ok(()) };
    let (n, kv) = (Dim::fixed(n), Dim::fixed(kv));
    let size = match cx.node.input(1) {
        Some(_) => hidden.div(&n),
        None => n.constant().zip(kv.constant()).and_then(|(n, kv)| {
            let parts = kv.checked_mul(2)?.checked_add(n)?;
            hidden.div(&Dim::fixed(parts))
        }),
    };
    let out = size.as_ref().and_then(|s| s.mul(&n)).unwrap_or_else(|| cx.unknown(0, 2));
    cx.set(0, elem, Some(vec![batch.clone(), len.clone(), out]));
    for i in [1, 2] {
        let size = size.clone().unwrap_or_else(|| cx.unknown(i, 3));
        cx.set(i, elem, Some(vec![batch.clone(), kv.clone(), cx.unknown(1, 2), size]));
    }
    Ok(())
}
