//! Every fixture, pruned to half its multiply-adds, passes the ONNX checker and computes in onnxruntime what its
//! masked original computes there.
//!
//! It needs a Python with what `xtask/py/requirements.txt` lists, named by `SECATEUR_PYTHON`; `cargo xtask test`
//! sets it. Without the variable the test says so and looks at nothing.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// Sizes of the inputs that have symbols beside the batch, as `prune` and as onnxruntime call them.
fn dims(name: &str) -> &'static [(&'static str, &'static str, u64)] {
    match name {
        "ppocr_cls_v2" => &[("x.2", "?", 48), ("x.3", "?", 48)],
        "ppocr_det_v4" => &[
            ("p2o.DynamicDimension.1", "p2o.DynamicDimension.1", 64),
            ("p2o.DynamicDimension.2", "p2o.DynamicDimension.2", 64),
        ],
        _ => &[],
    }
}

fn prune(model: &Path, dir: &Path) -> (PathBuf, PathBuf) {
    let name = model.file_stem().unwrap().to_string_lossy().into_owned();
    let (masked, pruned) = (dir.join(format!("{name}.masked.onnx")), dir.join(format!("{name}.onnx")));
    let mut c = Command::new(env!("CARGO_BIN_EXE_secateur"));
    c.arg("prune")
        .arg(model)
        .args(["--quiet", "--macs", "50%", "-o"])
        .arg(&pruned)
        .arg("--masked")
        .arg(&masked);
    for (n, _, size) in dims(&name) {
        c.args(["--dim", &format!("{n}={size}")]);
    }
    assert!(c.status().unwrap().success(), "{name}");
    (masked, pruned)
}

/// Whether an output of both is the same: to 1e-4 of its largest value, or to what a sigmoid resolves.
fn same(output: &Value) -> bool {
    let number =
        |k: &str| output[k].as_f64().or_else(|| output[k].as_str()?.parse().ok()).unwrap_or(f64::INFINITY);
    number("max_rel") <= 1e-4 || number("max_abs") <= 5e-7
}

#[test]
fn pruned_fixtures_run_in_onnxruntime() {
    let Some(python) = std::env::var_os("SECATEUR_PYTHON") else {
        println!("SECATEUR_PYTHON is not set: nothing is checked; run cargo xtask test");
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let dir = tempfile::tempdir().unwrap();
    let mut models: Vec<PathBuf> =
        std::fs::read_dir(root.join("fixtures")).unwrap().map(|e| e.unwrap().path()).collect();
    models.retain(|p| p.extension().is_some_and(|e| e == "onnx"));
    models.sort();
    assert!(models.len() >= 10);
    let mut child = Command::new(python)
        .arg(root.join("xtask/py/check_onnx.py"))
        .arg("--stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut requests = String::new();
    for m in &models {
        let (masked, pruned) = prune(m, dir.path());
        let name = m.file_stem().unwrap().to_string_lossy().into_owned();
        let sizes: serde_json::Map<String, Value> =
            dims(&name).iter().map(|(_, n, k)| ((*n).to_owned(), json!(k))).collect();
        requests.push_str(&format!("{}\n", json!({ "a": masked, "b": pruned, "dims": sizes, "batch": 3 })));
    }
    child.stdin.take().unwrap().write_all(requests.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), models.len(), "{answers}");
    for (m, line) in models.iter().zip(answers.lines()) {
        let answer: Value = serde_json::from_str(line).unwrap();
        assert!(answer["checker"] == "ok" && answer["run"] == "ok", "{}: {line}", m.display());
        let outputs = answer["outputs"].as_array().unwrap();
        assert!(!outputs.is_empty() && outputs.iter().all(same), "{}: {line}", m.display());
    }
}
