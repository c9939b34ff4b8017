//! The programs around a bundle, in C and in Rust.

use super::bundle::{About, Bundle};
use crate::{setup::cross, sh};
use anyhow::{Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Builds `bench.c` for the target.
pub fn c(bundle: &Bundle, work: &Path) -> Result<PathBuf> {
    let program = work.join("bench");
    let Bundle { folder, name, .. } = bundle;
    let mut gcc = sh::command("aarch64-linux-gnu-gcc -std=c99 -O2 -Wall -Wextra -Werror -pthread -static");
    gcc.arg(format!("-DMODEL={name}")).arg(format!("-DHEADER=\"{name}.h\""));
    gcc.arg(format!("-DCORES={}_CORES", name.to_uppercase())).arg("-I").arg(folder);
    gcc.arg("-o").arg(&program).arg("xtask/cross/bench.c").arg(folder.join(format!("lib{name}.a")));
    sh::run(&mut gcc)?;
    Ok(program)
}

/// Builds a program in Rust with the bundle's module, runs it, and gives its outputs.
pub fn rust(bundle: &Bundle, about: &About, inputs: &[PathBuf], work: &Path) -> Result<Vec<u8>> {
    let main = work.join("main.rs");
    fs::write(&main, source(bundle, about))?;
    let environment = cross::environment()?;
    let compiler = environment.iter().find(|(k, _)| *k == "RUSTC").map_or("rustc", |(_, v)| v);
    let program = work.join("main");
    let mut rustc = Command::new(compiler);
    rustc.args(["--edition", "2024", "-O", "--target", cross::TARGET, "-C", "linker=aarch64-linux-gnu-gcc"]);
    rustc.arg("-L").arg(&bundle.folder).args(["-l", &format!("static={}", bundle.name)]);
    sh::run(rustc.arg("-o").arg(&program).arg(&main))?;
    let outputs = work.join("outputs-rust");
    let mut run = sh::command("qemu-aarch64 -cpu cortex-a53 -L /usr/aarch64-linux-gnu");
    let status = run.arg(&program).arg(&outputs).args(inputs).status()?;
    if !status.success() {
        bail!("the program in Rust ended with {status}");
    }
    Ok(fs::read(outputs)?)
}

/// Reads each input from a file, runs one sample, writes the outputs to a file.
fn source(bundle: &Bundle, about: &About) -> String {
    let module = bundle.folder.join(format!("{}.rs", bundle.name));
    let mut text = format!("#[path = {:?}]\nmod bundle;\n\n", module.display().to_string());
    text += "fn main() {\n    let files: Vec<String> = std::env::args().skip(1).collect();\n";
    text += "    let mut workspace = bundle::Workspace::new();\n";
    for (i, port) in about.inputs.iter().enumerate() {
        let (field, kind) = (&port.field, port.rust());
        let size = port.bytes() / port.elements().max(1);
        text += &format!(
            "    let in_{field}: Vec<{kind}> = std::fs::read(&files[{}]).unwrap().chunks_exact({size})\
             .map(|c| {kind}::from_le_bytes(c.try_into().unwrap())).collect();\n",
            i + 1
        );
    }
    for port in &about.outputs {
        text += &format!("    let mut out_{} = vec![Default::default(); {}];\n", port.field, port.elements());
    }
    let arguments = about.inputs.iter().map(|p| format!("&in_{}", p.field));
    let arguments = arguments.chain(about.outputs.iter().map(|p| format!("&mut out_{}", p.field)));
    text += &format!(
        "    bundle::run(1, {}, &mut workspace).unwrap();\n",
        arguments.collect::<Vec<_>>().join(", ")
    );
    text += "    let mut bytes: Vec<u8> = Vec::new();\n";
    for port in &about.outputs {
        text += &format!("    out_{}.iter().for_each(|x| bytes.extend(x.to_le_bytes()));\n", port.field);
    }
    text += "    std::fs::write(&files[0], bytes).unwrap();\n}\n";
    text
}
