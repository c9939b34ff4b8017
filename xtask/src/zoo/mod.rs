//! Prunes a folder of ONNX models and checks every result in onnxruntime.
//!
//! Each model is pruned by the release binary in a process of its own, so that a crash is one row and time and
//! memory are the model's. The pruned model must be valid, run with a batch of two, and equal the masked original:
//! to [`TOLERANCE`] where every removal is exact. Inexact removals cannot equal it; their distance is reported only.

mod check;
mod model;
mod process;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::sh;

/// Largest difference from the masked model, relative to the output's largest value, of an exact removal. Rounding
/// of a sum in another order is near 1e-6; deep networks with random weights amplify it.
pub const TOLERANCE: f64 = 1e-3;

/// What was asked for.
pub struct Options {
    folder: PathBuf,
    /// As `secateur prune --macs` takes it.
    budget: String,
    /// Larger files are left out.
    limit_mb: Option<u64>,
    /// Retry with inexact groups where exact ones do not reach the budget.
    inexact: bool,
    json: Option<PathBuf>,
    /// Only models with this in their name.
    only: Option<String>,
    python: PathBuf,
}

pub fn run(arguments: &[&str]) -> Result<()> {
    let options = parse(arguments)?;
    if !options.python.is_file() {
        bail!("{} is missing; `cargo xtask setup --python` creates it", options.python.display());
    }
    let models = models(&options)?;
    let mut build = sh::command("cargo build --release --quiet -p secateur");
    sh::run(&mut build)?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| sh::root().join("target"), PathBuf::from);
    let secateur = target.join("release").join(format!("secateur{}", std::env::consts::EXE_SUFFIX));
    let manifest = model::manifest(&options.folder)?;
    let scratch = tempfile::tempdir()?;
    let mut checker = check::Checker::start(&options.python)?;
    let mut rows = Vec::new();
    println!("{}", table::HEADER);
    for path in models {
        let row = model::row(&secateur, &path, &manifest, scratch.path(), &options, &mut checker)?;
        println!("{}", table::line(&row));
        rows.push(row);
    }
    print!("\n{}", table::summary(&rows));
    if let Some(file) = &options.json {
        std::fs::write(file, format!("{:#}\n", table::json(&rows)))?;
    }
    match rows.iter().filter(|r| r.failed()).count() {
        0 => Ok(()),
        n => bail!("{n} of {} models failed", rows.len()),
    }
}

fn parse(arguments: &[&str]) -> Result<Options> {
    let mut out = Options {
        folder: PathBuf::new(),
        budget: "50%".into(),
        limit_mb: None,
        inexact: true,
        json: None,
        only: None,
        python: sh::root().join(".venv/bin/python"),
    };
    let (mut folders, mut rest) = (Vec::new(), arguments.iter());
    while let Some(&argument) = rest.next() {
        if !argument.starts_with("--") {
            folders.push(argument);
            continue;
        }
        let value = *rest.next().with_context(|| format!("{argument} needs a value"))?;
        match argument {
            "--budget" => out.budget = value.into(),
            "--limit-mb" => {
                out.limit_mb = Some(value.parse().with_context(|| format!("--limit-mb {value}"))?)
            }
            "--allow-inexact" => {
                out.inexact = match value {
                    "auto" => true,
                    "never" => false,
                    _ => bail!("--allow-inexact is auto or never, not {value}"),
                }
            }
            "--json" => out.json = Some(value.into()),
            "--only" => out.only = Some(value.into()),
            "--python" => out.python = value.into(),
            _ => bail!("unexpected option {argument:?}"),
        }
    }
    match folders[..] {
        [folder] => out.folder = folder.into(),
        _ => bail!("give one folder of ONNX models"),
    }
    Ok(out)
}

/// The models, smallest first.
fn models(options: &Options) -> Result<Vec<PathBuf>> {
    let folder = &options.folder;
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let wanted =
            |only: &String| path.file_stem().is_some_and(|n| n.to_string_lossy().contains(only.as_str()));
        if path.extension().is_some_and(|e| e == "onnx") && options.only.as_ref().is_none_or(wanted) {
            let size = size(&path);
            if options.limit_mb.is_none_or(|mb| size <= mb << 20) {
                out.push((size, path));
            }
        }
    }
    out.sort();
    Ok(out.into_iter().map(|m| m.1).collect())
}

/// Bytes of a model with its external data, where that has the usual name.
fn size(path: &Path) -> u64 {
    let bytes = |p: &Path| std::fs::metadata(p).map_or(0, |m| m.len());
    bytes(path) + bytes(&path.with_added_extension("data"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn arguments() {
        let o = parse(&["zoo", "--budget", "30%", "--limit-mb", "50", "--allow-inexact", "never"]).unwrap();
        assert_eq!((o.budget.as_str(), o.limit_mb, o.inexact), ("30%", Some(50), false));
        assert!(parse(&["zoo"]).unwrap().inexact);
        for bad in
            [&[][..], &["a", "b"], &["a", "--json"], &["a", "--allow-inexact", "x"], &["a", "--x", "y"]]
        {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
