//! Accuracy, pairs, size and time of quantized classifiers, beside onnxruntime's own quantizer.

use crate::fidelity::{FAMILIES, Family, secateur};
use crate::{setup, sh};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What is measured: a name, which is a file name too, and options.
const ROWS: &[(&str, &str)] = &[
    ("int8", "--weights int8"),
    ("int8, feedback", "--weights int8 --rounding feedback"),
    ("int4", "--weights int4"),
    ("int4, reconstruct", "--weights int4 --rounding reconstruct"),
    ("int4, nearest", "--weights int4 --rounding nearest"),
    ("w8", "--weights w8"),
    ("w4", "--weights w4"),
    ("w4, reconstruct", "--weights w4 --rounding reconstruct"),
    ("w4, nearest", "--weights w4 --rounding nearest"),
];

pub fn run(arguments: &[&str]) -> Result<()> {
    let (mut dir, mut first, mut only) = (None, "5000", None);
    let mut left = arguments.iter();
    while let Some(a) = left.next() {
        match *a {
            "--first" => first = left.next().context("--first needs a number")?,
            "--only" => only = Some(*left.next().context("--only needs a model's name")?),
            d if dir.is_none() && !d.starts_with('-') => dir = Some(PathBuf::from(d)),
            _ => bail!("expected DIR [--first N] [--only MODEL], found {arguments:?}"),
        }
    }
    let dir = dir.context("expected a folder with models and data")?;
    sh::run(&mut sh::command("cargo build --release --locked --quiet -p secateur"))?;
    setup::python::run()?;
    let python = sh::root().join(".venv/bin/python");
    println!("top-1 accuracy in onnxruntime on the first {first} test samples");
    let mut found = false;
    for family in FAMILIES {
        for model in family.models.iter().filter(|m| only.is_none_or(|o| o == **m)) {
            let path = dir.join(format!("{model}.onnx"));
            if path.exists() && dir.join(family.data).exists() {
                found = true;
                println!("\n{model}");
                measure(family, &dir, &path, first, &python)?;
            }
        }
    }
    if !found {
        bail!("{} holds none of the models that are measured", dir.display());
    }
    Ok(())
}

fn measure(family: &Family, dir: &Path, model: &Path, first: &str, python: &Path) -> Result<()> {
    let out = std::env::temp_dir().join(format!("secateur-quant-{}", std::process::id()));
    std::fs::create_dir_all(&out)?;
    let mut c = std::process::Command::new(python);
    c.arg(sh::root().join("xtask/py/quantize_static.py")).arg(model);
    c.arg("--calib").arg(dir.join(family.calib)).arg("--data").arg(dir.join(family.data));
    c.arg("--labels").arg(dir.join(family.labels)).arg("--out").arg(&out);
    c.args(["--mean", family.mean, "--std", family.std, "--first", first]);
    let mut seconds = Vec::new();
    for (name, options) in ROWS {
        let file = out.join(format!("{name}.onnx"));
        let mut q = secateur();
        q.arg("quantize").arg(model).arg("-o").arg(&file).arg("--quiet").args(options.split_whitespace());
        q.arg("--calib").arg(dir.join(family.calib));
        q.args(["--scale", "1/255", "--mean", family.mean, "--std", family.std]);
        let start = Instant::now();
        sh::output(&mut q)?;
        seconds.push((*name, start.elapsed().as_secs_f64()));
        c.arg(&file);
    }
    println!(
        "{:<28} {:>7} {:>8} {:>8} {:>6} {:>6} {:>8}",
        "", "top-1", "bytes", "of float", "pairs", "float", "seconds"
    );
    let mut whole = 0.0;
    for line in sh::output(&mut c)?.lines() {
        let Ok(v) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let name = v["name"].as_str().context("a row without a name")?;
        let bytes = v["bytes"].as_f64().context("a row without a size")?;
        if name == "float" {
            whole = bytes;
        }
        let own = seconds.iter().find(|s| s.0 == name).map(|s| s.1);
        let time = v["seconds"].as_f64().or(own).map_or(String::new(), |s| format!("{s:.2}"));
        println!(
            "{name:<28} {:>7.4} {bytes:>8} {:>7.1}% {:>6} {:>6} {time:>8}",
            v["top1"].as_f64().unwrap_or(f64::NAN),
            100.0 * bytes / whole,
            v["pairs"],
            v["float"],
        );
    }
    std::fs::remove_dir_all(&out)?;
    Ok(())
}
