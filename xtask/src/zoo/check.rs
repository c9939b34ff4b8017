//! The checker in Python: one process for all models, one line in and one line out for each.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Outputs that are nowhere larger than this are measured against it: a sigmoid's are exact to 1e-7 of 1, however
/// small.
const SMALL: f64 = 1e-3;

pub struct Checker {
    // Ends with its input, when it is dropped.
    _child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// What the checker says of a pair of models.
pub struct Verdict {
    /// Relative; `None` where one does not run.
    pub error: Option<f64>,
    /// What is wrong with one of the models.
    pub complaint: Option<String>,
}

impl Checker {
    pub fn start(python: &Path) -> Result<Self> {
        let mut child = Command::new(python)
            .args(["xtask/py/check_onnx.py", "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot run {}", python.display()))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else { bail!("no pipes") };
        Ok(Self { _child: child, to, from: BufReader::new(from) })
    }

    /// Checks both models and compares their outputs; one model is checked alone.
    pub fn compare(&mut self, a: &Path, b: Option<&Path>, dims: &[(String, u64)]) -> Result<Verdict> {
        let dims: serde_json::Map<_, _> = dims.iter().map(|(n, k)| (n.clone(), json!(k))).collect();
        let mut request = json!({ "a": a, "dims": dims, "batch": 2 });
        if let Some(b) = b {
            request["b"] = json!(b);
        }
        writeln!(self.to, "{request}")?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line).context("the checker ended early")?;
        Ok(verdict(&answer))
    }
}

fn verdict(answer: &Value) -> Verdict {
    let complaint = ["checker", "run", "error"]
        .iter()
        .filter_map(|k| answer[k].as_str())
        .find(|text| !matches!(*text, "ok" | "skipped"))
        .map(str::to_owned);
    let errors = answer["outputs"].as_array().into_iter().flatten().filter_map(error);
    let error = if complaint.is_none() { errors.reduce(f64::max) } else { None };
    Verdict { error, complaint }
}

/// Difference of one output relative to its largest value.
fn error(output: &Value) -> Option<f64> {
    // Infinities and NaN come as strings.
    let number = |k: &str| output[k].as_f64().or_else(|| output[k].as_str()?.parse().ok());
    let (difference, relative) = (number("max_abs")?, number("max_rel")?);
    match difference.is_finite() {
        true if difference == 0.0 => Some(0.0),
        true => Some(difference / (difference / relative).max(SMALL)),
        false => Some(f64::INFINITY),
    }
}

#[cfg(test)]
mod tests {
    use super::verdict;
    use serde_json::json;

    #[test]
    fn answers() {
        let one = |max_abs: serde_json::Value, max_rel: serde_json::Value| {
            let outputs = json!([{ "max_abs": max_abs, "max_rel": max_rel }]);
            verdict(&json!({ "checker": "ok", "run": "ok", "outputs": outputs })).error
        };
        assert_eq!(one(json!(2.0), json!(0.5)), Some(0.5));
        assert_eq!(one(json!(0.0), json!(0.0)), Some(0.0));
        assert_eq!(one(json!("inf"), json!("inf")), Some(f64::INFINITY));
        // Of an output of 1e-5, and of one of nothing.
        assert!((one(json!(2e-7), json!(2e-2)).unwrap() - 2e-4).abs() < 1e-9);
        assert!((one(json!(1e-7), json!("inf")).unwrap() - 1e-4).abs() < 1e-9);
        let bad = verdict(&json!({ "checker": "ok", "run": "b.onnx: Fail: shapes" }));
        assert_eq!((bad.error, bad.complaint.as_deref()), (None, Some("b.onnx: Fail: shapes")));
    }
}
