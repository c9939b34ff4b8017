//! Cycles as llvm-mca models them: each run of instructions as an endless loop, with all data in L1, times how often it is
//! executed. Good for comparing kernels of one core, not for predicting time.

use super::layers::Layers;
use crate::sh;
use anyhow::{Context, Result};
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    process::Command,
};

/// Cores as LLVM knows them; it has no model of its own for the Cortex-A76, whose sister is the Neoverse N1.
const CORES: [(&str, &str); 3] =
    [("cortex-a53", "cortex-a53"), ("cortex-a72", "cortex-a72"), ("cortex-a76", "neoverse-n1")];
const TURNS: usize = 100;

/// The newest llvm-mca that is installed.
pub fn tool() -> Option<&'static str> {
    ["llvm-mca-19", "llvm-mca-18", "llvm-mca-17", "llvm-mca-16", "llvm-mca"]
        .into_iter()
        .find(|t| sh::works(&format!("{t} --version")))
}

/// Adds modelled cycles to the layers.
pub fn cycles(bench: &Path, layers: &mut Layers, work: &Path) -> Result<()> {
    let tool = tool().context("llvm-mca is not installed")?;
    let code = disassemble(bench)?;
    // Blocks by function; a function's cycles are shared out to its calls by instructions.
    let mut text = String::new();
    let mut regions: Vec<(String, u64)> = Vec::new();
    let called: Vec<&str> = layers.calls.iter().map(|l| l.symbol.as_str()).collect();
    for block in &layers.blocks {
        let Some(symbol) = layers.symbols.at(block.address).filter(|s| called.contains(s)) else { continue };
        text += &format!("# LLVM-MCA-BEGIN r{}\n.Lr{}:\n", regions.len(), regions.len());
        for i in 0..block.length {
            if let Some(line) = code.get(&(block.address + 4 * i)) {
                text += &format!("  {}\n", line.replace("TARGET", &format!(".Lr{}", regions.len())));
            }
        }
        text += "# LLVM-MCA-END\n";
        regions.push((symbol.to_owned(), block.times));
    }
    let file = work.join("blocks.s");
    fs::write(&file, text)?;
    let mut executed: HashMap<&str, u64> = HashMap::new();
    for layer in &layers.calls {
        *executed.entry(layer.symbol.as_str()).or_default() += layer.counts.total();
    }
    let executed: HashMap<String, u64> = executed.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    for (core, cpu) in CORES {
        let mut command = sh::command(&format!(
            "{tool} -mtriple=aarch64-linux-gnu -mcpu={cpu} -iterations={TURNS} --all-views=false --summary-view"
        ));
        let said = sh::output(command.arg(&file))?;
        let per_turn = parse(&said);
        let mut by_symbol: HashMap<&str, f64> = HashMap::new();
        for (i, (symbol, times)) in regions.iter().enumerate() {
            *by_symbol.entry(symbol).or_default() += per_turn.get(&i).copied().unwrap_or(0.0) * *times as f64;
        }
        for layer in &mut layers.calls {
            let all = by_symbol.get(layer.symbol.as_str()).copied().unwrap_or(0.0);
            let share = layer.counts.total() as f64 / executed[&layer.symbol].max(1) as f64;
            layer.cycles.push(all * share);
        }
        layers.modelled.push(core.to_owned());
    }
    println!("cycles by {tool}: every block as a loop of its own, data in L1 (cortex-a76 as neoverse-n1)");
    Ok(())
}

/// Cycles of a turn by region.
fn parse(text: &str) -> BTreeMap<usize, f64> {
    let mut cycles = BTreeMap::new();
    let mut region = None;
    for line in text.lines() {
        if let Some(name) = line.split("Code Region - r").nth(1) {
            region = name.trim().parse().ok();
        } else if let (Some(region), Some(total)) = (region, line.strip_prefix("Total Cycles:")) {
            cycles.insert(region, total.trim().parse::<f64>().unwrap_or(0.0) / TURNS as f64);
        }
    }
    cycles
}

/// Instructions by address, as text that llvm-mca reads; branch targets are `TARGET`.
fn disassemble(program: &Path) -> Result<HashMap<u64, String>> {
    let text = sh::output(
        Command::new("aarch64-linux-gnu-objdump").args(["-d", "--no-show-raw-insn"]).arg(program),
    )?;
    Ok(text.lines().filter_map(instruction).collect())
}

fn instruction(line: &str) -> Option<(u64, String)> {
    let (address, rest) = line.split_once(':')?;
    let address = u64::from_str_radix(address.trim(), 16).ok()?;
    let rest = rest.split("//").next()?.trim().replace('\t', " ");
    let text = match rest.find('<') {
        // `b.ne 400abc <name+0x10>`: the last word before the name is an address.
        Some(at) => {
            let head = rest[..at].trim_end();
            let (before, _) = head.rsplit_once(' ')?;
            format!("{before} TARGET")
        }
        None => rest,
    };
    // What llvm-mca does not know or warns of; each is executed once a call.
    let skipped = text.is_empty() || [".", "bti", "ret"].iter().any(|s| text.starts_with(s));
    (!skipped).then_some((address, text))
}

#[cfg(test)]
mod tests {
    use super::{instruction, parse};

    #[test]
    fn lines_of_objdump() {
        let line = "  4007a8:\tb.ne\t400790 <m_000_conv+0x18>  // b.any";
        assert_eq!(instruction(line), Some((0x4007a8, "b.ne TARGET".to_owned())));
        let line = "  400704:\tcbz\tx3, 400790 <m+0x18>";
        assert_eq!(instruction(line), Some((0x400704, "cbz x3, TARGET".to_owned())));
        assert_eq!(
            instruction("  40:\tldp\tq0, q1, [x6], #32"),
            Some((0x40, "ldp q0, q1, [x6], #32".to_owned()))
        );
        assert_eq!(instruction("  44:\t.inst\t0x00000000 ; undefined"), None);
        assert_eq!(instruction("0000000000400790 <m_000_conv>:"), None);
    }

    #[test]
    fn regions_of_llvm_mca() {
        let text = "\n[0] Code Region - r0\n\nIterations:        100\nTotal Cycles:      250\n\n[1] Code Region - r7\n\nTotal Cycles:      100\n";
        assert_eq!(parse(text).into_iter().collect::<Vec<_>>(), [(0, 2.5), (7, 1.0)]);
    }
}
