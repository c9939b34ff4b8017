//! The whole way: graph to files.

use rustc_hash::FxHashMap;
use secateur_diag::{Code, Result, diag};
use secateur_ir::Graph;
use secateur_neon::{Core, KernelSpec};
use serde::Serialize;

use crate::choose::{self, Draft};
use crate::emit::bindings::{self, About};
use crate::emit::{Function, Image, archive, elf, entry};
use crate::layout::Layout;
use crate::legal::legalize;
use crate::machine::{Address, Base, Call, Machine};
use crate::plan::{ALIGN, Block, plan};
use crate::program::{Kind, Program, TensorId};

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
    /// Instructions of one sample, by the estimates.
    pub instructions: u64,
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
    /// Its estimate.
    pub instructions: u64,
    /// The estimates of the kernels that were not chosen.
    pub others: Vec<(String, u64)>,
}

/// Compiles a graph.
///
/// # Errors
/// As [`crate::lower_graph`]; [`Code::C001`] where no kernel can do a step.
pub fn compile(graph: &Graph, options: &Options) -> Result<Bundle> {
    let p = crate::lower_graph(graph, &options.dims)?;
    let (p, layouts, drafts) = kernels(p, options.core, options.compact)?;
    let machine = machine(&p, &layouts, &drafts, options.core)?;
    let name = bindings::identifier(&options.name);
    let about = About {
        name: name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        target: options.target.clone(),
        core: options.core.name().into(),
        workspace: machine.workspace,
        batched: p.batch.is_some(),
        inputs: bindings::fields(&p.inputs),
        outputs: bindings::fields(&p.outputs),
    };
    let mut image = Image {
        constants: machine.constants.clone(),
        constants_symbol: format!("{name}_constants"),
        ..Image::default()
    };
    let symbols = functions(&mut image, &machine, &name, options.code_budget)?;
    entry::add(&mut image, &machine, &p, &symbols, &name, &about.json())?;
    let object = elf::object(&image)?;
    let report = Report {
        core: options.core.name().into(),
        instructions: drafts.iter().map(|d| d.estimate.instructions).sum(),
        code_bytes: image.functions.iter().map(|f| f.code.bytes.len()).sum(),
        constant_bytes: machine.constants.len(),
        weight_bytes: drafts.iter().flat_map(|d| &d.chosen.constants).map(|c| 4 * c.len()).sum(),
        workspace_bytes: machine.workspace,
        workspace_bound: machine.bound,
        layers: layers(&p, &drafts, &machine, &symbols),
    };
    let files = vec![
        (format!("lib{name}.a"), archive::archive(&format!("{name}.o"), &object)?),
        (format!("{name}.o"), object),
        (format!("{name}.h"), bindings::header(&about).into_bytes()),
        (format!("{name}.rs"), bindings::rust_module(&about).into_bytes()),
        (format!("{name}.py"), bindings::python_module(&about).into_bytes()),
    ];
    Ok(Bundle { files, report, program: p })
}

/// Modelled cycles of every step of one sample, with the name of the node it came from.
///
/// # Errors
/// As [`compile`].
pub fn cycles(graph: &Graph, dims: &[(String, usize)], core: Core) -> Result<Vec<(String, u64)>> {
    let p = crate::lower_graph(graph, dims)?;
    let (p, _, drafts) = kernels(p, core, false)?;
    Ok(drafts.iter().map(|d| (p.steps[d.step].name.clone(), d.estimate.cycles)).collect())
}

/// Layouts and kernels; steps whose functions do not fit into their kernel are split first.
fn kernels(mut p: Program, core: Core, compact: bool) -> Result<(Program, Vec<Layout>, Vec<Draft>)> {
    loop {
        let mut legal = p.clone();
        let layouts = legalize(&mut legal);
        match choose::choose(&legal, &layouts, core, compact) {
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
    let own = m.calls.iter().zip(symbols).filter(|(c, _)| !matches!(c.spec, KernelSpec::Border(_)));
    drafts
        .iter()
        .zip(own)
        .map(|(d, (call, symbol))| LayerReport {
            node: call.name.clone(),
            symbol: symbol.clone(),
            operation: crate::print::op(&p.steps[d.step].op),
            kernel: d.chosen.label.clone(),
            instructions: d.estimate.instructions,
            others: d.others.clone(),
        })
        .collect()
}

/// The code of every call; the names of the functions, one a call.
fn functions(image: &mut Image, m: &Machine, name: &str, budget: usize) -> Result<Vec<String>> {
    let of = |c: &Call| (c.code.symbol.clone(), c.code.clone());
    let total: usize = m.calls.iter().map(|c| of(c).1.bytes.len()).sum();
    let mut symbols: Vec<String> = Vec::with_capacity(m.calls.len());
    let mut seen: FxHashMap<String, String> = FxHashMap::default();
    for (i, call) in m.calls.iter().enumerate() {
        let (kernel, mut code) = of(call);
        let shared = matches!(call.spec, KernelSpec::Border(_)) || total > budget;
        if let Some(symbol) = seen.get(&kernel).filter(|_| shared) {
            symbols.push(symbol.clone());
            continue;
        }
        let symbol = match shared {
            true => format!("{name}_{kernel}"),
            false => format!("{name}_{i:03}_{}", bindings::identifier(&call.name)),
        };
        code.symbol = symbol.clone();
        image.functions.push(Function { code, global: None });
        seen.insert(kernel, symbol.clone());
        symbols.push(symbol);
    }
    Ok(symbols)
}

/// Numbers of the tensors that share a block of memory, and the calls that it lives through.
struct Lives {
    /// By tensor: the one whose block it uses.
    root: Vec<usize>,
    from: Vec<usize>,
    to: Vec<usize>,
}

impl Lives {
    fn root(&self, mut t: usize) -> usize {
        while self.root[t] != t {
            t = self.root[t];
        }
        t
    }
}

/// Memory and addresses.
fn machine(p: &Program, layouts: &[Layout], drafts: &[Draft], core: Core) -> Result<Machine> {
    let n = p.tensors.len();
    let mut lives = Lives { root: (0..n).collect(), from: vec![usize::MAX; n], to: vec![0; n] };
    for (d, draft) in drafts.iter().enumerate() {
        let step = &p.steps[draft.step];
        let read = draft.chosen.operands.iter().map(|&i| step.inputs[i].tensor);
        for t in read.chain([step.output.tensor]) {
            lives.from[t.0] = lives.from[t.0].min(d);
            lives.to[t.0] = lives.to[t.0].max(d);
        }
    }
    let temp = |t: TensorId| p.tensor(t).kind == Kind::Temp;
    for (d, draft) in drafts.iter().enumerate() {
        let step = &p.steps[draft.step];
        let y = step.output.tensor;
        for &k in &draft.chosen.in_place {
            let x = step.inputs[draft.chosen.operands[k]].tensor;
            let (rx, ry) = (lives.root(x.0), lives.root(y.0));
            let whole = step.output.len() == layouts[y.0].dims.iter().product::<usize>();
            let same = layouts[x.0].floats == layouts[y.0].floats && layouts[x.0].pads == layouts[y.0].pads;
            let alone = draft.chosen.operands.iter().filter(|&&i| step.inputs[i].tensor == x).count() == 1;
            if temp(x)
                && temp(y)
                && rx != ry
                && same
                && whole
                && alone
                && lives.to[rx] == d
                && lives.from[ry] == d
            {
                lives.root[ry] = rx;
                lives.to[rx] = lives.to[ry];
                break;
            }
        }
    }
    let mut blocks = Vec::new();
    let mut block_of: FxHashMap<usize, usize> = FxHashMap::default();
    for t in (0..n).filter(|&t| temp(TensorId(t)) && lives.from[t] != usize::MAX && lives.root(t) == t) {
        block_of.insert(t, blocks.len());
        let bytes = (4 * layouts[t].floats).next_multiple_of(ALIGN);
        blocks.push(Block { bytes, from: lives.from[t], to: lives.to[t] });
    }
    let mut scratch = vec![None; drafts.len()];
    for (d, draft) in drafts.iter().enumerate() {
        let bytes = draft.chosen.spec.scratch_bytes(core).next_multiple_of(ALIGN);
        if bytes > 0 {
            scratch[d] = Some(blocks.len());
            blocks.push(Block { bytes, from: d, to: d });
        }
    }
    let plan = plan(&blocks);
    let mut image = Image::default();
    let mut stored: FxHashMap<usize, usize> = FxHashMap::default();
    let mut packed: FxHashMap<(String, Vec<u8>), usize> = FxHashMap::default();
    let mut bordered = vec![false; n];
    let mut calls = Vec::new();
    for (d, draft) in drafts.iter().enumerate() {
        let step = &p.steps[draft.step];
        let mut address = |t: TensorId, at: usize| match &p.tensor(t).kind {
            Kind::Input(i) => Address { base: Base::Input(*i), offset: 4 * at },
            Kind::Output(i) => Address { base: Base::Output(*i), offset: 4 * at },
            Kind::Temp => {
                let block = block_of[&lives.root(t.0)];
                Address { base: Base::Workspace, offset: plan.offsets[block] + 4 * at }
            }
            Kind::Const(data) => {
                let start = *stored.entry(t.0).or_insert_with(|| {
                    let bytes: Vec<u8> = data.iter().flat_map(|f| f.to_le_bytes()).collect();
                    image.add_constants(&bytes)
                });
                Address { base: Base::Constants, offset: start + 4 * at }
            }
        };
        let y = step.output.tensor;
        let root = lives.root(y.0);
        if !layouts[y.0].is_dense() && !bordered[root] {
            bordered[root] = true;
            let spec = choose::border(&layouts[y.0]);
            let name = step.name.clone();
            let code = spec.generate(core).map_err(|e| diag(Code::C004, e.reason))?;
            let output = address(y, 0);
            calls.push(Call { name, spec, code, output, inputs: vec![], constants: None, scratch: None });
        }
        let output = address(y, draft.chosen.output_at);
        let inputs = draft
            .chosen
            .operands
            .iter()
            .zip(&draft.chosen.operands_at)
            .map(|(&i, &at)| address(step.inputs[i].tensor, at))
            .collect();
        let parts: Vec<&[f32]> = draft.chosen.constants.iter().map(Vec::as_slice).collect();
        // A kernel may have tables of its own as well.
        let bytes = draft.chosen.spec.pack(&parts, core);
        let constants = (!bytes.is_empty()).then(|| {
            let key = (draft.chosen.label.clone(), bytes);
            let offset = match packed.get(&key) {
                Some(&at) => at,
                None => {
                    let at = image.add_constants(&key.1);
                    packed.insert(key, at);
                    at
                }
            };
            Address { base: Base::Constants, offset }
        });
        let scratch = scratch[d].map(|b| Address { base: Base::Workspace, offset: plan.offsets[b] });
        calls.push(Call {
            name: step.name.clone(),
            spec: draft.chosen.spec.clone(),
            code: draft.code.clone(),
            output,
            inputs,
            constants,
            scratch,
        });
    }
    Ok(Machine { core, calls, constants: image.constants, workspace: plan.peak, bound: plan.bound })
}
