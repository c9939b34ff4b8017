//! The printed form of a lowered program, for snapshots and `--print`.

use std::fmt::Write;

use crate::op::{Conv, Op};
use crate::program::{Kind, Program};
use crate::unary::Unary;
use crate::view::View;

/// The whole program, a line a step.
pub fn program(p: &Program) -> String {
    let mut out = String::new();
    let batch = p.batch.as_deref().map_or(String::new(), |b| format!(" for each of {b}"));
    let _ = writeln!(out, "program{batch} {{");
    for port in p.inputs.iter().chain(&p.outputs) {
        let word = if matches!(p.tensor(port.tensor).kind, Kind::Input(_)) { "input" } else { "output" };
        let _ = writeln!(out, "  {word} t{}: {}{} {}", port.tensor.0, port.elem, dims(&port.dims), port.name);
    }
    for s in &p.steps {
        let inputs: Vec<String> = s.inputs.iter().map(|v| view(p, v)).collect();
        let _ =
            writeln!(out, "  {} = {}({}) as {}", view(p, &s.output), op(&s.op), inputs.join(", "), s.name);
    }
    out.push_str("}\n");
    out
}

fn dims(d: &[usize]) -> String {
    format!("[{}]", d.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
}

/// `t3[16,8,8]` for all of a tensor, else with offset and strides.
pub fn view(p: &Program, v: &View) -> String {
    let t = p.tensor(v.tensor);
    let letter = if p.is_const(v) { 'c' } else { 't' };
    let mut out = format!("{letter}{}{}", v.tensor.0, dims(&v.dims));
    if !v.is_whole(t.dims.iter().product()) {
        let strides: Vec<String> = v.strides.iter().map(ToString::to_string).collect();
        let _ = write!(out, "@{}:{}", v.offset, strides.join(","));
    }
    if let Some(s) = p.scalar(v) {
        let _ = write!(out, "={s}");
    }
    out
}

fn chain(c: &[Unary]) -> String {
    c.iter().map(|u| format!(" {u}")).collect()
}

fn conv(name: &str, c: &Conv) -> String {
    let mut out = format!("{name} {}x{}", c.kernel[0], c.kernel[1]);
    let mut say = |word: &str, v: &[usize], default: usize| {
        if v.iter().any(|&x| x != default) {
            let _ = write!(out, " {word}{}", dims(v));
        }
    };
    say("stride", &c.strides, 1);
    say("dilation", &c.dilations, 1);
    say("pad", &c.pads, 0);
    say("groups", &[c.groups], 1);
    for (word, on) in [("bias", !c.bias.is_empty()), ("residual", c.residual)] {
        if on {
            let _ = write!(out, " {word}");
        }
    }
    out + &chain(&c.chain)
}

/// The operator with its attributes.
pub fn op(op: &Op) -> String {
    match op {
        Op::Fill(v) => format!("Fill {v}"),
        Op::Map(c) => format!("Map{}", chain(c)),
        Op::Binary(b, c) => format!("{b:?}{}", chain(c)),
        Op::MulAdd(c) => format!("MulAdd{}", chain(c)),
        Op::Reduce(r, c) => format!("Reduce{r:?}{}", chain(c)),
        Op::Conv(c) => conv("Conv", c),
        Op::ConvTranspose(c) => conv("ConvTranspose", c),
        Op::MatMul(m) => {
            let alpha = if m.alpha == 1.0 { String::new() } else { format!(" alpha={}", m.alpha) };
            format!("MatMul{alpha}{}{}", if m.add { " add" } else { "" }, chain(&m.chain))
        }
        Op::Pool(p) => {
            let kind = if p.max { "MaxPool" } else { "AveragePool" };
            format!("{kind} {}x{} stride{} pad{}", p.kernel[0], p.kernel[1], dims(&p.strides), dims(&p.pads))
        }
        Op::Resize(r) => {
            let mode = if r.nearest { "nearest" } else { "linear" };
            format!("Resize {mode}[{},{}]", r.rows.len(), r.columns.len())
        }
        Op::Recurrent(r) => {
            format!("{:?} hidden={}{}", r.cell, r.hidden, if r.reverse { " reverse" } else { "" })
        }
        other => format!("{other:?}"),
    }
}
