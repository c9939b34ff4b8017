//! The program as calls of kernels with addresses: the last form before the object file.

use rustc_hash::FxHashMap;
use secateur_diag::{Code as Error, Result, diag};
use secateur_neon::{Code, Core, Estimate, KernelSpec};

use crate::choose::{self, Draft};
use crate::emit::Image;
use crate::layout::Layout;
use crate::plan::{ALIGN, Block, plan};
use crate::program::{Kind, Program, TensorId};

/// What an address counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The caller's workspace.
    Workspace,
    /// Input number so-and-so of the current sample.
    Input(usize),
    /// Output number so-and-so of the current sample.
    Output(usize),
    /// The constants of the object file.
    Constants,
}

/// A place in memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Where to count from.
    pub base: Base,
    /// Bytes.
    pub offset: usize,
}

/// One call of a kernel.
#[derive(Clone, Debug)]
pub struct Call {
    /// The name of the ONNX node.
    pub name: String,
    /// The kernel.
    pub spec: KernelSpec,
    /// Its code.
    pub code: Code,
    /// x0.
    pub output: Address,
    /// x1, x2, x3.
    pub inputs: Vec<Address>,
    /// x4, where there are constants.
    pub constants: Option<Address>,
    /// x5, where scratch memory is needed.
    pub scratch: Option<Address>,
}

/// What runs at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wave {
    /// Calls, one after the other, before the parts.
    pub before: std::ops::Range<usize>,
    /// Calls in any order, or at once.
    pub parts: std::ops::Range<usize>,
}

/// The whole network as calls.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The core that kernels are made for.
    pub core: Core,
    /// In order.
    pub calls: Vec<Call>,
    /// All calls, a layer each.
    pub waves: Vec<Wave>,
    /// What [`Base::Constants`] points to.
    pub constants: Vec<u8>,
    /// Bytes of the workspace.
    pub workspace: usize,
    /// Bytes of the workspace that no plan could do without.
    pub bound: usize,
}

impl Machine {
    /// Whether some layer has several parts.
    pub fn divided(&self) -> bool {
        self.waves.iter().any(|w| w.parts.len() > 1)
    }
}

/// Numbers of the tensors that share a block of memory, and the calls that it lives through.
struct Lives {
    /// By tensor: the one whose block it uses.
    root: Vec<usize>,
    from: Vec<usize>,
    to: Vec<usize>,
}

impl Lives {
    /// What lives when; results that go over an operand share its block.
    fn new(p: &Program, layouts: &[Layout], drafts: &[Draft]) -> Self {
        let n = p.tensors.len();
        let mut lives = Lives { root: (0..n).collect(), from: vec![usize::MAX; n], to: vec![0; n] };
        for draft in drafts {
            let step = &p.steps[draft.step];
            let read = draft.chosen.operands.iter().map(|&i| step.inputs[i].tensor);
            for t in read.chain([step.output.tensor]) {
                lives.from[t.0] = lives.from[t.0].min(draft.layer);
                lives.to[t.0] = lives.to[t.0].max(draft.layer);
            }
        }
        let temp = |t: TensorId| p.tensor(t).kind == Kind::Temp;
        let layers: Vec<&[Draft]> = drafts.chunk_by(|a, b| a.layer == b.layer).collect();
        for parts in &layers {
            let first = &parts[0];
            let y = p.steps[first.step].output.tensor;
            for &k in &first.chosen.in_place {
                // Every part has to go over its own part of the same tensor.
                let over = |d: &Draft| {
                    let i = d.chosen.in_place.contains(&k).then(|| d.chosen.operands[k])?;
                    let step = &p.steps[d.step];
                    let x = step.inputs[i].tensor;
                    let alone =
                        d.chosen.operands.iter().filter(|&&i| step.inputs[i].tensor == x).count() == 1;
                    alone.then_some(x)
                };
                let Some(x) = over(first) else { continue };
                let (rx, ry) = (lives.root(x.0), lives.root(y.0));
                let written: usize = parts.iter().map(|d| p.steps[d.step].output.len()).sum();
                let whole = written == layouts[y.0].dims.iter().product::<usize>();
                let same =
                    layouts[x.0].floats == layouts[y.0].floats && layouts[x.0].pads == layouts[y.0].pads;
                if temp(x)
                    && temp(y)
                    && rx != ry
                    && same
                    && whole
                    && parts.iter().all(|d| over(d) == Some(x))
                    && lives.to[rx] == first.layer
                    && lives.from[ry] == first.layer
                {
                    lives.root[ry] = rx;
                    lives.to[rx] = lives.to[ry];
                    break;
                }
            }
        }
        lives
    }

    fn root(&self, mut t: usize) -> usize {
        while self.root[t] != t {
            t = self.root[t];
        }
        t
    }
}

/// The kernels that write borders, and the drafts that they come before.
fn borders<'a>(
    p: &'a Program,
    layouts: &'a [Layout],
    drafts: &'a [Draft],
    lives: &'a Lives,
) -> impl Iterator<Item = (usize, KernelSpec)> + 'a {
    let mut done = vec![false; p.tensors.len()];
    drafts.iter().enumerate().filter_map(move |(d, draft)| {
        let y = p.steps[draft.step].output.tensor.0;
        let first = !layouts[y].is_dense() && !std::mem::replace(&mut done[lives.root(y)], true);
        first.then(|| (d, choose::border(&layouts[y])))
    })
}

/// What writing borders costs, by the draft that it comes before.
pub fn border_estimates(
    p: &Program,
    layouts: &[Layout],
    drafts: &[Draft],
    core: Core,
) -> FxHashMap<usize, Estimate> {
    let lives = Lives::new(p, layouts, drafts);
    borders(p, layouts, drafts, &lives).map(|(d, spec)| (d, spec.estimate(core))).collect()
}

/// Memory and addresses.
///
/// # Errors
/// [`Error::C004`] where code does not assemble; an internal check.
pub fn machine(p: &Program, layouts: &[Layout], drafts: &[Draft], core: Core) -> Result<Machine> {
    let n = p.tensors.len();
    let lives = Lives::new(p, layouts, drafts);
    let mut borders: FxHashMap<usize, KernelSpec> = borders(p, layouts, drafts, &lives).collect();
    let temp = |t: TensorId| p.tensor(t).kind == Kind::Temp;
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
            blocks.push(Block { bytes, from: draft.layer, to: draft.layer });
        }
    }
    let plan = plan(&blocks);
    let mut image = Image::default();
    let mut stored: FxHashMap<usize, usize> = FxHashMap::default();
    let mut packed: FxHashMap<(String, Vec<u8>), usize> = FxHashMap::default();
    let mut calls: Vec<Call> = Vec::new();
    let mut waves: Vec<Wave> = Vec::new();
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
        let opens = d == 0 || drafts[d - 1].layer != draft.layer;
        let begin = calls.len();
        if let Some(spec) = borders.remove(&d) {
            let name = step.name.clone();
            let code = spec.generate(core).map_err(|e| diag(Error::C004, e.reason))?;
            let output = address(y, 0);
            calls.push(Call { name, spec, code, output, inputs: vec![], constants: None, scratch: None });
        }
        if opens {
            waves.push(Wave { before: begin..calls.len(), parts: calls.len()..calls.len() });
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
        if let Some(wave) = waves.last_mut() {
            wave.parts.end = calls.len();
        }
    }
    Ok(Machine { core, calls, waves, constants: image.constants, workspace: plan.peak, bound: plan.bound })
}
