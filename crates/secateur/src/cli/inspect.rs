//! `secateur inspect`.

use std::path::PathBuf;

use secateur_diag::Result;
use secateur_ir::print;
use serde::Serialize;

use super::calib::Calibrating;
use super::options::{Dims, looking};
use super::{Common, Outcome};
use crate::calibrated::CurveReport;
use crate::prune::Analyzed;
use crate::report::{Footprint, count, right, share, table};

/// Arguments of `inspect`.
#[derive(clap::Args)]
pub struct Args {
    /// The ONNX model.
    model: PathBuf,
    /// List what is coupled, and what cannot be cut and why.
    #[arg(long)]
    groups: bool,
    /// Print the graph as it is in the file.
    #[arg(long)]
    ir: bool,
    /// Print the simplified graph that pruning works on.
    #[arg(long)]
    simplified: bool,
    #[command(flatten)]
    dims: Dims,
    /// Measure what removing channels of each group does to the outputs; needs --calib.
    #[arg(long, requires = "calib")]
    sensitivity: bool,
    #[command(flatten)]
    calibrating: Calibrating,
}

#[derive(Serialize)]
struct Report {
    opsets: Vec<(String, i64)>,
    inputs: Vec<(String, String)>,
    outputs: Vec<(String, String)>,
    nodes: (usize, usize),
    operators: Vec<(String, usize)>,
    operators_without_rule: Vec<(String, usize)>,
    cost: Footprint,
    weights: u64,
    weights_removable: u64,
    weights_removable_inexact: u64,
    conv_channels: u64,
    conv_channels_fixed: u64,
    conv_channels_removable: u64,
    groups: Vec<Group>,
}

#[derive(Serialize)]
struct Group {
    classes: usize,
    exact: bool,
    axes: Vec<String>,
}

/// Error of the outputs by share of each group's classes removed.
fn sensitivity(curves: &[CurveReport]) -> String {
    let mut t = table(&["group", "classes", "a quarter removed", "half", "three quarters"]);
    for c in curves {
        let error =
            |i: usize| c.measured.get(i).map_or("-".into(), |(n, e)| format!("{n}: {:.3} %", 100.0 * e));
        t.add_row([c.axis.clone(), c.classes.to_string(), error(0), error(1), error(2)]);
    }
    right(t, 1) + "number removed: squared error of the outputs, a share of their variance\n"
}

pub(super) fn run(a: &Args, common: &Common) -> Result<Outcome> {
    let mut module = crate::open(&a.model)?;
    secateur_ops::infer(&mut module.graph)?;
    if a.ir {
        common.show(&print::graph(&module.graph));
        return Ok(Outcome::Done);
    }
    let typed = |vs: Vec<secateur_ir::ValueId>, g: &secateur_ir::Graph| -> Vec<(String, String)> {
        vs.into_iter().map(|v| (g.value(v).name.clone(), print::ty(g.value(v).ty.as_ref()))).collect()
    };
    let inputs = typed(module.graph.data_inputs().collect(), &module.graph);
    let outputs = typed(module.graph.outputs.clone(), &module.graph);
    let opsets = module.graph.opsets.clone();
    let mut operators = std::collections::BTreeMap::new();
    for n in &module.graph.nodes {
        *operators.entry(n.op().to_owned()).or_insert(0) += 1;
    }
    let analyzed = crate::analyze(module, &looking(&a.dims)?)?;
    common.passes(&analyzed.passes);
    if a.sensitivity {
        let curves = a.calibrating.sensitivity(&analyzed, &looking(&a.dims)?, common)?;
        common.say(&sensitivity(&curves));
        common.give(&curves);
        return Ok(Outcome::Done);
    }
    let g = &analyzed.module.graph;
    if a.simplified {
        common.show(&print::graph(g));
        return Ok(Outcome::Done);
    }
    let c = &analyzed.coupling;
    let report = Report {
        opsets,
        inputs,
        outputs,
        nodes: analyzed.nodes,
        operators: operators.into_iter().collect(),
        operators_without_rule: analyzed.unknown_ops.clone(),
        cost: analyzed.original.into(),
        weights: analyzed.coverage.weights,
        weights_removable: analyzed.coverage.exact,
        weights_removable_inexact: analyzed.coverage.any,
        conv_channels: analyzed.coverage.channels,
        conv_channels_fixed: analyzed.coverage.channels_fixed,
        conv_channels_removable: analyzed.coverage.channels_exact,
        groups: c
            .groups
            .iter()
            .filter(|g| g.classes.len() > 1)
            .map(|grp| Group {
                classes: grp.classes.len(),
                exact: grp.inexact.is_none(),
                axes: grp
                    .footprint
                    .iter()
                    .flat_map(|f| c.rows[f.0 as usize].axes.iter())
                    .map(|&x| secateur_coupling::describe_axis(g, x))
                    .collect(),
            })
            .collect(),
    };
    common.say(&text(&report, &analyzed));
    if a.groups {
        common.say(&format!("\n{}", secateur_coupling::groups_text(g, c)));
    }
    common.give(&report);
    Ok(Outcome::Done)
}

fn text(r: &Report, a: &Analyzed) -> String {
    let opsets: Vec<String> = r
        .opsets
        .iter()
        .map(|(d, v)| format!("{}{v}", if d.is_empty() { String::new() } else { format!("{d} ") }))
        .collect();
    let ops: Vec<String> = r.operators.iter().map(|(o, n)| format!("{n} {o}")).collect();
    let mut out = format!("opset   {}\n", opsets.join(", "));
    for (n, t) in &r.inputs {
        out.push_str(&format!("input   {n}: {t}\n"));
    }
    for (n, t) in &r.outputs {
        out.push_str(&format!("output  {n}: {t}\n"));
    }
    out.push_str(&format!("nodes   {} in the file, {} simplified\n", r.nodes.0, r.nodes.1));
    out.push_str(&format!("ops     {}\n", ops.join(", ")));
    if !r.operators_without_rule.is_empty() {
        let unknown: Vec<String> = r.operators_without_rule.iter().map(|(o, n)| format!("{n} {o}")).collect();
        out.push_str(&format!("no rule {} (nothing is cut through these)\n", unknown.join(", ")));
    }
    out.push_str(&format!("MACs    {}", count(r.cost.macs)));
    match r.cost.macs {
        Some(_) => out.push_str(" for one sample\n"),
        None => out.push_str(&format!(" ({})\n", uncounted(a))),
    }
    out.push_str(&format!("params  {} in {} bytes\n", count(Some(r.cost.params)), count(Some(r.cost.bytes))));
    out.push_str(&format!(
        "prune   {} of the weights are in removable classes, {} with inexact ones\n",
        share(Some(r.weights_removable), Some(r.weights)),
        share(Some(r.weights_removable_inexact), Some(r.weights))
    ));
    if r.conv_channels > 0 {
        let free = r.conv_channels - r.conv_channels_fixed;
        out.push_str(&format!(
            "        {} of {} convolution channels that are not outputs ({})\n",
            r.conv_channels_removable,
            free,
            share(Some(r.conv_channels_removable), Some(free))
        ));
    }
    let exact = r.groups.iter().filter(|g| g.exact).count();
    out.push_str(&format!("groups  {} exact, {} inexact\n\n", exact, r.groups.len() - exact));
    let mut t = table(&["layer", "op", "weight", "MACs", "share"]);
    let whole = r.cost.macs;
    for l in &a.layers {
        let w: Vec<String> = l.weight.iter().map(ToString::to_string).collect();
        t.add_row([l.name.clone(), l.op.clone(), w.join("x"), count(l.macs), share(l.macs, whole)]);
    }
    out.push_str(&right(t, 3));
    out
}

/// Why multiply-adds are not known, and what to do.
fn uncounted(a: &Analyzed) -> String {
    let Err(e) = a.costs.macs_known() else { return "a shape is unknown".into() };
    let behind = e.fields.iter().find(|f| f.0 == "behind").map(|f| format!("unknown behind {}", f.1));
    match e.help {
        Some(help) if help.starts_with("give") => help,
        _ => behind.unwrap_or(e.title),
    }
}
