//! The project's chores. A chore is one file and one row in [`CHORES`].

use anyhow::{Context, Result, bail};
use std::process::ExitCode;

mod bless;
mod ci;
mod cross;
mod fidelity;
mod fuzz;
mod lint;
mod nodes;
mod oracle;
mod quant;
mod rivals;
mod setup;
mod sh;
mod test;
mod zoo;

/// One chore: `cargo xtask NAME ARGUMENTS`.
struct Chore {
    name: &'static str,
    arguments: &'static str,
    help: &'static str,
    run: fn(&[&str]) -> Result<()>,
}

const CHORES: &[Chore] = &[
    Chore {
        name: "setup",
        arguments: "[--python] [--cross | --cross-debian]",
        help: "install what is missing; without arguments what `test` needs",
        run: setup::run,
    },
    Chore { name: "lint", arguments: "", help: "check the rules of the house", run: lint::run },
    Chore { name: "test", arguments: "", help: "setup, lint, then every test", run: test::run },
    Chore { name: "ci", arguments: "", help: "what continuous integration runs", run: ci::run },
    Chore {
        name: "bless",
        arguments: "[-p CRATE]...",
        help: "accept snapshots and rewrite generated pages",
        run: bless::run,
    },
    Chore {
        name: "cross",
        arguments: "BUNDLE [--input X.npy]... [--cache] [--no-cycles] [--no-rust] [--host USER@PI [--runs N] [--seconds S]], or --fixtures DIR [--samples N] [--only MODEL]",
        help: "run a bundle for the three cores under emulation, or on a Pi: outputs and work of each layer; or compare all models of a folder with onnxruntime",
        run: cross::run,
    },
    Chore {
        name: "fidelity",
        arguments: "DIR [--first N] [--only MODEL] [--default] [--masks] [--signal]",
        help: "accuracy of the classifiers in a folder, pruned with and without data and with parts of the method left out",
        run: fidelity::run,
    },
    Chore {
        name: "quant",
        arguments: "DIR [--first N] [--only MODEL]",
        help: "accuracy, size and time of the classifiers in a folder, quantized here and by onnxruntime",
        run: quant::run,
    },
    Chore {
        name: "fuzz",
        arguments: "[--seconds N] [TARGET]...",
        help: "run the fuzz targets, a minute each",
        run: fuzz::run,
    },
    Chore {
        name: "nodes",
        arguments: "[--only OP|TEST]... [--stage save|shape|run|compile]... [--engine tract] [--core CORE] [--details] [--operators]",
        help: "ask ONNX's own tests: a table, the reasons of what does not pass, and what differs from tests/nodes",
        run: nodes::run,
    },
    Chore {
        name: "zoo",
        arguments: "DIR [--budget 50%] [--limit-mb N] [--allow-inexact auto|never] [--only PART] [--json FILE] [--python P]",
        help: "prune every model of a folder and check it in onnxruntime",
        run: zoo::run,
    },
    Chore {
        name: "rivals",
        arguments: "DIR [--only structured|masks|page] [--fresh] [--python P]",
        help: "measure what other pruning tools reach on the fixtures (hours), and write docs/rivals.md",
        run: rivals::run,
    },
    Chore {
        name: "oracle",
        arguments: "[--cases N] [--seed S]",
        help: "prune random graphs and compare with masks, 10000 of them",
        run: oracle::run,
    },
];

fn main() -> ExitCode {
    match chore() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn chore() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some((&name, rest)) = arguments.split_first() else {
        print!("{}", usage());
        return Ok(());
    };
    if matches!(name, "help" | "-h" | "--help") {
        print!("{}", usage());
        return Ok(());
    }
    let Some(chore) = CHORES.iter().find(|c| c.name == name) else {
        bail!("there is no chore {name:?}\n\n{}", usage());
    };
    std::env::set_current_dir(sh::root())?;
    (chore.run)(rest).with_context(|| format!("cargo xtask {name}"))
}

fn usage() -> String {
    let row = |c: &Chore| format!("  {:<46} {}\n", format!("{} {}", c.name, c.arguments), c.help);
    format!("usage: cargo xtask CHORE\n\n{}", CHORES.iter().map(row).collect::<String>())
}

/// For chores that take no arguments.
fn no_arguments(arguments: &[&str]) -> Result<()> {
    match arguments {
        [] => Ok(()),
        [first, ..] => bail!("unexpected argument {first:?}"),
    }
}
