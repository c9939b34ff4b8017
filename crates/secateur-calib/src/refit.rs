//! Compensation: every linear operator behind a removal is fitted again, in topological order, so that on the
//! pruned network's inputs it gives what the original gave on its own.
//!
//! Layer by layer least squares as in He, Zhang and Sun 2017 (Channel Pruning, section 3.1), damped towards
//! the original weights. Where a sum with another path follows, the target is the sum, so that errors of that
//! path are made up for as well; where a rectifier follows, errors on the side that it cuts off do not count
//! (Zhang, Zou, He and Sun 2015, section 3.2).

use crate::{Moments, Unfold};
use faer::Mat;
use rustc_hash::{FxHashMap, FxHashSet};
use secateur_diag::Result;
use secateur_ir::{Graph, ValueId};
use secateur_tensor::Tensor;
use serde::Serialize;

use crate::Samples;
use crate::linear::{Linear, linears};
use crate::norm;
use crate::pattern::Pattern;
use crate::solve::{self, Map};
use crate::sparse;
use crate::statistics::{has_offset, unfolding};
use crate::targets::{Task, fate, moments};
use crate::walk::{Batches, Walk};

/// What compensation does.
#[derive(Debug, Clone)]
pub struct Options {
    /// Targets include the other path of a sum.
    pub sums: bool,
    /// Rounds of fitting with the side that a rectifier cuts off left out.
    pub rounds: usize,
    /// Weights are fitted; else each output is only scaled and shifted to its target's mean and variance.
    pub fit: bool,
    /// Which weights get zeros, and how many.
    pub masks: Option<Masks>,
}

/// Zeros in weights.
#[derive(Debug, Clone)]
pub struct Masks {
    /// Where they may be.
    pub pattern: Pattern,
    /// By weight: the share of its elements that may stay.
    pub density: FxHashMap<ValueId, f64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { sums: true, rounds: 2, fit: true, masks: None }
    }
}

/// What was done to one operator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refitted {
    /// Name of the weight.
    pub weight: String,
    /// The damping chosen, a share of the mean variance of the inputs.
    pub damping: f64,
    /// Error on the samples that chose the damping, a share of the target's variance, before.
    pub before: f64,
    /// And after, when these samples have joined the fit.
    pub after: f64,
}

/// Takes what one group of an operator was fitted to, and the moments it was fitted on, to weights that may be had.
pub type Settle<'a> = dyn FnMut(&Linear, usize, &Map, &Moments) -> Option<Mat<f64>> + 'a;

/// Fits all operators behind a removal again, in place.
///
/// `pruned` is `original` with slices cut out: its values have the same numbers, and `kept` tells which elements
/// of an axis are left, `None` where all are.
///
/// # Errors
/// Those of the engine.
pub fn compensate(
    original: &Graph,
    pruned: &mut Graph,
    kept: &dyn Fn(ValueId, usize) -> Option<Vec<usize>>,
    samples: &Samples,
    options: &Options,
    done: &mut dyn FnMut(usize),
) -> Result<Vec<Refitted>> {
    sweep((original, pruned), kept, samples, options, None, done)
}

/// [`compensate`], where operators may be held to weights of a certain kind, as integers are: `settle` is asked with
/// what each group was fitted to, and offsets then follow from what it gives. Operators after it are fitted on what
/// these weights pass on, so that they make up for both. With it, every operator is fitted.
///
/// # Errors
/// Those of the engine.
pub fn sweep(
    (original, pruned): (&Graph, &mut Graph),
    kept: &dyn Fn(ValueId, usize) -> Option<Vec<usize>>,
    samples: &Samples,
    options: &Options,
    mut settle: Option<&mut Settle>,
    done: &mut dyn FnMut(usize),
) -> Result<Vec<Refitted>> {
    let all: Vec<usize> = (0..samples.batches.len()).collect();
    let mut before = Walk::new(original, samples, all.clone())?;
    let mut after = Walk::new(pruned, samples, all)?;
    let old: FxHashMap<ValueId, Linear> = linears(original).into_iter().map(|l| (l.weight, l)).collect();
    let density = |l: &Linear| options.masks.as_ref().and_then(|m| m.density.get(&l.weight)).copied();
    let masked: FxHashSet<ValueId> = options.masks.iter().flat_map(|m| m.density.keys().copied()).collect();
    let changed = changed_values(original, pruned, &masked);
    let mut report = Vec::new();
    // Bias included; some of them are passed before it is their turn.
    let mut outs: Vec<ValueId> = old.values().map(|l| l.out).collect();
    outs.sort_unstable();
    let mut norms = norm::nodes(pruned, &changed);
    for l in linears(pruned) {
        // Where weights are fitted, those behind a normalization make up for it.
        if !options.fit {
            let due = (&mut norms, l.node);
            norm::repair((original, &mut before), (pruned, &mut after), due, &outs, kept, false)?;
        }
        let Some(o) = old.get(&l.weight) else { continue };
        if !changed.contains(&l.data) && density(&l).is_none() && settle.is_none() {
            continue;
        }
        let def = |g: &Graph, v: ValueId| g.links().def(v).unwrap_or(0);
        let links = pruned.links();
        let fate = fate(pruned, &links, &l, options.sums);
        let end = def(original, o.out) + 1;
        before.advance(original, end, &outs)?;
        after.advance(pruned, l.node, &[l.data])?;
        let (Some(data), Some(target)) = (after.get(l.data).cloned(), before.get(o.out).cloned()) else {
            continue;
        };
        let kept = kept(o.out, o.axis);
        let channels = |t: &Tensor, kept: Option<&[usize]>| -> Result<Mat<f32>> {
            let n = t.dims[o.axis];
            let m = Unfold::Axis(o.axis).rows(t, 0..n)?;
            Ok(match kept {
                Some(k) => Mat::from_fn(m.nrows(), k.len(), |i, j| m[(i, k[j])]),
                None => m,
            })
        };
        let many = |b: &Batches, kept: Option<&[usize]>| -> Result<Vec<Mat<f32>>> {
            b.iter().map(|t| channels(t, kept)).collect()
        };
        let shape = target[0].dims.clone();
        let mut target = many(&target, kept.as_deref())?;
        let (mut other, mut sum) = (None, None);
        if let Some(v) = fate.other
            && let (Some(a), Some(b)) = (before.get(v), after.get(v))
        {
            let (a, b) = (many(a, kept.as_deref())?, many(b, None)?);
            target.iter_mut().zip(&a).for_each(|(t, a)| *t += a);
            if fate.bounds.is_some() {
                sum = Some(target.clone());
            }
            target.iter_mut().zip(&b).for_each(|(t, b)| *t -= b);
            other = Some(b);
        }
        let unfold = unfolding(pruned, &l, &data[0], &shape)?;
        let bounds = fate.bounds.filter(|_| fate.other.is_none() || other.is_some());
        let task = Task { data: &data, target, other, sum, unfold, samples };
        let mask = options.masks.as_ref().zip(density(&l)).map(|(m, d)| (m.pattern, d));
        report.push(refit(pruned, &l, task, bounds, options, mask, settle.as_deref_mut())?);
        outs.retain(|v| *v != o.out);
        done(l.node);
    }
    let last = linears(pruned).last().map_or(0, |l| l.node);
    norms.retain(|n| *n > last);
    let due = (&mut norms, pruned.nodes.len());
    norm::repair((original, &mut before), (pruned, &mut after), due, &outs, kept, options.fit)?;
    Ok(report)
}

/// Values of the pruned graph that are not what they are in the original.
fn changed_values(original: &Graph, pruned: &Graph, masked: &FxHashSet<ValueId>) -> FxHashSet<ValueId> {
    let mut out = masked.clone();
    for v in pruned.value_ids() {
        let same = match (
            pruned.init(v),
            (v.index() < original.value_count()).then(|| original.init(v)).flatten(),
        ) {
            (Some(a), Some(b)) => a == b,
            (None, None) => true,
            _ => false,
        };
        if !same {
            out.insert(v);
        }
    }
    for n in 0..pruned.nodes.len() {
        mark(pruned, n, &mut out);
    }
    out
}

/// The outputs of a node with a changed input are changed.
fn mark(graph: &Graph, n: usize, changed: &mut FxHashSet<ValueId>) {
    let node = &graph.nodes[n];
    if node.inputs.iter().flatten().chain(&node.captures).any(|v| changed.contains(v)) {
        changed.extend(node.outputs.iter().flatten().copied());
    }
}

fn refit(
    graph: &mut Graph,
    l: &Linear,
    task: Task,
    bounds: Option<(f32, f32)>,
    options: &Options,
    mask: Option<(Pattern, f64)>,
    mut settle: Option<&mut Settle>,
) -> Result<Refitted> {
    let Some(weight) = graph.init(l.weight).cloned() else { unreachable!("linear() saw a weight") };
    let name = graph.value(l.weight).name.clone();
    let mut matrices = l.matrices(&weight).unwrap_or_default();
    let (channels, taps, outputs) = l.sizes(&weight);
    let bias = l.bias.and_then(|b| graph.init(b)).and_then(secateur_tensor::Tensor::to_f32);
    let mut offsets: Vec<f64> = match &bias {
        Some(b) => b.iter().map(|b| f64::from(*b)).collect(),
        None => vec![0.0; outputs * l.groups()],
    };
    let free = has_offset(graph, l);
    let mut out = Refitted { weight: name, damping: 0.0, before: 0.0, after: 0.0 };
    let mut total = 0.0;
    for (g, w) in matrices.iter_mut().enumerate() {
        let columns = g * outputs..(g + 1) * outputs;
        let own = &mut offsets[columns.clone()];
        let prior = Map { w: w.clone(), b: own.to_vec() };
        let range = g * channels..(g + 1) * channels;
        let (mut fit, mut held) = moments(&task, range.clone(), channels * taps, &columns, None, None)?;
        let fixed = (!free).then(|| own.to_vec());
        out.damping = solve::best_damping(&fit, &held, w, fixed.as_deref());
        total += held.power(true).iter().sum::<f64>();
        out.before += solve::errors(&held, &prior).iter().sum::<f64>();
        let mut all = fit.clone();
        all.merge(&held);
        let support = mask.and_then(|(pattern, density)| {
            let keep = (density * (w.nrows() * w.ncols()) as f64).round() as usize;
            sparse::support(
                &solve::problem(&all, w, fixed.as_deref(), out.damping),
                pattern,
                taps,
                keep,
                task.samples.threads,
            )
        });
        // What is zero already stays so.
        let zeros = settle.is_some() && w.col_iter().any(|c| c.iter().any(|x| *x == 0.0));
        let support = match zeros {
            true => Some(Mat::from_fn(w.nrows(), w.ncols(), |i, j| w[(i, j)] != 0.0)),
            false => support,
        };
        let fitted = |all: &Moments| match &support {
            Some(s) => {
                let problem = solve::problem(all, w, fixed.as_deref(), out.damping);
                Some(solve::with_offsets(
                    all,
                    sparse::solve_on(&problem, s, task.samples.threads),
                    fixed.as_deref(),
                ))
            }
            None => solve::ridge(all, w, fixed.as_deref(), out.damping),
        };
        if !options.fit && support.is_none() {
            let mut map = prior.clone();
            if free {
                repair(&all, &mut map);
            }
            out.after += solve::errors(&held, &map).iter().sum::<f64>();
            *w = map.w;
            own.copy_from_slice(&map.b);
            continue;
        }
        let Some(mut map) = fitted(&all) else { continue };
        for _ in 0..bounds.map_or(0, |_| options.rounds) {
            let bounds = bounds.map(|b| (b, &map));
            let like = (&fit, &held);
            (fit, held) = moments(&task, range.clone(), channels * taps, &columns, bounds, Some(like))?;
            all.clear_y();
            all.merge_y(&fit);
            all.merge_y(&held);
            match fitted(&all) {
                Some(m) => map = m,
                None => break,
            }
        }
        if let Some(settled) = settle.as_deref_mut().and_then(|s| s(l, g, &map, &all)) {
            map = solve::with_offsets(&all, settled, fixed.as_deref());
        }
        out.after += solve::errors(&held, &map).iter().sum::<f64>();
        *w = map.w;
        own.copy_from_slice(&map.b);
    }
    out.before /= total.max(1e-30);
    out.after /= total.max(1e-30);
    if let Some(t) = l.with_matrices(&weight, &matrices) {
        graph.set_init(l.weight, t);
    }
    set_offsets(graph, l, &weight, &offsets);
    Ok(out)
}

/// Scales each output about its mean so that its variance is the target's.
fn repair(m: &Moments, map: &mut Map) {
    let h = m.gram(true);
    let hw = &h * &map.w;
    let power = m.power(true);
    for (j, &power) in power.iter().enumerate() {
        let variance: f64 = map.w.col(j).iter().zip(hw.col(j).iter()).map(|(a, b)| a * b).sum();
        if variance > 1e-12 * power && power > 0.0 {
            let gain = (power / variance).sqrt().clamp(0.5, 2.0);
            map.w.col_as_slice_mut(j).iter_mut().for_each(|w| *w *= gain);
        }
    }
    map.b = solve::offsets(m, &map.w);
}

/// Writes the offsets, where the operator has a bias or they are not zero.
fn set_offsets(graph: &mut Graph, l: &Linear, like: &secateur_tensor::Tensor, offsets: &[f64]) {
    let values: Vec<f32> = offsets.iter().map(|b| *b as f32).collect();
    let Some(t) = like.with_f32(vec![values.len()], &values) else { return };
    match l.bias {
        Some(b) => graph.set_init(b, t),
        None if values.iter().all(|b| *b == 0.0) => {}
        None => {
            let name = format!("{}_bias", graph.value(l.weight).name);
            let v = graph.add_init(&name, t);
            let inputs = &mut graph.nodes[l.node].inputs;
            inputs.resize(3, None);
            inputs[2] = Some(v);
        }
    }
}
