//! What shape rules and constant evaluation see and say.

use secateur_diag::{Code, Result, diag};
use secateur_onnx::ElemType;

use crate::Reading;
use secateur_ir::dim::{Dim, Shape};
use secateur_ir::graph::{Graph, Ints, Node, TensorType, ValueId};
use secateur_tensor::Tensor;

/// Longest integer tensor that is followed element by element.
const MAX_INTS: usize = 4096;

/// The integers of `v`, where they are known at compile time.
pub(super) fn ints_of(graph: &Graph, v: ValueId) -> Option<Ints> {
    let value = graph.value(v);
    if let Some(ints) = &value.ints {
        return Some(ints.clone());
    }
    let t = &value.init.as_ref()?.tensor;
    if t.dims.len() > 1 || t.len() > MAX_INTS {
        return None;
    }
    Some(Ints { scalar: t.dims.is_empty(), elems: t.to_i64()?.into_iter().map(Dim::fixed).collect() })
}

/// What a rule found of one output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutFact {
    /// Type; `None` where nothing is known.
    pub ty: Option<TensorType>,
    /// Contents of a small integer tensor.
    pub ints: Option<Ints>,
}

/// What a shape rule sees of its node, and where it puts what it finds.
pub struct InferCx<'a> {
    /// The graph; types of this node's inputs are inferred.
    pub graph: &'a Graph,
    /// The node.
    pub node: &'a Node,
    /// By output; starts empty.
    pub out: Vec<OutFact>,
}

impl<'a> InferCx<'a> {
    /// For the operator's `read`.
    pub fn reading(&self) -> Reading<'a> {
        Reading::of(self.graph, self.node)
    }

    /// Version of the node's operator set.
    pub fn opset(&self) -> i64 {
        self.graph.opset(self.node.domain())
    }

    /// Type of input `i`; `None` where absent or unknown.
    pub fn ty(&self, i: usize) -> Option<&'a TensorType> {
        self.graph.value(self.node.input(i)?).ty.as_ref()
    }

    /// Element type of input `i`.
    pub fn elem(&self, i: usize) -> Option<ElemType> {
        self.ty(i).map(|t| t.elem)
    }

    /// Shape of input `i`; `None` where absent or unknown.
    pub fn shape(&self, i: usize) -> Option<&'a [Dim]> {
        self.ty(i)?.shape.as_deref()
    }

    /// Input `i` as small integers, where known.
    pub fn ints(&self, i: usize) -> Option<Ints> {
        ints_of(self.graph, self.node.input(i)?)
    }

    /// Input `i` as integers that are all constants.
    pub fn const_ints(&self, i: usize) -> Option<Vec<i64>> {
        self.ints(i)?.elems.iter().map(Dim::constant).collect()
    }

    /// Input `i` as a constant tensor.
    pub fn tensor(&self, i: usize) -> Option<&'a Tensor> {
        self.graph.init(self.node.input(i)?)
    }

    /// States type and shape of output `i`.
    pub fn set(&mut self, i: usize, elem: ElemType, shape: Option<Shape>) {
        if let Some(fact) = self.out.get_mut(i) {
            fact.ty = Some(TensorType { elem, shape });
        }
    }

    /// States the contents of output `i`, and with them its type.
    pub fn set_ints(&mut self, i: usize, elem: ElemType, ints: Ints) {
        if ints.elems.len() > MAX_INTS {
            return;
        }
        let shape = if ints.scalar { vec![] } else { vec![Dim::fixed(ints.elems.len())] };
        self.set(i, elem, Some(shape));
        if let Some(fact) = self.out.get_mut(i) {
            fact.ints = Some(ints);
        }
    }

    /// A size that nothing is known of: axis `axis` of output `i`.
    pub fn unknown(&self, i: usize, axis: usize) -> Dim {
        let name = self.node.output(i).map_or("", |v| self.graph.value(v).name.as_str());
        Dim::unknown(name, axis)
    }

    /// `rank` sizes of which nothing is known.
    pub fn unknowns(&self, i: usize, rank: usize) -> Shape {
        (0..rank).map(|a| self.unknown(i, a)).collect()
    }

    /// The rank of input `i` must be `rank`; [`Code::S001`] otherwise, nothing where it is unknown.
    pub fn want_rank(&self, i: usize, rank: usize) -> Result<()> {
        match self.shape(i) {
            Some(s) if s.len() != rank => {
                Err(diag(Code::S001, format!("input {i} must have rank {rank}, not {}", s.len())))
            }
            _ => Ok(()),
        }
    }
}

/// What constant evaluation sees.
pub struct FoldCx<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// The node.
    pub node: &'a Node,
    /// Inputs in order, all constant; `None` for one left out.
    pub inputs: Vec<Option<&'a Tensor>>,
}

impl FoldCx<'_> {
    /// Version of the node's operator set.
    pub fn opset(&self) -> i64 {
        self.graph.opset(self.node.domain())
    }

    /// Input `i`.
    pub fn input(&self, i: usize) -> Option<&Tensor> {
        self.inputs.get(i).copied().flatten()
    }
}
