//! `secateur quantize`.

use std::path::PathBuf;

use clap::ValueEnum;
use secateur_data::{InputSet, ValueInfo, parse_data_args};
use secateur_diag::{Code, Result, diag};
use secateur_quant::{Activations, Calibration, Method, Options, Report, Weights};

use super::data::Preparing;
use super::{Common, Outcome};
use crate::output::{Reads, outputs};
use crate::report::quantized;

/// How weights, and with them activations, are stored.
#[derive(Clone, Copy, ValueEnum)]
pub enum WeightsName {
    /// Weights and activations of 8 bits.
    Int8,
    /// Weights of 4 bits, one scale an output; activations of 8 bits.
    Int4,
    /// Weights of 8 bits; activations stay float.
    W8,
    /// Weights of 4 bits, one scale for 32 inputs; activations stay float.
    W4,
}

impl WeightsName {
    fn weights(self) -> Weights {
        match self {
            Self::Int8 => Weights::Int8,
            Self::Int4 => Weights::Int4,
            Self::W8 => Weights::W8,
            Self::W4 => Weights::W4,
        }
    }

    /// Everything by default, with error feedback.
    pub fn options(self) -> Options {
        Options { weights: self.weights(), feedback: true, ..Options::default() }
    }
}

/// How ranges of activations are found.
#[derive(Clone, Copy, ValueEnum)]
pub enum MethodName {
    /// From the least to the greatest element.
    Minmax,
    /// All but a share of the elements, see --percentile.
    Percentile,
    /// What gives the least square error.
    Mse,
    /// What gives the least relative entropy.
    Entropy,
}

/// The integers of activations.
#[derive(Clone, Copy, ValueEnum)]
pub enum ActivationsName {
    /// -128 to 127.
    Int8,
    /// 0 to 255.
    Uint8,
}

/// How weights are rounded.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum RoundingName {
    /// Each by itself.
    Nearest,
    /// Layer by layer: fitted again on what the rounded layers before it give, rounded with error feedback; needs
    /// --calib.
    Feedback,
    /// So, and then all weights moved together, rounded as they go; needs --calib.
    Reconstruct,
}

/// How to quantize.
#[derive(clap::Args, Clone)]
pub struct Quantizing {
    /// Samples to take ranges from: FILE.npy, or NAME=FILE.npy for each of several inputs.
    #[arg(long, value_name = "[NAME=]FILE")]
    calib: Vec<String>,
    #[command(flatten)]
    preparing: Preparing,
    /// How weights and activations are stored.
    #[arg(long, value_enum, default_value = "int8")]
    weights: WeightsName,
    /// How ranges of activations are found.
    #[arg(long, value_enum, default_value = "mse")]
    method: MethodName,
    /// Share of the elements that --method percentile keeps, in percent.
    #[arg(long, value_name = "P", default_value_t = 99.99)]
    percentile: f64,
    /// The integers of activations; by default int8, and uint8 where the operator set is 21 or later.
    #[arg(long, value_enum)]
    activations: Option<ActivationsName>,
    /// Scales of activations are powers of two.
    #[arg(long)]
    power_of_two: bool,
    /// Bring the channels between layers to like ranges first, where that lowers the error; needs --calib.
    #[arg(long)]
    equalize: bool,
    /// How weights are rounded; feedback by default at 4 bits where there are data, else nearest.
    #[arg(long, value_enum)]
    rounding: Option<RoundingName>,
    /// Passes over the samples of --rounding reconstruct: 6, up to 20 where samples are few.
    #[arg(long, value_name = "N", requires = "calib")]
    epochs: Option<usize>,
    /// Leave nodes float whose name, or that of a weight or result, matches; auto leaves those layers float whose
    /// rounding makes a large part of the error.
    #[arg(long, value_name = "GLOB")]
    keep_float: Vec<String>,
    /// Take a model that is quantized already: its weights as they were rounded, its activations as floats.
    #[arg(long)]
    requantize: bool,
    /// Samples in a batch.
    #[arg(long, value_name = "N", default_value_t = 16)]
    calib_batch: usize,
    /// Threads for calibration; 0 for all cores. The result does not depend on it.
    #[arg(long = "calib-threads", value_name = "N", default_value_t = 0)]
    threads: usize,
}

/// The word among the values of --keep-float that is no glob.
const AUTO: &str = "auto";

/// Whether layers are to be chosen by what they lose.
pub fn auto(keep_float: &[String]) -> bool {
    keep_float.iter().any(|t| t == AUTO)
}

/// The globs of --keep-float.
pub fn globs(keep_float: &[String]) -> Vec<String> {
    keep_float.iter().filter(|t| *t != AUTO).cloned().collect()
}

/// Arguments of `quantize`.
#[derive(clap::Args)]
pub struct Args {
    /// The ONNX model.
    model: PathBuf,
    /// The model to write.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    quantizing: Quantizing,
    /// Replace the model itself where the output is it.
    #[arg(long)]
    force: bool,
}

impl Quantizing {
    /// The files with data, and how they are prepared.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let data = parse_data_args(&self.calib)?.into_iter().map(|a| a.path);
        Ok(data.chain(self.preparing.file().cloned()).collect())
    }

    fn options(&self) -> Result<Options> {
        if !(self.percentile > 0.0 && self.percentile <= 100.0) || self.calib_batch == 0 {
            return Err(diag(Code::P005, "--percentile must be in 0..=100, --calib-batch positive"));
        }
        let weights = self.weights.weights();
        let four = matches!(weights, Weights::Int4 | Weights::W4) && !self.calib.is_empty();
        Ok(Options {
            weights,
            method: match self.method {
                MethodName::Minmax => Method::MinMax,
                MethodName::Percentile => Method::Percentile(1.0 - self.percentile / 100.0),
                MethodName::Mse => Method::Mse,
                MethodName::Entropy => Method::Entropy,
            },
            activations: self.activations.map(|a| match a {
                ActivationsName::Int8 => Activations::Int8,
                ActivationsName::Uint8 => Activations::Uint8,
            }),
            power_of_two: self.power_of_two,
            equalize: self.equalize,
            feedback: self.rounding.map_or(four, |r| r != RoundingName::Nearest),
            reconstruct: self.rounding == Some(RoundingName::Reconstruct),
            epochs: self.epochs,
            keep_float: globs(&self.keep_float),
            keep_float_auto: auto(&self.keep_float),
        })
    }
}

pub(super) fn run(a: &Args, common: &Common) -> Result<Outcome> {
    let q = &a.quantizing;
    let options = q.options()?;
    let module = crate::open(&a.model)?;
    let reads = Reads { model: &a.model, module: &module, files: q.files()? };
    let mut outputs = outputs(&reads, &[&a.output], a.force)?;
    let size = |p: &PathBuf| std::fs::metadata(p).map_or(0, |m| m.len());
    let before = size(&a.model);
    let data = match q.calib.is_empty() {
        true => None,
        false => {
            let inputs = ValueInfo::inputs(&module.graph);
            Some(InputSet::open(&parse_data_args(&q.calib)?, &inputs, &q.preparing.recipe()?)?)
        }
    };
    data.iter().flat_map(InputSet::warnings).for_each(|w| common.warn(&w));
    let threads = match q.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let calibration = data.as_ref().map(|data| Calibration { data, batch: q.calib_batch, threads });
    let layers = layer_count(&module);
    let bar = common.progress(layers * options.rounds() as u64 + 1, "quantize");
    let (model, external, report) =
        crate::quantize(module, &options, q.requantize, calibration.as_ref(), &mut || bar.inc(1))?;
    bar.finish_and_clear();
    outputs.model(&a.output, &model, &external)?;
    outputs.publish()?;
    let after = size(&a.output);
    common.say(&text(&report, before, after));
    common.give(&serde_json::json!({ "bytes_before": before, "bytes_after": after, "report": report }));
    Ok(Outcome::Done)
}

fn layer_count(module: &secateur_ir::Module) -> u64 {
    secateur_calib::linear::linears(&module.graph).len() as u64
}

fn text(r: &Report, before: u64, after: u64) -> String {
    let share = 100.0 * after as f64 / before.max(1) as f64;
    quantized(r) + &format!("{before} bytes before, {after} after ({share:.1} %)\n")
}
