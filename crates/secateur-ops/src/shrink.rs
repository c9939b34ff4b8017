//! What a shrink rule sees and does.
//!
//! The driver slices initializers that carry removed elements; a rule changes only what says sizes in other
//! words: attributes and shape operands.

use secateur_diag::{Code, Result, diag};
use secateur_onnx::ElemType;

use crate::Reading;
use crate::couple::Port;
use secateur_ir::dim::Dim;
use secateur_ir::graph::{Graph, Node, ValueId};
use secateur_tensor::Tensor;

/// The kept elements of a value's axis, `None` where all are.
pub type Kept<'a> = dyn Fn(ValueId, usize) -> Option<&'a [usize]> + 'a;

/// A node in a graph that is being shrunk.
pub struct ShrinkCx<'g, 'a> {
    graph: &'g mut Graph,
    node: usize,
    kept: &'a Kept<'a>,
    /// Shapes of all values before the removal.
    before: &'a dyn Fn(ValueId) -> Option<&'a [Dim]>,
    new: Vec<Node>,
}

impl<'g, 'a> ShrinkCx<'g, 'a> {
    /// For the operator's `read`.
    pub fn reading(&self) -> Reading<'_> {
        Reading::of(self.graph, &self.graph.nodes[self.node])
    }

    /// For the driver.
    pub fn new(
        graph: &'g mut Graph,
        node: usize,
        kept: &'a Kept<'a>,
        before: &'a dyn Fn(ValueId) -> Option<&'a [Dim]>,
    ) -> Self {
        Self { graph, node, kept, before, new: Vec::new() }
    }

    /// Nodes that the rule needs before this one, for the driver to insert once all rules have run.
    pub fn into_new(self) -> Vec<Node> {
        self.new
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.graph.nodes[self.node]
    }

    /// The node, to be changed.
    pub fn node_mut(&mut self) -> &mut Node {
        &mut self.graph.nodes[self.node]
    }

    /// Version of the node's operator set.
    pub fn opset(&self) -> i64 {
        self.graph.opset(self.node().domain())
    }

    fn value(&self, port: Port) -> Option<ValueId> {
        match port {
            Port::In(i) => self.node().input(i),
            Port::Out(i) => self.node().output(i),
        }
    }

    /// The kept elements of an axis, ascending; `None` where all are kept.
    pub fn kept(&self, port: Port, axis: usize) -> Option<&'a [usize]> {
        (self.kept)(self.value(port)?, axis)
    }

    /// The shape before the removal.
    pub fn before(&self, port: Port) -> Result<&'a [Dim]> {
        self.value(port)
            .and_then(|v| (self.before)(v))
            .ok_or_else(|| diag(Code::S003, format!("{port:?} has no known shape")))
    }

    /// The length of an axis after the removal; [`Code::S003`] where it is not a fixed one.
    pub fn len(&self, port: Port, axis: usize) -> Result<usize> {
        match self.kept(port, axis) {
            Some(k) => Ok(k.len()),
            None => self.before(port)?[axis]
                .size()
                .ok_or_else(|| diag(Code::S003, format!("axis {axis} of {port:?} has no fixed length"))),
        }
    }

    /// Whether any axis of the tensor loses elements.
    pub fn touched(&self, port: Port) -> bool {
        let Some(v) = self.value(port) else { return false };
        let rank = (self.before)(v).map_or(0, <[Dim]>::len);
        (0..rank).any(|a| (self.kept)(v, a).is_some())
    }

    /// Of an axis that is read as blocks of `inner` elements (heads, groups): how many blocks keep any.
    ///
    /// `None` where the axis is whole; [`Code::P004`] where the blocks left are not all of one length.
    pub fn blocks(&self, port: Port, axis: usize, inner: usize) -> Result<Option<usize>> {
        let Some(kept) = self.kept(port, axis) else { return Ok(None) };
        let mut sizes: Vec<(usize, usize)> = Vec::new();
        for block in kept.iter().map(|e| e / inner.max(1)) {
            match sizes.last_mut() {
                Some((b, n)) if *b == block => *n += 1,
                _ => sizes.push((block, 1)),
            }
        }
        if sizes.windows(2).any(|w| w[0].1 != w[1].1) {
            return Err(diag(Code::P004, format!("the blocks left of axis {axis} differ in length")));
        }
        Ok(Some(sizes.len()))
    }

    /// Input `i` as constant integers; [`Code::P004`] where it is not a constant.
    pub fn operand(&self, i: usize) -> Result<Vec<i64>> {
        self.node().input(i).and_then(|v| self.graph.init(v)).and_then(Tensor::to_i64).ok_or_else(|| {
            diag(Code::P004, format!("input {i} is not a constant and cannot follow the removal"))
        })
    }

    /// Input `i` as integers known before the removal, whether constant or computed from constants and sizes;
    /// [`Code::P004`] where they are not.
    pub fn known(&self, i: usize) -> Result<Vec<i64>> {
        let computed = || crate::facts::ints_of(self.graph, self.node().input(i)?);
        match self.operand(i) {
            Ok(v) => Ok(v),
            Err(e) => computed().and_then(|t| t.elems.iter().map(Dim::constant).collect()).ok_or(e),
        }
    }

    /// Input `i` element by element before the removal, sizes of the inputs as symbols.
    pub fn sizes(&self, i: usize) -> Option<Vec<Dim>> {
        Some(crate::facts::ints_of(self.graph, self.node().input(i)?)?.elems)
    }

    /// Adds `delta` to the vector that input `i` holds when the model runs. For operands that hang on the size of
    /// the batch and can be no constants.
    pub fn add_to_operand(&mut self, i: usize, delta: &[i64]) {
        let Some(v) = self.node().input(i) else { return };
        let base = self.graph.value(v).name.clone();
        let ty = self.graph.value(v).ty.clone();
        let delta = self.graph.add_init(&base, Tensor::vec_i64(delta));
        let sum = self.graph.add_fresh(&base, ty);
        self.new.push(Node::new("", "Add", "", vec![Some(v), Some(delta)], vec![Some(sum)]));
        self.node_mut().inputs[i] = Some(sum);
    }

    /// Element type, where the tensor is there and its type known.
    pub fn elem(&self, port: Port) -> Option<ElemType> {
        self.graph.value(self.value(port)?).ty.as_ref().map(|t| t.elem)
    }

    /// Input `i` becomes this constant; added behind the others where there was none.
    pub fn set_operand(&mut self, i: usize, tensor: Tensor) {
        let base = match self.node().input(i) {
            Some(v) => self.graph.value(v).name.clone(),
            None => {
                format!("{}.operand{i}", self.value(Port::Out(0)).map_or("", |v| &self.graph.value(v).name))
            }
        };
        let v = self.graph.add_init(&base, tensor);
        let inputs = &mut self.graph.nodes[self.node].inputs;
        if inputs.len() <= i {
            inputs.resize(i + 1, None);
        }
        inputs[i] = Some(v);
    }
}
