//! One model: inspected, pruned, checked.

use std::{path::Path, process::Command, time::Duration};

use anyhow::Result;
use serde_json::Value;

use super::{Options, TOLERANCE, check::Checker, process};

/// No model of a zoo should need longer.
const LIMIT: Duration = Duration::from_secs(600);

/// Operators whose result jumps where two scores are nearly the same.
const RANKING: &[&str] = &["ArgMax", "ArgMin", "NonMaxSuppression", "TopK"];

/// A line of the table.
#[derive(Default)]
pub struct Row {
    pub model: String,
    pub nodes: u64,
    /// Shares of the weights that can be removed: exact, with inexact ones.
    pub prunable: (f64, f64),
    pub macs: (u64, u64),
    pub params: (u64, u64),
    pub inexact: bool,
    /// The budget is one of parameters, as the multiply-adds cannot be counted.
    pub by_params: bool,
    /// Largest relative difference from the masked model.
    pub error: Option<f64>,
    pub seconds: f64,
    pub peak_mb: f64,
    pub outcome: Outcome,
}

#[derive(Default, PartialEq, Debug)]
pub enum Outcome {
    /// Pruned and checked.
    #[default]
    Pruned,
    /// The budget cannot be met, with what can.
    Short(String),
    /// Pruned, but outputs are picked by rank of scores, where rounding swaps neighbours.
    Ranked,
    /// The original does not run in onnxruntime either; nothing is known of the result.
    Unchecked(String),
    Failed(String),
}

impl Row {
    pub fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }

    /// What is left of what was limited.
    pub fn left(&self) -> f64 {
        let (before, after) = if self.by_params { self.params } else { self.macs };
        after as f64 / before.max(1) as f64
    }
}

/// Example inputs by model, as the zoo's generator notes them.
pub fn manifest(folder: &Path) -> Result<Vec<Value>> {
    let Ok(text) = std::fs::read_to_string(folder.join("manifest.jsonl")) else { return Ok(Vec::new()) };
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// Prunes and checks one model; what goes wrong with it is in the row.
pub fn row(
    secateur: &Path,
    path: &Path,
    manifest: &[Value],
    scratch: &Path,
    options: &Options,
    checker: &mut Checker,
) -> Result<Row> {
    let name = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut row = Row { model: name.clone(), ..Row::default() };
    let run = |arguments: &[String]| {
        process::run(
            Command::new(secateur).arg(&arguments[0]).arg(path).args(&arguments[1..]),
            LIMIT,
            scratch,
        )
    };
    let seen = run(&["inspect".into(), "--json".into()])?;
    let Some(report) =
        (seen.code == Some(0)).then(|| serde_json::from_str::<Value>(&seen.stdout)).transpose()?
    else {
        row.outcome = Outcome::Failed(complaint(&seen.stderr, seen.code));
        return Ok(row);
    };
    let weights = report["weights"].as_f64().unwrap_or(0.0).max(1.0);
    let part = |k: &str| report[k].as_f64().unwrap_or(0.0) / weights;
    row.nodes = report["nodes"][1].as_u64().unwrap_or(0);
    row.prunable = (part("weights_removable"), part("weights_removable_inexact"));
    let ranks = report["operators"]
        .as_array()
        .is_some_and(|ops| ops.iter().any(|o| o[0].as_str().is_some_and(|o| RANKING.contains(&o))));
    let example = manifest.iter().find(|m| m["name"] == name.as_str());
    let (dims, batch) = dims(&report, example);

    let (out, masked) = (scratch.join("pruned.onnx"), scratch.join("masked.onnx"));
    let mut arguments = vec!["prune".to_owned(), "--json".into(), "--macs".into(), options.budget.clone()];
    for (flag, file) in [("--output", &out), ("--masked", &masked)] {
        arguments.extend([flag.to_owned(), file.to_string_lossy().into_owned()]);
    }
    let mut ended = run(&arguments)?;
    if ended.stderr.starts_with("error[P002]") {
        arguments.extend(dims.iter().flat_map(|(n, k)| ["--dim".into(), format!("{n}={k}")]));
        ended = run(&arguments)?;
    }
    // Sizes that only show when the model runs, one after the other.
    for _ in 0..8 {
        let Some(name) = inner_size(&ended.stderr) else { break };
        arguments.extend(["--dim".into(), format!("{name}=16")]);
        ended = run(&arguments)?;
    }
    if ended.stderr.starts_with("error[P002]") {
        row.by_params = true;
        arguments[2] = "--params".into();
        ended = run(&arguments)?;
    }
    if ended.stderr.starts_with("error[P001]") && options.inexact {
        arguments.push("--allow-inexact".into());
        row.inexact = true;
        ended = run(&arguments)?;
    }
    (row.seconds, row.peak_mb) = (ended.seconds, ended.peak_mb);
    if ended.code != Some(0) {
        let said = complaint(&ended.stderr, ended.code);
        row.outcome = if said.starts_with("P001") { Outcome::Short(said) } else { Outcome::Failed(said) };
        return Ok(row);
    }
    let report: Value = serde_json::from_str(&ended.stdout)?;
    let figure = |when: &str, what: &str| report[when][what].as_u64().unwrap_or(0);
    row.macs = (figure("before", "macs"), figure("after", "macs"));
    row.params = (figure("before", "params"), figure("after", "params"));

    let sizes: Vec<_> = dims.into_iter().chain(batch.into_iter().map(|b| (b, 2))).collect();
    let verdict = checker.compare(&masked, Some(&out), &sizes)?;
    row.error = verdict.error;
    row.outcome = match (verdict.complaint, verdict.error) {
        (Some(said), _) => match checker.compare(path, None, &sizes)?.complaint {
            Some(original) => Outcome::Unchecked(original),
            None => Outcome::Failed(said),
        },
        (None, Some(e)) if row.inexact || e <= TOLERANCE => Outcome::Pruned,
        (None, Some(_)) if ranks => Outcome::Ranked,
        (None, e) => Outcome::Failed(format!("differs from the masked model by {}", e.unwrap_or(f64::NAN))),
    };
    for file in [&out, &masked] {
        for file in [file.clone(), file.with_added_extension("data")] {
            // Not every model has both.
            let _ = std::fs::remove_file(file);
        }
    }
    Ok(row)
}

/// Sizes of the symbolic dimensions of the inputs, and the symbols that lead an input: the batch.
fn dims(report: &Value, example: Option<&Value>) -> (Vec<(String, u64)>, Vec<String>) {
    let (mut out, mut batch): (Vec<(String, u64)>, Vec<String>) = (Vec::new(), Vec::new());
    for input in report["inputs"].as_array().into_iter().flatten() {
        let (Some(name), Some(ty)) = (input[0].as_str(), input[1].as_str()) else { continue };
        let shape: Vec<&str> = ty
            .split_once('[')
            .and_then(|(_, s)| s.strip_suffix(']'))
            .map_or(vec![], |s| s.split(',').map(|d| d.trim().trim_matches('"')).collect());
        for (axis, dim) in shape.iter().enumerate().filter(|(_, d)| d.parse::<u64>().is_err()) {
            if axis == 0 {
                batch.push((*dim).to_owned());
                continue;
            }
            let image = shape.len() >= 4 && axis >= 2;
            let noted = example.and_then(|m| m["inputs"][name][axis].as_u64());
            out.push(((*dim).to_owned(), noted.unwrap_or(if image { 224 } else { 16 })));
        }
    }
    batch.sort();
    batch.dedup();
    out.retain(|(n, _)| !batch.contains(n) && !n.is_empty());
    out.sort();
    out.dedup_by(|a, b| a.0 == b.0);
    (out, batch)
}

/// The size that an error of the second kind asks for by name.
fn inner_size(stderr: &str) -> Option<&str> {
    let line = stderr.lines().next()?.strip_prefix("error[P002]: the cost depends on the size ")?;
    // A product is asked for by its symbol.
    let name = line.rsplit_once('"').map_or(line, |(l, _)| l.rsplit('"').next().unwrap_or(l));
    name.starts_with('?').then_some(name)
}

/// The first line of an error with its place, as `P004 Reshape splits ... at node ...`.
fn complaint(stderr: &str, code: Option<i32>) -> String {
    let line = |label: &str| {
        let found = stderr.lines().find_map(|l| l.trim_start().strip_prefix(label));
        found.map(|l| format!("; {}", l.trim())).unwrap_or_default()
    };
    let panic = || stderr.lines().find(|l| l.contains("panicked at")).map(str::to_owned);
    match stderr.lines().find_map(|l| l.strip_prefix("error[")) {
        Some(first) => {
            format!("{}{}{}", first.replacen("]:", "", 1), line("node "), line("budget "))
        }
        None => panic().unwrap_or_else(|| match code {
            Some(c) => format!("ended with {c}"),
            None => "was stopped".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{complaint, dims};
    use serde_json::json;

    #[test]
    fn sizes_come_from_the_manifest_else_from_the_rank() {
        let report = json!({ "inputs": [["x", "f32[N,3,H,W]"], ["t", "i64[N,T]"], ["m", "f32[4]"]] });
        let (sizes, batch) = dims(&report, Some(&json!({ "inputs": { "x": [2, 3, 64, 32] } })));
        assert_eq!(sizes, [("H".to_owned(), 64), ("T".to_owned(), 16), ("W".to_owned(), 32)]);
        assert_eq!(batch, ["N"]);
        assert_eq!(dims(&report, None).0[0], ("H".to_owned(), 224));
    }

    #[test]
    fn inner_sizes_are_read_from_the_error() {
        let error = |size: &str| format!("error[P002]: the cost depends on the size {size}\n  node");
        assert_eq!(super::inner_size(&error("\"?a.0\"")), Some("?a.0"));
        assert_eq!(super::inner_size(&error("8*\"?a.0\"")), Some("?a.0"));
        assert_eq!(super::inner_size(&error("H")), None);
    }

    #[test]
    fn errors_become_one_line() {
        let text = "error[P004]: uneven\n  node   \"r\" (Reshape, opset 13)\n  help   pin it";
        assert_eq!(complaint(text, Some(2)), "P004 uneven; \"r\" (Reshape, opset 13)");
        assert_eq!(complaint("", None), "was stopped");
        assert!(complaint("thread 'main' panicked at x.rs:1:2:\noh", Some(101)).contains("x.rs:1:2"));
    }
}
