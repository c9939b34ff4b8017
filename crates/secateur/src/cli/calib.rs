//! Options of commands that prune with calibration data.

use std::path::PathBuf;
use std::sync::Arc;

use indicatif::ProgressBar;
use secateur_calib::pattern::Pattern;
use secateur_calib::reconstruct::passes;
use secateur_data::parse_data_args;
use secateur_diag::{Code, Result, diag};
use secateur_prune::{Amount, Scope};
use secateur_target::Target;

use super::Common;
use super::data::Preparing;
use super::options::Pruning;
use super::quantize::{WeightsName, auto, globs};
use crate::calibrated::{
    self, Calibrated, Calibration, Masking, Meter, Progress, Quantizing, Rating, Without,
};
use crate::latency::Clock;
use crate::prune::{Analyzed, Pruned, Request};

/// Calibration data and what is done with them.
#[derive(clap::Args, Clone)]
pub struct Calibrating {
    /// Unlabelled inputs, samples along the first axis; NAME=FILE.npy for each of several inputs.
    #[arg(long, value_name = "FILE.npy")]
    calib: Vec<String>,
    #[command(flatten)]
    preparing: Preparing,
    /// Steps to the budget; without it one and two are tried and what is nearer to the original is kept.
    #[arg(long, value_name = "N", requires = "calib")]
    steps: Option<usize>,
    /// Passes over the samples in which the weights of all layers are moved together: 20, up to 30 where samples are
    /// few.
    #[arg(long, value_name = "N", requires = "calib")]
    epochs: Option<usize>,
    /// Share of zeros in the weights that stay: 80%. Needs --calib.
    #[arg(long, value_name = "SHARE", requires = "calib")]
    sparsity: Option<String>,
    /// Time of one sample with zeros in the weights that stay, on one core of the target, at most: 50%, 2ms. Zeros are put
    /// where they save time for their error; with --sparsity, both hold. Needs --calib and --target.
    #[arg(long, value_name = "AMOUNT", requires = "calib")]
    sparse_latency: Option<String>,
    /// Where zeros may be: unstructured (the default); 2x1, 4x1, 1x4 (outputs by input channels); 2:4, 4:8.
    #[arg(long, value_name = "PATTERN", requires = "calib")]
    pattern: Option<String>,
    /// Also quantize what is left, towards the original; the ONNX model is then in QDQ form. Needs --calib.
    #[arg(long, value_name = "WEIGHTS", value_enum, requires = "calib")]
    quantize: Option<WeightsName>,
    /// Leave nodes float whose name, or that of a weight or result, matches; auto leaves those layers float whose
    /// rounding makes a large part of the error.
    #[arg(long, value_name = "GLOB", requires = "quantize")]
    keep_float: Vec<String>,
    /// Leave parts of the method out, to see what each brings.
    #[arg(long, value_name = "PART", value_enum, value_delimiter = ',', requires = "calib")]
    without: Vec<Part>,
    /// Samples run at once; fewer where there are not enough for four batches.
    #[arg(long, value_name = "N", default_value_t = 16)]
    calib_batch: usize,
    /// Threads for calibration; 0 for all cores. The result does not depend on it.
    #[arg(long = "calib-threads", value_name = "N", default_value_t = 0)]
    threads: usize,
    /// Keep measurements of sensitivity in this folder; the user's cache folder by default.
    #[arg(long, value_name = "DIR", requires = "calib")]
    cache: Option<PathBuf>,
    /// Neither use nor keep measurements of sensitivity.
    #[arg(long, conflicts_with = "cache")]
    no_cache: bool,
}

/// A part of the method.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Outputs are not measured; groups share the budget by their readers' errors.
    Sensitivity,
    /// Removed channels are not exchanged for others once their number is known.
    Exchange,
    /// Weights are not fitted again; outputs of layers are scaled and shifted back.
    Compensation,
    /// Outputs of layers are not even scaled and shifted back; with compensation only.
    Repair,
    /// Targets are each layer's own, not those of the sum behind it.
    Sums,
    /// What a rectifier cuts off counts as an error.
    Rectifiers,
    /// Weights of all layers are not moved together in the end.
    Reconstruction,
    /// Reconstruction looks at the outputs alone, not at values inside.
    Inside,
    /// Reconstruction does not see images shifted and mirrored.
    Views,
}

/// One bar for all stages.
struct Bars<'a> {
    common: &'a Common,
    bar: ProgressBar,
    meter: Meter,
    /// The stage that runs, and since when.
    since: Option<(String, std::time::Instant)>,
}

/// What the bar counts.
const TICKS: f64 = 1000.0;

impl<'a> Bars<'a> {
    fn new(common: &'a Common) -> Self {
        Self { common, bar: ProgressBar::hidden(), meter: Meter::default(), since: None }
    }

    /// Tells those who asked how long the last stage took.
    fn end(&mut self) {
        if let Some((name, since)) = self.since.take().filter(|_| self.common.verbose) {
            let peak = calibrated::peak_memory().map_or(String::new(), |b| format!(", peak {} MiB", b >> 20));
            let line = format!("stage {name:<20} {:>9.1} s{peak}", since.elapsed().as_secs_f64());
            self.bar.suspend(|| self.common.tell(&line));
        }
    }

    fn show(&self) {
        self.bar.set_position((TICKS * self.meter.share()) as u64);
    }
}

impl Drop for Bars<'_> {
    fn drop(&mut self) {
        self.end();
        self.bar.finish_and_clear();
    }
}

impl Progress for Bars<'_> {
    fn outline(&mut self, stages: Vec<(&'static str, f64)>) {
        self.meter = Meter::new(stages);
        self.bar = self.common.progress(TICKS as u64, "");
    }

    fn stage(&mut self, name: &str, steps: usize) {
        self.end();
        self.since = Some((name.to_owned(), std::time::Instant::now()));
        self.meter.stage(name, steps);
        self.bar.set_message(name.to_owned());
        self.show();
    }

    fn step(&mut self) {
        self.meter.step();
        self.show();
    }
}

impl Calibrating {
    /// Whether there are data.
    pub fn given(&self) -> bool {
        !self.calib.is_empty()
    }

    /// The files with data, and how they are prepared.
    ///
    /// # Errors
    /// P005.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let data = parse_data_args(&self.calib)?.into_iter().map(|a| a.path);
        Ok(data.chain(self.preparing.file().cloned()).collect())
    }

    /// The preparation of every input.
    ///
    /// # Errors
    /// D003.
    pub fn recipe(&self) -> Result<secateur_data::Recipe> {
        self.preparing.recipe()
    }

    /// Whether zeros are asked for.
    pub fn masks(&self) -> bool {
        self.sparsity.is_some() || self.sparse_latency.is_some()
    }

    /// Puts the clock that --sparse-latency is counted on into the request.
    ///
    /// # Errors
    /// P005 without a target, T002 without kernels for its core.
    pub fn clock(&self, request: &mut Request, target: Option<&Target>) -> Result<()> {
        if self.sparse_latency.is_none() || request.clock.is_some() {
            return Ok(());
        }
        let Some(target) = target else {
            return Err(diag(Code::P005, "--sparse-latency needs a target")
                .help("give the board that time is counted on, as in --target rpi4"));
        };
        request.clock = Some(Arc::new(Clock::of(target)?));
        Ok(())
    }

    /// What --sparse-latency asks for.
    ///
    /// # Errors
    /// P005.
    pub fn sparse_latency(&self, request: &Request) -> Result<Option<Amount>> {
        let Some(clock) = request.clock.as_ref() else { return Ok(None) };
        let parse = |t: &String| clock.parse(t).map_err(|e| e.at("option", "--sparse-latency"));
        self.sparse_latency.as_ref().map(parse).transpose()
    }

    /// Where zeros are to be, if any are asked for.
    fn masking(&self, request: &Request, scope: Option<Scope>) -> Result<Option<Masking>> {
        if !self.masks() {
            return match &self.pattern {
                Some(_) => {
                    Err(diag(Code::P005, "--pattern says where zeros are to be, but none are asked for")
                        .help("give --sparsity 80%, or --sparse-latency 50% with a target"))
                }
                None => Ok(None),
            };
        }
        if self.sparse_latency.is_some() && scope == Some(Scope::Layer) {
            return Err(diag(Code::P005, "--sparse-latency and --scope layer do not go together")
                .help("the one shares zeros out by what they save, the other gives every layer as many"));
        }
        let pattern = Pattern::parse(self.pattern.as_deref().unwrap_or("unstructured"))?;
        let sparsity = self.sparsity.as_ref().map_or(Ok(0.0), |s| sparsity(pattern, s))?;
        Ok(Some(Masking { pattern, sparsity, latency: self.sparse_latency(request)? }))
    }

    fn calibration(
        &self,
        (rating, scope): (Rating, Option<Scope>),
        analyzed: &Analyzed,
        request: &Request,
        common: &Common,
    ) -> Result<Calibration> {
        if self.calib_batch == 0 || self.steps == Some(0) {
            return Err(diag(Code::P005, "--calib-batch and --steps must be positive"));
        }
        let masks = self.masking(request, scope)?;
        let recipe = self.preparing.recipe()?;
        let (samples, data) =
            calibrated::samples(&analyzed.module, &self.calib, &recipe, self.calib_batch, self.threads)?;
        data.warnings().iter().for_each(|w| common.warn(w));
        let quantize = self.quantize.map(|w| Quantizing {
            options: secateur_quant::Options {
                keep_float: globs(&self.keep_float),
                keep_float_auto: auto(&self.keep_float),
                ..w.options()
            },
            data,
        });
        if samples.len() < 32 {
            common.warn(
                &diag(Code::D005, format!("{} samples are few to fit weights to", samples.len()))
                    .help("a few hundred give results that hold on other data"),
            );
        }
        let has = |part| self.without.contains(&part);
        let epochs = self.epochs.unwrap_or_else(|| passes(samples.len()));
        Ok(Calibration {
            samples,
            rating,
            scope,
            steps: self.steps,
            epochs,
            without: Without {
                sensitivity: has(Part::Sensitivity),
                compensation: has(Part::Compensation),
                repair: has(Part::Repair),
                sums: has(Part::Sums),
                rectifiers: has(Part::Rectifiers),
                exchange: has(Part::Exchange),
                reconstruction: has(Part::Reconstruction) || epochs == 0,
                inside: has(Part::Inside),
                views: has(Part::Views),
            },
            masks,
            cache: match self.no_cache {
                true => None,
                false => self.cache.clone().or_else(calibrated::default_cache),
            },
            quantize,
        })
    }

    /// Prunes with the data there are, or with none.
    ///
    /// # Errors
    /// Those of both ways, and P005 for options that need data.
    pub fn prune(
        &self,
        pruning: &Pruning,
        analyzed: &Analyzed,
        request: &Request,
        common: &Common,
    ) -> Result<(Pruned, Option<Calibrated>)> {
        if !self.given() {
            pruning.without_data()?;
            let plan = analyzed.plan(request)?;
            return Ok((analyzed.cut(plan, &request.dims)?, None));
        }
        let calibration = self.calibration(pruning.with_data(), analyzed, request, common)?;
        let mut bars = Bars::new(common);
        let result = calibrated::prune(analyzed, request, &calibration, &mut bars);
        drop(bars);
        result.map(|(p, c)| (p, Some(c)))
    }

    /// The error curves of all groups.
    ///
    /// # Errors
    /// Those of calibration.
    pub fn sensitivity(
        &self,
        analyzed: &Analyzed,
        request: &Request,
        common: &Common,
    ) -> Result<Vec<calibrated::CurveReport>> {
        let calibration = self.calibration((Rating::Obs, None), analyzed, request, common)?;
        let mut bars = Bars::new(common);
        let result = calibrated::sensitivity(analyzed, request, &calibration, &mut bars);
        drop(bars);
        result
    }
}

/// The share of zeros that --sparsity asks for.
fn sparsity(pattern: Pattern, share: &str) -> Result<f64> {
    let number = |s: &str| s.trim().parse::<f64>().ok();
    let share = match share.strip_suffix('%') {
        Some(s) => number(s).map(|n| n / 100.0),
        None => number(share),
    };
    let share = share.filter(|s| *s > 0.0 && *s < 1.0).ok_or_else(|| {
        diag(Code::P005, "--sparsity takes a share of zeros between none and all").help("as in 80% or 0.8")
    })?;
    if share + 1e-9 < pattern.least_sparsity() {
        let least = 100.0 * pattern.least_sparsity();
        return Err(diag(Code::P005, format!("{pattern} has {least:.0} % zeros by itself"))
            .help(format!("give --sparsity {least:.0}% or more")));
    }
    Ok(share)
}
