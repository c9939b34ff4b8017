//! What is shown.

use super::bundle::{About, Bundle};
use super::layers::Layers;

/// The first numbers of each output.
pub fn outputs(about: &About, bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut at = 0;
    for port in &about.outputs {
        let own = &bytes[at..(at + port.bytes()).min(bytes.len())];
        at += port.bytes();
        let size = port.bytes() / port.elements().max(1);
        let show = |c: &[u8]| -> String {
            let word =
                |n: usize| c.get(..n).unwrap_or_default().iter().rev().fold(0u64, |w, b| w << 8 | *b as u64);
            match (port.element.as_str(), size) {
                ("f32", _) => f32::from_bits(word(4) as u32).to_string(),
                (_, 8) => (word(8) as i64).to_string(),
                (_, 4) => (word(4) as u32 as i32).to_string(),
                _ => word(1).to_string(),
            }
        };
        let first: Vec<String> = own.chunks_exact(size.max(1)).take(8).map(show).collect();
        let more = if port.elements() > 8 { ", ..." } else { "" };
        out += &format!("{} {:?} = {}{more}\n", port.name, port.shape, first.join(", "));
    }
    out
}

/// One line a call.
pub fn layers(bundle: &Bundle, layers: &Layers) -> String {
    let short = |core: &str| core.replace("cortex-", "");
    let mut out = format!("{:>12} {:>6} {:>6} {:>6}", "instructions", "%", "fma", "load");
    for core in &layers.modelled {
        out += &format!(" {:>12}", format!("{} cycles", short(core)));
    }
    for core in &layers.missed {
        out += &format!(" {:>16}", format!("{} L1D/L2 miss", short(core)));
    }
    out += "  kernel\n";
    let total = layers.total.total();
    let mut listed = bundle.layers.iter().peekable();
    for layer in &layers.calls {
        let all = layer.counts.total();
        let share = |part: u64| 100.0 * part as f64 / all.max(1) as f64;
        let loads = layer.counts.vector_loads + layer.counts.loads;
        out += &format!("{all:>12} {:>5.1}%", 100.0 * all as f64 / total.max(1) as f64);
        out += &format!(" {:>5.1}% {:>5.1}%", share(layer.counts.multiply_adds), share(loads));
        out += &layer.cycles.iter().map(|c| format!(" {c:>12.0}")).collect::<String>();
        out += &layer.misses.iter().map(|[a, b]| format!(" {:>16}", format!("{a}/{b}"))).collect::<String>();
        // The report leaves out what only keeps borders.
        match listed.next_if(|l| l.symbol == layer.symbol) {
            Some(named) => out += &format!("  {} [{}] {}\n", named.node, named.kernel, layer.symbol),
            None => out += &format!("  {}\n", layer.symbol),
        }
    }
    let around = total - layers.calls.iter().map(|l| l.counts.total()).sum::<u64>().min(total);
    out += &format!("{total:>12} instructions in all, {around} of them around the kernels\n");
    for (i, core) in layers.modelled.iter().enumerate() {
        let cycles: f64 = layers.calls.iter().map(|l| l.cycles[i]).sum();
        out += &format!("{cycles:>12.0} modelled cycles on {core}\n");
    }
    for (i, core) in layers.missed.iter().enumerate() {
        let sum = |n: usize| layers.calls.iter().map(|l| l.misses[i][n]).sum::<u64>();
        out += &format!("{:>12} lines missed in L1D and {} in L2 on {core}\n", sum(0), sum(1));
    }
    out
}
