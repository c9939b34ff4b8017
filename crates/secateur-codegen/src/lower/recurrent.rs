//! RNN, GRU and LSTM with constant weights. <https://onnx.ai/onnx/operators/onnx__GRU.html> and its siblings.

use secateur_diag::{Code, Result, diag};

use super::{Lower, Row, unsupported};
use crate::op::{Cell, MatMul, Op, Recurrent};
use crate::view::View;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row { name: "RNN", lower: |cx| lower(cx, Cell::Rnn) },
    Row { name: "GRU", lower: |cx| lower(cx, Cell::Gru) },
    Row { name: "LSTM", lower: |cx| lower(cx, Cell::Lstm) },
];

fn lower(cx: &mut Lower, cell: Cell) -> Result<()> {
    let defaults: &[&[u8]] = match cell {
        Cell::Rnn => &[b"Tanh"],
        Cell::Gru => &[b"Sigmoid", b"Tanh"],
        Cell::Lstm => &[b"Sigmoid", b"Tanh", b"Tanh"],
    };
    if let Some(a) = cx.node.attr("activations") {
        let same = a.strings.iter().enumerate().all(|(i, s)| &s[..] == defaults[i % defaults.len()]);
        if !same {
            return Err(unsupported("other activations than the standard ones"));
        }
    }
    for name in ["clip", "layout", "input_forget"] {
        if cx.node.attr(name).is_some_and(|a| a.i() != 0 || a.f() != 0.0) {
            return Err(unsupported(format!("the attribute {name}")));
        }
    }
    let x = cx.input(0)?;
    let &[t, batch, i] = x.dims.as_slice() else { return Err(diag(Code::S001, "the input is not of rank 3")) };
    if batch != 1 {
        return Err(unsupported("a batch that is not the model's"));
    }
    if cx.has(4) && cx.ints(4).ok().flatten().is_none_or(|l| l.iter().any(|&l| l != t as i64)) {
        return Err(unsupported("sequence lengths"));
    }
    if cx.has(7) {
        return Err(unsupported("peepholes"));
    }
    let hidden = cx.dims(2)?[2];
    let reverse = match cx.node.string("direction")?.unwrap_or("forward") {
        "forward" => vec![false],
        "reverse" => vec![true],
        "bidirectional" => vec![false, true],
        other => return Err(diag(Code::S002, format!("direction={other:?}"))),
    };
    let d = reverse.len();
    let weights = cx.need_constant(1, "a weight")?;
    let recurrence = cx.need_constant(2, "a weight")?;
    let bias = if cx.has(3) { cx.need_constant(3, "a bias")? } else { vec![] };
    let g = cell.gates();
    if weights.len() != d * g * hidden * i || recurrence.len() != d * g * hidden * hidden {
        return Err(diag(Code::S001, "weights and sizes do not fit"));
    }
    let x = cx.reshape(&x, &[t, i])?;
    // Both states are given, or none of them.
    let initial = cx.has(5) || cx.has(6);
    let mut states = Vec::new();
    for s in [5, 6] {
        if initial && (s == 5 || cell == Cell::Lstm) {
            let v = match cx.has(s) {
                true => cx.input(s)?,
                false => cx.p.constant("zero", &[d, 1, hidden], vec![0.0; d * hidden]),
            };
            states.push(cx.reshape(&v, &[d, hidden])?);
        }
    }
    let linear = cell == Cell::Gru && cx.node.int_or("linear_before_reset", 0)? != 0;
    let y = cx.temp(&[t, d, hidden]);
    let rows = g * hidden;
    for (dir, &reverse) in reverse.iter().enumerate() {
        let w = cx.p.constant("weights", &[rows, i], weights[dir * rows * i..][..rows * i].to_vec());
        let mut inputs = vec![x.clone(), w.transpose(&[1, 0])];
        let both = bias.get(dir * 2 * rows..(dir + 1) * 2 * rows).unwrap_or(&[]);
        let held = linear && !both.is_empty();
        if !both.is_empty() {
            // What is inside the product with the reset gate stays with the state.
            let second = |r: usize| if held && r >= 2 * hidden { 0.0 } else { both[rows + r] };
            let sums = (0..rows).map(|r| both[r] + second(r)).collect();
            let sums = cx.p.constant("bias", &[rows], sums);
            inputs.push(cx.broadcast(&sums, &[t, rows])?);
        }
        let product = Op::MatMul(MatMul { alpha: 1.0, add: !both.is_empty(), chain: vec![] });
        let gates = cx.emit(product, inputs, &[t, rows]);
        let op = Recurrent {
            cell,
            hidden,
            recurrence: recurrence[dir * rows * hidden..][..rows * hidden].to_vec(),
            bias: if held { both[rows + 2 * hidden..].to_vec() } else { vec![] },
            reverse,
            linear_before_reset: linear,
            initial,
        };
        let line = |v: &View| v.slice(0, dir, 1, 1).reshape(&[hidden]);
        let mut inputs = vec![gates];
        inputs.extend(states.iter().filter_map(line));
        let out = y.slice(1, dir, 1, 1).reshape(&[t, hidden]).ok_or_else(|| unsupported("this shape"))?;
        cx.step(Op::Recurrent(Box::new(op)), inputs, out);
    }
    if cx.node.output(0).is_some() {
        cx.bind(0, y.clone())?;
    }
    if cx.node.output(1).is_some() {
        let last = |dir: usize| y.slice(0, if reverse[dir] { 0 } else { t - 1 }, 1, 1).slice(1, dir, 1, 1);
        if d == 1 {
            return cx.bind(1, last(0));
        }
        let out = cx.temp(&[1, d, hidden]);
        for dir in 0..d {
            cx.step(Op::Copy, vec![last(dir)], out.slice(1, dir, 1, 1));
        }
        cx.bind(1, out)?;
    }
    Ok(())
}
