//! Builds the programs written in C, once for each version of their text.

use crate::Failure;
use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

/// What `qemu-aarch64 -cpu` calls the cores that kernels are made for.
pub const CORES: [&str; 3] = ["cortex-a53", "cortex-a72", "cortex-a76"];

/// The program that calls kernels, for the guest.
pub(crate) fn runner() -> Result<PathBuf, Failure> {
    build(
        "runner",
        include_str!("../c/runner.c"),
        "aarch64-linux-gnu-gcc",
        &["-O2", "-Wall", "-Wextra", "-Werror", "-static"],
    )
}

/// The plugin that counts instructions, for `qemu-aarch64 -plugin`. The first lines of `c/count.c` say what it takes and
/// prints; [`crate::Counts::parse`] reads it.
pub fn plugin() -> Result<PathBuf, Failure> {
    build(
        "count.so",
        include_str!("../c/count.c"),
        "cc",
        &["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"],
    )
}

/// Compiles C text to `target/qemu/HASH-NAME` if that is not there.
fn build(name: &str, text: &str, compiler: &str, flags: &[&str]) -> Result<PathBuf, Failure> {
    let mut hasher = DefaultHasher::new();
    (text, flags, compiler).hash(&mut hasher);
    let folder = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
    };
    let folder = folder.join("qemu");
    let program = folder.join(format!("{:016x}-{name}", hasher.finish()));
    if program.exists() {
        return Ok(program);
    }
    let wrong = |what: &str, why: &dyn std::fmt::Display| Failure::Tools(format!("{what}: {why}"));
    fs::create_dir_all(&folder).map_err(|e| wrong("cannot make a folder for the test tools", &e))?;
    // Several test processes may be at it: each builds its own and renames it.
    let own = tempfile::tempdir_in(&folder).map_err(|e| wrong("cannot make a temporary folder", &e))?;
    let source = own.path().join("source.c");
    let result = own.path().join("result");
    fs::write(&source, text).map_err(|e| wrong("cannot write a test tool's source", &e))?;
    let output = Command::new(compiler).args(flags).arg("-o").arg(&result).arg(&source).output();
    let output = output.map_err(|e| wrong(&format!("{compiler} does not run"), &e))?;
    if !output.status.success() {
        return Err(wrong(&format!("{compiler} failed"), &String::from_utf8_lossy(&output.stderr)));
    }
    fs::rename(&result, &program).map_err(|e| wrong("cannot keep a test tool", &e))?;
    Ok(program)
}
