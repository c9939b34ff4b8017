//! What evaluation sees of a node, and what it may say.

use secateur_diag::{Code, Diagnostic, Result, diag};
use secateur_ir::Node;
use secateur_tensor::{ElemType, Lane, Tensor, count};

use crate::reading::Reading;

/// The outputs from the inputs, for every element type that the operator allows: integers exactly, `f16` and `bf16` through
/// `f32` with a rounding where ONNX rounds. Errors are for what the data make impossible ([`Code::X002`]) or what has no
/// evaluation ([`Code::X001`]); the caller adds the place.
pub type EvalFn = fn(&EvalCx) -> Result<Vec<Tensor>>;

/// A column that not every operator fills: a function, or the reason why there is none.
#[derive(Clone, Copy, Debug)]
pub enum Column<F> {
    /// There is.
    Yes(F),
    /// There is none, for this reason.
    No(&'static str),
}

impl<F: Copy> Column<F> {
    /// The function.
    pub fn get(self) -> Option<F> {
        match self {
            Self::Yes(f) => Some(f),
            Self::No(_) => None,
        }
    }
}

/// A node about to run.
pub struct EvalCx<'a> {
    /// The node.
    pub node: &'a Node,
    /// Version of its operator set.
    pub opset: i64,
    /// Inputs in order, all of them known; `None` for one left out. They lie as [`Tensor::slice`] wants them.
    pub inputs: &'a [Option<Tensor>],
    /// Bytes that one output may take at most.
    pub room: usize,
}

impl<'a> EvalCx<'a> {
    /// For the operator's `read`.
    pub fn reading(&self) -> Reading<'a> {
        Reading::run(self.node, self.opset, self.inputs)
    }

    /// Input `i`, `None` where it is left out.
    pub fn get(&self, i: usize) -> Option<&'a Tensor> {
        self.inputs.get(i)?.as_ref()
    }

    /// Input `i`, which the operator cannot do without.
    pub fn need(&self, i: usize) -> Result<&'a Tensor> {
        self.get(i).ok_or_else(|| diag(Code::S002, format!("input {i} is missing")))
    }

    /// The elements of input `i`, which must be of this type.
    pub fn slice<T: Lane>(&self, i: usize) -> Result<&'a [T]> {
        let t = self.need(i)?;
        t.slice().ok_or_else(|| unfit(format!("input {i} is {}, not of type {}", t.describe(), T::ELEM)))
    }

    /// The elements of an integer input of any width.
    pub fn ints(&self, i: usize) -> Result<Vec<i64>> {
        let t = self.need(i)?;
        t.to_i64().ok_or_else(|| unfit(format!("input {i} is {}, not of integers", t.describe())))
    }

    /// The number of elements of an output, where there is room for it; [`Code::X002`] otherwise.
    pub fn room(&self, dims: &[usize], elem: ElemType) -> Result<usize> {
        let n = count(dims)?;
        match n.checked_mul(elem.bits().max(8)).is_some_and(|bits| bits / 8 <= self.room) {
            true => Ok(n),
            false => {
                let sizes: Vec<String> = dims.iter().map(ToString::to_string).collect();
                Err(unfit(format!("a result {elem}[{}] would take too much memory", sizes.join(","))))
            }
        }
    }

    /// The refusal of an element type.
    pub fn wrong_type(&self, i: usize) -> Box<Diagnostic> {
        let what = self.get(i).map_or_else(|| "nothing".into(), |t| t.elem.to_string());
        diag(Code::X001, format!("{} is not computed here on {what}", self.node.op()))
    }

    /// Whether output `i` is wanted.
    pub fn wants(&self, i: usize) -> bool {
        self.node.output(i).is_some()
    }
}

/// What the data make impossible.
pub fn unfit(title: impl Into<String>) -> Box<Diagnostic> {
    diag(Code::X002, title)
}

/// The loss's derivative by each wanted input, from those by the outputs; `None` is zero.
pub type DeriveFn = fn(&DeriveCx) -> Result<Vec<Option<Vec<f32>>>>;

/// A node whose outputs were computed, on the way back. All that has a derivative is `f32`.
pub struct DeriveCx<'a> {
    /// The node and its inputs.
    pub eval: EvalCx<'a>,
    /// What it computed of them.
    pub outputs: &'a [Tensor],
    /// The loss's derivatives by the outputs; `None` is zero.
    pub by_outputs: &'a [Option<Vec<f32>>],
    /// By input: whether the derivative is wanted. Those of integers never are.
    pub want: &'a [bool],
}

impl<'a> std::ops::Deref for DeriveCx<'a> {
    type Target = EvalCx<'a>;

    fn deref(&self) -> &EvalCx<'a> {
        &self.eval
    }
}
