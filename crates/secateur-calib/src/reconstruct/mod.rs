//! Reconstruction: the weights of all layers are moved together so that the network comes nearer to the original,
//! where compensation has looked at one layer at a time.
//!
//! It minimizes the squared error of the outputs and of the values inside over the calibration samples, by
//! gradient descent from what compensation has found. Targets are the original's own values: no labels are
//! needed. For quantization this is known as reconstruction from unlabelled calibration data (Li et al. 2021,
//! BRECQ, section 3); matching the values inside goes back to Romero et al. 2015 (FitNets, equation 3).

mod descend;
mod orthogonal;
mod pair;
mod views;

use rustc_hash::FxHashMap;
use secateur_diag::Result;
use secateur_grad::{Array, Refused};
use secateur_ir::{Graph, ValueId};
use serde::Serialize;

use super::Samples;
use super::measure::Reference;
use pair::Pair;

/// How reconstruction goes.
#[derive(Debug, Clone)]
pub struct Options {
    /// Passes over the samples.
    pub epochs: usize,
    /// Most multiply-adds that all passes may take; fewer passes are made where they would take more.
    pub work: f64,
    /// Size of the first steps, a share of the size of each tensor; halved while that is better on held-out
    /// samples.
    pub rate: f32,
    /// What the error of the values inside counts, against that of the outputs.
    pub inside: f32,
    /// Whether images may be shown shifted and mirrored, where that is better on held-out samples.
    pub views: bool,
    /// The runs that choose the size of steps have one pass for so many of the whole.
    pub short: usize,
    /// By weight that is to be rounded: the network runs on what it is rounded to, and derivatives are taken as if it
    /// had not been (Bengio, Léonard and Courville 2013, section 2, the straight-through estimator).
    pub grids: FxHashMap<ValueId, Steps>,
}

/// The numbers that a tensor's elements may be.
#[derive(Debug, Clone)]
pub struct Steps {
    /// By element: the distance of neighbours.
    pub scale: Vec<f32>,
    /// Multiples of the scale go from minus this to this.
    pub most: f32,
}

impl Steps {
    /// The nearest numbers.
    pub fn round(&self, w: &[f32]) -> Vec<f32> {
        let one = |(w, s): (&f32, &f32)| (w / s).round_ties_even().clamp(-self.most, self.most) * s;
        w.iter().zip(&self.scale).map(one).collect()
    }
}

impl Default for Options {
    fn default() -> Self {
        let grids = FxHashMap::default();
        Self { epochs: MOST_PASSES, work: 1e13, rate: 8e-3, inside: 25.0, views: true, short: 8, grids }
    }
}

impl Options {
    /// For weights that are rounded, of a network that is near the original but for that, with so many samples.
    ///
    /// Steps are small and passes few, and a run of fewer passes foretells little here.
    pub fn rounding(grids: FxHashMap<ValueId, Steps>, samples: usize) -> Self {
        let epochs = SHOWN_ROUNDED.div_ceil(samples.max(1)).clamp(LEAST_PASSES_ROUNDED, LEAST_PASSES);
        Self { epochs, rate: 1e-3, short: 1, grids, ..Self::default() }
    }
}

/// What reconstruction did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reconstructed {
    /// Passes over the samples.
    pub epochs: usize,
    /// Size of the first steps, a share of the size of each tensor.
    pub rate: f32,
    /// Whether samples were also shifted and mirrored.
    pub views: bool,
    /// Squared error of the outputs on held-out samples, a share of their variance, before.
    pub before: f64,
    /// And after the short run that chose rate and views, in which these samples had no part.
    pub after: f64,
}

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// An operator has no derivative.
    Operator(Refused),
    /// A few passes over the samples would take more work than is allowed.
    Work,
    /// Inputs or outputs are not f32, no weight can move, or there are too few samples to hold some out.
    Nothing,
    /// It was not better on held-out samples.
    Worse,
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Left::Operator(r) if r.name.is_empty() => {
                write!(f, "{} at node {} has no derivative", r.op, r.node)
            }
            Left::Operator(r) => write!(f, "{} \"{}\" has no derivative", r.op, r.name),
            Left::Work => f.write_str("it would take too long"),
            Left::Nothing => f.write_str("inputs or outputs are not f32, or there are too few samples"),
            Left::Worse => f.write_str("it was no better on held-out samples"),
        }
    }
}

/// What decides.
pub struct Judge<'a> {
    /// The original on held-out samples ([`Samples::held_out`]).
    pub held_out: &'a Reference<'a>,
    /// The error of a network like the pruned one in which these samples had no part. They may have had one in the
    /// pruned one; this is asked where a short run seems no better than that.
    pub honest: &'a mut dyn FnMut() -> Result<f64>,
}

/// Samples that are shown all together where nothing is said of passes, and bounds on the passes.
const SHOWN: usize = 10_000;
const LEAST_PASSES: usize = 20;
const MOST_PASSES: usize = 30;
const SHOWN_ROUNDED: usize = 3_000;
const LEAST_PASSES_ROUNDED: usize = 6;

/// Passes over so many samples where nothing is said of them: few samples need more, to make as many steps.
pub fn passes(samples: usize) -> usize {
    SHOWN.div_ceil(samples.max(1)).clamp(LEAST_PASSES, MOST_PASSES)
}

/// Fewest passes that are worth it.
const FEWEST: usize = 3;
/// Most short runs.
const TRIES: usize = 3;

/// Moves the weights of `pruned` so that its values come nearer to those of `original`.
///
/// Images are also shown shifted and mirrored. How large steps are is decided by short runs on three quarters of the
/// samples, judged on the others; so is whether samples should be shown as they are alone, where other views do not
/// help. The run that counts is over all samples. Zeros in weights stay. `kept` tells which of the original's elements of an axis are left, `None` where all
/// are. `done` is told what share of the work is done.
///
/// # Errors
/// Those of the engine.
pub fn reconstruct(
    original: &Graph,
    pruned: &mut Graph,
    kept: &dyn Fn(ValueId, usize) -> Option<Vec<usize>>,
    samples: &Samples,
    judge: Judge,
    options: &Options,
    done: &mut dyn FnMut(f64),
) -> Result<std::result::Result<Reconstructed, Left>> {
    let pair = match Pair::new(original, pruned, kept, samples, options)? {
        Ok(p) => p,
        Err(left) => return Ok(Err(left)),
    };
    let (all, three) = (pair.rows.all(), pair.rows.fitted());
    let share = TRIES as f64 / options.short as f64 * three.len() as f64 / all.len() as f64;
    let affordable = options.work / (pair.work * all.len() as f64 * (1.0 + share));
    let epochs = options.epochs.min(affordable as usize);
    if three.len() == all.len() || options.epochs == 0 {
        return Ok(Err(Left::Nothing));
    }
    if epochs < FEWEST.min(options.epochs) {
        return Ok(Err(Left::Work));
    }
    let short = epochs.div_ceil(options.short);
    let mut attempt = |rate: f32, views: bool| -> Result<f64> {
        let part = share / (1.0 + share) / TRIES as f64;
        let params = pair.descend(&three, rate, short, views, &mut |p| done(p * part))?;
        let mut graph = pruned.clone();
        put(&mut graph, &pair, &params);
        judge.held_out.error(&graph)
    };
    let images = options.views && pair.rows.images();
    let mut rate = options.rate;
    let mut best = attempt(rate, images)?;
    let mut tries = 1;
    while tries < TRIES {
        let error = attempt(rate / 2.0, images)?;
        tries += 1;
        // Not-a-number is worse.
        if error < best || best.is_nan() {
            (best, rate) = (error, rate / 2.0);
        } else {
            break;
        }
    }
    // A short run cannot tell whether other views keep a long one from learning the samples by heart; it tells
    // whether they are samples that the network is made for.
    let mut start = pruned.clone();
    put(&mut start, &pair, &pair.at(|p| pair.pruned.param(p).cloned()));
    let fitted = judge.held_out.error(&start)?;
    let before = if best < fitted { fitted } else { (judge.honest)()? };
    let mut views = images;
    if images && (best.is_nan() || best >= before) {
        (best, views) = (attempt(rate, false)?, false);
    }
    if best.is_nan() || best >= before {
        return Ok(Err(Left::Worse));
    }
    let params = pair.descend(&all, rate, epochs, views, &mut |p| done(p / (1.0 + share)))?;
    let mut graph = pruned.clone();
    put(&mut graph, &pair, &params);
    let error = judge.held_out.error(&graph)?;
    if error.is_nan() || error >= fitted {
        return Ok(Err(Left::Worse));
    }
    *pruned = graph;
    Ok(Ok(Reconstructed { epochs, rate, views, before, after: best }))
}

/// Writes parameters into a graph.
fn put(graph: &mut Graph, pair: &Pair, params: &[Array]) {
    for (v, a) in pair.pruned.params().iter().zip(params) {
        let new = graph.init(*v).and_then(|old| old.with_f32(a.shape.clone(), &a.data));
        if let Some(t) = new {
            graph.set_init(*v, t);
        }
    }
}
