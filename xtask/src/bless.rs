//! Accepts snapshots and rewrites generated pages: runs the tests with the switches that make them write.

use crate::sh;
use anyhow::{Result, bail};

pub fn run(arguments: &[&str]) -> Result<()> {
    let mut command = sh::command("cargo test --locked --quiet --no-fail-fast --tests");
    match arguments {
        [] => _ = command.arg("--workspace"),
        _ if arguments.chunks(2).all(|c| matches!(c, ["-p", _])) => _ = command.args(arguments),
        _ => bail!("expected -p CRATE, found {arguments:?}"),
    }
    command.envs([("INSTA_UPDATE", "always"), ("INSTA_FORCE_PASS", "1"), ("SECATEUR_BLESS", "1")]);
    sh::run(&mut command)?;
    sh::run(&mut sh::command("git status --short"))
}
