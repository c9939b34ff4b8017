//! The Python environments: `.venv` of the differential tests, as `xtask/py/requirements.txt` says, and others like it.

use crate::sh;
use anyhow::{Context, Result};
use std::{fs, path::Path};

const WANTED: &str = "xtask/py/requirements.txt";

pub fn run() -> Result<()> {
    environment(".venv", WANTED)
}

/// Sets up the environment `folder` with what the file `list` asks for, if it is not there yet.
pub fn environment(folder: &str, list: &str) -> Result<()> {
    let wanted = fs::read_to_string(list)?;
    // A copy of the requirements that the environment was made from.
    let stamp = format!("{folder}/requirements.txt");
    let python = format!("{folder}/bin/python");
    if fs::read_to_string(&stamp).is_ok_and(|had| had == wanted) && sh::works(&format!("{python} --version"))
    {
        return Ok(());
    }
    println!("setting up {folder} with what {list} lists");
    if Path::new(folder).exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove the old {folder}"))?;
    }
    sh::run(&mut sh::command(&format!("python3 -m venv {folder}")))
        .context("Python 3 with venv is needed (on Debian: apt-get install python3-venv)")?;
    let mut pip = sh::command(&format!("{python} -m pip install --quiet --disable-pip-version-check -r"));
    sh::run(pip.arg(list))?;
    fs::write(stamp, wanted)?;
    Ok(())
}
