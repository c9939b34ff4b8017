//! What other tools reach on the fixtures: measured by `xtask/py/rivals_*.py` into `docs/rivals.json`, shown in
//! `docs/rivals.md`.

use crate::{setup::python, sh};
use anyhow::{Context, Result, bail};
use std::{fs, path::Path};

mod page;

const WANTED: &str = "xtask/py/requirements-rivals.txt";
const JSON: &str = "docs/rivals.json";
const PAGE: &str = "docs/rivals.md";

pub fn run(arguments: &[&str]) -> Result<()> {
    let (mut folder, mut only, mut interpreter, mut fresh) = (None, None, None, false);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match *argument {
            "--only" => only = rest.next().copied(),
            "--python" => interpreter = rest.next().map(ToString::to_string),
            "--fresh" => fresh = true,
            other if folder.is_none() && !other.starts_with('-') => folder = Some(other),
            other => bail!("unexpected argument {other:?}"),
        }
    }
    let parts: &[&str] = match only {
        None => &["structured", "masks"],
        Some("structured") => &["structured"],
        Some("masks") => &["masks"],
        Some("page") => &[],
        Some(other) => bail!("--only takes structured, masks or page, found {other:?}"),
    };
    if fresh && Path::new(JSON).exists() && !parts.is_empty() {
        fs::remove_file(JSON)?;
    }
    if !parts.is_empty() {
        let folder = folder.context("which folder holds the fixtures?")?;
        let interpreter = match interpreter {
            Some(python) => python,
            None => {
                println!("the other tools come through pip, with torch: several gigabytes");
                python::environment(".venv-rivals", WANTED)?;
                ".venv-rivals/bin/python".to_owned()
            }
        };
        for part in parts {
            let mut command = sh::command(&interpreter);
            command.arg(format!("xtask/py/rivals_{part}.py")).args([folder, "--json", JSON]);
            sh::run(command.env("OMP_NUM_THREADS", "1"))?;
        }
    }
    let rows = fs::read_to_string(JSON).with_context(|| format!("cannot read {JSON}"))?;
    fs::write(PAGE, page::page(&serde_json::from_str(&rows)?)?)?;
    println!("{PAGE} is written");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{JSON, PAGE, page};
    use crate::sh;
    use std::fs;

    #[test]
    fn page_shows_what_was_measured() {
        let rows = fs::read_to_string(sh::root().join(JSON)).unwrap();
        let wanted = page::page(&serde_json::from_str(&rows).unwrap()).unwrap();
        let path = sh::root().join(PAGE);
        if std::env::var_os("SECATEUR_BLESS").is_some() {
            fs::write(&path, &wanted).unwrap();
        }
        assert_eq!(fs::read_to_string(path).unwrap(), wanted, "run `cargo xtask rivals --only page`");
    }
}
