//! Where an operator's attributes are read, once for all columns.
//!
//! A family has a typed form of its operators (`Window`, `Axes`, ..) and one function `read` that makes it of a
//! [`Reading`]. No other function, in this crate or above it, looks at the node's attributes: what an attribute means, its
//! default, and how operator sets differ is then written down in one place.

use secateur_ir::{Dim, Graph, Node};
use secateur_tensor::Tensor;

use crate::facts::ints_of;

/// What the reading of an operator sees: the node, and what is known of its inputs, which hold in newer operator sets what
/// were attributes in older ones.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// The node.
    pub node: &'a Node,
    /// Version of the node's operator set.
    pub opset: i64,
    operands: Operands<'a>,
}

#[derive(Clone, Copy)]
enum Operands<'a> {
    /// Before a model runs: constants and what shape arithmetic told.
    Graph(&'a Graph),
    /// While it runs.
    Tensors(&'a [Option<Tensor>]),
}

impl<'a> Reading<'a> {
    /// A node of a graph.
    pub fn of(graph: &'a Graph, node: &'a Node) -> Self {
        Self { node, opset: graph.opset(node.domain()), operands: Operands::Graph(graph) }
    }

    /// A node that runs on these inputs.
    pub fn run(node: &'a Node, opset: i64, inputs: &'a [Option<Tensor>]) -> Self {
        Self { node, opset, operands: Operands::Tensors(inputs) }
    }

    /// Whether input `i` is there.
    pub fn has(&self, i: usize) -> bool {
        self.node.input(i).is_some()
    }

    /// Input `i` as integers in row-major order; `None` where it is left out, not known or not of integers.
    pub fn ints(&self, i: usize) -> Option<Vec<i64>> {
        match self.operands {
            Operands::Graph(g) => {
                let v = self.node.input(i)?;
                let known = || ints_of(g, v)?.elems.iter().map(Dim::constant).collect::<Option<Vec<_>>>();
                known().or_else(|| g.init(v)?.to_i64())
            }
            Operands::Tensors(t) => t.get(i)?.as_ref()?.to_i64(),
        }
    }

    /// Input `i` as floats in row-major order; `None` where it is left out, not known or not of floats.
    pub fn floats(&self, i: usize) -> Option<Vec<f32>> {
        self.tensor(i)?.to_f32()
    }

    /// Input `i`, where it is a constant or the model runs.
    pub fn tensor(&self, i: usize) -> Option<&'a Tensor> {
        match self.operands {
            Operands::Graph(g) => g.init(self.node.input(i)?),
            Operands::Tensors(t) => t.get(i)?.as_ref(),
        }
    }

    /// Number of axes of input `i`, where it is known.
    pub fn rank(&self, i: usize) -> Option<usize> {
        match self.operands {
            Operands::Graph(g) => g.shape(self.node.input(i)?).map(<[Dim]>::len),
            Operands::Tensors(t) => Some(t.get(i)?.as_ref()?.dims.len()),
        }
    }

    /// Sizes of input `i`; a size that is not fixed yet is `None`.
    pub fn sizes(&self, i: usize) -> Option<Vec<Option<usize>>> {
        match self.operands {
            Operands::Graph(g) => Some(g.shape(self.node.input(i)?)?.iter().map(Dim::size).collect()),
            Operands::Tensors(t) => Some(t.get(i)?.as_ref()?.dims.iter().map(|&d| Some(d)).collect()),
        }
    }
}
