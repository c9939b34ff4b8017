//! Which kernel does a step: candidates from `secateur-neon`, the cheapest one by its estimate for the core.
//!
//! One family of operators is one file; each returns the candidates that could do a step.

mod conv;
mod elementwise;
mod image;
mod matmul;
mod operands;
mod other;
mod rows;

pub use elementwise::activation;

use secateur_diag::{Code, Result, diag};
use secateur_ir::ElemType;
use secateur_neon::{Core, Estimate, KernelSpec, Planes};

use crate::layout::{Layout, Span};
use crate::op::Op;
use crate::program::{Kind, Program, Step, TensorId};
use crate::view::View;

/// A kernel that could do a step.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What it is called in the report: `winograd F(4,3)`.
    pub label: String,
    /// The kernel.
    pub spec: KernelSpec,
    /// The operands that it is given as x1, x2, x3; numbers of the step's inputs.
    pub operands: Vec<usize>,
    /// Constants, weights first.
    pub constants: Vec<Vec<f32>>,
    /// Floats from the start of the output's tensor to where x0 points.
    pub output_at: usize,
    /// The same for each of `operands`.
    pub operands_at: Vec<usize>,
    /// Which of `operands` may lie in the same memory as the output.
    pub in_place: Vec<usize>,
}

/// A step with its kernel, before addresses.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The step's number in the program.
    pub step: usize,
    /// The layer's: parts of one layer share it, and run at the same time.
    pub layer: usize,
    /// What was chosen.
    pub chosen: Candidate,
    /// Its code.
    pub code: secateur_neon::Code,
    /// Its cost.
    pub estimate: Estimate,
    /// What the others would cost, by label.
    pub others: Vec<(String, u64)>,
}

/// What the files of this folder work with.
pub struct Cx<'a> {
    /// The program.
    pub p: &'a Program,
    /// By tensor.
    pub layouts: &'a [Layout],
    /// The core.
    pub core: Core,
}

impl Cx<'_> {
    /// Where a view is.
    pub fn span(&self, v: &View) -> Result<Span> {
        self.layouts[v.tensor.0].locate(v).ok_or_else(|| diag(Code::C004, "a view does not fit its layout"))
    }

    /// A view `[C,H,W]` as planes, and where their pointer is, in floats from the start of the tensor.
    pub fn planes(&self, v: &View) -> Result<(Planes, usize)> {
        let span = self.span(v)?;
        let layout = &self.layouts[v.tensor.0];
        let [c, h, w] = [0, 1, 2].map(|a| v.dims[a]);
        let rank = layout.dims.len();
        let own = |back: usize| layout.strides[rank - back] as usize;
        let (row, plane) = match layout.is_dense() {
            true => (w, w * h),
            false => (own(2), if rank > 2 { own(3) } else { layout.floats }),
        };
        let row = if h > 1 { span.strides[1] as usize } else { row };
        let plane = if c > 1 { span.strides[0] as usize } else { plane.max(row * h) };
        let origin = layout.origin;
        let at = usize::try_from(span.offset).ok().and_then(|o| o.checked_sub(origin));
        let at = at.ok_or_else(|| diag(Code::C004, "planes that begin before their tensor"))?;
        // Where a view has the last rows of a tensor only, what lies before them is part of the region, so that it ends
        // where the tensor does.
        let end = at + c.saturating_sub(1) * plane + origin + h.saturating_sub(1) * row + w;
        let last = layout.floats < end + (1 + layout.pads[2]) * row;
        let shift = if last { (at + c * plane).saturating_sub(layout.floats).min(at) } else { 0 };
        let (origin, at) = (origin + shift, at - shift);
        Ok((Planes { channels: c, height: h, width: w, row, plane, origin }, at))
    }

    /// The element type of a tensor in memory.
    pub fn elem(&self, t: TensorId) -> ElemType {
        let mut ports = self.p.inputs.iter().chain(&self.p.outputs);
        ports.find(|port| port.tensor == t).map_or(ElemType::F32, |port| port.elem)
    }

    /// Whether a tensor is in memory that the kernel gets a pointer to, else it is constant.
    pub fn is_const(&self, t: TensorId) -> bool {
        matches!(self.p.tensor(t).kind, Kind::Const(_))
    }
}

/// What stands between a program and its kernels.
pub enum Obstacle {
    /// No kernel can do a step.
    Error(Box<secateur_diag::Diagnostic>),
    /// The functions that follow a step do not fit into its kernel; they have to become a step of their own.
    Chain(usize),
}

/// Whether a kernel keeps its weights in much more room than they take as they are, as Winograd's do (F(4,3): four times).
fn spreads(c: &Candidate, core: Core) -> bool {
    let parts: Vec<&[f32]> = c.constants.iter().map(Vec::as_slice).collect();
    let raw: usize = parts.iter().map(|p| 4 * p.len()).sum();
    c.spec.pack(&parts, core).len() > raw + raw / 4 + 4096
}

/// Chooses kernels for the steps of a program.
pub struct Chooser<'a> {
    /// The program.
    pub p: &'a Program,
    /// By tensor.
    pub layouts: &'a [Layout],
    /// The core.
    pub core: Core,
    /// No kernel that spreads its weights where there is another.
    pub compact: bool,
}

impl Chooser<'_> {
    /// A kernel for every step.
    ///
    /// # Errors
    /// As [`Chooser::step`].
    pub fn all(&self) -> Result<Vec<Draft>, Obstacle> {
        self.p.steps.iter().enumerate().map(|(i, step)| self.step(i, step)).collect()
    }

    /// A kernel for one step, which may be a part of step `i` of the program.
    ///
    /// # Errors
    /// [`Code::C001`] where no kernel can do it.
    pub fn step(&self, i: usize, step: &Step) -> Result<Draft, Obstacle> {
        let Chooser { p, layouts, core, compact } = *self;
        let cx = Cx { p, layouts, core };
        let place = |e: Box<secateur_diag::Diagnostic>| {
            e.at("node", format!("{:?}", step.name)).at("step", crate::print::op(&step.op)).at(
                "shapes",
                format!(
                    "{:?} from {:?}",
                    step.output.dims,
                    step.inputs.iter().map(|v| &v.dims).collect::<Vec<_>>()
                ),
            )
        };
        let mut candidates = candidates(&cx, step).map_err(place).map_err(Obstacle::Error)?;
        if compact && candidates.len() > 1 {
            let first = candidates[0].clone();
            candidates.retain(|c| !spreads(c, core));
            if candidates.is_empty() {
                candidates.push(first);
            }
        }
        let mut best: Option<Draft> = None;
        let mut others = Vec::new();
        let mut reason = String::new();
        for c in candidates {
            let code = match c.spec.generate(core) {
                Ok(code) => code,
                Err(e) => {
                    reason = e.reason;
                    continue;
                }
            };
            let estimate = c.spec.estimate(core);
            others.push((c.label.clone(), estimate.instructions));
            if best.as_ref().is_none_or(|b| estimate.instructions < b.estimate.instructions) {
                best = Some(Draft { step: i, layer: i, chosen: c, code, estimate, others: vec![] });
            }
        }
        let chained = |op: &Op| match op {
            Op::Conv(c) | Op::ConvTranspose(c) => !c.chain.is_empty(),
            _ => false,
        };
        let Some(mut best) = best else {
            if chained(&step.op) {
                return Err(Obstacle::Chain(i));
            }
            return Err(Obstacle::Error(place(diag(Code::C001, format!("no kernel does this: {reason}")))));
        };
        others.retain(|(l, _)| *l != best.chosen.label);
        best.others = others;
        Ok(best)
    }
}

fn candidates(cx: &Cx, step: &Step) -> Result<Vec<Candidate>> {
    match &step.op {
        Op::Copy | Op::Fill(_) | Op::Map(_) | Op::Binary(..) | Op::MulAdd(_) | Op::Select => {
            elementwise::candidates(cx, step)
        }
        Op::Reduce(..) | Op::Softmax { .. } | Op::Norm { .. } => rows::candidates(cx, step),
        Op::Conv(c) => conv::candidates(cx, step, c),
        Op::MatMul(m) => matmul::candidates(cx, step, m),
        Op::Pool(_) | Op::Resize(_) => image::candidates(cx, step),
        Op::ConvTranspose(c) => conv::transposed_candidates(cx, step, c),
        Op::Gather | Op::ArgReduce { .. } | Op::Recurrent(_) => other::candidates(cx, step),
        other => Err(diag(Code::C001, format!("there is no kernel for {}", crate::print::op(other)))),
    }
}

/// The kernel that writes the zeros around the planes of a tensor.
pub fn border(layout: &Layout) -> KernelSpec {
    let rank = layout.dims.len();
    let (row, floats) = (layout.strides[rank - 2] as usize, layout.floats);
    let plane = if rank > 2 { layout.strides[rank - 3] as usize } else { floats };
    let [h, w] = [layout.dims[rank - 2], layout.dims[rank - 1]];
    let channels = floats / plane;
    let planes = Planes { channels, height: h, width: w, row, plane, origin: layout.origin };
    secateur_neon::Border { planes }.into()
}
