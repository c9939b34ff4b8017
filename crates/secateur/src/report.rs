//! What was done, as data for `report.json` and as the table that the command prints.

use comfy_table::{CellAlignment, Table, presets};
use secateur_prune::Costs;
use serde::Serialize;

use crate::calibrated::Calibrated;
use crate::latency::Latency;
use crate::layers::Layer;
use crate::prune::{Analyzed, Pruned};

/// Costs in a report.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Footprint {
    /// Multiply-adds of one sample.
    pub macs: Option<u64>,
    /// Elements of initializers.
    pub params: u64,
    /// Bytes of initializers.
    pub bytes: u64,
}

impl From<Costs> for Footprint {
    fn from(c: Costs) -> Self {
        Self { macs: c.macs, params: c.params, bytes: c.bytes }
    }
}

/// A layer before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Name of the node.
    pub name: String,
    /// The operator.
    pub op: String,
    /// Shape of the weight before.
    pub weight_before: Vec<usize>,
    /// Shape of the weight after.
    pub weight_after: Vec<usize>,
    /// Multiply-adds before.
    pub macs_before: Option<u64>,
    /// Multiply-adds after.
    pub macs_after: Option<u64>,
}

/// What pruning did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PruneReport {
    /// Version of this program.
    pub secateur: &'static str,
    /// Costs of the file as it came.
    pub before: Footprint,
    /// Costs of what was written.
    pub after: Footprint,
    /// Classes removed, of all that could be.
    pub removed: (usize, usize),
    /// Share of the weights in removable classes.
    pub prunable: f64,
    /// Layers that multiply.
    pub layers: Vec<Change>,
    /// Time on the target, where it is limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// What calibration found and did, where there were data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibrated: Option<Calibrated>,
}

impl PruneReport {
    /// Compares before and after.
    pub fn new(a: &Analyzed, p: &Pruned, calibrated: Option<Calibrated>) -> Self {
        let after = |l: &Layer| p.layers.iter().find(|m| m.name == l.name);
        Self {
            secateur: env!("CARGO_PKG_VERSION"),
            before: a.original.into(),
            after: p.costs.into(),
            removed: (
                p.plan.removed.len(),
                a.coupling.groups.iter().filter(|g| g.classes.len() > 1).map(|g| g.classes.len()).sum(),
            ),
            prunable: a.coverage.exact as f64 / a.coverage.weights.max(1) as f64,
            layers: a
                .layers
                .iter()
                .map(|l| Change {
                    name: l.name.clone(),
                    op: l.op.clone(),
                    weight_before: l.weight.clone(),
                    weight_after: after(l).map_or(vec![], |m| m.weight.clone()),
                    macs_before: l.macs,
                    macs_after: after(l).and_then(|m| m.macs),
                })
                .collect(),
            latency: p.latency.clone(),
            calibrated,
        }
    }

    /// The table of what changed.
    pub fn table(&self) -> String {
        let mut t = table(&["layer", "op", "weight before", "after", "MACs before", "after", "kept"]);
        for l in &self.layers {
            t.add_row([
                l.name.clone(),
                l.op.clone(),
                dims(&l.weight_before),
                if l.weight_after == l.weight_before { "same".into() } else { dims(&l.weight_after) },
                count(l.macs_before),
                count(l.macs_after),
                share(l.macs_after, l.macs_before),
            ]);
        }
        let (b, a) = (&self.before, &self.after);
        let total = |name: &str, b: Option<u64>, a: Option<u64>| {
            format!("{name:<7} {:>14} -> {:>14}  {:>6}\n", count(b), count(a), share(a, b))
        };
        format!(
            "{}\n{}{}{}{}classes {:>14} of {} removed\n{}",
            right(t, 4),
            total("MACs", b.macs, a.macs),
            total("params", Some(b.params), Some(a.params)),
            total("bytes", Some(b.bytes), Some(a.bytes)),
            self.latency.as_ref().map_or(String::new(), time),
            self.removed.0,
            self.removed.1,
            self.calibrated.as_ref().map_or(String::new(), fidelity)
        )
    }
}

/// Time on the target.
fn time(l: &Latency) -> String {
    let kept = 100.0 * l.cycles_after as f64 / l.cycles_before.max(1) as f64;
    let ms = |t: f64| format!("{t:.3} ms");
    let (before, after) = (ms(l.milliseconds_before), ms(l.milliseconds_after));
    format!("latency {before:>14} -> {after:>14}  {kept:>5.1} % modelled, one core of {}\n", l.target)
}

/// A squared error.
fn error(e: f64) -> String {
    format!("{:.2} % of its variance ({:.1} dB)", 100.0 * e, -10.0 * e.max(1e-30).log10())
}

/// How near the outputs are to the original's.
fn fidelity(c: &Calibrated) -> String {
    // Where only zeros were made, there is nothing to compare with: they come with their compensation.
    let cut = match c.output_error_cut {
        e if e < 1e-12 => String::new(),
        e => format!(", before compensation by {}", error(e)),
    };
    let mut out = format!(
        "outputs differ from the original's by {}{cut}; on {} calibration samples\n",
        error(c.output_error),
        c.judged_on
    );
    if let Some(r) = &c.reconstruction {
        let views = if r.views { ", shifted and mirrored" } else { "" };
        let (before, after) = (error(r.before), error(r.after));
        out.push_str(&format!(
            "reconstructed in {} passes over the samples{views}; a short run on others took held-out ones from {before} to {after}\n",
            r.epochs
        ));
    }
    if let Some(why) = &c.reconstruction_left {
        out.push_str(&format!("not reconstructed: {why}\n"));
    }
    if let Some(q) = &c.quantization {
        out.push_str(&quantized(q));
    }
    out.push_str(&format!("calibrated on {} samples in {} step(s)", c.samples, c.steps));
    if c.zeros > 0.0 {
        out.push_str(&format!("; {:.1} % of the weights that multiply are zero", 100.0 * c.zeros));
    }
    if let Some(bytes) = c.peak_memory {
        out.push_str(&format!("; peak memory {} MiB", bytes >> 20));
    }
    out + "\n"
}

/// What quantization did.
pub(crate) fn quantized(q: &secateur_quant::Report) -> String {
    let float = match q.float.len() {
        0 => String::new(),
        n => format!(", {n} stay float"),
    };
    let auto = q.auto.iter().map(|s| {
        format!(
            "{} stays float: that takes the error from {} to {}\n",
            s.weight,
            error(s.before),
            error(s.after)
        )
    });
    let mut out = auto.collect::<String>();
    out += &format!(
        "{} layers with integer weights{float}\n{} Quantize/Dequantize pairs on {} scales\n",
        q.layers.len(),
        q.pairs,
        q.scales
    );
    if let Some(e) = &q.equalized {
        let kept = if e.after < e.before { "equalized" } else { "left as they were" };
        out.push_str(&format!(
            "channels between {} pairs of layers {kept}: error {} before, {} after\n",
            e.pairs,
            error(e.before),
            error(e.after)
        ));
    }
    if let Some(r) = &q.reconstruction {
        out.push_str(&format!(
            "all weights moved together, rounded as they go, in {} passes; a run on three quarters of the samples took the \
             others from {} to {}\n",
            r.epochs,
            error(r.before),
            error(r.after)
        ));
    }
    if let Some(why) = &q.reconstruction_left {
        out.push_str(&format!("weights not moved together: {why}\n"));
    }
    out
}

/// An empty table with a header.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut t = Table::new();
    t.load_preset(presets::NOTHING).set_header(header);
    t
}

/// The table with every column from `first` on aligned to the right, without trailing blanks.
pub(crate) fn right(mut t: Table, first: usize) -> String {
    for c in first..t.column_count() {
        if let Some(c) = t.column_mut(c) {
            c.set_cell_alignment(CellAlignment::Right);
        }
    }
    t.lines().map(|l| format!("{}\n", l.trim_end())).collect()
}

fn dims(d: &[usize]) -> String {
    match d.is_empty() {
        true => "-".into(),
        false => d.iter().map(ToString::to_string).collect::<Vec<_>>().join("x"),
    }
}

/// A figure with separated thousands.
pub(crate) fn count(n: Option<u64>) -> String {
    let Some(n) = n else { return "?".into() };
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `a` of `b` in percent.
pub(crate) fn share(a: Option<u64>, b: Option<u64>) -> String {
    match a.zip(b) {
        Some((a, b)) if b > 0 => format!("{:.1} %", 100.0 * a as f64 / b as f64),
        _ => String::new(),
    }
}
