//! What a command writes, checked before the work starts.

use std::path::{Path, PathBuf};

use secateur_diag::{Code, Result, diag};
use secateur_ir::Module;
use secateur_onnx::{Outputs, same_file};

/// What a command reads.
pub struct Reads<'a> {
    /// The model's path.
    pub model: &'a Path,
    /// The model.
    pub module: &'a Module,
    /// Other files.
    pub files: Vec<PathBuf>,
}

/// The outputs of a command, none of them written yet. They may replace the model itself only with `force`, and nothing
/// else that is read.
///
/// # Errors
/// [`Code::L007`].
pub fn outputs(reads: &Reads, written: &[&Path], force: bool) -> Result<Outputs> {
    let mut outputs = Outputs::new();
    outputs.protect(reads.files.iter().cloned());
    if !force {
        if let Some(path) = written.iter().find(|p| same_file(p, reads.model)) {
            return Err(diag(Code::L007, "the output would replace the model itself")
                .at("file", path.display().to_string())
                .help("choose another name with -o, or give --force"));
        }
        outputs.protect(reads.module.data_files());
    }
    outputs.check(written.iter().copied())?;
    Ok(outputs)
}
