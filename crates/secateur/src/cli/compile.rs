//! `secateur compile`.

use std::path::PathBuf;

use secateur_codegen::bundle::{self, Bundle, Options};
use secateur_codegen::divide::Cores;
use secateur_diag::{Code, Result};
use secateur_ir::Graph;
use secateur_target::Target;
use serde::Serialize;

use super::calib::Calibrating;
use super::options::{Dims, Pruning};
use super::{Common, Outcome};
use crate::latency::Clock;
use crate::output::{Reads, outputs};
use crate::report::{PruneReport, count};

/// Arguments of `compile`.
#[derive(clap::Args)]
pub struct Args {
    /// The ONNX model.
    model: PathBuf,
    /// The board, as `secateur targets` lists it, or a target file.
    #[arg(long)]
    target: String,
    /// The folder to write to; made where it is missing.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    pruning: Pruning,
    #[command(flatten)]
    dims: Dims,
    #[command(flatten)]
    calibrating: Calibrating,
    /// Write the smaller model and the report only, no machine code.
    #[arg(long)]
    onnx_only: bool,
    /// Bytes of code up to which every layer has a function of its own, named after it; beyond, equal layers share.
    #[arg(long, value_name = "BYTES", default_value_t = bundle::CODE_BUDGET)]
    code_budget: usize,
    /// Keep weights at their size: no kernels that transform them into a larger form for speed (Winograd).
    #[arg(long)]
    compact: bool,
    /// Cores that one sample may run on at once: layers are divided into up to as many parts, for NAME_run_parallel.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    cores: u8,
    /// Print the lowered program.
    #[arg(long)]
    lowered: bool,
}

#[derive(Serialize)]
struct Report {
    target: String,
    model: String,
    preparation: serde_json::Value,
    prune: PruneReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<bundle::Report>,
}

/// The machine code, made before anything is written.
fn code(a: &Args, target: &Target, graph: &Graph, name: &str, dims: Vec<(String, usize)>) -> Result<Bundle> {
    let core = Clock::of(target)?.core;
    let target = target.name.clone();
    let (code_budget, compact, cores) = (a.code_budget, a.compact, Cores::of(a.cores.into()));
    let options = Options { name: name.to_owned(), target, core, dims, code_budget, compact, cores };
    bundle::compile(graph, &options).map_err(|e| match e.help {
        None if e.code == Code::C001 => e.help("--onnx-only writes the model without machine code"),
        _ => e,
    })
}

/// What a user wants to know of the code.
fn summary(r: &bundle::Report) -> String {
    let row = |what: &str, n: usize, why: String| format!("{what:<9} {:>14}  {why}\n", count(Some(n as u64)));
    let over = 100.0 * r.workspace_bytes as f64 / r.workspace_bound.max(1) as f64 - 100.0;
    let shared = match r.cores {
        1 => String::new(),
        n => row("in a row", r.critical as usize, format!("of these where {n} cores share the sample")),
    };
    row("executed", r.instructions as usize, format!("instructions a sample on {}, estimated", r.core))
        + &shared
        + &row("code", r.code_bytes, "bytes".into())
        + &row("constants", r.constant_bytes, "bytes".into())
        + &row("workspace", r.workspace_bytes, format!("bytes, {over:.1} % above the lower bound"))
}

pub(super) fn run(a: &Args, common: &Common) -> Result<Outcome> {
    let target = Target::load(&a.target)?;
    // Without a budget nothing is cut, so there is nothing to round.
    let mut request = a.pruning.request(&a.dims, Some(&target))?;
    a.calibrating.clock(&mut request, Some(&target))?;
    let preparation = a.calibrating.recipe()?;
    let module = crate::open(&a.model)?;
    let name = a.model.file_stem().map_or("model".into(), |s| s.to_string_lossy().into_owned());
    let path = a.output.join(format!("{name}.onnx"));
    let reads = Reads { model: &a.model, module: &module, files: a.calibrating.files()? };
    // A folder that is still to be made holds nothing that could be in the way.
    let there = if a.output.is_dir() { vec![path.as_path()] } else { vec![] };
    let mut outputs = outputs(&reads, &there, a.pruning.force)?;
    outputs.check_folder(&a.output)?;
    let analyzed = crate::analyze(module, &request)?;
    let (pruned, calibrated) = a.calibrating.prune(&a.pruning, &analyzed, &request, common)?;
    let missed = a.pruning.missed(&request, a.calibrating.sparse_latency(&request)?, &analyzed, &pruned)?;
    common.passes(&analyzed.passes);
    let bundle = match a.onnx_only {
        true => None,
        false => Some(code(a, &target, &pruned.float()?, &name, request.dims.clone())?),
    };
    let report = Report {
        target: target.name.clone(),
        model: format!("{name}.onnx"),
        preparation: serde_json::json!(preparation),
        prune: PruneReport::new(&analyzed, &pruned, calibrated),
        code: bundle.as_ref().map(|b| b.report.clone()),
    };
    let json = format!("{:#}\n", serde_json::json!(report));
    let files =
        bundle.iter().flat_map(|b| &b.files).map(|(name, bytes)| (a.output.join(name), bytes.as_slice()));
    let files: Vec<_> = files.collect();
    outputs.folder(&a.output)?;
    let (model, external) = pruned.export();
    outputs.model(&path, &model, &external)?;
    outputs.write(&a.output.join("report.json"), json.as_bytes())?;
    for (path, bytes) in &files {
        outputs.write(path, bytes)?;
    }
    outputs.publish()?;
    common.say(&format!("target {} ({})\n{}", target.name, target.title, report.prune.table()));
    for path in [&path].into_iter().chain(files.iter().map(|f| &f.0)) {
        common.say(&format!("wrote {}\n", path.display()));
    }
    if let Some(b) = &bundle {
        common.say(&summary(&b.report));
        if pruned.is_quantized() {
            common.say("integers are computed as the numbers that they stand for, in f32\n");
        }
        if a.lowered {
            common.say(&secateur_codegen::print::program(&b.program));
        }
    }
    common.give(&report);
    Ok(missed.map_or(Outcome::Done, Outcome::Missed))
}
