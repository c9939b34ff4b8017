//! The command line. One command, one file.
//!
//! Exit codes: 0 done; 1 a budget or a wanted fidelity is not met; 2 bad input or usage.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use secateur_diag::{Code, Diagnostic};

mod calib;
mod compile;
mod data;
mod inspect;
mod options;
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
    let cli = Cli::parse();
    let common = &cli.common;
    let result = match &cli.command {
        Command::Inspect(a) => inspect::run(a, common),
        Command::Prune(a) => prune::run(a, common),
        Command::Compile(a) => compile::run(a, common),
        Command::Quantize(a) => quantize::run(a, common),
        Command::Verify(a) => verify::run(a, common),
        Command::Targets(a) => targets::run(a, common),
    };
    let (error, code) = match result {
        Ok(Outcome::Done) => return ExitCode::SUCCESS,
        Ok(Outcome::Missed(e)) => (e, 1),
        Err(e) => {
            let code = if e.code == Code::P001 { 1 } else { 2 };
            (e, code)
        }
    };
    eprintln!("{error}");
    ExitCode::from(code)
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
            print!("{text}");
        }
    }

    /// What the passes did, for those who asked.
    pub(crate) fn passes(&self, report: &secateur_passes::Report) {
        if self.verbose {
            for p in report.passes.iter().filter(|p| p.changes > 0) {
                eprintln!(
                    "pass {:<14} {:>6} changes {:>9.1} ms",
                    p.name,
                    p.changes,
                    1e3 * p.time.as_secs_f64()
                );
            }
        }
    }

    /// A warning.
    pub(crate) fn warn(&self, d: &Diagnostic) {
        if !self.quiet {
            eprintln!("{}", d.render("warning"));
        }
    }

    /// A result as JSON, if that was asked for.
    pub(crate) fn give<T: serde::Serialize>(&self, value: &T) {
        if self.json {
            println!("{:#}", serde_json::json!(value));
        }
    }
}
