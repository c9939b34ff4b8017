//! The Python that has onnx and onnxruntime, and folders that its scripts fill.

use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests is a folder of the repository").to_owned()
}

/// The interpreter: `SECATEUR_PYTHON`, or that of the environment that `cargo xtask setup --python` makes.
///
/// # Errors
/// There is none.
pub fn interpreter() -> Result<PathBuf> {
    let own = root().join(".venv/bin/python");
    match std::env::var_os("SECATEUR_PYTHON") {
        Some(python) => Ok(python.into()),
        None if own.exists() => Ok(own),
        None => bail!("Python with onnx and onnxruntime is needed: run cargo xtask setup --python"),
    }
}

/// Runs a script and returns what it printed.
///
/// # Errors
/// It did not run or did not succeed.
pub fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Result<String> {
    let python = interpreter()?;
    let output = Command::new(&python).args(arguments).output();
    let output = output.with_context(|| format!("cannot run {}", python.display()))?;
    if !output.status.success() {
        let words: Vec<_> = arguments.iter().map(|a| a.as_ref().to_string_lossy()).collect();
        bail!("python {} failed:\n{}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The folder `target/KIND/HASH` that `script`, a path from the root, fills when it is given the folder's name. It is filled
/// once for each text of the script, `arguments` and versions of the Python packages.
///
/// # Errors
/// The script failed.
pub fn filled(kind: &str, script: &str, arguments: &[&str]) -> Result<PathBuf> {
    let path = root().join(script);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let versions = run(&[
        "-c",
        "from importlib.metadata import version as v; print(v('numpy'), v('onnx'), v('onnxruntime'))",
    ])?;
    let mut hasher = DefaultHasher::new();
    (text, arguments, versions).hash(&mut hasher);
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let parent = target.join(kind);
    let folder = parent.join(format!("{:016x}", hasher.finish()));
    if folder.exists() {
        return Ok(folder);
    }
    std::fs::create_dir_all(&parent)?;
    // Several test processes may be at it: each fills its own and renames it.
    let own = tempfile::tempdir_in(&parent)?;
    let to = own.path().join("made");
    let head = [path.as_os_str(), to.as_os_str()];
    run(&head.into_iter().chain(arguments.iter().map(OsStr::new)).collect::<Vec<_>>())?;
    match std::fs::rename(&to, &folder) {
        Err(e) if !folder.exists() => Err(e).context("cannot keep what the script made"),
        _ => Ok(folder),
    }
}
