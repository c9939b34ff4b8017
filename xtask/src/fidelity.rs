//! Top-1 accuracy of pruned classifiers at several budgets, for every criterion that needs no data.

use crate::sh;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// A family of classifiers that share data and preparation.
struct Family {
    /// Models, without `.onnx`. One that is missing is left out.
    models: &'static [&'static str],
    data: &'static str,
    labels: &'static str,
    mean: &'static str,
    std: &'static str,
}

const FAMILIES: &[Family] = &[
    Family {
        models: &["fashion_resnet20_bn", "fashion_mobilenetv2_bn", "fashion_shufflenet_bn"],
        data: "fashion_test_x.npy",
        labels: "fashion_test_y.npy",
        mean: "0.2860",
        std: "0.3530",
    },
    Family {
        models: &["resnet20_bn", "mobilenetv2_bn", "densenet_bn", "resnet20_finetuned_bn"],
        data: "cifar10_test_x.npy",
        labels: "cifar10_test_y.npy",
        mean: "0.485,0.456,0.406",
        std: "0.229,0.224,0.225",
    },
];

const CRITERIA: &[&str] = &["l2", "l1", "fpgm", "bn-scale", "random"];
const SCOPES: &[&str] = &["global", "layer"];
const BUDGETS: [&str; 3] = ["75%", "50%", "35%"];

pub fn run(arguments: &[&str]) -> Result<()> {
    let (dir, first) = match arguments {
        [dir] => (PathBuf::from(dir), "2500"),
        [dir, "--first", n] => (PathBuf::from(dir), *n),
        _ => bail!("expected DIR [--first N], found {arguments:?}"),
    };
    sh::run(&mut sh::command("cargo build --release --locked --quiet -p secateur"))?;
    let out = std::env::temp_dir().join(format!("secateur-fidelity-{}.onnx", std::process::id()));
    println!("top-1 accuracy on the first {first} test samples; no data used for pruning, nothing retrained");
    let budgets = BUDGETS.map(|b| format!("{b:>8}")).join(" ");
    println!("{:<24} {:<9} {:<7} {:>8} {budgets}", "model", "criterion", "scope", "whole");
    let mut found = false;
    for family in FAMILIES {
        for model in family.models {
            let path = dir.join(format!("{model}.onnx"));
            if !path.exists() || !dir.join(family.data).exists() {
                continue;
            }
            found = true;
            let whole = accuracy(family, &dir, &path, first)?;
            for criterion in CRITERIA {
                for scope in SCOPES {
                    let mut row = String::new();
                    for budget in BUDGETS {
                        prune(&path, &out, criterion, scope, budget)?;
                        row.push_str(&format!(" {:>8.4}", accuracy(family, &dir, &out, first)?));
                    }
                    println!("{model:<24} {criterion:<9} {scope:<7} {whole:>8.4}{row}");
                }
            }
        }
    }
    let _ = std::fs::remove_file(&out);
    if !found {
        bail!("{} holds none of the models that are measured", dir.display());
    }
    Ok(())
}

fn secateur() -> std::process::Command {
    std::process::Command::new(sh::root().join("target/release/secateur"))
}

fn prune(model: &Path, out: &Path, criterion: &str, scope: &str, budget: &str) -> Result<()> {
    let mut c = secateur();
    c.arg("prune").arg(model).arg("-o").arg(out);
    c.args(["--macs", budget, "--criterion", criterion, "--scope", scope, "--quiet"]);
    sh::output(&mut c).map(drop)
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
