//! Runs the fuzz targets of `fuzz/`, each from the seeds in `fuzz/seeds/TARGET`.

use crate::sh;
use anyhow::{Context, Result, bail};
use std::path::Path;

pub fn run(arguments: &[&str]) -> Result<()> {
    let (seconds, wanted) = parse(arguments)?;
    let known = targets()?;
    if let Some(unknown) = wanted.iter().find(|w| !known.contains(w)) {
        bail!("there is no fuzz target {unknown:?}; there are: {}", known.join(", "));
    }
    if !sh::works("rustup run nightly rustc --version") {
        bail!("fuzzing needs a nightly toolchain: rustup toolchain install nightly");
    }
    if !sh::works("cargo fuzz --version") {
        println!("cargo-fuzz is not installed: installing it");
        sh::run(&mut sh::command("cargo install --locked cargo-fuzz"))?;
    }
    for target in known.iter().filter(|k| wanted.is_empty() || wanted.contains(k)) {
        let corpus = format!("fuzz/corpus/{target}");
        std::fs::create_dir_all(&corpus)?;
        let mut command = sh::command("rustup run nightly cargo fuzz run");
        command.args([target.as_str(), &corpus]);
        let seeds = format!("fuzz/seeds/{target}");
        if Path::new(&seeds).is_dir() {
            command.arg(&seeds);
        }
        command.arg("--").args([&format!("-max_total_time={seconds}"), "-rss_limit_mb=4096", "-timeout=10"]);
        sh::run(&mut command)
            .with_context(|| format!("target {target}; the input is in fuzz/artifacts/{target}"))?;
    }
    Ok(())
}

fn parse<'a>(arguments: &[&'a str]) -> Result<(u32, Vec<String>)> {
    let (mut seconds, mut targets, mut rest) = (60, Vec::new(), arguments.iter());
    while let Some(&argument) = rest.next() {
        match argument {
            "--seconds" => {
                let value: &&'a str = rest.next().context("--seconds needs a number")?;
                seconds = value.parse().with_context(|| format!("--seconds {value}"))?;
            }
            option if option.starts_with('-') => bail!("unexpected option {option:?}"),
            target => targets.push(target.to_owned()),
        }
    }
    Ok((seconds, targets))
}

fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir("fuzz/fuzz_targets")? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "rs") {
            names.extend(path.file_stem().map(|s| s.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn arguments() {
        assert_eq!(parse(&[]).unwrap(), (60, vec![]));
        assert_eq!(parse(&["load", "--seconds", "5"]).unwrap(), (5, vec!["load".to_owned()]));
        assert!(parse(&["--seconds"]).is_err());
        assert!(parse(&["--seconds", "x"]).is_err());
        assert!(parse(&["--minutes"]).is_err());
    }
}
