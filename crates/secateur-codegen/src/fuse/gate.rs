//! `x + x·s` is `x·(1 + s)`: where the gate `s` is one number a channel, one pass over the planes less.

use super::chain::chain_of_mut;
use super::only_for;
use crate::op::{Binary, Op};
use crate::program::Program;
use crate::unary::Unary;
use crate::view::View;

pub(super) fn run(p: &mut Program) -> bool {
    let uses = p.uses();
    for s in 0..p.steps.len() {
        let (Op::Binary(Binary::Add, chain), [l, r]) = (&p.steps[s].op, &p.steps[s].inputs[..]) else {
            continue;
        };
        let found = [(l, r), (r, l)].into_iter().find_map(|(x, product)| {
            let mul = only_for(p, &uses, product)?;
            let (Op::Binary(Binary::Mul, inner), [a, b]) = (&p.steps[mul].op, &p.steps[mul].inputs[..])
            else {
                return None;
            };
            let same = |v: &View| {
                v.tensor == x.tensor && v.offset == x.offset && v.reshape(&x.dims).as_ref() == Some(x)
            };
            let gate = if same(a) {
                b
            } else if same(b) {
                a
            } else {
                return None;
            };
            let repeats = gate.dims.iter().zip(&gate.strides).any(|(&n, &s)| n > 1 && s == 0);
            (inner.is_empty() && repeats && uses[gate.tensor.0].reads.len() == 1)
                .then_some((mul, gate.clone()))
        });
        let Some((mul, gate)) = found else { continue };
        // The gate is a whole tensor that one step writes, seen with repetition.
        let [from] = uses[gate.tensor.0].writes[..] else { continue };
        let (chain, mut step) = (chain.clone(), p.steps[mul].clone());
        let Some(output) = p.steps[s].output.reshape(&step.output.dims) else { continue };
        let Some(to) = chain_of_mut(&mut p.steps[from].op) else { continue };
        to.push(Unary::Affine { scale: 1.0, shift: 1.0 });
        step.op = Op::Binary(Binary::Mul, chain);
        step.output = output;
        super::replace(p, s, step, &[mul]);
        return true;
    }
    false
}
