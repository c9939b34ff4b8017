//! A convolution and a mean over windows behind it are both linear: the mean is taken first where the convolution looks
//! at single pixels, or becomes part of the convolution where that multiplies less.

use super::only_for;
use crate::op::{Conv, Op, Pool};
use crate::program::{Kind, Program};

pub(super) fn run(p: &mut Program) -> bool {
    let uses = p.uses();
    for s in 0..p.steps.len() {
        let Op::Pool(pool) = &p.steps[s].op else { continue };
        let plain =
            !pool.max && pool.pads == [0; 4] && pool.dilations == [1, 1] && pool.kernel == pool.strides;
        if !plain {
            continue;
        }
        let Some(from) = only_for(p, &uses, &p.steps[s].inputs[0]) else { continue };
        let Op::Conv(c) = &p.steps[from].op else { continue };
        let inside =
            |a: usize| p.steps[s].output.dims[1 + a] * pool.strides[a] == p.steps[s].inputs[0].dims[1 + a];
        if !c.chain.is_empty()
            || c.residual
            || c.strides != [1, 1]
            || c.dilations != [1, 1]
            || !inside(0)
            || !inside(1)
        {
            continue;
        }
        let (c, pool) = ((**c).clone(), pool.clone());
        if c.kernel == [1, 1] && c.pads == [0; 4] {
            first(p, s, from, c, pool);
        } else if !merge(p, s, from, &c, &pool) {
            continue;
        }
        return true;
    }
    false
}

/// Pooling, then the convolution of single pixels.
fn first(p: &mut Program, s: usize, from: usize, c: Conv, pool: Pool) {
    let x = p.steps[from].inputs[0].clone();
    let out = p.steps[s].output.clone();
    let dims = [x.dims[0], out.dims[1], out.dims[2]];
    let name = p.steps[s].name.clone();
    let mean = p.add(&name, &dims, Kind::Temp);
    p.steps[from].op = Op::Pool(pool);
    p.steps[from].output = mean.clone();
    p.steps[s].op = Op::Conv(Box::new(c));
    p.steps[s].inputs = vec![mean];
    let (a, b) = (p.steps[from].name.clone(), name);
    (p.steps[from].name, p.steps[s].name) = (b, a);
}

/// One convolution with a larger window and the pooling's stride, where it multiplies at most two thirds as much (larger
/// strides read less regularly).
fn merge(p: &mut Program, s: usize, from: usize, c: &Conv, pool: &Pool) -> bool {
    let kernel = [0, 1].map(|a| c.kernel[a] + pool.kernel[a] - 1);
    let before = c.kernel[0] * c.kernel[1] * pool.strides[0] * pool.strides[1];
    if 3 * kernel[0] * kernel[1] > 2 * before {
        return false;
    }
    let share = 1.0 / (pool.kernel[0] * pool.kernel[1]) as f64;
    let mut weights = Vec::new();
    for w in c.weights.chunks(c.kernel[0] * c.kernel[1]) {
        let mut sums = vec![0f64; kernel[0] * kernel[1]];
        for (i, &v) in w.iter().enumerate() {
            let (y, x) = (i / c.kernel[1], i % c.kernel[1]);
            for dy in 0..pool.kernel[0] {
                for dx in 0..pool.kernel[1] {
                    sums[(y + dy) * kernel[1] + x + dx] += f64::from(v) * share;
                }
            }
        }
        weights.extend(sums.into_iter().map(|v| v as f32));
    }
    let op = Conv { weights, kernel, strides: pool.strides, ..c.clone() };
    let mut step = p.steps[from].clone();
    step.op = Op::Conv(Box::new(op));
    step.output = p.steps[s].output.clone();
    super::replace(p, s, step, &[from]);
    true
}
