//! Running other programs.

use anyhow::{Context, Result, bail};
use std::{
    ffi::OsStr,
    os::fd::AsFd,
    path::PathBuf,
    process::{Command, Stdio},
};

/// The root of the repository.
pub fn root() -> PathBuf {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(xtask).parent().expect("xtask is a folder of the repository").to_owned()
}

/// A command with arguments, split at blanks.
pub fn command(line: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words);
    command
}

/// Runs a command that must succeed, after saying so. Both of its outputs go to ours: test runners close with a line
/// on one or the other.
pub fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", shown(command));
    let stdout = std::io::stdout().as_fd().try_clone_to_owned()?;
    let status = command.stderr(Stdio::from(stdout)).status();
    let status = status.with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// What a command that must succeed prints.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{} ended with {}", shown(command), output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether a command runs and succeeds. Nothing is shown.
pub fn works(line: &str) -> bool {
    command(line)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

/// The files that git tracks or would track, by path from the root.
pub fn files() -> Result<Vec<String>> {
    let list = output(&mut command("git ls-files -z --cached --others --exclude-standard --deduplicate"))?;
    let names = list.split_terminator('\0').filter(|n| std::path::Path::new(n).is_file());
    Ok(names.map(str::to_owned).collect())
}

fn shown(command: &Command) -> String {
    let environment =
        command.get_envs().filter_map(|(k, v)| Some(format!("{}={}", k.display(), v?.display())));
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    environment.chain(words.map(|w: &OsStr| w.display().to_string())).collect::<Vec<_>>().join(" ")
}
