//! Top-1 accuracy of pruned classifiers at several budgets: without data, with calibration data, and with parts of the
//! method left out; and with zeros in the weights.

use crate::sh;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// A family of classifiers that share data and preparation.
pub struct Family {
    /// Models, without `.onnx`. One that is missing is left out.
    pub models: &'static [&'static str],
    pub data: &'static str,
    pub labels: &'static str,
    pub calib: &'static str,
    pub mean: &'static str,
    pub std: &'static str,
}

pub const FAMILIES: &[Family] = &[
    Family {
        models: &["fashion_resnet20", "fashion_mobilenetv2", "fashion_shufflenet", "fashion_transformer"],
        data: "fashion_test_x.npy",
        labels: "fashion_test_y.npy",
        calib: "fashion_calib_x.npy",
        mean: "0.2860",
        std: "0.3530",
    },
    Family {
        models: &["resnet20", "mobilenetv2", "densenet", "resnet20_finetuned"],
        data: "cifar10_test_x.npy",
        labels: "cifar10_test_y.npy",
        calib: "cifar10_calib_x.npy",
        mean: "0.485,0.456,0.406",
        std: "0.229,0.224,0.225",
    },
];

/// A network that is judged by its outputs alone: data for calibration and others to compare on.
struct Signal {
    model: &'static str,
    calib: &'static str,
    data: &'static str,
    mean: &'static str,
    std: &'static str,
    dims: &'static [&'static str],
}

const SIGNALS: &[Signal] = &[
    Signal {
        model: "ppocr_cls_v2",
        calib: "ocr_cls_calib_x.npy",
        data: "ocr_cls_test_x.npy",
        mean: "0.5",
        std: "0.5",
        dims: &["x.2=48", "x.3=192"],
    },
    Signal {
        model: "fashion_gru",
        calib: "fashion_calib_x.npy",
        data: "fashion_test_x.npy",
        mean: "0.2860",
        std: "0.3530",
        dims: &[],
    },
];

/// How networks are pruned whose outputs are compared.
const SIGNAL_ROWS: &[(&str, &str, bool)] = &[
    ("random", "--criterion random", false),
    ("l2", "--criterion l2", false),
    ("secateur's default", "", true),
];

const BUDGETS: [&str; 3] = ["75%", "50%", "35%"];
const ZEROS: [&str; 4] = ["50%", "70%", "80%", "90%"];
const PATTERNS: [&str; 4] = ["unstructured", "2:4", "4x1", "1x4"];

/// What is compared: a name, options, and whether calibration data are given.
const ROWS: &[(&str, &str, bool)] = &[
    ("l1", "--criterion l1", false),
    ("l2", "--criterion l2", false),
    ("fpgm", "--criterion fpgm", false),
    ("random", "--criterion random", false),
    ("wanda, order alone", "--criterion wanda --steps 1 --without sensitivity,compensation,repair", true),
    ("obs, order alone", "--steps 1 --without sensitivity,compensation,repair", true),
    ("l2 + repair", "--criterion l2 --scope global --steps 1 --without compensation", true),
    ("obs + repair", "--steps 1 --without sensitivity,compensation", true),
    ("obs + repair + sensitivity", "--steps 1 --without compensation", true),
    ("obs + least squares", "--steps 1 --without sensitivity,sums,rectifiers,reconstruction", true),
    ("obs + least squares, even", "--steps 1 --scope layer --without sums,rectifiers,reconstruction", true),
    ("  ... + sensitivity", "--steps 1 --without sums,rectifiers,reconstruction", true),
    ("  ... + sums", "--steps 1 --without rectifiers,reconstruction", true),
    ("  ... + rectifiers", "--steps 1 --without reconstruction", true),
    ("  ... in two steps", "--steps 2 --without reconstruction", true),
    ("  ... best of both", "--without reconstruction", true),
    ("  ... + reconstruction of the outputs", "--without inside,views", true),
    ("  ... + of the values inside", "--without views", true),
    ("l2, all else as above", "--criterion l2 --steps 1", true),
    ("wanda, all else as above", "--criterion wanda --steps 1", true),
    ("secateur's default", "", true),
];

pub fn run(arguments: &[&str]) -> Result<()> {
    let (mut dir, mut first, mut only, mut last, mut masks, mut signal) =
        (None, "2500", None, false, false, false);
    let mut left = arguments.iter();
    while let Some(a) = left.next() {
        match *a {
            "--first" => first = left.next().context("--first needs a number")?,
            "--only" => only = Some(*left.next().context("--only needs a model's name")?),
            "--default" => last = true,
            "--masks" => masks = true,
            "--signal" => signal = true,
            d if dir.is_none() && !d.starts_with('-') => dir = Some(PathBuf::from(d)),
            _ => bail!(
                "expected DIR [--first N] [--only MODEL] [--default] [--masks] [--signal], found {arguments:?}"
            ),
        }
    }
    let dir = dir.context("expected a folder with models and data")?;
    sh::run(&mut sh::command("cargo build --release --locked --quiet -p secateur"))?;
    if signal {
        return signals(&dir, only);
    }
    println!(
        "top-1 accuracy on the first {first} test samples; nothing is retrained, labels are read by verify alone"
    );
    let mut found = false;
    for family in FAMILIES {
        for model in family.models.iter().filter(|m| only.is_none_or(|o| o == **m)) {
            let path = dir.join(format!("{model}.onnx"));
            if !path.exists() || !dir.join(family.data).exists() {
                continue;
            }
            found = true;
            println!("\n{model}: {:.4} whole", accuracy(family, &dir, &path, first)?);
            let cell =
                |options: &str, calib: bool| prune_and_measure(family, &dir, &path, options, calib, first);
            if masks {
                println!("{:<28} {}", "zeros", ZEROS.map(|z| format!("{z:>8}")).join(" "));
                for pattern in PATTERNS {
                    let cells = ZEROS.map(|z| cell(&format!("--sparsity {z} --pattern {pattern}"), true));
                    row(pattern, cells)?;
                }
                continue;
            }
            println!("{:<28} {}", "share of MACs", BUDGETS.map(|b| format!("{b:>8}")).join(" "));
            for (name, options, calib) in ROWS.iter().skip(if last { ROWS.len() - 1 } else { 0 }) {
                row(name, BUDGETS.map(|b| cell(&format!("--macs {b} {options}"), *calib)))?;
            }
        }
    }
    if !found {
        bail!("{} holds none of the models that are measured", dir.display());
    }
    Ok(())
}

/// Signal to noise of pruned networks' outputs, in decibels, against the whole one's.
fn signals(dir: &Path, only: Option<&str>) -> Result<()> {
    println!("signal to noise of the outputs in dB, on data that calibration did not see");
    for s in SIGNALS.iter().filter(|s| only.is_none_or(|o| o == s.model)) {
        let path = dir.join(format!("{}.onnx", s.model));
        if !path.exists() || !dir.join(s.data).exists() {
            continue;
        }
        println!("\n{:<28} {}", s.model, BUDGETS.map(|b| format!("{b:>8}")).join(" "));
        let prepared = ["--scale", "1/255", "--mean", s.mean, "--std", s.std];
        for (name, options, calib) in SIGNAL_ROWS {
            let cell = |budget: &str| -> Result<f64> {
                let out = std::env::temp_dir().join(format!("secateur-signal-{}.onnx", std::process::id()));
                let mut c = secateur();
                c.arg("prune").arg(&path).arg("-o").arg(&out).args(["--quiet", "--macs", budget]);
                c.args(options.split_whitespace());
                for d in s.dims {
                    c.args(["--dim", d]);
                }
                if *calib {
                    c.arg("--calib").arg(dir.join(s.calib)).args(prepared);
                }
                sh::output(&mut c)?;
                let mut v = secateur();
                v.arg("verify").arg(&path).arg(&out).arg("--data").arg(dir.join(s.data)).args(prepared);
                let json: serde_json::Value = serde_json::from_str(&sh::output(v.arg("--json"))?)?;
                std::fs::remove_file(&out)?;
                json["comparison"]["outputs"][0]["sqnr_db"].as_f64().context("verify gave no ratio")
            };
            row(name, BUDGETS.map(cell))?;
        }
    }
    Ok(())
}

fn row<const N: usize>(name: &str, cells: [Result<f64>; N]) -> Result<()> {
    let cells: Vec<f64> = cells.into_iter().collect::<Result<_>>()?;
    println!("{name:<28} {}", cells.iter().map(|a| format!("{a:>8.4}")).collect::<Vec<_>>().join(" "));
    Ok(())
}

fn prune_and_measure(
    family: &Family,
    dir: &Path,
    model: &Path,
    options: &str,
    calib: bool,
    first: &str,
) -> Result<f64> {
    let out = std::env::temp_dir().join(format!("secateur-fidelity-{}.onnx", std::process::id()));
    let mut c = secateur();
    c.arg("prune").arg(model).arg("-o").arg(&out).arg("--quiet").args(options.split_whitespace());
    if calib {
        c.arg("--calib").arg(dir.join(family.calib));
        c.args(["--scale", "1/255", "--mean", family.mean, "--std", family.std]);
    }
    sh::output(&mut c)?;
    let found = accuracy(family, dir, &out, first);
    std::fs::remove_file(&out)?;
    found
}

pub fn secateur() -> std::process::Command {
    std::process::Command::new(sh::root().join("target/release/secateur"))
}

/// Top-1 accuracy of a model: compared with itself it runs once.
fn accuracy(family: &Family, dir: &Path, model: &Path, first: &str) -> Result<f64> {
    let mut c = secateur();
    c.arg("verify").args([model, model]);
    c.arg("--data").arg(dir.join(family.data)).arg("--labels").arg(dir.join(family.labels));
    c.args([
        "--scale",
        "1/255",
        "--mean",
        family.mean,
        "--std",
        family.std,
        "--first",
        first,
        "--batch",
        "50",
        "--json",
    ]);
    let output = c.output().context("secateur verify cannot be started")?;
    if !output.status.success() {
        bail!("secateur verify: {}", String::from_utf8_lossy(&output.stderr));
    }
    let json: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    json["comparison"]["outputs"][0]["top1"]["accuracy"]["candidate"]
        .as_f64()
        .context("verify gave no accuracy")
}
