//! The checker in Python: one process for all models, one line in and one line out for each.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

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
    // Infinities and NaN come as strings.
    let error = answer["max_rel"].as_f64().or_else(|| answer["max_rel"].as_str()?.parse().ok());
    Verdict { error, complaint }
}

#[cfg(test)]
mod tests {
    use super::verdict;
    use serde_json::json;

    #[test]
    fn answers() {
        let good = verdict(&json!({ "checker": "ok", "run": "ok", "max_rel": 1e-6 }));
        assert_eq!((good.error, good.complaint), (Some(1e-6), None));
        let infinite = verdict(&json!({ "checker": "ok", "run": "ok", "max_rel": "inf" }));
        assert_eq!(infinite.error, Some(f64::INFINITY));
        let bad = verdict(&json!({ "checker": "ok", "run": "b.onnx: Fail: shapes" }));
        assert_eq!((bad.error, bad.complaint.as_deref()), (None, Some("b.onnx: Fail: shapes")));
    }
}
