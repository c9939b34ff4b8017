//! Attention and RotaryEmbedding. <https://onnx.ai/onnx/operators/onnx__Attention.html>,
//! <https://onnx.ai/onnx/operators/onnx__RotaryEmbedding.html>
//!
//! Query, key and value are `[batch, heads, length, size]`, or `[batch, length, heads * size]`. A head is one
//! thing in all of them and in the output. The size of query and key is summed away between them, that of the
//! value passes through. Lengths are weighed by a softmax and pinned.

use secateur_diag::{Code, Result, diag};

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_cost, no_fold, no_shrink, pinned, same_as_input};
use crate::{
    Alternative, Atom, Cost, CostCx, CoupleCx, InferCx, Op, Port, Relation, Relations, ShrinkCx, Term,
};
use secateur_ir::dim::{Dim, Shape};
use secateur_ir::graph::Node;

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op {
        domain: "",
        name: "Attention",
        opsets: &[23],
        infer,
        couple,
        shrink,
        cost,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
    Op {
        domain: "",
        name: "RotaryEmbedding",
        opsets: &[23],
        infer: same_as_input,
        couple: couple_rotary,
        shrink: shrink_rotary,
        cost: no_cost,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
    Op {
        domain: "com.microsoft",
        name: "RotaryEmbedding",
        opsets: &[1],
        infer: same_as_input,
        couple: pinned,
        shrink: no_shrink,
        cost: no_cost,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
];

const Q: Port = Port::In(0);
const K: Port = Port::In(1);
const V: Port = Port::In(2);
const MASK: Port = Port::In(3);
const PAST_K: Port = Port::In(4);
const PAST_V: Port = Port::In(5);
const Y: Port = Port::Out(0);
const PRESENT_K: Port = Port::Out(1);
const PRESENT_V: Port = Port::Out(2);
const SCORES: Port = Port::Out(3);

/// Heads of a tensor of rank 3 are in its last axis, those of rank 4 are an axis.
const fn heads_axis(rank: usize) -> usize {
    if rank == 3 { 2 } else { 1 }
}

/// A count of heads in an attribute; [`Code::S002`] where it is not positive.
fn count(node: &Node, name: &str) -> Result<i64> {
    match node.int(name)? {
        Some(n) if n > 0 => Ok(n),
        Some(n) => Err(diag(Code::S002, format!("{name} = {n} must be positive"))),
        None => Err(diag(Code::S002, format!("{name} is missing, which inputs of rank 3 need"))),
    }
}

/// Heads, length and size of a tensor of rank 3 or 4.
fn split(cx: &InferCx, input: usize, name: &str) -> Result<Option<[Dim; 3]>> {
    let Some(s) = cx.shape(input) else { return Ok(None) };
    match s {
        [_, len, hidden] => {
            let n = count(cx.node, name)?;
            let size = match hidden.div(&Dim::fixed(n)) {
                Some(size) => size,
                None if hidden.constant().is_some() => {
                    return Err(diag(Code::S001, format!("{hidden} does not divide into {n} heads")));
                }
                None => cx.unknown(0, 2),
            };
            Ok(Some([Dim::fixed(n), len.clone(), size]))
        }
        [_, heads, len, size] => Ok(Some([heads.clone(), len.clone(), size.clone()])),
        _ => Err(diag(Code::S001, format!("input {input} must have rank 3 or 4, not {}", s.len()))),
    }
}

fn infer(cx: &mut InferCx) -> Result<()> {
    let q = split(cx, 0, "q_num_heads")?;
    let k = split(cx, 1, "kv_num_heads")?;
    let v = split(cx, 2, "kv_num_heads")?;
    let (Some(elem), Some(shape)) = (cx.elem(0), cx.shape(0)) else { return Ok(()) };
    let (Some([heads, len, size]), Some([kv, fresh, key]), Some([_, _, value])) = (q, k, v) else {
        return Ok(());
    };
    if size.constant().zip(key.constant()).is_some_and(|(a, b)| a != b) {
        return Err(diag(Code::S001, format!("queries of size {size} meet keys of size {key}")));
    }
    let batch = shape[0].clone();
    let y: Shape = match shape.len() {
        3 => vec![batch.clone(), len.clone(), heads.mul(&value).unwrap_or_else(|| cx.unknown(0, 2))],
        _ => vec![batch.clone(), heads.clone(), len.clone(), value.clone()],
    };
    let total = match (cx.node.input(4), cx.shape(4).and_then(|s| s.get(2))) {
        (None, _) => Some(fresh),
        (Some(_), Some(past)) => {
            let sum = past.constant().zip(fresh.constant()).and_then(|(p, f)| p.checked_add(f));
            sum.map(Dim::fixed)
        }
        _ => None,
    };
    let total = total.unwrap_or_else(|| cx.unknown(1, 2));
    cx.set(0, elem, Some(y));
    cx.set(1, cx.elem(1).unwrap_or(elem), Some(vec![batch.clone(), kv.clone(), total.clone(), key]));
    cx.set(2, cx.elem(2).unwrap_or(elem), Some(vec![batch.clone(), kv, total.clone(), value]));
    cx.set(3, elem, Some(vec![batch, heads, len, total]));
    Ok(())
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    for port in [K, V, Y, PAST_K, PAST_V, PRESENT_K, PRESENT_V, SCORES] {
        if cx.shape(port).is_some() {
            r.tie(cx, (Q, 0), (port, 0))?;
        }
    }
    let heads = |port: Port, name: &str| -> Result<Option<usize>> {
        match cx.need(port)? {
            [_, n, _, _] => Ok(n.size()),
            _ => Ok(usize::try_from(count(cx.node, name)?).ok()),
        }
    };
    // With fewer heads of key and value than of the query, which of them a query head reads has differed
    // between versions of the standard's own reference; all heads stay.
    let Some(n) = heads(Q, "q_num_heads")?.filter(|&n| n > 0) else { return Ok(()) };
    let shared = heads(K, "kv_num_heads")? != Some(n) || heads(V, "kv_num_heads")? != Some(n);
    let mut head = Vec::new();
    let (mut key, mut value) = (Vec::new(), Vec::new());
    for port in [Q, K, V, Y, PAST_K, PAST_V, PRESENT_K, PRESENT_V, SCORES] {
        let Some(shape) = cx.shape(port) else { continue };
        let (axis, last) = (heads_axis(shape.len()), shape.len().saturating_sub(1));
        let len = shape.get(last).and_then(Dim::size);
        let (inner, size) = match (last, len) {
            (2, Some(len)) if shared || len % n == 0 => (len / n, Some(len / n)),
            (2, Some(len)) => return Err(diag(Code::S001, format!("{len} does not divide into {n} heads"))),
            (2, None) => return Ok(()),
            (_, len) => (1, len),
        };
        head.push(Atom { port, axis, size: n, inner });
        let atom = size.map(|size| Atom { port, axis: last, size, inner: 1 });
        match port {
            Q | K | PAST_K | PRESENT_K => key.extend(atom),
            V | Y | PAST_V | PRESENT_V => value.extend(atom),
            _ => {}
        }
    }
    if let Some(axis) = cx.shape(MASK).and_then(|s| s.len().checked_sub(3)) {
        match cx.size(MASK, axis)? {
            Some(1) => r.free(MASK, axis),
            Some(_) => head.push(Atom { port: MASK, axis, size: n, inner: 1 }),
            // A mask of who knows how many heads keeps them all.
            None => head.clear(),
        }
    }
    let (q, k) = ((Q, cx.rank(Q)? - 1), (K, cx.rank(K)? - 1));
    let mut inside = vec![
        Relation::Atoms(key),
        Relation::Atoms(value),
        Relation::Contract { data: q, weight: Some(k) },
        Relation::Contract { data: k, weight: Some(q) },
    ];
    let four = [Q, K, V].iter().all(|p| cx.rank(*p).is_ok_and(|n| n == 4));
    if four {
        r.list.append(&mut inside);
    }
    if four && !shared && !head.is_empty() {
        r.push(Relation::Atoms(head));
    } else if !four && !shared {
        let heads = Alternative { label: "heads".into(), relations: vec![Relation::Atoms(head)] };
        let inside = Alternative { label: "within heads".into(), relations: inside };
        let known = !matches!(&heads.relations[0], Relation::Atoms(a) if a.is_empty());
        r.choose([(known && n > 1).then_some(heads), Some(inside)].into_iter().flatten().collect());
    }
    Ok(())
}

fn shrink(cx: &mut ShrinkCx) -> Result<()> {
    let rank = cx.before(Q)?.len();
    let before = |cx: &ShrinkCx, port: Port, axis: usize| -> Result<usize> {
        let size = cx.before(port)?.get(axis).and_then(Dim::size);
        size.ok_or_else(|| diag(Code::S003, "a head has no fixed size"))
    };
    let mut size = None;
    if rank == 3 {
        let n = count(cx.node(), "q_num_heads")? as usize;
        let (was, wide) = (before(cx, Q, 2)?, before(cx, V, 2)?);
        let left = match cx.blocks(Q, 2, was / n)? {
            Some(left) => Some(left),
            None => cx.blocks(V, 2, wide / n)?,
        };
        if let Some(left) = left.filter(|&left| left != n) {
            cx.node_mut().set_int("q_num_heads", left as i64);
            cx.node_mut().set_int("kv_num_heads", left as i64);
        } else if cx.kept(Q, 2).is_some() {
            size = Some(was / n);
        }
    } else if cx.kept(Q, 3).is_some() {
        size = Some(before(cx, Q, 3)?);
    }
    // The default is taken from the size that is left; the scores must not change with it.
    if let (Some(size), None) = (size, cx.node().float("scale")?) {
        cx.node_mut().set_float("scale", (1.0 / (size as f64).sqrt()) as f32);
    }
    Ok(())
}

fn cost(cx: &CostCx) -> Result<Cost> {
    // Every query meets every key, once for the scores and once for the sum of the values.
    let (q, k, y) = (cx.shape(Q)?.len(), cx.shape(K)?.len(), cx.shape(Y)?.len());
    if cx.node.input(4).is_some() && cx.node.output(1).is_none() {
        return Ok(Cost::default());
    }
    let keys = if cx.node.output(1).is_some() { (PRESENT_K, 2) } else { (K, k.saturating_sub(2)) };
    let term = |port: Port, rank: usize| {
        let mut axes: Vec<_> = (0..rank).map(|a| (port, a)).collect();
        axes.push(keys);
        Term { coef: 1, axes }
    };
    Ok(Cost { macs: vec![term(Q, q), term(Y, y)] })
}

/// Places of a head are turned pairwise by its angles: heads may go, places may not.
fn couple_rotary(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let shape = cx.need(Q)?;
    r.tie(cx, (Q, 0), (Y, 0))?;
    match shape {
        [_, heads, _, _] if heads.size().is_some() => r.tie(cx, (Q, 1), (Y, 1)),
        [_, _, hidden] => {
            let n = usize::try_from(cx.node.int_or("num_heads", 0)?).unwrap_or(0);
            let Some(hidden) = hidden.size().filter(|h| n > 0 && h % n == 0) else { return Ok(()) };
            let atom = |port| Atom { port, axis: 2, size: n, inner: hidden / n };
            r.push(Relation::Atoms(vec![atom(Q), atom(Y)]));
            Ok(())
        }
        _ => Ok(()),
    }
}

fn shrink_rotary(cx: &mut ShrinkCx) -> Result<()> {
    if cx.before(Q)?.len() == 3 && cx.kept(Q, 2).is_some() {
        let n = count(cx.node(), "num_heads")? as usize;
        let hidden = cx.before(Q)?[2].size().unwrap_or(0);
        if let Some(left) = cx.blocks(Q, 2, hidden / n)? {
            cx.node_mut().set_int("num_heads", left as i64);
        }
    } else if cx.before(Q)?.len() == 4 && cx.kept(Q, 1).is_some() && cx.node().int_or("num_heads", 0)? > 0 {
        let left = cx.len(Q, 1)? as i64;
        cx.node_mut().set_int("num_heads", left);
    }
    Ok(())
}
