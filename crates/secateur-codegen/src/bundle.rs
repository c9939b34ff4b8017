//! The whole way: graph to files.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use secateur_diag::{Code, Result, diag};
use secateur_ir::Graph;
use secateur_neon::{Core, KernelSpec};
use serde::Serialize;

use crate::choose::{self, Chooser, Draft};
use crate::divide::{Cores, divide};
use crate::emit::bindings::{self, About};
use crate::emit::{Function, Image, archive, elf, entry};
use crate::layout::Layout;
use crate::legal::legalize;
use crate::machine::{Machine, Wave, border_estimates, machine};
use crate::program::Program;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The model's name; made an identifier.
    pub name: String,
    /// The target's name, for messages and the header.
    pub target: String,
    /// The core.
    pub core: Core,
    /// Sizes of symbolic dimensions.
    pub dims: Vec<(String, usize)>,
    /// Every layer has code of its own, so that profiles show its name, as long as all code stays below this many
    /// bytes; else equal kernels share theirs.
    pub code_budget: usize,
    /// Weights take no more room than in the model; else the fastest kernels are chosen, some of which transform them
    /// into a larger form.
    pub compact: bool,
    /// Cores that one sample may run on at once.
    pub cores: Cores,
}

/// Bytes of code up to which every layer has its own.
pub const CODE_BUDGET: usize = 256 * 1024;

/// The files of a bundle, by name.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Name and contents.
    pub files: Vec<(String, Vec<u8>)>,
    /// What was done.
    pub report: Report,
    /// The lowered program.
    pub program: Program,
}

/// What was done, for `report.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The core.
    pub core: String,
    /// Instructions of one sample, by the estimates; borders of zeros around images are part of no layer.
    pub instructions: u64,
    /// Cores that one sample may run on at once.
    pub cores: usize,
    /// Instructions of the longest part of each layer: those that one sample waits for where every part has a core.
    pub critical: u64,
    /// Bytes of code.
    pub code_bytes: usize,
    /// Bytes of constants in the form that the kernels read.
    pub constant_bytes: usize,
    /// Bytes of the same constants as they are.
    pub weight_bytes: usize,
    /// Bytes of the workspace.
    pub workspace_bytes: usize,
    /// Bytes that live at the busiest moment: no plan needs less.
    pub workspace_bound: usize,
    /// In order of execution.
    pub layers: Vec<LayerReport>,
}

/// One step.
#[derive(Clone, Debug, Serialize)]
pub struct LayerReport {
    /// The ONNX node's name.
    pub node: String,
    /// The symbol in the object file.
    pub symbol: String,
    /// What is computed.
    pub operation: String,
    /// The kernel.
    pub kernel: String,
    /// Its estimate; that of all parts.
    pub instructions: u64,
    /// How many parts there are, each on a core of its own.
    pub parts: usize,
    /// The estimate of the longest part.
    pub critical: u64,
    /// The estimates of the kernels that were not chosen.
    pub others: Vec<(String, u64)>,
}

/// Compiles a graph.
///
/// # Errors
/// As [`crate::lower_graph`]; [`Code::C001`] where no kernel can do a step.
pub fn compile(graph: &Graph, options: &Options) -> Result<Bundle> {
    let p = crate::lower_graph(graph, &options.dims)?;
    let (program, layouts, drafts) = kernels(p, options.core, options.compact)?;
    let weights = |d: &Draft| d.chosen.constants.iter().map(|c| 4 * c.len()).sum::<usize>();
    let weight_bytes = drafts.iter().map(weights).sum();
    let mut p = program.clone();
    let drafts = divide(&mut p, &layouts, drafts, options.core, options.compact, options.cores);
    let machine = machine(&p, &layouts, &drafts, options.core)?;
    let name = bindings::identifier(&options.name);
    let about = About {
        name: name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        target: options.target.clone(),
        core: options.core.name().into(),
        workspace: machine.workspace,
        cores: options.cores.count,
        batched: p.batch.is_some(),
        inputs: bindings::fields(&p.inputs),
        outputs: bindings::fields(&p.outputs),
    };
    let mut image = Image {
        constants: machine.constants.clone(),
        constants_symbol: format!("{name}_constants"),
        ..Image::default()
    };
    let symbols = functions(&mut image, &machine, &name, options.code_budget);
    entry::add(&mut image, &machine, &p, &symbols, &name, &about.json())?;
    let object = elf::object(&image)?;
    let layers = layers(&p, &drafts, &machine, &symbols);
    let borders = machine.calls.iter().filter(|c| matches!(c.spec, KernelSpec::Border(_)));
    let border: u64 = borders.map(|c| c.spec.estimate(options.core).instructions).sum();
    let report = Report {
        core: options.core.name().into(),
        instructions: layers.iter().map(|l| l.instructions).sum::<u64>() + border,
        cores: options.cores.count,
        critical: layers.iter().map(|l| l.critical).sum::<u64>() + border,
        code_bytes: image.functions.iter().map(|f| f.code.bytes.len()).sum(),
        constant_bytes: machine.constants.len(),
        weight_bytes,
        workspace_bytes: machine.workspace,
        workspace_bound: machine.bound,
        layers,
    };
    let files = vec![
        (format!("lib{name}.a"), archive::archive(&format!("{name}.o"), &object)?),
        (format!("{name}.o"), object),
        (format!("{name}.h"), bindings::header(&about).into_bytes()),
        (format!("{name}.rs"), bindings::rust_module(&about).into_bytes()),
        (format!("{name}.py"), bindings::python_module(&about).into_bytes()),
    ];
    Ok(Bundle { files, report, program })
}

/// Modelled cycles of every step of one sample, with the name of the node it came from.
///
/// # Errors
/// As [`compile`].
pub fn cycles(graph: &Graph, dims: &[(String, usize)], core: Core) -> Result<Vec<(String, u64)>> {
    let p = crate::lower_graph(graph, dims)?;
    let (p, layouts, drafts) = kernels(p, core, false)?;
    let borders = border_estimates(&p, &layouts, &drafts, core);
    let border = |i: &usize| borders.get(i).map_or(0, |e| e.cycles);
    let each = drafts.iter().enumerate();
    Ok(each.map(|(i, d)| (p.steps[d.step].name.clone(), d.estimate.cycles + border(&i))).collect())
}

/// Layouts and kernels; steps whose functions do not fit into their kernel are split first.
fn kernels(mut p: Program, core: Core, compact: bool) -> Result<(Program, Vec<Layout>, Vec<Draft>)> {
    loop {
        let mut legal = p.clone();
        let layouts = legalize(&mut legal);
        let chooser = Chooser { p: &legal, layouts: &layouts, core, compact };
        match chooser.all() {
            Ok(drafts) => return Ok((legal, layouts, drafts)),
            Err(choose::Obstacle::Error(e)) => return Err(e),
            Err(choose::Obstacle::Chain(step)) => {
                // Copies come and go, but steps keep their order and their outputs.
                let output = &legal.steps[step].output;
                let same = |s: &crate::program::Step| {
                    s.name == legal.steps[step].name && s.op == legal.steps[step].op
                };
                let at = p
                    .steps
                    .iter()
                    .position(|s| s.output == *output)
                    .or_else(|| p.steps.iter().position(same));
                let at = at.ok_or_else(|| diag(Code::C004, "a step was lost"))?;
                crate::legal::split_chain(&mut p, at);
            }
        }
    }
}

fn layers(p: &Program, drafts: &[Draft], m: &Machine, symbols: &[String]) -> Vec<LayerReport> {
    let parts = drafts.chunk_by(|a, b| a.layer == b.layer).zip(&m.waves);
    parts
        .map(|(drafts, wave)| {
            let first = &drafts[0];
            let counts = || drafts.iter().map(|d| d.estimate.instructions);
            LayerReport {
                node: p.steps[first.step].name.clone(),
                symbol: symbols[wave.parts.start].clone(),
                operation: crate::print::op(&p.steps[first.step].op),
                kernel: first.chosen.label.clone(),
                instructions: counts().sum(),
                parts: drafts.len(),
                critical: counts().max().unwrap_or(0),
                others: first.others.clone(),
            }
        })
        .collect()
}

/// The code of every call; the names of the functions, one a call. Equal parts of a layer share theirs in any case.
fn functions(image: &mut Image, m: &Machine, name: &str, budget: usize) -> Vec<String> {
    let different = |w: &Wave| {
        let kernels = w.parts.clone().map(|i| (&m.calls[i].code.symbol, m.calls[i].code.bytes.len()));
        kernels.collect::<BTreeMap<_, _>>().into_values().sum::<usize>()
    };
    let share = m.waves.iter().map(different).sum::<usize>() > budget;
    let mut symbols: Vec<String> = Vec::with_capacity(m.calls.len());
    let mut shared: FxHashMap<String, String> = FxHashMap::default();
    for wave in &m.waves {
        let mut own: FxHashMap<String, String> = FxHashMap::default();
        for i in wave.before.start..wave.parts.end {
            let call = &m.calls[i];
            let everywhere = share || matches!(call.spec, KernelSpec::Border(_));
            let seen = if everywhere { &mut shared } else { &mut own };
            let symbol = seen.entry(call.code.symbol.clone()).or_insert_with(|| {
                let symbol = match everywhere {
                    true => format!("{name}_{}", call.code.symbol),
                    false => format!("{name}_{i:03}_{}", bindings::identifier(&call.name)),
                };
                let code = secateur_neon::Code { symbol: symbol.clone(), ..call.code.clone() };
                image.functions.push(Function { code, global: None });
                symbol
            });
            symbols.push(symbol.clone());
        }
    }
    symbols
}
