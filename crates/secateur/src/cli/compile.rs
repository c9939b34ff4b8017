//! `secateur compile`.

use std::path::PathBuf;

use secateur_diag::{Code, Result, diag};
use secateur_target::Target;
use serde::Serialize;

use super::calib::Calibrating;
use super::options::{Dims, Pruning};
use super::{Common, Outcome};
use crate::output::write_atomically;
use crate::report::PruneReport;

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
}

#[derive(Serialize)]
struct Report {
    target: String,
    model: String,
    preparation: serde_json::Value,
    prune: PruneReport,
}

pub(super) fn run(a: &Args, common: &Common) -> Result<Outcome> {
    let target = Target::load(&a.target)?;
    // Without a budget nothing is cut, so there is nothing to round.
    let request = a.pruning.request(&a.dims, target.channel_multiple as usize)?;
    let preparation = a.calibrating.recipe()?;
    let analyzed = crate::analyze(crate::open(&a.model)?, &request)?;
    let (pruned, calibrated) = a.calibrating.prune(&a.pruning, &analyzed, &request, common)?;
    let missed = a.pruning.missed(&request, &analyzed, &pruned)?;
    common.passes(&analyzed.passes);
    let failed = |e: std::io::Error| {
        diag(Code::L007, "the folder cannot be made")
            .at("reason", e.to_string())
            .at("folder", a.output.display().to_string())
    };
    std::fs::create_dir_all(&a.output).map_err(failed)?;
    let name = a.model.file_stem().map_or("model".into(), |s| s.to_string_lossy().into_owned());
    let path = a.output.join(format!("{name}.onnx"));
    if path.canonicalize().ok().is_some_and(|p| Some(p) == a.model.canonicalize().ok()) {
        return Err(diag(Code::L007, "the output would replace the model itself")
            .help("choose another folder with -o"));
    }
    let report = Report {
        target: target.name.clone(),
        model: format!("{name}.onnx"),
        preparation: serde_json::json!(preparation),
        prune: PruneReport::new(&analyzed, &pruned, calibrated),
    };
    let (model, external) = pruned.module.export();
    model.save(&path, &external)?;
    write_atomically(&a.output.join("report.json"), format!("{:#}\n", serde_json::json!(report)).as_bytes())?;
    common.say(&format!("target {} ({})\n{}", target.name, target.title, report.prune.table()));
    common.say(&format!("wrote {}\n", path.display()));
    common.give(&report);
    Ok(missed.map_or(Outcome::Done, Outcome::Missed))
}
