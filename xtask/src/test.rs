//! The one command: setup, lint, every test.

use crate::{lint, setup, sh};
use anyhow::Result;

pub fn run(arguments: &[&str]) -> Result<()> {
    crate::no_arguments(arguments)?;
    setup::python::run()?;
    setup::cross::system_packages()?;
    lint::run(&[])?;
    // Examples in the documentation first: the last line to be read is the runner's on the real tests.
    sh::run(&mut sh::command("cargo test --workspace --locked --quiet --doc"))?;
    if sh::works("cargo nextest --version") {
        sh::run(python(&mut sh::command("cargo nextest run --workspace --locked --no-fail-fast")))
    } else {
        println!("cargo-nextest is not installed: using cargo test");
        sh::run(python(&mut sh::command("cargo test --workspace --locked --no-fail-fast --tests")))
    }
}

/// Names the environment that the differential tests use; without it they would look at nothing.
fn python(command: &mut std::process::Command) -> &mut std::process::Command {
    command.env("SECATEUR_PYTHON", sh::root().join(".venv/bin/python"))
}
