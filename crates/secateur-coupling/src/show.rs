//! The coupling as text, and how much of the weights it lets go.

use std::fmt::Write;

use secateur_ir::{Graph, print};

use crate::operand::is_operand;
use crate::{Axis, Coupling, Pin};

/// How much of a model can be cut.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Coverage {
    /// Elements of initializers.
    pub weights: u64,
    /// Those with at least one axis element in a removable class of an exact group.
    pub exact: u64,
    /// The same with inexact groups added.
    pub any: u64,
    /// Output channels of convolutions.
    pub channels: u64,
    /// Those in removable classes of exact groups, among channels that do not end in an output of the graph.
    pub channels_exact: u64,
    /// Channels of convolutions whose output axis leads to an output of the graph.
    pub channels_fixed: u64,
}

/// `%name.axis`.
pub fn describe_axis(graph: &Graph, axis: Axis) -> String {
    format!("{}.{}", print::name(graph, axis.0), axis.1)
}

impl Coupling {
    /// By row, which elements are in a removable class of a group of at least two; only exact ones, or all.
    pub fn removable_elements(&self, inexact: bool) -> Vec<Vec<bool>> {
        let mut out: Vec<Vec<bool>> =
            self.rows.iter().map(|r| vec![false; if r.pin.is_some() { 0 } else { r.len }]).collect();
        for g in self.groups.iter().filter(|g| g.classes.len() > 1 && (inexact || g.inexact.is_none())) {
            for &c in &g.classes {
                for &(r, i) in &self.classes[c as usize].members {
                    if let Some(e) = out[r as usize].get_mut(i as usize) {
                        *e = true;
                    }
                }
            }
        }
        out
    }
}

/// Measures a coupling's reach.
pub fn coverage(graph: &Graph, coupling: &Coupling) -> Coverage {
    let mut out = Coverage::default();
    for (inexact, exact) in [(false, true), (true, false)] {
        let removable = coupling.removable_elements(inexact);
        for v in graph.value_ids() {
            let Some(t) = graph.init(v) else { continue };
            let kept: f64 = (0..t.dims.len())
                .map(|a| match coupling.row_of((v, a)) {
                    Some(r) if !removable[r as usize].is_empty() => {
                        let row = &removable[r as usize];
                        row.iter().filter(|e| !**e).count() as f64 / row.len().max(1) as f64
                    }
                    _ => 1.0,
                })
                .product();
            let cut = (t.len() as f64 * (1.0 - kept)).round() as u64;
            if exact {
                out.weights += t.len() as u64;
                out.exact += cut;
            } else {
                out.any += cut;
            }
        }
        if !exact {
            continue;
        }
        for n in graph.nodes.iter().filter(|n| matches!(n.op(), "Conv" | "ConvTranspose" | "FusedConv")) {
            let Some(r) = n.output(0).and_then(|y| coupling.row_of((y, 1))) else { continue };
            let row = &coupling.rows[r as usize];
            out.channels += row.len as u64;
            out.channels_exact += removable[r as usize].iter().filter(|e| **e).count() as u64;
            if row.axes.iter().any(|(v, _)| graph.is_output(*v)) {
                out.channels_fixed += row.len as u64;
            }
        }
    }
    out
}

fn reason(graph: &Graph, pin: &Pin) -> String {
    match pin.node {
        Some(n) => format!("{} at {}", pin.why, secateur_ir::describe(graph, &graph.nodes[n])),
        None => format!("{} is {}", describe_axis(graph, pin.axis), pin.why)
            .replace("is is", "is")
            .replace("is has", "has"),
    }
}

/// Groups with what one class of each takes, then the axes that cannot be cut and why.
pub fn groups_text(graph: &Graph, coupling: &Coupling) -> String {
    let mut out = String::new();
    let links = graph.links();
    for (g, group) in coupling.groups.iter().enumerate() {
        let _ = write!(out, "group {g}: {} classes", group.classes.len());
        match &group.inexact {
            Some(pin) => {
                let _ = writeln!(out, ", inexact: {}", reason(graph, pin));
            }
            None => out.push('\n'),
        }
        for &(r, n) in &group.footprint {
            let row = &coupling.rows[r as usize];
            let times = if n == 1 { String::new() } else { format!("{n} of ") };
            for &axis in &row.axes {
                let _ = writeln!(out, "  {times}{} [{}]", describe_axis(graph, axis), row.len);
            }
        }
    }
    for (r, row) in coupling.rows.iter().enumerate().filter(|(_, r)| r.len > 1) {
        let weights: Vec<String> = row
            .axes
            .iter()
            .filter(|(v, _)| graph.init(*v).is_some() && !is_operand(graph, &links, *v))
            .map(|a| describe_axis(graph, *a))
            .collect();
        if weights.is_empty() {
            continue;
        }
        if let Some(pin) = &row.pin {
            // Kernel axes are many and never surprising.
            if pin.why == secateur_ops::WINDOW {
                continue;
            }
            let _ = writeln!(out, "pinned {} [{}]: {}", weights.join(" = "), row.len, reason(graph, pin));
            continue;
        }
        let some: Vec<_> = coupling.pinned.iter().filter(|p| p.0 == r as u32).collect();
        if let Some(first) = some.first() {
            let _ = writeln!(
                out,
                "pinned {} of {} [{}]: {}",
                some.len(),
                weights.join(" = "),
                row.len,
                reason(graph, &first.2)
            );
        }
    }
    out
}
