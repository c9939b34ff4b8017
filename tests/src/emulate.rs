//! Many bundles linked into one program that runs under the emulator.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use secateur_neon::Core;

use crate::in_parallel;

/// A bundle, and one sample for it.
pub(crate) struct Job {
    /// What its symbols begin with.
    pub name: String,
    /// The object file.
    pub object: Vec<u8>,
    /// Bytes of workspace.
    pub workspace: usize,
    /// The inputs' bytes.
    pub inputs: Vec<Vec<u8>>,
    /// How many bytes each output has.
    pub outputs: Vec<usize>,
}

/// Bundles in one program.
const TOGETHER: usize = 200;

/// The outputs of each, or how it ended.
///
/// # Errors
/// The C compiler or the emulator is missing or fails.
pub(crate) fn emulate(jobs: &[&Job], core: Core) -> Result<Vec<Result<Vec<Vec<u8>>, String>>> {
    let share = jobs.len().div_ceil(2).clamp(1, TOGETHER);
    let chunks: Vec<&[&Job]> = jobs.chunks(share).collect();
    let done = in_parallel(&chunks, |chunk| together(chunk, core));
    let mut out = Vec::with_capacity(jobs.len());
    for chunk in done {
        out.extend(chunk?);
    }
    Ok(out)
}

fn together(jobs: &[&Job], core: Core) -> Result<Vec<Result<Vec<Vec<u8>>, String>>> {
    let dir = tempfile::tempdir()?;
    let file = |n: &str| dir.path().join(n);
    let mut entries = String::new();
    let mut table = String::from("static const struct entry entries[] = {\n");
    let mut given = Vec::new();
    let mut gcc = Command::new("aarch64-linux-gnu-gcc");
    gcc.args(["-O1", "-Wall", "-Wextra", "-static", "-o"]).arg(file("batch")).arg("-I").arg(dir.path());
    gcc.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("c/batch.c"));
    for job in jobs {
        let (name, ins, outs) = (&job.name, job.inputs.len(), job.outputs.len());
        std::fs::write(file(&format!("{name}.o")), &job.object)?;
        gcc.arg(file(&format!("{name}.o")));
        let sizes: Vec<String> = job
            .inputs
            .iter()
            .map(Vec::len)
            .chain(job.outputs.iter().copied())
            .map(|n| n.to_string())
            .collect();
        let _ = writeln!(entries, "extern int {name}_run(const void *, void *, void *);");
        let _ = writeln!(entries, "static const size_t {name}_bytes[] = {{{}}};", sizes.join(","));
        let _ = writeln!(table, "    {{{name}_run, {}, {ins}, {outs}, {name}_bytes}},", job.workspace);
        job.inputs.iter().for_each(|x| given.extend_from_slice(x));
    }
    std::fs::write(file("entries.h"), format!("{entries}{table}}};\n"))?;
    std::fs::write(file("inputs"), given)?;
    let help = "the C compiler for AArch64 and the emulator are needed: run cargo xtask setup --cross";
    let output = gcc.output().context(help)?;
    if !output.status.success() {
        bail!("the bundles cannot be linked:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut qemu = Command::new("qemu-aarch64");
    qemu.args(["-cpu", core.name()]).arg(file("batch")).arg(file("inputs")).arg(file("outputs"));
    let output = qemu.output().context(help)?;
    if !output.status.success() {
        bail!("the emulator failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let said = String::from_utf8(output.stdout)?;
    let bytes = std::fs::read(file("outputs"))?;
    let mut at = 0;
    let mut out = Vec::with_capacity(jobs.len());
    for (i, (job, line)) in jobs.iter().zip(said.lines()).enumerate() {
        let how = line.strip_prefix(&format!("{i} ")).context("the emulated program lost count")?;
        let mut take = |n: &usize| {
            at += n;
            bytes[at - n..at].to_vec()
        };
        let outputs: Vec<Vec<u8>> = job.outputs.iter().map(&mut take).collect();
        out.push(if how == "ok" { Ok(outputs) } else { Err(how.to_owned()) });
    }
    if out.len() != jobs.len() {
        bail!("the emulated program ended after {} of {} bundles", out.len(), jobs.len());
    }
    Ok(out)
}
