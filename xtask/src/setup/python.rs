//! The Python environment of the differential tests: `.venv`, as `xtask/py/requirements.txt` says.

use crate::sh;
use anyhow::{Context, Result};
use std::{fs, path::Path};

const WANTED: &str = "xtask/py/requirements.txt";
/// A copy of the requirements that the environment was made from.
const STAMP: &str = ".venv/requirements.txt";

pub fn run() -> Result<()> {
    let wanted = fs::read_to_string(WANTED)?;
    if fs::read_to_string(STAMP).is_ok_and(|had| had == wanted) && sh::works(".venv/bin/python --version") {
        return Ok(());
    }
    println!("setting up .venv with what {WANTED} lists");
    if Path::new(".venv").exists() {
        fs::remove_dir_all(".venv").context("cannot remove the old .venv")?;
    }
    sh::run(&mut sh::command("python3 -m venv .venv"))
        .context("Python 3 with venv is needed (on Debian: apt-get install python3-venv)")?;
    let mut pip = sh::command(".venv/bin/python -m pip install --quiet --disable-pip-version-check -r");
    sh::run(pip.arg(WANTED))?;
    fs::write(STAMP, wanted)?;
    Ok(())
}
