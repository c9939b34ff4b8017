//! Operators that have a derivative here: one file an operator, or a family that shares one rule.

use secateur_ir::{Graph, Node};

use crate::array::Array;
use crate::program::Facts;

mod binary;
mod conv;
mod moves;
mod norm;
mod planes;
mod pool;
mod product;
mod reduce;
mod resize;
mod unary;
mod windows;

/// An operator at work: constants are in it, f32 tensors come in.
pub(crate) trait Op: Send + Sync {
    /// The outputs.
    fn forward(&self, x: &[&Array]) -> Vec<Array>;

    /// The loss's derivative by each wanted input, from those by the outputs. `None` is zero.
    fn backward(&self, x: &[&Array], y: &[Array], dy: &[Option<Array>], want: &[bool]) -> Vec<Option<Array>>;
}

/// A node, and what is known of the values about it.
pub(crate) struct Cx<'a> {
    pub graph: &'a Graph,
    pub node: &'a Node,
    pub facts: &'a Facts,
}

impl Cx<'_> {
    /// Shape of an input.
    pub fn shape(&self, input: usize) -> Option<&[usize]> {
        self.facts.shape(self.node.input(input)?)
    }

    /// Shape of an output.
    pub fn out(&self, output: usize) -> Option<&[usize]> {
        self.facts.shape(self.node.output(output)?)
    }

    /// Contents of a constant integer input.
    pub fn ints(&self, input: usize) -> Option<Vec<i64>> {
        self.facts.ints(self.graph, self.node.input(input)?)
    }

    /// Contents of a constant f32 input.
    pub fn floats(&self, input: usize) -> Option<Vec<f32>> {
        self.graph.init(self.node.input(input)?)?.to_f32()
    }

    /// Whether an input is there.
    pub fn has(&self, input: usize) -> bool {
        self.node.input(input).is_some()
    }

    /// An integer attribute.
    pub fn int(&self, name: &str, or: i64) -> Option<i64> {
        self.node.int_or(name, or).ok()
    }

    /// A float attribute.
    pub fn float(&self, name: &str, or: f32) -> Option<f32> {
        Some(self.node.float(name).ok()?.unwrap_or(or))
    }

    /// A list of integers, from an attribute or a constant input.
    pub fn list(&self, name: &str, input: usize) -> Option<Vec<i64>> {
        match self.node.ints(name).ok()? {
            Some(v) => Some(v.to_vec()),
            None if self.has(input) => self.ints(input),
            None => None,
        }
    }

    /// An axis counted from the front.
    pub fn axis(&self, axis: i64, rank: usize) -> Option<usize> {
        let axis = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(axis).ok().filter(|a| *a < rank)
    }

    /// A form of the operator without anything but its first input.
    pub fn opset(&self) -> i64 {
        self.graph.opset("")
    }
}

/// Makes an operator of a node, with the inputs that are f32 tensors at work; `None` where this form of it has no
/// derivative here.
type Make = fn(&Cx) -> Option<Made>;

/// An operator, and which inputs it takes as tensors.
pub(crate) struct Made {
    pub op: Box<dyn Op>,
    pub inputs: Vec<usize>,
}

impl Made {
    fn new(op: impl Op + 'static, inputs: &[usize]) -> Option<Self> {
        Some(Self { op: Box::new(op), inputs: inputs.to_vec() })
    }
}

/// Finds the operator of a node.
pub(crate) fn make(cx: &Cx) -> Option<Made> {
    if !cx.node.domain().is_empty() {
        return None;
    }
    let tables = [
        binary::OPS,
        conv::OPS,
        moves::OPS,
        norm::OPS,
        pool::OPS,
        product::OPS,
        reduce::OPS,
        resize::OPS,
        unary::OPS,
    ];
    let row = tables.iter().copied().flatten().find(|(name, _)| *name == cx.node.op())?;
    row.1(cx)
}
