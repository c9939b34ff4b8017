//! `scale·x + shift` at the end of what is computed for convolutions alone goes into their weights. A shift can only
//! where no window reaches into the padding.

use super::chain::chain_of_mut;
use super::producer;
use crate::op::{Conv, Op};
use crate::program::Program;
use crate::unary::Unary;

pub(super) fn run(p: &mut Program) -> bool {
    let uses = p.uses();
    for s in 0..p.steps.len() {
        let mut op = p.steps[s].op.clone();
        let Some(&Unary::Affine { scale, shift }) = chain_of_mut(&mut op).and_then(|c| c.last()) else {
            continue;
        };
        let t = p.steps[s].output.tensor;
        let readers = uses[t.0].reads.clone();
        let takes = |&r: &usize| {
            let step = &p.steps[r];
            let Op::Conv(c) = &step.op else { return false };
            let residual = step.inputs.get(1).is_some_and(|v| v.tensor == t);
            producer(p, &uses, &step.inputs[0]) == Some(s) && !residual && (shift == 0.0 || c.pads == [0; 4])
        };
        if readers.is_empty() || !readers.iter().all(takes) {
            continue;
        }
        for r in readers {
            if let Op::Conv(c) = &mut p.steps[r].op {
                absorb(c, scale, shift);
            }
        }
        if let Some(chain) = chain_of_mut(&mut p.steps[s].op) {
            chain.pop();
        }
        return true;
    }
    false
}

fn absorb(c: &mut Conv, scale: f32, shift: f32) {
    let per = c.weights.len() / c.outputs.max(1);
    if shift != 0.0 {
        if c.bias.is_empty() {
            c.bias = vec![0.0; c.outputs];
        }
        for (b, w) in c.bias.iter_mut().zip(c.weights.chunks(per)) {
            *b += (f64::from(shift) * w.iter().map(|&w| f64::from(w)).sum::<f64>()) as f32;
        }
    }
    c.weights.iter_mut().for_each(|w| *w *= scale);
}
