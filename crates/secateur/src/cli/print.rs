//! The one place that writes to standard output and standard error.
//!
//! A command's files are whole before anything is printed. A reader that leaves early, as `head` does, is no error: the
//! rest is not printed, and the exit code says how the work went. Standard output that cannot take what it is given, a
//! full disk, is one.

use std::io::{self, ErrorKind, Write};

use secateur_diag::{Code, Result, diag};

/// Prints to standard output.
///
/// # Errors
/// [`Code::L010`].
pub fn out(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    checked(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Prints a line to standard error. Where even that is not possible, there is nobody left to tell.
pub fn err(line: &str) {
    let mut err = io::stderr().lock();
    _ = err.write_all(format!("{line}\n").as_bytes()).and_then(|()| err.flush());
}

/// Prints help or the version to standard output, or what is wrong with the arguments to standard error.
///
/// # Errors
/// As [`out`].
pub fn usage(e: &clap::Error) -> Result<()> {
    let printed = e.print();
    match e.use_stderr() {
        true => Ok(()),
        false => checked(printed.and_then(|()| io::stdout().flush())),
    }
}

fn checked(result: io::Result<()>) -> Result<()> {
    match result {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(diag(Code::L010, "standard output cannot be written").at("reason", e.to_string()))
        }
        _ => Ok(()),
    }
}
