//! Every model of a folder, whole and pruned to half its multiply-adds, compiled for each board and run for its core under
//! emulation, against onnxruntime.

use crate::fidelity::{FAMILIES, secateur};
use crate::{setup, sh};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Boards, and the cores that they have.
const BOARDS: [(&str, &str); 3] = [("rpi3", "cortex-a53"), ("rpi4", "cortex-a72"), ("rpi5", "cortex-a76")];

/// Data of a model, and whether its outputs are classes.
struct Given {
    data: &'static str,
    mean: &'static str,
    std: &'static str,
    classes: bool,
}

/// Sizes of the inputs that have symbols beside the batch, as `compile` takes them.
fn dims(name: &str) -> &'static [&'static str] {
    match name {
        "ppocr_cls_v2" => &["x.2=48", "x.3=192"],
        "ppocr_det_v4" => &["p2o.DynamicDimension.1=320", "p2o.DynamicDimension.2=320"],
        _ => &[],
    }
}

fn given(name: &str) -> Option<Given> {
    let own = name.strip_suffix("_bn").unwrap_or(name);
    match own {
        "ppocr_cls_v2" => Some(Given { data: "ocr_cls_test_x.npy", mean: "0.5", std: "0.5", classes: true }),
        "ppocr_det_v4" => Some(Given {
            data: "ocr_det_pages_x.npy",
            mean: "0.485,0.456,0.406",
            std: "0.229,0.224,0.225",
            classes: false,
        }),
        _ => {
            let family = FAMILIES.iter().find(|f| f.models.contains(&own))?;
            Some(Given { data: family.data, mean: family.mean, std: family.std, classes: true })
        }
    }
}

pub fn run(arguments: &[&str]) -> Result<()> {
    let (mut dir, mut samples, mut only) = (None, "100", None);
    let mut left = arguments.iter();
    while let Some(a) = left.next() {
        match *a {
            "--samples" => samples = left.next().context("--samples wants a number, or all")?,
            "--only" => only = Some(*left.next().context("--only wants a model's name")?),
            d if dir.is_none() && !d.starts_with('-') => dir = Some(PathBuf::from(d)),
            _ => bail!("expected --fixtures DIR [--samples N|all] [--only MODEL], found {arguments:?}"),
        }
    }
    let dir = dir.context("expected a folder with models")?;
    setup::cross::system_packages()?;
    setup::python::run()?;
    sh::run(&mut sh::command("cargo build --release --locked --quiet -p secateur"))?;
    let mut models: Vec<PathBuf> = std::fs::read_dir(&dir)?.filter_map(|e| Some(e.ok()?.path())).collect();
    models.retain(|m| m.extension().is_some_and(|e| e == "onnx"));
    models.retain(|m| only.is_none_or(|o| m.file_stem().is_some_and(|s| s == o)));
    models.sort();
    if models.is_empty() {
        bail!("{} holds no such model", dir.display());
    }
    println!(
        "largest difference from onnxruntime, relative to the largest number; to each number itself, but to no less than a \
         thousandth of the largest;"
    );
    println!(
        "of classifiers with data also how many of the classes are the same. Input: data where there are some, else noise. The \
         column onnxruntime: its results with its optimizer against those without, relative to the largest number"
    );
    println!(
        "{:<24} {:<7} {:>9} {:>12} {}",
        "",
        "",
        "samples",
        "onnxruntime",
        BOARDS.map(|(_, core)| format!("{core:>20}")).join(" ")
    );
    for model in &models {
        for (what, budget) in [("whole", None), ("50 %", Some("50%"))] {
            let found = row(&dir, model, budget, samples).with_context(|| model.display().to_string())?;
            let name = model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            println!("{name:<24} {what:<7} {found}");
        }
    }
    Ok(())
}

fn row(dir: &Path, model: &Path, budget: Option<&str>, samples: &str) -> Result<String> {
    let work = tempfile::tempdir()?;
    let name = model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    // The driver wants a bundle of this name.
    let copy = work.path().join("m.onnx");
    std::fs::copy(model, &copy)?;
    let (mut cells, mut count, mut itself) = (Vec::new(), 0, f64::NAN);
    for (board, core) in BOARDS {
        let out = work.path().join(board);
        let mut c = secateur();
        c.arg("compile").arg(&copy).args(["--quiet", "--target", board, "-o"]).arg(&out);
        c.args(dims(&name).iter().flat_map(|d| ["--dim", d]));
        c.args(budget.iter().flat_map(|b| ["--macs", b]));
        sh::output(&mut c)?;
        let driver = out.join("driver");
        let mut gcc = sh::command("aarch64-linux-gnu-gcc -O2 -static -o");
        gcc.arg(&driver).arg("crates/secateur-codegen/tests/c/driver.c").arg(out.join("libm.a"));
        sh::output(gcc.arg("-lpthread"))?;
        let script = sh::root().join("crates/secateur-codegen/tests/py/outputs.py");
        let ask = |step: &str| -> Result<Value> {
            let mut python = Command::new(sh::root().join(".venv/bin/python"));
            python.arg(&script).arg(step).arg(out.join("m.onnx")).arg(&out).args(["--samples", samples]);
            for d in dims(&name) {
                python.args(["--dim", d]);
            }
            if let Some(g) = given(&name).filter(|g| dir.join(g.data).exists()) {
                python.arg("--data").arg(dir.join(g.data)).args(["--mean", g.mean, "--std", g.std]);
                python.args(g.classes.then_some("--classes"));
            }
            Ok(serde_json::from_str(&sh::output(&mut python)?)?)
        };
        let asked = ask("make")?;
        let sizes = |k: &str| -> Result<Vec<String>> {
            let sizes = asked[k].as_array().context("the script gave no sizes")?;
            Ok(sizes.iter().map(Value::to_string).collect())
        };
        let inputs = sizes("inputs")?;
        count = asked["samples"].as_u64().context("the script gave no samples")?;
        itself = asked["itself"].as_f64().context("the script gave no difference")?;
        let report: Value = serde_json::from_slice(&std::fs::read(out.join("report.json"))?)?;
        let workspace = report["code"]["workspace_bytes"].as_u64().context("no workspace in the report")?;
        let mut qemu = Command::new("qemu-aarch64");
        qemu.args(["-cpu", core]).arg(&driver).args(["run", &count.to_string(), &workspace.to_string()]);
        qemu.args([inputs.join(","), sizes("outputs")?.join(",")]).arg(out.join("out.bin"));
        qemu.args((0..inputs.len()).map(|i| out.join(format!("in{i}.bin"))));
        sh::output(&mut qemu)?;
        let found = ask("compare")?;
        let number = |k: &str| found[k].as_f64().unwrap_or(f64::INFINITY);
        let (far, of_largest) = (number("difference"), number("of_largest"));
        let same = found["same_class"].as_u64().map_or(String::new(), |n| format!(" {n}"));
        cells.push(format!("{:>20}", format!("{of_largest:.1e} {far:.1e}{same}")));
    }
    Ok(format!("{count:>9} {:>12} {}", format!("{itself:.1e}"), cells.join(" ")))
}
