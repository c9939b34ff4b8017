//! Runs the program on a machine that ssh reaches, a Raspberry Pi say: nothing need be installed there.

use super::Options;
use super::bundle::About;
use super::layers::{Symbols, arguments};
use super::table;
use crate::sh;
use anyhow::{Context, Result, bail};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

pub fn run(
    host: &str,
    options: &Options,
    about: &About,
    bench: &Path,
    inputs: &[PathBuf],
    work: &Path,
) -> Result<()> {
    if host.starts_with('-') {
        bail!("--host wants USER@MACHINE, not {host:?}");
    }
    let ssh = |line: &str| sh::output(Command::new("ssh").arg(host).arg(line));
    let folder = ssh("mktemp -d")?.trim().to_owned();
    if !folder.starts_with('/') || folder.contains(|c: char| c.is_whitespace() || "'\"$;&|".contains(c)) {
        bail!("{host} gave {folder:?} as a temporary folder");
    }
    let result = there(host, &folder, options, about, bench, inputs, work);
    ssh(&format!("rm -rf {folder}"))?;
    let (text, outputs) = result?;
    print!("{}", table::outputs(about, &outputs));
    print!("{}", report(&text, &Symbols::of(bench)?, &about.name)?);
    Ok(())
}

/// Copies, runs, and copies back: what the program said, and the outputs.
fn there(
    host: &str,
    folder: &str,
    options: &Options,
    about: &About,
    bench: &Path,
    inputs: &[PathBuf],
    work: &Path,
) -> Result<(String, Vec<u8>)> {
    let remote = format!("{host}:{folder}/");
    sh::run(Command::new("scp").arg("-q").arg(bench).args(inputs).arg(&remote))?;
    let named = |path: &Path| -> PathBuf {
        path.file_name().map_or_else(PathBuf::new, |n| Path::new(folder).join(n))
    };
    let inputs: Vec<PathBuf> = inputs.iter().map(|i| named(i)).collect();
    let output = Path::new(folder).join("outputs");
    let words = arguments(about, options.runs, options.seconds, &output, &inputs);
    let line = format!("{folder}/bench {}", words.join(" "));
    println!("$ ssh {host} {line}");
    let text = sh::output(Command::new("ssh").arg(host).arg(&line))?;
    let local = work.join("outputs-host");
    sh::run(Command::new("scp").arg("-q").arg(format!("{remote}outputs")).arg(&local))?;
    Ok((text, fs::read(local)?))
}

/// The median time of a run, and its share for each function of the bundle by samples.
fn report(text: &str, symbols: &Symbols, name: &str) -> Result<String> {
    let (mut times, mut together): (Vec<f64>, Vec<f64>) = Default::default();
    let mut samples: HashMap<String, u64> = HashMap::new();
    let mut out = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["time", nanoseconds] => times.push(nanoseconds.parse()?),
            ["together", nanoseconds] => together.push(nanoseconds.parse()?),
            ["sample", address, count] => {
                let address = u64::from_str_radix(address.trim_start_matches("0x"), 16)?;
                let symbol = symbols.at(address).filter(|s| s.starts_with(&format!("{name}_")));
                *samples.entry(symbol.unwrap_or("(the program around)").to_owned()).or_default() +=
                    count.parse::<u64>()?;
            }
            _ => {}
        }
    }
    let mut line = |what: &str, times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        let median = times.get(times.len() / 2)?;
        let [middle, fastest, slowest] = [*median, times[0], times[times.len() - 1]].map(|t| t / 1e6);
        out += &format!(
            "{what}: {middle:.3} ms (median of {}; fastest {fastest:.3}, slowest {slowest:.3})\n",
            times.len()
        );
        Some(*median)
    };
    let median = line("one inference", &mut times).context("no time was measured: --runs 1 or more")?;
    line("on several cores", &mut together);
    let all: u64 = samples.values().sum();
    let mut rows: Vec<(String, u64)> = samples.into_iter().collect();
    rows.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    for (symbol, count) in rows {
        let share = count as f64 / all as f64;
        // The count of a layer scatters as its square root.
        let error = (count as f64).sqrt() / all as f64;
        let (ms, error) = (median / 1e6 * share, median / 1e6 * error);
        out += &format!("{ms:>9.3} ms ± {error:.3} {:>5.1} %  {symbol}\n", 100.0 * share);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_shared_by_samples() {
        let text =
            "time 3000000\ntime 1000000\ntime 2000000\ntogether 500000\nsample 0x10 3\nsample 0x14 1\n";
        let report = report(text, &Symbols::default(), "m").unwrap();
        assert!(report.starts_with("one inference: 2.000 ms (median of 3; fastest 1.000, slowest 3.000)"));
        assert!(report.contains("on several cores: 0.500 ms (median of 1;"));
        assert!(report.contains("2.000 ms ± 1.000 100.0 %  (the program around)"), "{report}");
    }
}
