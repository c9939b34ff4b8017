//! Runs the program under the emulator and tells the layers apart.

use super::bundle::About;
use crate::sh;
use anyhow::{Context, Result, bail};
use secateur_qemu::Counts;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A run of instructions, how many there are, how often it was executed in one inference.
#[derive(Debug, Clone)]
pub struct Block {
    pub address: u64,
    pub length: u64,
    pub times: u64,
}

/// What one call of a kernel executes.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The function called.
    pub symbol: String,
    pub counts: Counts,
    /// Modelled cycles on each core, once they are known.
    pub cycles: Vec<f64>,
    /// Lines missed in L1D and L2 on each core, if asked for.
    pub misses: Vec<[u64; 2]>,
}

/// All calls in order, and what is executed around them.
#[derive(Debug, Clone)]
pub struct Layers {
    pub calls: Vec<Layer>,
    pub total: Counts,
    pub symbols: Symbols,
    pub blocks: Vec<Block>,
    /// Cores that misses are known of.
    pub missed: Vec<String>,
    /// Cores that cycles are known of.
    pub modelled: Vec<String>,
}

impl Layers {
    pub fn instructions(&self) -> Vec<u64> {
        self.calls.iter().map(|l| l.counts.total()).chain([self.total.total()]).collect()
    }

    pub fn add_misses(&mut self, core: &str, misses: &[[u64; 2]]) {
        self.missed.push(core.to_owned());
        for (layer, misses) in self.calls.iter_mut().zip(misses) {
            layer.misses.push(*misses);
        }
    }
}

/// Functions of a program by address.
#[derive(Debug, Clone, Default)]
pub struct Symbols(BTreeMap<u64, String>);

impl Symbols {
    pub fn of(program: &Path) -> Result<Symbols> {
        let text = sh::output(Command::new("aarch64-linux-gnu-nm").arg(program))?;
        let mut list = BTreeMap::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [address, "t" | "T", name] = words[..]
                && !name.starts_with('$')
                && let Ok(address) = u64::from_str_radix(address, 16)
            {
                list.insert(address, name.to_owned());
            }
        }
        Ok(Symbols(list))
    }

    /// The function that an address lies in.
    pub fn at(&self, address: u64) -> Option<&str> {
        self.0.range(..=address).next_back().map(|(_, name)| name.as_str())
    }
}

/// What a run gives.
pub struct Measured {
    pub outputs: Vec<u8>,
    pub layers: Layers,
    pub misses: Vec<[u64; 2]>,
}

/// The arguments of `bench run` but for the program.
pub fn arguments(about: &About, runs: usize, seconds: f64, output: &Path, inputs: &[PathBuf]) -> Vec<String> {
    let sizes = |ports: &[super::bundle::Port]| {
        ports.iter().map(|p| p.bytes().to_string()).collect::<Vec<_>>().join(",")
    };
    let mut list =
        vec!["run".to_owned(), runs.to_string(), seconds.to_string(), about.workspace_bytes.to_string()];
    list.extend([sizes(&about.inputs), sizes(&about.outputs), output.display().to_string()]);
    list.extend(inputs.iter().map(|i| i.display().to_string()));
    list
}

pub fn measure(
    bench: &Path,
    about: &About,
    inputs: &[PathBuf],
    core: &str,
    cache: bool,
    work: &Path,
) -> Result<Measured> {
    let (output, counts) = (work.join("outputs"), work.join("counts"));
    fs::write(&counts, "")?;
    let mut plugin = format!(
        "{},out={},calls={}_sample,blocks=on",
        secateur_qemu::plugin()?.display(),
        counts.display(),
        about.name
    );
    if cache {
        plugin += &format!(",cache={}", core.replace("cortex-", ""));
    }
    let mut qemu = Command::new("qemu-aarch64");
    qemu.args(["-cpu", core, "-plugin", &plugin]).arg(bench).args(arguments(about, 1, 0.0, &output, inputs));
    sh::output(&mut qemu)?;
    let symbols = Symbols::of(bench)?;
    let mut layers = Layers {
        calls: Vec::new(),
        total: Counts::default(),
        symbols,
        blocks: Vec::new(),
        missed: Vec::new(),
        modelled: Vec::new(),
    };
    for line in fs::read_to_string(&counts)?.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (words[..].first(), Counts::parse(line)) {
            (Some(&"block"), _) => layers.blocks.push(block(&words).context("a block of the plugin's")?),
            (Some(&"region"), Some((_, counts))) => layers.total = counts,
            (Some(&"call"), Some((_, counts))) => {
                let times: u64 = words[2].parse()?;
                let target = words[3].trim_start_matches("0x");
                let symbol = layers.symbols.at(u64::from_str_radix(target, 16)?).unwrap_or("?").to_owned();
                let counts = counts.shared(times);
                layers.calls.push(Layer { symbol, counts, cycles: Vec::new(), misses: Vec::new() });
            }
            _ => {}
        }
    }
    if layers.total.total() == 0 || layers.calls.is_empty() {
        bail!("nothing was counted: is there no function {}_sample?", about.name);
    }
    let misses = layers.calls.iter().map(|l| [l.counts.misses[1], l.counts.misses[2]]).collect();
    Ok(Measured { outputs: fs::read(output)?, layers, misses })
}

fn block(words: &[&str]) -> Option<Block> {
    let [_, address, length, times] = words else { return None };
    Some(Block {
        address: u64::from_str_radix(address.trim_start_matches("0x"), 16).ok()?,
        length: length.parse().ok()?,
        times: times.parse().ok()?,
    })
}
