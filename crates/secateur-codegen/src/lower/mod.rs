//! From the graph to the lowered program: one file an ONNX operator, or a family that shares one rule.
//!
//! A file exports `ROWS`; registration is one word in the `families!` call below. A row emits steps and binds the
//! node's outputs to views. An operator without a row, or a form of it that the row refuses, ends the compilation with
//! a message that names the node and its shapes.

use rustc_hash::FxHashMap;
use secateur_diag::{Code, Diagnostic, Result, diag};
use secateur_ir::{ElemType, Graph, Node, Tensor, ValueId};

use crate::op::Op;
use crate::program::{Kind, Program, Step};
use crate::view::View;

/// Emits the steps of one node.
pub type LowerFn = fn(&mut Lower) -> Result<()>;

/// One operator.
pub struct Row {
    /// Name as in ONNX, standard domain.
    pub name: &'static str,
    /// Its lowering.
    pub lower: LowerFn,
}

macro_rules! families {
    ($($family:ident)*) => {
        $(mod $family;)*
        /// Every row, family by family.
        pub fn all() -> impl Iterator<Item = &'static Row> {
            [$($family::ROWS),*].into_iter().flatten()
        }
    };
}

families! {
    arg
    batchnorm
    binary
    cast
    concat
    conv
    cumsum
    depth_space
    expand
    gather
    gemm
    matmul
    norm
    pad
    pool
    recurrent
    reduce
    reshape
    resize
    slice
    softmax
    split
    transpose
    unary
    where_
}

/// What a row works with: the node, its operands, and the program under construction.
pub struct Lower<'a> {
    /// The graph, sizes fixed.
    pub graph: &'a Graph,
    /// The node.
    pub node: &'a Node,
    /// The program.
    pub p: &'a mut Program,
    values: &'a mut FxHashMap<ValueId, View>,
}

/// The refusal of a form of an operator.
pub fn unsupported(what: impl std::fmt::Display) -> Box<Diagnostic> {
    diag(Code::C001, format!("no code can be made for {what}"))
}

/// Lowers every node; `bind` has the tensors of the inputs.
///
/// # Errors
/// [`Code::C001`] for an operator or form without a lowering, [`Code::C002`] for sizes that are not fixed.
pub fn lower(graph: &Graph, p: &mut Program, values: &mut FxHashMap<ValueId, View>) -> Result<()> {
    let rows: FxHashMap<&str, &Row> = all().map(|r| (r.name, r)).collect();
    for node in &graph.nodes {
        let place = |e: Box<Diagnostic>| secateur_ir::place(e, graph, node);
        let row = rows.get(node.op()).filter(|_| node.domain().is_empty());
        let row = row.ok_or_else(|| place(unsupported(format!("the operator {}", node.op()))))?;
        let mut cx = Lower { graph, node, p, values };
        (row.lower)(&mut cx).map_err(place)?;
        if let Some(v) = node.outputs.iter().flatten().find(|v| !values.contains_key(v)) {
            let used = graph.is_output(*v) || !graph.links().uses(*v).is_empty();
            if used {
                let name = secateur_ir::text::value(&graph.value(*v).name).to_string();
                return Err(place(unsupported(format!("the output {name}"))));
            }
        }
    }
    Ok(())
}

/// The fixed sizes of a value.
///
/// # Errors
/// [`Code::C002`] where one is not fixed.
pub fn sizes(graph: &Graph, v: ValueId) -> Result<Vec<usize>> {
    let name = || secateur_ir::text::value(&graph.value(v).name).to_string();
    let unknown = || diag(Code::C002, format!("the sizes of {} are not fixed", name()));
    let shape = graph.shape(v).ok_or_else(unknown)?;
    shape
        .iter()
        .map(|d| d.size())
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| unknown().help("give the sizes of the inputs: --dim NAME=SIZE"))
}

/// A constant tensor's elements as `f32`.
fn floats(t: &Tensor) -> Option<Vec<f32>> {
    t.to_f32().or_else(|| Some(t.to_i64()?.into_iter().map(|v| v as f32).collect()))
}

impl Lower<'_> {
    /// Whether input `i` is there.
    pub fn has(&self, i: usize) -> bool {
        self.node.input(i).is_some()
    }

    /// Input `i` as a view.
    pub fn input(&mut self, i: usize) -> Result<View> {
        let v = self.node.input(i).ok_or_else(|| diag(Code::S002, format!("input {i} is missing")))?;
        self.value(v)
    }

    fn value(&mut self, v: ValueId) -> Result<View> {
        if let Some(view) = self.values.get(&v) {
            return Ok(view.clone());
        }
        let record = self.graph.value(v);
        let found = match (self.graph.init(v), &record.ints) {
            (Some(t), _) => floats(t).map(|data| (t.dims.clone(), data)),
            (None, Some(ints)) => {
                let data: Option<Vec<f32>> = ints.elems.iter().map(|d| Some(d.constant()? as f32)).collect();
                data.map(|data| (if ints.scalar { vec![] } else { vec![data.len()] }, data))
            }
            _ => None,
        };
        let (dims, data) = found.ok_or_else(|| unsupported("data of this type"))?;
        let view = self.p.constant(&record.name, &dims, data);
        self.values.insert(v, view.clone());
        Ok(view)
    }

    /// Sizes of input `i`.
    pub fn dims(&self, i: usize) -> Result<Vec<usize>> {
        let v = self.node.input(i).ok_or_else(|| diag(Code::S002, format!("input {i} is missing")))?;
        sizes(self.graph, v)
    }

    /// Sizes of output `i`.
    pub fn out_dims(&self, i: usize) -> Result<Vec<usize>> {
        let v = self.node.output(i).ok_or_else(|| diag(Code::S002, format!("output {i} is missing")))?;
        sizes(self.graph, v)
    }

    /// The elements of a constant input, `None` where it is left out or not constant.
    pub fn constant(&mut self, i: usize) -> Result<Option<Vec<f32>>> {
        if !self.has(i) {
            return Ok(None);
        }
        let view = self.input(i)?;
        Ok(self.p.values(&view))
    }

    /// The elements of an input that has to be constant.
    pub fn need_constant(&mut self, i: usize, what: &str) -> Result<Vec<f32>> {
        self.constant(i)?.ok_or_else(|| unsupported(format!("{what} that is not constant")))
    }

    /// The elements of a constant integer input, `None` where it is left out or empty.
    pub fn ints(&self, i: usize) -> Result<Option<Vec<i64>>> {
        let Some(v) = self.node.input(i) else { return Ok(None) };
        let known = self.graph.init(v).and_then(Tensor::to_i64);
        let ints = self.graph.value(v).ints.as_ref();
        let known = known.or_else(|| ints?.elems.iter().map(|d| d.constant()).collect());
        known.map(Some).ok_or_else(|| unsupported(format!("input {i} that is not constant")))
    }

    /// Integers that are an attribute in older operator sets and an input in newer ones.
    pub fn ints_attr(&self, name: &str, i: usize) -> Result<Option<Vec<i64>>> {
        match self.node.ints(name)? {
            Some(v) => Ok(Some(v.to_vec())),
            None => self.ints(i),
        }
    }

    /// Element type of input `i`.
    pub fn elem(&self, i: usize) -> Option<ElemType> {
        Some(self.graph.value(self.node.input(i)?).ty.as_ref()?.elem)
    }

    /// Whether input `i` holds integers.
    pub fn is_int(&self, i: usize) -> bool {
        self.elem(i).is_some_and(|e| secateur_tensor::is_int(e) && e != ElemType::Bool)
    }

    /// The name that the output's tensors get.
    fn out_name(&self) -> String {
        self.node
            .outputs
            .iter()
            .flatten()
            .next()
            .map_or("", |&v| self.graph.value(v).name.as_str())
            .to_owned()
    }

    /// A new tensor in the workspace.
    pub fn temp(&mut self, dims: &[usize]) -> View {
        let name = self.out_name();
        self.p.add(&name, dims, Kind::Temp)
    }

    /// Adds a step that writes `output`.
    pub fn step(&mut self, op: Op, inputs: Vec<View>, output: View) {
        let name = match self.node.name() {
            "" => self.out_name(),
            n => n.to_owned(),
        };
        self.p.steps.push(Step { name, op, inputs, output });
    }

    /// Adds a step that writes a new tensor.
    pub fn emit(&mut self, op: Op, inputs: Vec<View>, dims: &[usize]) -> View {
        let out = self.temp(dims);
        self.step(op, inputs, out.clone());
        out
    }

    /// The view in another shape, copied where strides cannot say it.
    pub fn reshape(&mut self, v: &View, dims: &[usize]) -> Result<View> {
        if let Some(r) = v.reshape(dims) {
            return Ok(r);
        }
        let copied = self.emit(Op::Copy, vec![v.clone()], &v.dims);
        copied.reshape(dims).ok_or_else(|| diag(Code::S001, "the numbers of elements differ"))
    }

    /// The view repeated to another shape.
    pub fn broadcast(&self, v: &View, dims: &[usize]) -> Result<View> {
        v.broadcast(dims).ok_or_else(|| diag(Code::S001, "the shapes do not fit together"))
    }

    /// Output `i` is this view.
    pub fn bind(&mut self, i: usize, view: View) -> Result<()> {
        let Some(v) = self.node.output(i) else { return Ok(()) };
        let want = sizes(self.graph, v)?;
        let view = if view.dims == want { view } else { self.reshape(&view, &want)? };
        self.values.insert(v, view);
        Ok(())
    }

    /// One new tensor as the only output.
    pub fn result(&mut self, op: Op, inputs: Vec<View>) -> Result<()> {
        let dims = self.out_dims(0)?;
        let out = self.emit(op, inputs, &dims);
        self.bind(0, out)
    }
}
