//! `secateur verify`.

use std::path::PathBuf;

use secateur_data::{InputSet, Labels, parse_data_args};
use secateur_diag::{Code, Result, diag};
use secateur_oracle::Oracle;
use secateur_run::{CompareOptions, Comparison, Engine, Executor, compare};

use super::data::Preparing;
use super::{Common, Outcome};
use crate::report::{count, right, table};

/// Arguments of `verify`.
#[derive(clap::Args)]
pub struct Args {
    /// The reference model.
    reference: PathBuf,
    /// The model to compare with it.
    candidate: PathBuf,
    /// Samples: FILE.npy, or NAME=FILE.npy for each of several inputs.
    #[arg(long, value_name = "[NAME=]FILE", required = true)]
    data: Vec<String>,
    /// Class of each sample, for accuracy.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    preparing: Preparing,
    /// Use the first N samples.
    #[arg(long, value_name = "N")]
    first: Option<usize>,
    /// Samples in a batch.
    #[arg(long, value_name = "N", default_value_t = 16)]
    batch: usize,
    /// Threads; 0 for all cores. The result does not depend on it.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// What runs the models. Not shown until the operator table evaluates whole models.
    #[arg(long, value_enum, default_value = "tract", hide = true)]
    engine: Choice,
    /// Fail with exit code 1 below this: 99% of top-1 agreement, or 30dB of SQNR.
    #[arg(long, value_name = "LIMIT")]
    min_fidelity: Option<String>,
}

/// An engine.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Choice {
    /// The one that calibration and constant folding use.
    Own,
    /// Another project's.
    Tract,
}

fn load(choice: Choice, path: &PathBuf) -> Result<Box<dyn Engine>> {
    Ok(match choice {
        Choice::Own => Box::new(Executor::from_path(path)?),
        Choice::Tract => Box::new(Oracle::from_path(path)?),
    })
}

enum Wanted {
    Agreement(f64),
    Decibels(f64),
}

fn wanted(text: &str) -> Result<Wanted> {
    let bad = || diag(Code::P005, format!("{text:?} is not a fidelity")).help("as in 99% or 30dB");
    let number = |s: &str| s.trim().parse::<f64>().ok().filter(|n| n.is_finite()).ok_or_else(bad);
    if let Some(n) = text.strip_suffix('%') {
        return Ok(Wanted::Agreement(number(n)? / 100.0));
    }
    text.strip_suffix("dB").ok_or_else(bad).and_then(number).map(Wanted::Decibels)
}

pub(super) fn run(a: &Args, common: &Common) -> Result<Outcome> {
    let limit = a.min_fidelity.as_deref().map(wanted).transpose()?;
    if a.batch == 0 || a.first == Some(0) {
        return Err(diag(Code::P005, "--batch and --first must be positive"));
    }
    let named = |path: &PathBuf| {
        load(a.engine, path).map_err(|e| match e.fields.iter().any(|f| f.0 == "file") {
            true => e,
            false => e.at("file", path.display().to_string()),
        })
    };
    let (reference, candidate) = (named(&a.reference)?, named(&a.candidate)?);
    let mut inputs = InputSet::open(&parse_data_args(&a.data)?, reference.inputs(), &a.preparing.recipe()?)?;
    inputs.check(candidate.inputs())?;
    let mut labels = a.labels.as_ref().map(Labels::open).transpose()?;
    if let Some(n) = a.first {
        inputs = inputs.first(n);
        labels = labels.map(|l| l.first(n));
    }
    inputs.warnings().iter().for_each(|w| common.warn(w));
    let bar = common.progress(inputs.samples() as u64, "verify");
    let options = CompareOptions { batch: a.batch, threads: a.threads };
    let result = compare(&*reference, &*candidate, &inputs, labels.as_ref(), &options, &mut |done, _| {
        bar.set_position(done as u64)
    })?;
    bar.finish_and_clear();
    common.say(&text(&result));
    common.give(&serde_json::json!({ "inputs": inputs.summary(), "comparison": result }));
    match limit.and_then(|l| below(&result, &l)) {
        Some(e) => Ok(Outcome::Missed(e)),
        None => Ok(Outcome::Done),
    }
}

fn below(c: &Comparison, limit: &Wanted) -> Option<Box<secateur_diag::Diagnostic>> {
    c.outputs.iter().find_map(|o| {
        let (got, want, low) = match limit {
            Wanted::Decibels(d) => (format!("{:.1} dB", o.sqnr()), format!("{d} dB"), o.sqnr() < *d),
            Wanted::Agreement(p) => {
                let t = o.top1.as_ref()?;
                (format!("{:.2} %", 100.0 * t.agreement), format!("{} %", 100.0 * p), t.agreement < *p)
            }
        };
        low.then(|| diag(Code::X003, format!("the fidelity of output {} is {got}, below {want}", o.name)))
    })
}

fn text(c: &Comparison) -> String {
    let mut t = table(&["output", "elements", "max abs error", "relative", "SQNR dB", "top-1 agreement"]);
    for o in &c.outputs {
        t.add_row([
            o.name.clone(),
            count(Some(o.elements)),
            format!("{:.3e}", o.max_abs_error),
            o.max_rel_error.map_or("-".into(), |e| format!("{e:.3e}")),
            format!("{:.1}", o.sqnr()),
            o.top1.as_ref().map_or("-".into(), |t| {
                format!("{} of {} ({:.2} %)", t.agreeing, t.samples, 100.0 * t.agreement)
            }),
        ]);
    }
    let mut out = right(t, 1);
    for o in &c.outputs {
        if let Some((t, a)) = o.top1.as_ref().and_then(|t| Some((t, t.accuracy.as_ref()?))) {
            out.push_str(&format!(
                "{}: top-1 accuracy {:.4} of the reference, {:.4} of the candidate, on {} samples\n",
                o.name, a.reference, a.candidate, t.samples
            ));
        }
    }
    out
}
