//! Builds programs around a bundle, runs them for the three cores, and shows outputs and where the work is.

use crate::{setup, sh};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;

mod bundle;
mod fixtures;
mod host;
mod layers;
mod model;
mod programs;
mod table;

use bundle::Bundle;

/// What is asked for.
struct Options {
    folder: PathBuf,
    inputs: Vec<PathBuf>,
    host: Option<String>,
    runs: usize,
    seconds: f64,
    cache: bool,
    cycles: bool,
    rust: bool,
}

pub fn run(arguments: &[&str]) -> Result<()> {
    if let Some(("--fixtures", rest)) = arguments.split_first().map(|(a, rest)| (*a, rest)) {
        return fixtures::run(rest);
    }
    let options = parse(arguments)?;
    if options.rust {
        setup::cross::run(setup::cross::Rust::Rustup)?;
    } else {
        setup::cross::system_packages()?;
    }
    let bundle = Bundle::open(&options.folder)?;
    let work = tempfile::tempdir()?;
    let bench = programs::c(&bundle, work.path())?;
    let about = bundle::describe(&bench)?;
    let inputs = bundle::inputs(&about, &options.inputs, work.path())?;
    println!(
        "{} for {} ({}), {} bytes of workspace",
        about.name, about.target, about.core, about.workspace_bytes
    );
    if let Some(host) = &options.host {
        return host::run(host, &options, &about, &bench, &inputs, work.path());
    }
    let mut first: Option<(Vec<u8>, layers::Layers)> = None;
    for core in secateur_qemu::CORES {
        let measured = layers::measure(&bench, &about, &inputs, core, options.cache, work.path())?;
        match &first {
            None => first = Some((measured.outputs, measured.layers)),
            Some((outputs, layers)) => {
                if *outputs != measured.outputs {
                    bail!("{core} computes other outputs than {}", secateur_qemu::CORES[0]);
                }
                if !options.cache && layers.instructions() != measured.layers.instructions() {
                    bail!("{core} executes another number of instructions than {}", secateur_qemu::CORES[0]);
                }
            }
        }
        if options.cache {
            let Some((_, layers)) = &mut first else { continue };
            layers.add_misses(core, &measured.misses);
        }
    }
    let (outputs, mut layers) = first.context("no core was run")?;
    println!("the outputs on {} are equal bit by bit", secateur_qemu::CORES.join(", "));
    if options.rust {
        let from_rust = programs::rust(&bundle, &about, &inputs, work.path())?;
        if from_rust != outputs {
            bail!("the program in Rust gets other outputs than the one in C");
        }
        println!("the program in Rust gets the same outputs");
    }
    print!("{}", table::outputs(&about, &outputs));
    if options.cycles {
        model::cycles(&bench, &mut layers, work.path())?;
    }
    print!("{}", table::layers(&bundle, &layers));
    Ok(())
}

fn parse(arguments: &[&str]) -> Result<Options> {
    let mut options = Options {
        folder: PathBuf::new(),
        inputs: Vec::new(),
        host: None,
        runs: 20,
        seconds: 5.0,
        cache: false,
        cycles: model::tool().is_some(),
        rust: true,
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().with_context(|| format!("{argument} wants a value"));
        match *argument {
            "--input" => options.inputs.push(value()?.into()),
            "--host" => options.host = Some((*value()?).to_owned()),
            "--runs" => options.runs = value()?.parse().context("--runs wants a number")?,
            "--seconds" => options.seconds = value()?.parse().context("--seconds wants a number")?,
            "--cache" => options.cache = true,
            "--no-cycles" => options.cycles = false,
            "--no-rust" => options.rust = false,
            other if other.starts_with('-') => bail!("unexpected argument {other:?}"),
            folder if options.folder.as_os_str().is_empty() => options.folder = folder.into(),
            other => bail!("unexpected argument {other:?}"),
        }
    }
    if options.folder.as_os_str().is_empty() {
        bail!("which bundle? `secateur compile MODEL --target T -o DIR` makes the folder");
    }
    options.folder = sh::root().join(&options.folder);
    Ok(options)
}
