//! The command line. One command, one file.
//!
//! Exit codes: 0 done; 1 a budget or a wanted fidelity is not met; 2 bad input or usage, or what cannot be written.
//!
//! A command writes its files, then prints; see [`print`].

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use secateur_diag::{Code, Diagnostic};

mod calib;
mod compile;
mod data;
mod inspect;
mod options;
mod print;
mod prune;
mod quantize;
mod targets;
mod verify;

/// Makes ONNX models smaller, from the graph alone.
#[derive(Parser)]
#[command(name = "secateur", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

/// Options of every command.
#[derive(clap::Args, Clone)]
pub struct Common {
    /// Print the result as JSON on standard output.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print nothing but errors and what was asked for.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say on standard error what each pass of the simplification changed, and how long it took.
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// What is to be printed on standard output when the work is done.
    #[arg(skip)]
    said: RefCell<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Show what is in a model, what is coupled, and what cannot be pruned and why.
    Inspect(inspect::Args),
    /// Write a smaller model.
    Prune(prune::Args),
    /// Write everything a target needs.
    Compile(compile::Args),
    /// Write a model with integer weights and activations.
    Quantize(quantize::Args),
    /// Compare the outputs of two models on data.
    Verify(verify::Args),
    /// Show what is known about the targets.
    Targets(targets::Args),
}

/// What a command ends with.
pub(crate) enum Outcome {
    /// All well.
    Done,
    /// The work is done, a wanted figure was not reached.
    Missed(Box<Diagnostic>),
}

/// Parses the arguments, runs the command, prints its error.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(joined(std::env::args_os())) {
        Ok(cli) => cli,
        Err(e) => {
            return match print::usage(&e) {
                Ok(()) => ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2)),
                Err(e) => failed(&e),
            };
        }
    };
    let common = &cli.common;
    let result = match &cli.command {
        Command::Inspect(a) => inspect::run(a, common),
        Command::Prune(a) => prune::run(a, common),
        Command::Compile(a) => compile::run(a, common),
        Command::Quantize(a) => quantize::run(a, common),
        Command::Verify(a) => verify::run(a, common),
        Command::Targets(a) => targets::run(a, common),
    };
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(e) => return failed(&plain(e, common.verbose)),
    };
    let printed = print::out(&common.said.take());
    let code = match &outcome {
        Outcome::Done => ExitCode::SUCCESS,
        Outcome::Missed(e) => {
            print::err(&e.to_string());
            ExitCode::from(1)
        }
    };
    printed.map_or_else(|e| failed(&e), |()| code)
}

/// An error without the engine's own words, unless they are wanted: its names and numbers are not the model's.
fn plain(mut e: Box<Diagnostic>, verbose: bool) -> Box<Diagnostic> {
    let words = e.fields.len();
    e.fields.retain(|f| verbose || f.0 != "engine");
    match e.fields.len() < words && e.help.is_none() {
        true => e.help("--verbose also shows what the engine that ran it says"),
        false => e,
    }
}

/// The arguments, with negative numbers made part of the option before them: no option's name begins with a digit.
fn joined(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut out: Vec<OsString> = Vec::new();
    for arg in args {
        let text = arg.to_string_lossy();
        let negative =
            text.strip_prefix('-').is_some_and(|t| t.starts_with(|c: char| c.is_ascii_digit() || c == '.'));
        match out.last_mut() {
            Some(last) if negative && takes_value(last) => {
                last.push("=");
                last.push(&arg);
            }
            _ => out.push(arg),
        }
    }
    out
}

/// Whether an argument is a long option without its value.
fn takes_value(arg: &OsStr) -> bool {
    arg.to_str().is_some_and(|t| t.len() > 2 && t.starts_with("--") && !t.contains('='))
}

/// Prints an error; gives its exit code.
fn failed(e: &Diagnostic) -> ExitCode {
    print::err(&e.to_string());
    ExitCode::from(if e.code == Code::P001 { 1 } else { 2 })
}

impl Common {
    /// A line of progress for a person who watches; nothing where standard error is not a terminal.
    pub(crate) fn progress(&self, steps: u64, what: &str) -> indicatif::ProgressBar {
        if self.quiet || !std::io::stderr().is_terminal() {
            return indicatif::ProgressBar::hidden();
        }
        let style = indicatif::ProgressStyle::with_template("{msg:20} [{bar:30}] {percent:>3} % {eta}")
            .unwrap_or_else(|_| indicatif::ProgressStyle::default_bar());
        indicatif::ProgressBar::new(steps).with_style(style).with_message(what.to_owned())
    }

    /// A result for people, unless JSON or silence was asked for.
    pub(crate) fn say(&self, text: &str) {
        if !self.json && !self.quiet {
            self.show(text);
        }
    }

    /// What was asked for, also where silence was.
    pub(crate) fn show(&self, text: &str) {
        self.said.borrow_mut().push_str(text);
    }

    /// A line on standard error, at once.
    pub(crate) fn tell(&self, line: &str) {
        print::err(line);
    }

    /// What the passes did, for those who asked.
    pub(crate) fn passes(&self, report: &secateur_passes::Report) {
        if self.verbose {
            for p in report.passes.iter().filter(|p| p.changes > 0) {
                let ms = 1e3 * p.time.as_secs_f64();
                self.tell(&format!("pass {:<14} {:>6} changes {ms:>9.1} ms", p.name, p.changes));
            }
        }
    }

    /// A warning.
    pub(crate) fn warn(&self, d: &Diagnostic) {
        if !self.quiet {
            self.tell(&d.render("warning"));
        }
    }

    /// A result as JSON, if that was asked for.
    pub(crate) fn give<T: serde::Serialize>(&self, value: &T) {
        if self.json {
            self.show(&format!("{:#}\n", serde_json::json!(value)));
        }
    }
}
