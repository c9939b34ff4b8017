//! What the ONNX checker and onnxruntime say.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

/// The answers of `xtask/py/check_onnx.py` to requests, in order.
///
/// # Panics
/// Where there is no Python with onnx and onnxruntime: `cargo xtask test` provides one.
pub fn answers(requests: &[Value]) -> Vec<Value> {
    let python = std::env::var_os("SECATEUR_PYTHON")
        .expect("SECATEUR_PYTHON must name a Python with onnx and onnxruntime; cargo xtask test sets it");
    let mut child = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../xtask/py/check_onnx.py"))
        .arg("--stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = requests.iter().map(|r| format!("{r}\n")).collect();
    let mut input = child.stdin.take().unwrap();
    let feed = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(found.len(), requests.len());
    found
}
