//! Random graphs, many more than in the tests: what is cut out must compute what is masked out.

use crate::sh;
use anyhow::{Context, Result, bail};

pub fn run(arguments: &[&str]) -> Result<()> {
    let (cases, seed) = parse(arguments)?;
    let mut command = sh::command("cargo test --release --locked -p secateur --test oracle_random");
    command.args(["removed_equals_masked", "--", "--nocapture"]);
    command.env("SECATEUR_ORACLE_CASES", cases.to_string()).env("SECATEUR_ORACLE_SEED", seed.to_string());
    sh::run(&mut command)
}

/// Number of graphs and first seed. The seeds of the tests come long before.
fn parse(arguments: &[&str]) -> Result<(u64, u64)> {
    let (mut cases, mut seed, mut rest) = (10_000, 1_000_000, arguments.iter());
    while let Some(&option) = rest.next() {
        let slot = match option {
            "--cases" => &mut cases,
            "--seed" => &mut seed,
            _ => bail!("unexpected argument {option:?}"),
        };
        let value = rest.next().with_context(|| format!("{option} needs a number"))?;
        *slot = value.parse().with_context(|| format!("{option} {value}"))?;
    }
    Ok((cases, seed))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn arguments() {
        assert_eq!(parse(&[]).unwrap(), (10_000, 1_000_000));
        assert_eq!(parse(&["--seed", "7", "--cases", "20"]).unwrap(), (20, 7));
        assert!(parse(&["--cases"]).is_err());
        assert!(parse(&["--seed", "x"]).is_err());
        assert!(parse(&["20"]).is_err());
    }
}
