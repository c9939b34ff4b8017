//! Functions of one number are done where their operand is computed; chains are shortened.

use super::only_for;
use crate::op::Op;
use crate::program::Program;
use crate::unary::Unary;

pub(super) fn run(p: &mut Program) -> bool {
    let uses = p.uses();
    for s in 0..p.steps.len() {
        let Op::Map(chain) = &p.steps[s].op else { continue };
        let chain = shorten(chain);
        if chain.len() < chain_of(&p.steps[s].op).map_or(0, Vec::len) {
            p.steps[s].op = if chain.is_empty() { Op::Copy } else { Op::Map(chain) };
            return true;
        }
        let Some(from) = only_for(p, &uses, &p.steps[s].inputs[0]) else { continue };
        let Some(output) = p.steps[s].output.reshape(&p.steps[from].output.dims) else { continue };
        let Some(to) = chain_of_mut(&mut p.steps[from].op) else { continue };
        to.extend(chain);
        *to = shorten(to);
        p.steps[from].output = output;
        p.steps.remove(s);
        return true;
    }
    false
}

fn chain_of(op: &Op) -> Option<&Vec<Unary>> {
    match op {
        Op::Map(c) | Op::Binary(_, c) | Op::MulAdd(c) | Op::Reduce(_, c) => Some(c),
        Op::Conv(conv) | Op::ConvTranspose(conv) => Some(&conv.chain),
        Op::MatMul(m) => Some(&m.chain),
        _ => None,
    }
}

/// The functions that an operator applies to its results.
pub(super) fn chain_of_mut(op: &mut Op) -> Option<&mut Vec<Unary>> {
    match op {
        Op::Map(c) | Op::Binary(_, c) | Op::MulAdd(c) | Op::Reduce(_, c) => Some(c),
        Op::Conv(conv) | Op::ConvTranspose(conv) => Some(&mut conv.chain),
        Op::MatMul(m) => Some(&mut m.chain),
        _ => None,
    }
}

/// The same function with fewer members.
fn shorten(chain: &[Unary]) -> Vec<Unary> {
    let mut out: Vec<Unary> = Vec::with_capacity(chain.len());
    for &u in chain {
        let joined = match (out.last(), u) {
            (Some(&Unary::Affine { scale: a, shift: b }), Unary::Affine { scale: c, shift: d }) => {
                Some(Unary::Affine { scale: a * c, shift: b * c + d })
            }
            (Some(Unary::Relu), Unary::Relu) => Some(Unary::Relu),
            (Some(&Unary::Clip { min: a, max: b }), Unary::Clip { min: c, max: d }) => {
                Some(Unary::Clip { min: a.max(c).min(d), max: b.min(d).max(c) })
            }
            (Some(&Unary::Clip { min, max }), Unary::Relu) => {
                Some(Unary::Clip { min: min.max(0.0), max: max.max(0.0) })
            }
            (Some(Unary::Relu), Unary::Clip { min, max }) => {
                Some(Unary::Clip { min: min.max(0.0).min(max), max: max.max(min) })
            }
            _ => None,
        };
        match (joined, u) {
            (Some(j), _) => *out.last_mut().expect("there is one") = j,
            (None, Unary::Affine { scale: 1.0, shift: 0.0 }) => {}
            (None, Unary::Clip { min: f32::NEG_INFINITY, max: f32::INFINITY }) => {}
            (None, Unary::Clip { min: 0.0, max: f32::INFINITY }) => out.push(Unary::Relu),
            (None, u) => out.push(u),
        }
    }
    out
}
