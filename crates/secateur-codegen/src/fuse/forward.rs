//! A copy of a whole tensor into part of another: the first is written there right away.
//!
//! What read or wrote the first tensor reads or writes its place in the second. This is what makes Concat, Flatten and
//! the shuffle of channels cost nothing. It needs every view of the first tensor to be expressible in the second one.

use crate::op::Op;
use crate::program::{Kind, Program, TensorId};
use crate::view::View;

pub(super) fn run(p: &mut Program) -> bool {
    (0..p.steps.len()).any(|s| forward(p, s))
}

fn forward(p: &mut Program, s: usize) -> bool {
    let step = &p.steps[s];
    if step.op != Op::Copy || step.inputs[0].tensor == step.output.tensor {
        return false;
    }
    let from = step.inputs[0].tensor;
    let t = p.tensor(from);
    // The copy may walk the tensor in another order: its place is what the output is when the input is dense.
    if t.kind != Kind::Temp || t.dims.iter().product::<usize>() != step.inputs[0].len() {
        return false;
    }
    let dims = t.dims.clone();
    // The same in finer axes, as for a shuffle of channels, where the tensor's own do not tell.
    let (input, output) = (step.inputs[0].clone(), step.output.clone());
    let fine = input.is_whole(input.len()).then(|| (output.clone(), input.dims.clone()));
    let coarse = place(&input, &output, &dims).map(|v| (v, dims));
    coarse.into_iter().chain(fine).any(|(place, dims)| moved(p, s, from, &place, &dims))
}

/// Step `s` is dropped and every view of `from` becomes one of `place`, where that can be said.
fn moved(p: &mut Program, s: usize, from: TensorId, place: &View, dims: &[usize]) -> bool {
    let moved = |v: &View| match v.tensor == from {
        true => place.compose(v, dims),
        false => Some(v.clone()),
    };
    let mut steps = p.steps.clone();
    steps.remove(s);
    for step in &mut steps {
        let Some(inputs) = step.inputs.iter().map(moved).collect() else { return false };
        let Some(output) = moved(&step.output) else { return false };
        step.inputs = inputs;
        step.output = output;
    }
    p.steps = steps;
    true
}

/// Where the tensor of sizes `dims` lies when its view `from` is copied to `to`: a view of `to`'s tensor in the shape
/// `dims`.
fn place(from: &View, to: &View, dims: &[usize]) -> Option<View> {
    if from.is_whole(from.len()) {
        return to.reshape(dims);
    }
    // A permutation of the tensor's axes (those of size 1 do not matter).
    let base = crate::view::dense(dims);
    let mut strides = vec![0isize; dims.len()];
    let mut done = vec![false; dims.len()];
    for ((&n, &s), &out) in from.dims.iter().zip(&from.strides).zip(&to.strides) {
        if n == 1 {
            continue;
        }
        let a = (0..dims.len()).find(|&a| dims[a] == n && base[a] == s && !done[a])?;
        strides[a] = out;
        done[a] = true;
    }
    let all = (0..dims.len()).all(|a| done[a] || dims[a] == 1);
    (all && from.offset == 0).then(|| View {
        tensor: to.tensor,
        offset: to.offset,
        dims: dims.to_vec(),
        strides,
    })
}
