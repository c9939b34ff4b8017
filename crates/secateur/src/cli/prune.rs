//! `secateur prune`.

use std::path::{Path, PathBuf};

use secateur_diag::{Code, Result, diag};
use secateur_target::Target;

use super::calib::Calibrating;
use super::options::{Dims, Pruning};
use super::{Common, Outcome};
use crate::output::{Reads, outputs};
use crate::report::PruneReport;

/// Arguments of `prune`.
#[derive(clap::Args)]
pub struct Args {
    /// The ONNX model.
    model: PathBuf,
    /// The model to write.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The board, as `secateur targets` lists it, or a target file: channel counts become multiples that suit it.
    #[arg(long)]
    target: Option<String>,
    #[command(flatten)]
    pruning: Pruning,
    #[command(flatten)]
    calibrating: Calibrating,
    #[command(flatten)]
    dims: Dims,
    /// Also write the original with the removed channels zeroed, which computes the same.
    #[arg(long, value_name = "FILE")]
    masked: Option<PathBuf>,
}

pub(super) fn run(a: &Args, common: &Common) -> Result<Outcome> {
    if !a.pruning.limited() && !a.calibrating.masks() {
        return Err(diag(Code::P005, "no budget was given").help(
            "one or more of --macs 50%, --params 50%, --size 1.5MB, --latency 50%; with --calib also --sparsity 80% or --sparse-latency 50%",
        ));
    }
    if a.masked.is_some() && a.calibrating.given() {
        return Err(diag(Code::P005, "--masked and --calib do not go together").help(
            "with calibration data the weights that stay change, so that no mask of the original equals it",
        ));
    }
    let target = a.target.as_deref().map(Target::load).transpose()?;
    let mut request = a.pruning.request(&a.dims, target.as_ref())?;
    a.calibrating.clock(&mut request, target.as_ref())?;
    let module = crate::open(&a.model)?;
    let reads = Reads { model: &a.model, module: &module, files: a.calibrating.files()? };
    let written: Vec<&Path> = a.masked.iter().chain([&a.output]).map(PathBuf::as_path).collect();
    let mut outputs = outputs(&reads, &written, a.pruning.force)?;
    let analyzed = crate::analyze(module, &request)?;
    common.passes(&analyzed.passes);
    let (pruned, calibrated) = a.calibrating.prune(&a.pruning, &analyzed, &request, common)?;
    let missed = a.pruning.missed(&request, a.calibrating.sparse_latency(&request)?, &analyzed, &pruned)?;
    if let Some(path) = &a.masked {
        let (model, external) = analyzed.masked(&pruned.plan).export();
        outputs.model(path, &model, &external)?;
    }
    let (model, external) = pruned.export();
    outputs.model(&a.output, &model, &external)?;
    outputs.publish()?;
    let report = PruneReport::new(&analyzed, &pruned, calibrated);
    common.say(&report.table());
    common.give(&report);
    Ok(missed.map_or(Outcome::Done, Outcome::Missed))
}
