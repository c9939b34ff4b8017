//! The rules of the house. A rule is one function and one row in [`RULES`]; it returns what it complains about.

use crate::sh;
use anyhow::{Result, bail};

mod files;
mod floors;
mod links;
mod words;

type Rule = fn() -> Result<Vec<String>>;

/// Quick ones first.
const RULES: &[(&str, Rule)] = &[
    ("floors: crates use only lower floors", floors::check),
    ("sizes: no large file, no long file without a reason", files::check),
    ("links: pages lead to pages", links::check),
    ("words: nothing of a developer's machine, nothing left undone", words::check),
    ("format: rustfmt", format),
    ("clippy: no warnings", clippy),
    ("licences: cargo-deny", licences),
];

pub fn run(arguments: &[&str]) -> Result<()> {
    crate::no_arguments(arguments)?;
    let mut failed = 0;
    for (name, rule) in RULES {
        println!("lint {name}");
        for complaint in rule()? {
            println!("  {complaint}");
            failed += 1;
        }
    }
    match failed {
        0 => Ok(()),
        1 => bail!("lint: one complaint"),
        n => bail!("lint: {n} complaints"),
    }
}

/// Runs a checker that explains itself.
fn checker(line: &str) -> Result<Vec<String>> {
    Ok(sh::run(&mut sh::command(line)).err().map(|e| e.to_string()).into_iter().collect())
}

fn format() -> Result<Vec<String>> {
    let mut complaints = checker("cargo fmt --all --check")?;
    complaints.extend(checker("cargo fmt --manifest-path fuzz/Cargo.toml --check")?);
    Ok(complaints)
}

fn clippy() -> Result<Vec<String>> {
    checker("cargo clippy --workspace --all-targets --locked --quiet -- -D warnings")
}

fn licences() -> Result<Vec<String>> {
    if !sh::works("cargo deny --version") {
        println!("  not checked: cargo-deny is not installed (cargo install --locked cargo-deny)");
        return Ok(Vec::new());
    }
    checker("cargo deny --locked --log-level error check bans licenses sources")
}
