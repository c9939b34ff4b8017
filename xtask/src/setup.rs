//! Installs what is missing, and says what.

use anyhow::{Result, bail};

pub mod cross;
pub mod python;

pub fn run(arguments: &[&str]) -> Result<()> {
    for argument in arguments {
        match *argument {
            "--python" => python::run()?,
            "--cross" => cross::run(cross::Rust::Rustup)?,
            "--cross-debian" => cross::run(cross::Rust::Debian)?,
            other => bail!("unexpected argument {other:?}"),
        }
    }
    if arguments.is_empty() { python::run() } else { Ok(()) }
}
