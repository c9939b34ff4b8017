//! Layers in parts that run at the same time on several cores: what `NAME_run_parallel` does to a single sample.
//!
//! A part is a step of the lowered program like any other, on slices of the views of the whole: some of the outputs, or
//! some of the rows. Parts of a layer write different elements and none reads what another one writes, so that they
//! may run in any order and at once. Between layers all wait.
//!
//! How a layer is best divided is tried out, as with kernels: the way whose longest part executes the fewest
//! instructions, unless the layer is so short that waking the other cores takes longer.

use secateur_neon::Core;

use crate::choose::{Chooser, Draft, Obstacle};
use crate::layout::Layout;
use crate::op::{Conv, Op};
use crate::program::{Program, Step};
use crate::view::View;

/// What handing parts to other threads and waiting for them takes, in instructions: about ten microseconds.
pub const DISPATCH: u64 = 16_000;

/// How far layers are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// Parts of a layer, at most.
    pub count: usize,
    /// Instructions that dividing a layer has to save.
    pub dispatch: u64,
}

impl Cores {
    /// So many cores of a board.
    pub fn of(count: usize) -> Self {
        Self { count, dispatch: DISPATCH }
    }
}

/// Parts of a result that are computed together; dividing finer leaves lanes idle.
const LANES: usize = 4;

/// Divides the layers of a legal program into parts. A way with a part that no kernel can do is left out.
pub fn divide(
    p: &mut Program,
    layouts: &[Layout],
    whole: Vec<Draft>,
    core: Core,
    compact: bool,
    cores: Cores,
) -> Vec<Draft> {
    let mut drafts = Vec::with_capacity(whole.len());
    let mut steps = Vec::with_capacity(whole.len());
    for draft in whole {
        let step = &p.steps[draft.step];
        let chooser = Chooser { p, layouts, core, compact };
        let layer = draft.layer;
        match best(&chooser, step, &draft, cores) {
            None => {
                drafts.push(Draft { step: steps.len(), ..draft });
                steps.push(step.clone());
            }
            Some(parts) => {
                for (part, draft) in parts {
                    drafts.push(Draft { step: steps.len(), layer, ..draft });
                    steps.push(part);
                }
            }
        }
    }
    p.steps = steps;
    drafts
}

type Parts = Vec<(Step, Draft)>;

fn longest(parts: &Parts) -> u64 {
    parts.iter().map(|(_, d)| d.estimate.instructions).max().unwrap_or(0)
}

fn best(chooser: &Chooser, step: &Step, whole: &Draft, cores: Cores) -> Option<Parts> {
    let alone = whole.estimate.instructions;
    if cores.count < 2 || alone <= cores.dispatch {
        return None;
    }
    let try_out = |parts: Vec<Step>| -> Option<Parts> {
        let one = |part: Step| match chooser.step(whole.step, &part) {
            Ok(draft) => Some((part, draft)),
            Err(Obstacle::Error(_) | Obstacle::Chain(_)) => None,
        };
        (parts.len() > 1).then(|| parts.into_iter().map(one).collect()).flatten()
    };
    let mut best: Option<Parts> = None;
    for parts in ways(step, cores.count) {
        if let Some(parts) = try_out(parts)
            && best.as_ref().is_none_or(|b| longest(&parts) < longest(b))
        {
            best = Some(parts);
        }
    }
    best.filter(|b| longest(b) + cores.dispatch < alone)
}

/// `n` or fewer ranges of about equal length; all but the last end at a multiple of `unit`.
fn ranges(len: usize, n: usize, unit: usize) -> Vec<std::ops::Range<usize>> {
    let units = len.div_ceil(unit);
    let n = n.min(units).max(1);
    (0..n).map(|i| units * i / n * unit..(units * (i + 1) / n * unit).min(len)).collect()
}

/// The ways to divide a step.
fn ways(step: &Step, n: usize) -> Vec<Vec<Step>> {
    let y = &step.output;
    let rank = y.dims.len();
    match &step.op {
        Op::Copy | Op::Fill(_) | Op::Map(_) | Op::Binary(..) | Op::MulAdd(_) | Op::Select => {
            along(step, n, 0..rank)
        }
        Op::Reduce(..) => {
            let x = &step.inputs[0];
            along(step, n, (0..rank).filter(|&a| x.dims.get(a) == Some(&y.dims[a])))
        }
        Op::Softmax { .. } | Op::Norm { .. } | Op::ArgReduce { .. } => {
            along(step, n, 0..rank.saturating_sub(1))
        }
        Op::Pool(_) => along(step, n, 0..1),
        Op::Resize(r) => {
            let rows = |at: std::ops::Range<usize>| {
                let mut r = r.clone();
                r.rows = r.rows[at.clone()].to_vec();
                Step { op: Op::Resize(r), output: cut(y, 1, &at), ..step.clone() }
            };
            let mut all = along(step, n, 0..1);
            all.push(ranges(y.dims[1], n, 1).into_iter().map(rows).collect());
            all
        }
        Op::Gather => {
            let rows = |at: std::ops::Range<usize>| {
                let inputs = vec![step.inputs[0].clone(), cut(&step.inputs[1], 0, &at)];
                Step { inputs, output: cut(y, 0, &at), ..step.clone() }
            };
            vec![ranges(y.dims[0], n, 1).into_iter().map(rows).collect()]
        }
        Op::MatMul(_) if rank >= 2 => products(step, n),
        Op::Conv(c) => {
            let mut all = if c.groups == 1 { vec![outputs(step, c, n)] } else { vec![groups(step, c, n)] };
            let (even, vectors) = (ranges(y.dims[1], n, 1), ranges(y.dims[1], n, LANES));
            if vectors != even {
                all.push(rows(step, c, vectors));
            }
            all.push(rows(step, c, even));
            all
        }
        Op::ConvTranspose(c) if c.groups == 1 => vec![outputs(step, c, n)],
        _ => vec![],
    }
}

fn cut(v: &View, axis: usize, at: &std::ops::Range<usize>) -> View {
    v.slice(axis, at.start, at.len(), 1)
}

/// All operands are cut along the same axis, one of those given.
fn along(step: &Step, n: usize, axes: impl Iterator<Item = usize>) -> Vec<Vec<Step>> {
    let y = &step.output;
    let one = |axis: usize| {
        let part = |at: std::ops::Range<usize>| Step {
            inputs: step.inputs.iter().map(|v| cut(v, axis, &at)).collect(),
            output: cut(y, axis, &at),
            ..step.clone()
        };
        // The last axis runs along the lanes of vectors.
        let unit = if axis + 1 == y.dims.len() { LANES } else { 1 };
        ranges(y.dims[axis], n, unit).into_iter().map(part).collect()
    };
    axes.filter(|&a| y.dims[a] > 1).map(one).collect()
}

/// Matrix products: by the axes in front, by rows, by columns.
fn products(step: &Step, n: usize) -> Vec<Vec<Step>> {
    let y = &step.output;
    let [row, column] = [y.dims.len() - 2, y.dims.len() - 1];
    let one = |axis: usize| {
        let part = |at: std::ops::Range<usize>| {
            let operand = |(i, v): (usize, &View)| match i {
                0 if axis == column => v.clone(),
                1 if axis == row => v.clone(),
                _ => cut(v, axis, &at),
            };
            let inputs = step.inputs.iter().enumerate().map(operand).collect();
            Step { inputs, output: cut(y, axis, &at), ..step.clone() }
        };
        let unit = if axis == column { LANES } else { 1 };
        ranges(y.dims[axis], n, unit).into_iter().map(part).collect()
    };
    let same = |a: usize| a >= row || step.inputs.iter().all(|v| v.dims.get(a) == Some(&y.dims[a]));
    (0..y.dims.len()).filter(|&a| y.dims[a] > 1 && same(a)).map(one).collect()
}

/// A part of a convolution on other operands; what is added comes from where the result goes.
fn part(step: &Step, conv: Conv, input: View, output: View, added: impl Fn(&View) -> View) -> Step {
    let mut inputs = vec![input];
    inputs.extend(step.inputs.get(1).map(added));
    let conv = Box::new(conv);
    let op = if matches!(step.op, Op::Conv(_)) { Op::Conv(conv) } else { Op::ConvTranspose(conv) };
    Step { name: step.name.clone(), op, inputs, output }
}

/// Some of the outputs each, of an ungrouped convolution. All read the whole input.
fn outputs(step: &Step, c: &Conv, n: usize) -> Vec<Step> {
    let taps = c.kernel[0] * c.kernel[1];
    let one = |at: std::ops::Range<usize>| {
        let weights = match step.op {
            Op::Conv(_) => {
                let each = c.weights.len() / c.outputs;
                c.weights[at.start * each..at.end * each].to_vec()
            }
            // An input's weights of all outputs lie together.
            _ => c
                .weights
                .chunks(c.outputs * taps)
                .flat_map(|w| &w[at.start * taps..at.end * taps])
                .copied()
                .collect(),
        };
        let bias = if c.bias.is_empty() { vec![] } else { c.bias[at.clone()].to_vec() };
        let conv = Conv { weights, bias, outputs: at.len(), ..c.clone() };
        part(step, conv, step.inputs[0].clone(), cut(&step.output, 0, &at), |v| cut(v, 0, &at))
    };
    ranges(c.outputs, n, LANES).into_iter().map(one).collect()
}

/// Some of the groups each, with their inputs.
fn groups(step: &Step, c: &Conv, n: usize) -> Vec<Step> {
    let (ins, outs) = (step.inputs[0].dims[0] / c.groups, c.outputs / c.groups);
    let each = c.weights.len() / c.groups;
    let one = |at: std::ops::Range<usize>| {
        let times = |k: usize| at.start * k..at.end * k;
        let bias = if c.bias.is_empty() { vec![] } else { c.bias[times(outs)].to_vec() };
        let conv = Conv {
            weights: c.weights[times(each)].to_vec(),
            bias,
            outputs: at.len() * outs,
            groups: at.len(),
            ..c.clone()
        };
        let input = cut(&step.inputs[0], 0, &times(ins));
        part(step, conv, input, cut(&step.output, 0, &times(outs)), |v| cut(v, 0, &times(outs)))
    };
    ranges(c.groups, n, 1).into_iter().map(one).collect()
}

/// Some of the rows each. The rows around those of a part, which its padding stands for, are there in memory: those of
/// its neighbours or the border.
fn rows(step: &Step, c: &Conv, parts: Vec<std::ops::Range<usize>>) -> Vec<Step> {
    let x = &step.inputs[0];
    let one = |at: std::ops::Range<usize>| {
        let first = at.start * c.strides[0];
        let last = (at.end * c.strides[0]).min(x.dims[1]);
        // A single row does not say how far it is to the next one.
        let known = last > first + 1 || (c.kernel[0] == 1 && last > first);
        known.then(|| {
            let input = cut(x, 1, &(first..last));
            part(step, c.clone(), input, cut(&step.output, 1, &at), |v| cut(v, 1, &at))
        })
    };
    parts.into_iter().map(one).collect::<Option<_>>().unwrap_or_default()
}
