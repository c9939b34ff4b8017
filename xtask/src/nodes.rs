//! ONNX's own tests, with details; `tests/node_tests.rs` asks the same.

use crate::{setup, sh};
use anyhow::Result;

pub fn run(arguments: &[&str]) -> Result<()> {
    let own = sh::root().join(".venv/bin/python");
    if std::env::var_os("SECATEUR_PYTHON").is_none() {
        setup::python::run()?;
    }
    if arguments.contains(&"compile") {
        setup::cross::system_packages()?;
    }
    // tract takes long to build, and is needed for itself only.
    let features = if arguments.contains(&"tract") { "" } else { "--no-default-features" };
    let mut command =
        sh::command(&format!("cargo run --locked --quiet -p secateur-tests --bin nodes {features} --"));
    if std::env::var_os("SECATEUR_PYTHON").is_none() {
        command.env("SECATEUR_PYTHON", own);
    }
    sh::run(command.args(arguments))
}
