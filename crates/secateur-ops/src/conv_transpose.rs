//! ConvTranspose. <https://onnx.ai/onnx/operators/onnx__ConvTranspose.html>
//!
//! `x[N, C, ..]`, `w[C, M/g, k..]`, `b[M]` give `y[N, M, ..]`: Conv with the weight's first two axes in each
//! other's role. An input channel is a row of `w`; an output channel is a column, or a place in it where there
//! are several groups.

use secateur_diag::{Code, Result, diag};

use crate::forms::no_fold;
use crate::forms::{NO_DERIVATIVE, NOT_YET};
use crate::{
    Alternative, Atom, Cost, CostCx, CoupleCx, InferCx, Op, Port, Relation, Relations, ShrinkCx, conv,
};
use secateur_ir::dim::{Dim, Shape};

/// The rows of this file.
pub const OPS: &[Op] = &[Op {
    domain: "",
    name: "ConvTranspose",
    opsets: &[1, 11, 22],
    infer,
    couple,
    shrink,
    cost,
    fold: no_fold,
    eval: NOT_YET,
    derive: NO_DERIVATIVE,
}];

const X: Port = Port::In(0);
const W: Port = Port::In(1);
const B: Port = Port::In(2);
const Y: Port = Port::Out(0);

/// Output lengths of the spatial axes.
fn spatial(cx: &InferCx, input: &[Dim], kernel: &[i64]) -> Result<Shape> {
    let n = kernel.len();
    if let Some(want) = cx.node.ints("output_shape")? {
        // Some exporters say batch and channels too.
        if want.len() != n && want.len() != n + 2 {
            return Err(diag(Code::S002, format!("output_shape must hold {n} numbers, not {}", want.len())));
        }
        return Ok(want[want.len() - n..].iter().map(|&d| Dim::fixed(d)).collect());
    }
    let strides = conv::list(cx.node, "strides", n, 1)?;
    let dilations = conv::list(cx.node, "dilations", n, 1)?;
    let extra = conv::list(cx.node, "output_padding", n, 0)?;
    let mut pads = conv::list(cx.node, "pads", 2 * n, 0)?;
    match cx.node.string("auto_pad")?.unwrap_or("NOTSET") {
        "NOTSET" | "" => {}
        "VALID" => pads = vec![0; 2 * n],
        "SAME_UPPER" | "SAME_LOWER" => {
            let grow = |(i, d): (usize, &Dim)| d.mul(&Dim::fixed(strides[i]));
            let out =
                input.iter().enumerate().map(|(i, d)| grow((i, d)).unwrap_or_else(|| cx.unknown(0, i + 2)));
            return Ok(out.collect());
        }
        other => return Err(diag(Code::S002, format!("auto_pad {other:?} is not one of ONNX"))),
    }
    (0..n)
        .map(|i| {
            let absurd = || diag(Code::S002, "kernel, stride, dilation or padding are out of range");
            let (k, s, d) = (kernel[i], strides[i], dilations[i]);
            if k < 1 || s < 1 || d < 1 {
                return Err(absurd());
            }
            // Windows of every input place, `s` apart: `s * (len - 1) + span`, then padding.
            let span = d.checked_mul(k - 1).and_then(|x| x.checked_add(1)).ok_or_else(absurd)?;
            let pad = pads[i].checked_add(pads[i + n]).ok_or_else(absurd)?;
            let rest =
                span.checked_sub(s).and_then(|x| x.checked_add(extra[i])).and_then(|x| x.checked_sub(pad));
            let rest = rest.ok_or_else(absurd)?;
            let stretched = input[i].mul(&Dim::fixed(s));
            match stretched.as_ref().and_then(Dim::constant) {
                Some(len) => match len.checked_add(rest).filter(|&l| l > 0) {
                    Some(l) => Ok(Dim::fixed(l)),
                    None => Err(diag(Code::S001, format!("the output would be {rest} longer than {len}"))),
                },
                None if rest == 0 && stretched.is_some() => Ok(stretched.unwrap_or(Dim::fixed(0))),
                None => Ok(cx.unknown(0, i + 2)),
            }
        })
        .collect()
}

fn infer(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let (Some(x), Some(w)) = (cx.shape(0), cx.shape(1)) else {
        cx.set(0, elem, None);
        return Ok(());
    };
    if x.len() < 3 || w.len() != x.len() {
        return Err(diag(
            Code::S001,
            format!("input of rank {} and weight of rank {} do not fit", x.len(), w.len()),
        ));
    }
    let group = conv::groups(cx.node)?;
    if let (Some(c), Some(i)) = (x[1].size(), w[0].size()) {
        if c != i {
            return Err(diag(Code::S001, format!("the input has {c} channels, the weight takes {i}")));
        }
        if c % group != 0 {
            return Err(diag(Code::S001, format!("{c} input channels do not divide into {group} groups")));
        }
    }
    let channels = w[1].mul(&Dim::fixed(group)).unwrap_or_else(|| cx.unknown(0, 1));
    let mut shape = vec![x[0].clone(), channels];
    match conv::kernel(cx.node, w)? {
        Some(k) => shape.extend(spatial(cx, &x[2..], &k)?),
        None => shape.extend((2..x.len()).map(|a| cx.unknown(0, a))),
    }
    cx.set(0, elem, Some(shape));
    Ok(())
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    r.tie(cx, (X, 0), (Y, 0))?;
    for a in 2..cx.rank(X)? {
        for p in [X, W, Y] {
            r.pin(p, a, "a window slides along it");
        }
    }
    if cx.shape(B).is_some() {
        r.tie(cx, (B, 0), (Y, 1))?;
    }
    let group = conv::groups(cx.node)?;
    if group == 1 {
        r.tie(cx, (W, 1), (Y, 1))?;
        return r.contract(cx, (X, 1), (W, 0));
    }
    let (Some(c), Some(m)) = (cx.size(W, 0)?, cx.size(W, 1)?) else { return Ok(()) };
    if c % group != 0 {
        return Err(diag(Code::S001, format!("{c} input channels do not divide into {group} groups")));
    }
    r.tie(cx, (X, 1), (W, 0))?;
    let i = c / group;
    let whole = Alternative {
        label: "groups".into(),
        relations: vec![
            Relation::Atoms(vec![
                Atom { port: W, axis: 0, size: group, inner: i },
                Atom { port: Y, axis: 1, size: group, inner: m },
            ]),
            Relation::Pin { at: (W, 1), why: "channels within each group stay together".into() },
        ],
    };
    let inside = Alternative {
        label: "within groups".into(),
        relations: vec![
            Relation::Atoms(vec![
                Atom { port: W, axis: 1, size: m, inner: 1 },
                Atom { port: Y, axis: 1, size: m, inner: 1 },
            ]),
            match i {
                1 => Relation::Pin { at: (W, 0), why: "every group has a single input channel".into() },
                _ => Relation::Atoms(vec![Atom { port: W, axis: 0, size: i, inner: 1 }]),
            },
            Relation::Contract { data: (X, 1), weight: Some((W, 0)) },
        ],
    };
    r.choose(if i == 1 && m == 1 { vec![whole] } else { vec![whole, inside] });
    Ok(())
}

fn shrink(cx: &mut ShrinkCx) -> Result<()> {
    if conv::groups(cx.node())? > 1 && cx.kept(Y, 1).is_some() {
        let (channels, columns) = (cx.len(Y, 1)?, cx.len(W, 1)?.max(1));
        if channels % columns != 0 {
            return Err(diag(
                Code::P004,
                format!("{channels} channels left do not divide into groups of {columns}"),
            ));
        }
        cx.node_mut().set_int("group", (channels / columns) as i64);
    }
    let mut want = cx.node().ints("output_shape")?.unwrap_or_default().to_vec();
    if want.len() == cx.before(Y)?.len() && cx.kept(Y, 1).is_some() {
        want[1] = cx.len(Y, 1)? as i64;
        cx.node_mut().set_ints("output_shape", want);
    }
    Ok(())
}

fn cost(cx: &CostCx) -> Result<Cost> {
    // Every input place meets all taps of its row of the weight.
    let mut axes = cx.axes(W)?;
    axes.push((X, 0));
    axes.extend((2..cx.shape(X)?.len()).map(|a| (X, a)));
    Ok(Cost::macs(1, axes))
}
