//! Pruning with calibration data: measure, allocate, cut, compensate, in one step or several.

mod refine;
mod run;
mod work;

use std::path::PathBuf;

use secateur_calib::Samples;
use secateur_calib::pattern::Pattern;
use secateur_calib::reconstruct::Reconstructed;
use secateur_calib::refit::Refitted;
use secateur_data::{InputSet, Recipe, ValueInfo, parse_data_args};
use secateur_diag::{Code, Result, diag};
use secateur_ir::Module;
use secateur_prune::{Amount, Scope};
use serde::Serialize;

use crate::cache;
use crate::prune::{Analyzed, Pruned, Request};
use refine::Attempt;
use run::Run;
pub use work::Meter;

/// How classes are rated when there are data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rating {
    /// Structured Optimal Brain Surgeon on the readers' second moments.
    Obs,
    /// Magnitude times the input's norm.
    Wanda,
    /// By weights alone, as [`Request::criterion`] says.
    Weights,
}

/// Parts of the method that are left out, for comparison.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Without {
    /// Groups share the budget by the readers' own errors; the outputs are not measured.
    pub sensitivity: bool,
    /// Removed classes are not exchanged for others once their number is known.
    pub exchange: bool,
    /// Weights are not fitted again.
    pub compensation: bool,
    /// Outputs of layers are not scaled and shifted back either.
    pub repair: bool,
    /// Targets are each layer's own, not those of the sum behind it.
    pub sums: bool,
    /// What a rectifier cuts off counts as an error.
    pub rectifiers: bool,
    /// Weights of all layers are not moved together in the end.
    pub reconstruction: bool,
    /// The reconstruction looks at the outputs alone.
    pub inside: bool,
    /// The reconstruction sees samples as they are alone.
    pub views: bool,
}

/// What calibration is asked for.
pub struct Calibration {
    /// The samples.
    pub samples: Samples,
    /// How classes are rated.
    pub rating: Rating,
    /// How groups share the budget: by sensitivity where `None`.
    pub scope: Option<Scope>,
    /// Steps to the budget; `None` tries one and two and keeps what is nearer to the original.
    pub steps: Option<usize>,
    /// Passes over the samples of the reconstruction.
    pub epochs: usize,
    /// What is left out.
    pub without: Without,
    /// Zeros in the weights that stay.
    pub masks: Option<Masking>,
    /// Where measurements are kept; `None` keeps none.
    pub cache: Option<PathBuf>,
    /// How the result is quantized, where it is.
    pub quantize: Option<Quantizing>,
}

/// Zeros in the weights that stay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Masking {
    /// Where they may be.
    pub pattern: Pattern,
    /// Their share of all weights of linear operators, at least.
    pub sparsity: f64,
    /// The time that the network may take with them, on the clock of the [`Request`].
    pub latency: Option<Amount>,
}

/// Quantization of what is left, towards the original.
pub struct Quantizing {
    /// How.
    pub options: secateur_quant::Options,
    /// The samples that ranges are taken of.
    pub data: InputSet,
}

/// Long work, told as it goes.
pub trait Progress {
    /// The stages to come, some of which may turn out not to be needed, with their estimated work in one unit.
    fn outline(&mut self, stages: Vec<(&'static str, f64)>);
    /// A stage of `steps` steps begins.
    fn stage(&mut self, name: &str, steps: usize);
    /// One step is done.
    fn step(&mut self);
}

/// What removing classes of one group costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CurveReport {
    /// An axis of the group.
    pub axis: String,
    /// Number of classes.
    pub classes: usize,
    /// How many are removed, 0 where nothing was asked for.
    pub removed: usize,
    /// Number removed, and the error of the outputs that was measured then, a share of their variance.
    pub measured: Vec<(usize, f64)>,
}

/// What calibration found and did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibrated {
    /// Samples used.
    pub samples: usize,
    /// Steps to the budget.
    pub steps: usize,
    /// Squared error of the outputs on held-out samples, which chose the damping and then joined the fit, a share of
    /// their variance. It is lower than on other data.
    pub output_error: f64,
    /// The same, cut but not compensated.
    pub output_error_cut: f64,
    /// Samples on which that was measured.
    pub judged_on: usize,
    /// Share of zeros in the weights of linear operators.
    pub zeros: f64,
    /// The reconstruction, where there was one.
    pub reconstruction: Option<Reconstructed>,
    /// Why there was none although one was wanted.
    pub reconstruction_left: Option<String>,
    /// Groups, at the first step.
    pub curves: Vec<CurveReport>,
    /// Operators fitted again, at the last step.
    pub layers: Vec<Refitted>,
    /// What was quantized, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<secateur_quant::Report>,
    /// Peak memory of the process in bytes, where the system tells; not in the JSON, which is always the same.
    #[serde(skip)]
    pub peak_memory: Option<u64>,
}

/// Opens calibration data for a model: in batches, and as they are.
///
/// # Errors
/// Those of the data, `D001` to `D004`.
pub fn samples(
    module: &Module,
    files: &[String],
    recipe: &Recipe,
    batch: usize,
    threads: usize,
) -> Result<(Samples, InputSet)> {
    let inputs = ValueInfo::inputs(&module.graph);
    let set = InputSet::open(&parse_data_args(files)?, &inputs, recipe)?;
    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(1, Into::into),
        n => n,
    };
    let fixed = inputs.iter().find_map(ValueInfo::fixed_batch);
    // Four batches at least, so that one can be held out.
    let batch = batch.min(set.samples() / 4).max(1);
    let samples = Samples::new(&set, fixed.unwrap_or(batch), fixed.is_some(), threads)?;
    if samples.batches.is_empty() {
        let title = format!("{} samples do not fill a batch of the model", set.samples());
        return Err(diag(Code::D002, title).at("batch", fixed.unwrap_or(batch).to_string()));
    }
    Ok((samples, set))
}

/// The error curves of all groups of a model.
///
/// # Errors
/// Those of the engine and of the data.
pub fn sensitivity(
    analyzed: &Analyzed,
    request: &Request,
    calibration: &Calibration,
    progress: &mut dyn Progress,
) -> Result<Vec<CurveReport>> {
    let run = Run::new(analyzed, request, calibration)?;
    let view = run.first()?;
    progress.outline(run.outline(&view, &[], true)?);
    let curves = run.curves(&view, true, progress)?;
    let none = vec![0; curves.len()];
    Ok(run.reports(&view.coupling, &curves, &none))
}

/// The whole way from an analysed model and samples to a smaller model.
///
/// # Errors
/// `P001` where the budget cannot be met, and those of the engine and of the data.
pub fn prune(
    analyzed: &Analyzed,
    request: &Request,
    calibration: &Calibration,
    progress: &mut dyn Progress,
) -> Result<(Pruned, Calibrated)> {
    if calibration.quantize.is_some() {
        secateur_quant::quantizable(&analyzed.module.graph)?;
    }
    let run = Run::new(analyzed, request, calibration)?;
    let first = run.first()?;
    let cut = !request.budget.limits.is_empty();
    progress.outline(run.outline(&first, &run.steps(), cut)?);
    let curves = if cut { run.curves(&first, false, progress)? } else { Vec::new() };
    let mut best: Option<Attempt> = None;
    for steps in run.steps() {
        let found = run.attempt(&first, &curves, steps, progress)?;
        if best.as_ref().is_none_or(|b| found.report.output_error < b.report.output_error) {
            best = Some(found);
        }
    }
    let Some(mut best) = best else { unreachable!("at least one number of steps is tried") };
    let changed = !best.report.layers.is_empty();
    if changed && !calibration.without.reconstruction && !calibration.without.compensation {
        run.reconstruct(&mut best, progress)?;
    }
    let quantized = match &calibration.quantize {
        Some(q) => Some(run.quantize(&mut best, q, progress)?),
        None => None,
    };
    let Attempt { mut report, state, .. } = best;
    report.peak_memory = peak_memory();
    let plan = state.plan(&analyzed.coupling);
    let mut pruned = analyzed.finished(state.graph, plan, &request.dims)?;
    if let Some(graph) = quantized {
        pruned.quantized = Some(crate::quantize::finished(analyzed.module.clone(), graph)?);
    }
    Ok((pruned, report))
}

/// Peak memory of this process in bytes; known on Linux.
pub(crate) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The user's folder for what was measured.
pub fn default_cache() -> Option<PathBuf> {
    cache::folder()
}
