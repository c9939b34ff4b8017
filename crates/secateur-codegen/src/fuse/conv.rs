//! Convolutions and matrix products take up what follows them: a factor or addend for each channel, the residual, the
//! addend of a product.

use super::{only_for, per_channel, replace};
use crate::op::{Binary, Conv, Op};
use crate::program::{Program, Step, Uses};
use crate::unary::Unary;
use crate::view::View;

pub(super) fn run(p: &mut Program) -> bool {
    let uses = p.uses();
    (0..p.steps.len()).any(|s| {
        leading_affine(p, s) || channels(p, &uses, s) || residual(p, &uses, s) || addend(p, &uses, s)
    })
}

/// Factor and addend of each output channel go into the weights.
fn scale(conv: &mut Conv, transposed: bool, scale: &[f32], shift: &[f32]) {
    let (o, g) = (conv.outputs, conv.groups);
    if conv.bias.is_empty() {
        conv.bias = vec![0.0; o];
    }
    for (c, b) in conv.bias.iter_mut().enumerate() {
        *b = *b * scale[c] + shift[c];
    }
    let window = conv.kernel[0] * conv.kernel[1];
    let per = conv.weights.len() / o;
    let inputs = conv.weights.len() * g / o / window;
    for (i, w) in conv.weights.iter_mut().enumerate() {
        let c = match transposed {
            false => i / per,
            // [C, O/g, ..]
            true => i / window / (o / g) / (inputs / g) * (o / g) + i / window % (o / g),
        };
        *w *= scale[c];
    }
}

/// A convolution that can still take up a factor.
fn open(op: &mut Op) -> Option<(&mut Conv, bool)> {
    let (conv, transposed) = match op {
        Op::Conv(c) => (c, false),
        Op::ConvTranspose(c) => (c, true),
        _ => return None,
    };
    (conv.chain.is_empty() && !conv.residual).then_some((conv, transposed))
}

/// `scale·x + shift` right after the sums.
fn leading_affine(p: &mut Program, s: usize) -> bool {
    let (Op::Conv(conv) | Op::ConvTranspose(conv)) = &mut p.steps[s].op else { return false };
    let Some(&Unary::Affine { scale: a, shift: b }) = conv.chain.first() else { return false };
    if conv.residual {
        return false;
    }
    conv.chain.remove(0);
    let rest = std::mem::take(&mut conv.chain);
    let n = conv.outputs;
    if let Some((conv, transposed)) = open(&mut p.steps[s].op) {
        scale(conv, transposed, &vec![a; n], &vec![b; n]);
        conv.chain = rest;
    }
    true
}

/// A constant for each channel is multiplied, added, or both.
fn channels(p: &mut Program, uses: &[Uses], s: usize) -> bool {
    let step = &p.steps[s];
    let (x, factors, addends, chain) = match (&step.op, &step.inputs[..]) {
        (Op::Binary(b @ (Binary::Add | Binary::Mul | Binary::Sub), chain), [l, r]) => {
            let (x, c) = if p.is_const(l) && *b != Binary::Sub { (r, l) } else { (l, r) };
            match b {
                Binary::Mul => (x, Some(c), None, chain),
                _ => (x, None, Some(c), chain),
            }
        }
        (Op::MulAdd(chain), [x, m, a]) => (x, Some(m), Some(a), chain),
        _ => return false,
    };
    let sign = if matches!(step.op, Op::Binary(Binary::Sub, _)) { -1.0 } else { 1.0 };
    let Some(from) = only_for(p, uses, x) else { return false };
    let n = match &p.steps[from].op {
        Op::Conv(c) | Op::ConvTranspose(c) => c.outputs,
        _ => return false,
    };
    let vector = |v: Option<&View>, default: f32| match v {
        Some(v) => per_channel(p, v, n),
        None => Some(vec![default; n]),
    };
    let (Some(factors), Some(addends)) = (vector(factors, 1.0), vector(addends, 0.0)) else { return false };
    let addends: Vec<f32> = addends.into_iter().map(|a| sign * a).collect();
    let chain = chain.clone();
    let Some(output) = step.output.reshape(&p.steps[from].output.dims) else { return false };
    let Some((conv, transposed)) = open(&mut p.steps[from].op) else { return false };
    scale(conv, transposed, &factors, &addends);
    conv.chain = chain;
    p.steps[from].output = output;
    p.steps.remove(s);
    true
}

/// The sum of a convolution and something else of its shape.
fn residual(p: &mut Program, uses: &[Uses], s: usize) -> bool {
    let Op::Binary(Binary::Add, chain) = &p.steps[s].op else { return false };
    let [l, r] = &p.steps[s].inputs[..] else { return false };
    let able = |v: &View| {
        let from = only_for(p, uses, v)?;
        let Op::Conv(c) = &p.steps[from].op else { return None };
        (c.chain.is_empty() && !c.residual).then_some(from)
    };
    // The later of two, which has its operand ready soonest.
    let (from, other) = match (able(l), able(r)) {
        (Some(a), Some(b)) if a > b => (a, r),
        (_, Some(b)) => (b, l),
        (Some(a), None) => (a, r),
        _ => return false,
    };
    let dims = p.steps[from].output.dims.clone();
    let (Some(other), Some(output)) = (other.reshape(&dims), p.steps[s].output.reshape(&dims)) else {
        return false;
    };
    let repeats = other.dims.iter().zip(&other.strides).any(|(&n, &s)| n > 1 && s == 0);
    if p.is_const(&other) || repeats {
        return false;
    }
    let (mut step, chain) = (p.steps[from].clone(), chain.clone());
    if let Op::Conv(c) = &mut step.op {
        c.residual = true;
        c.chain = chain;
    }
    step.inputs.push(other);
    step.output = output;
    replace(p, s, step, &[from]);
    true
}

/// `x·y + z` of matrices.
fn addend(p: &mut Program, uses: &[Uses], s: usize) -> bool {
    let Op::Binary(Binary::Add, chain) = &p.steps[s].op else { return false };
    let [l, r] = &p.steps[s].inputs[..] else { return false };
    let able = |v: &View| {
        let from = only_for(p, uses, v)?;
        let Op::MatMul(m) = &p.steps[from].op else { return None };
        (m.chain.is_empty() && !m.add).then_some(from)
    };
    let Some((from, other)) = able(l).map(|f| (f, r)).or_else(|| able(r).map(|f| (f, l))) else {
        return false;
    };
    let dims = p.steps[from].output.dims.clone();
    let (Some(other), Some(output)) = (fit(other, &dims), p.steps[s].output.reshape(&dims)) else {
        return false;
    };
    let mut step = Step { inputs: p.steps[from].inputs.clone(), output, ..p.steps[from].clone() };
    if let Op::MatMul(m) = &mut step.op {
        m.add = true;
        m.chain = chain.clone();
    }
    step.inputs.push(other);
    replace(p, s, step, &[from]);
    true
}

/// A repeated row of any rank as a repeated row of the product's rank, or any other view in that shape.
fn fit(v: &View, dims: &[usize]) -> Option<View> {
    let n = *dims.last()?;
    let end = v.dims.len().checked_sub(1)?;
    let row = v.dims[end] == n && v.strides[..end].iter().zip(&v.dims).all(|(&s, &d)| s == 0 || d == 1);
    match row {
        true => View { dims: vec![n], strides: vec![v.strides[end]], ..v.clone() }.broadcast(dims),
        false => v.reshape(dims),
    }
}
