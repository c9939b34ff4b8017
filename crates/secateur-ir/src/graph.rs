//! The graph: values by small ids, nodes in topological order, initializers as shared tensors.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use secateur_diag::{Code, Result, diag};
use secateur_onnx::{ElemType, Extras, proto};

use crate::dim::{Dim, Shape};
use crate::names::Held;
use secateur_tensor::Tensor;

/// A value's number in its graph.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ValueId(pub u32);

impl ValueId {
    /// As an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Element type and, where known, shape.
#[derive(Clone, PartialEq, Debug)]
pub struct TensorType {
    /// Element type.
    pub elem: ElemType,
    /// Sizes, or `None` where not even the rank is known.
    pub shape: Option<Shape>,
}

/// A small integer tensor (rank 0 or 1) whose elements are known, symbols included.
#[derive(Clone, PartialEq, Debug)]
pub struct Ints {
    /// Whether it is a scalar; else its rank is 1.
    pub scalar: bool,
    /// The elements.
    pub elems: Vec<Dim>,
}

/// An initializer: its tensor and what the file said of it beside the data.
#[derive(Clone, Debug)]
pub struct Init {
    /// Type, sizes, elements.
    pub tensor: Tensor,
    /// The message it was read from, still whole while the tensor is untouched.
    pub(crate) source: Option<Arc<proto::TensorProto>>,
    pub(crate) extras: Option<Arc<Extras>>,
    pub(crate) dirty: bool,
    /// The initializer that this one was split from, with which it may be merged again while both are equal.
    pub copy_of: Option<ValueId>,
}

/// Anything a node can read or write.
#[derive(Clone, Debug)]
pub struct Value {
    /// Unique name.
    pub name: String,
    /// Type, where declared or inferred; `None` also for sequences, maps and optionals.
    pub ty: Option<TensorType>,
    /// The constant, for an initializer.
    pub init: Option<Init>,
    /// Contents known at compile time, for shape arithmetic.
    pub ints: Option<Ints>,
}

/// One operator call.
#[derive(Clone, Debug)]
pub struct Node {
    /// Name, operator, domain, attributes, documentation; its inputs and outputs are unused here.
    pub proto: proto::NodeProto,
    /// Inputs; `None` for an optional one left out.
    pub inputs: Vec<Option<ValueId>>,
    /// Outputs; `None` for an optional one left out.
    pub outputs: Vec<Option<ValueId>>,
    /// Outer values that the node's subgraphs read.
    pub captures: Vec<ValueId>,
    pub(crate) extras: Option<Box<Extras>>,
}

impl Node {
    /// A node without attributes.
    pub fn new(
        domain: &str,
        op: &str,
        name: &str,
        inputs: Vec<Option<ValueId>>,
        outputs: Vec<Option<ValueId>>,
    ) -> Self {
        let proto = proto::NodeProto {
            op_type: Some(op.into()),
            name: (!name.is_empty()).then(|| name.into()),
            domain: (!domain.is_empty()).then(|| domain.into()),
            ..Default::default()
        };
        Self { proto, inputs, outputs, captures: Vec::new(), extras: None }
    }

    /// The operator's name.
    pub fn op(&self) -> &str {
        self.proto.op_type()
    }

    /// The operator's domain, `""` for the standard one.
    pub fn domain(&self) -> &str {
        match self.proto.domain() {
            "ai.onnx" => "",
            d => d,
        }
    }

    /// The node's name, possibly empty.
    pub fn name(&self) -> &str {
        self.proto.name()
    }

    /// Whether this is the standard operator `op`.
    pub fn is(&self, op: &str) -> bool {
        self.op() == op && self.domain().is_empty()
    }

    /// Input `i`, where present.
    pub fn input(&self, i: usize) -> Option<ValueId> {
        self.inputs.get(i).copied().flatten()
    }

    /// Output `i`, where present.
    pub fn output(&self, i: usize) -> Option<ValueId> {
        self.outputs.get(i).copied().flatten()
    }
}

/// A model's main graph.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The graph's name.
    pub name: String,
    /// Domain and version of each imported operator set; `""` is the standard domain.
    pub opsets: Vec<(String, i64)>,
    /// Nodes in topological order.
    pub nodes: Vec<Node>,
    /// Inputs in order; may include initializers (before IR version 4).
    pub inputs: Vec<ValueId>,
    /// Outputs in order.
    pub outputs: Vec<ValueId>,
    /// Constants that are not understood (sparse initializers): defined, but without a tensor.
    pub opaque: Vec<ValueId>,
    values: Vec<Value>,
    by_name: FxHashMap<String, ValueId>,
    /// Names that are taken although no value has them.
    pub(crate) held: Held,
}

impl Graph {
    /// What a node is called where it is shown: its name, or that of its first result where it has none.
    pub fn name_of<'a>(&'a self, node: &'a Node) -> &'a str {
        match node.name() {
            "" => node.outputs.iter().flatten().next().map_or("", |&v| self.value(v).name.as_str()),
            name => name,
        }
    }

    /// Adds a value, or fails where its name is taken.
    pub fn add_value(&mut self, name: &str, ty: Option<TensorType>) -> Result<ValueId> {
        if self.by_name.contains_key(name) {
            return Err(diag(Code::G003, format!("the name {} is defined twice", crate::text::value(name))));
        }
        Ok(self.push_value(name.to_owned(), ty))
    }

    /// Adds a value under `base`, or `base` with a number behind it where that is taken, by a value of this graph or
    /// inside of a subgraph. Every name that a rewrite invents is made here.
    pub fn add_fresh(&mut self, base: &str, ty: Option<TensorType>) -> ValueId {
        let Self { by_name, held, .. } = self;
        let name = held.fresh(base, |name| by_name.contains_key(name));
        self.push_value(name, ty)
    }

    /// Adds an initializer under a fresh name.
    pub fn add_init(&mut self, base: &str, tensor: Tensor) -> ValueId {
        let v = self.add_fresh(base, None);
        self.set_init(v, tensor);
        v
    }

    fn push_value(&mut self, name: String, ty: Option<TensorType>) -> ValueId {
        let id = ValueId(self.values.len() as u32);
        self.by_name.insert(name.clone(), id);
        self.values.push(Value { name, ty, init: None, ints: None });
        id
    }

    /// The value's record.
    pub fn value(&self, v: ValueId) -> &Value {
        &self.values[v.index()]
    }

    /// The value's record, to be changed.
    pub fn value_mut(&mut self, v: ValueId) -> &mut Value {
        &mut self.values[v.index()]
    }

    /// Number of values ever added; ids are below it.
    pub fn value_count(&self) -> usize {
        self.values.len()
    }

    /// Every value ever added, used or not.
    pub fn value_ids(&self) -> impl Iterator<Item = ValueId> + use<> {
        (0..self.values.len() as u32).map(ValueId)
    }

    /// By name.
    pub fn find(&self, name: &str) -> Option<ValueId> {
        self.by_name.get(name).copied()
    }

    /// The tensor of an initializer.
    pub fn init(&self, v: ValueId) -> Option<&Tensor> {
        self.value(v).init.as_ref().map(|i| &i.tensor)
    }

    /// Makes `v` an initializer with this tensor, or replaces its tensor.
    pub fn set_init(&mut self, v: ValueId, tensor: Tensor) {
        let value = &mut self.values[v.index()];
        value.ty = Some(TensorType {
            elem: tensor.elem,
            shape: Some(tensor.dims.iter().map(|&d| Dim::fixed(d)).collect()),
        });
        value.ints = None;
        match &mut value.init {
            Some(init) => {
                init.tensor = tensor;
                init.dirty = true;
            }
            none => *none = Some(Init { tensor, source: None, extras: None, dirty: true, copy_of: None }),
        }
    }

    /// The shape, where the rank is known.
    pub fn shape(&self, v: ValueId) -> Option<&[Dim]> {
        self.value(v).ty.as_ref()?.shape.as_deref()
    }

    /// The version of a domain's operator set, 0 where it is not imported.
    pub fn opset(&self, domain: &str) -> i64 {
        let domain = if domain == "ai.onnx" { "" } else { domain };
        self.opsets.iter().find(|(d, _)| d == domain).map_or(0, |(_, v)| *v)
    }

    /// Inputs that the caller must give: those that are not initializers.
    pub fn data_inputs(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.inputs.iter().copied().filter(|&v| self.value(v).init.is_none())
    }

    /// For every value, the nodes that write and read it.
    pub fn links(&self) -> Links {
        let mut links =
            Links { def: vec![None; self.values.len()], uses: vec![Vec::new(); self.values.len()] };
        for (n, node) in self.nodes.iter().enumerate() {
            for v in node.outputs.iter().flatten() {
                links.def[v.index()] = Some(n);
            }
            for (i, v) in node.inputs.iter().enumerate() {
                if let Some(v) = v {
                    links.uses[v.index()].push(Use { node: n, input: Some(i) });
                }
            }
            for v in &node.captures {
                links.uses[v.index()].push(Use { node: n, input: None });
            }
        }
        links
    }

    /// Whether `v` is an output of the graph.
    pub fn is_output(&self, v: ValueId) -> bool {
        self.outputs.contains(&v)
    }

    /// Whether a subgraph reads `v`; its name must then stay as it is.
    pub fn is_captured(&self, v: ValueId) -> bool {
        self.nodes.iter().any(|n| n.captures.contains(&v))
    }

    /// All node inputs that read `old` read `new` instead. Outputs of the graph and captures stay.
    pub fn replace_uses(&mut self, old: ValueId, new: ValueId) {
        for node in &mut self.nodes {
            for v in node.inputs.iter_mut().flatten() {
                if *v == old {
                    *v = new;
                }
            }
        }
    }
}

/// A place where a value is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Use {
    /// Index of the node.
    pub node: usize,
    /// Which input; `None` for a subgraph's capture.
    pub input: Option<usize>,
}

/// Who writes and reads each value; valid until the nodes change.
#[derive(Clone, Debug)]
pub struct Links {
    /// By value: index of the node that writes it.
    pub def: Vec<Option<usize>>,
    /// By value: where it is read, in node order.
    pub uses: Vec<Vec<Use>>,
}

impl Links {
    /// The node that writes `v`.
    pub fn def(&self, v: ValueId) -> Option<usize> {
        self.def.get(v.index()).copied().flatten()
    }

    /// Where `v` is read.
    pub fn uses(&self, v: ValueId) -> &[Use] {
        self.uses.get(v.index()).map_or(&[], Vec::as_slice)
    }
}
