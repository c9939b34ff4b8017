//! `secateur prune`.

use std::path::PathBuf;

use secateur_diag::{Code, Result, diag};

use super::options::{Dims, Pruning};
use super::{Common, Outcome};
use crate::output::check_writable;
use crate::report::PruneReport;

/// Arguments of `prune`.
#[derive(clap::Args)]
pub struct Args {
    /// The ONNX model.
    model: PathBuf,
    /// The model to write.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    pruning: Pruning,
    #[command(flatten)]
    dims: Dims,
    /// Also write the original with the removed channels zeroed, which computes the same.
    #[arg(long, value_name = "FILE")]
    masked: Option<PathBuf>,
}

pub(super) fn run(a: &Args, common: &Common) -> Result<Outcome> {
    if !a.pruning.limited() {
        return Err(diag(Code::P005, "no budget was given")
            .help("one or more of --macs 50%, --params 50%, --size 1.5MB"));
    }
    let request = a.pruning.request(&a.dims, 1)?;
    for path in a.masked.iter().chain([&a.output]) {
        check_writable(path)?;
    }
    let bar = common.progress(4, "prune");
    let analyzed = crate::analyze(crate::open(&a.model)?, &request)?;
    common.passes(&analyzed.passes);
    bar.inc(1);
    let plan = analyzed.plan(&request)?;
    bar.inc(1);
    let masked = a.masked.as_ref().map(|path| (path, analyzed.masked(&plan)));
    let pruned = analyzed.cut(plan, &request.dims)?;
    bar.inc(1);
    let missed = a.pruning.missed(&request, &analyzed, &pruned)?;
    if let Some((path, masked)) = masked {
        let (model, external) = masked.export();
        model.save(path, &external)?;
    }
    let (model, external) = pruned.module.export();
    model.save(&a.output, &external)?;
    bar.finish_and_clear();
    let report = PruneReport::new(&analyzed, &pruned);
    common.say(&report.table());
    common.give(&report);
    Ok(missed.map_or(Outcome::Done, Outcome::Missed))
}
