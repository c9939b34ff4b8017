//! A graph made ready, and its run.

use rustc_hash::{FxHashMap, FxHashSet};
use secateur_diag::{Code, Diagnostic, Result, diag};
use secateur_ir::{Graph, Node, ValueId};
use secateur_ops::{EvalCx, EvalFn, find};
use secateur_tensor::Tensor;

use crate::control::Control;

/// Bytes that one value may take at most, unless [`Runner::with_room`] says otherwise: 16 GiB.
pub const ROOM: usize = 16 << 30;

/// What runs a node.
enum Call {
    Row(EvalFn),
    Control(Box<Control>),
}

/// A graph made ready to run, on any thread.
pub struct Runner {
    graph: Graph,
    calls: Vec<Call>,
    /// Initializers, as the operators want them.
    constants: FxHashMap<ValueId, Tensor>,
    /// By node: values that nothing reads behind it.
    last: Vec<Vec<ValueId>>,
    room: usize,
}

/// Every operator of the graph that cannot be run, with its number of nodes and the reason, bodies included.
pub fn unsupported(graph: &Graph) -> Vec<(String, usize, String)> {
    let mut found: Vec<(String, usize, String)> = Vec::new();
    let mut add = |name: String, count: usize, why: String| match found.iter_mut().find(|f| f.0 == name) {
        Some(f) => f.1 += count,
        None => found.push((name, count, why)),
    };
    for node in &graph.nodes {
        match call(graph, node) {
            Err(Refusal::Operator(why)) => add(full_name(node), 1, why),
            Err(Refusal::Bodies(list)) => list.into_iter().for_each(|(n, c, w)| add(n, c, w)),
            Ok(_) | Err(Refusal::Other(_)) => {}
        }
    }
    found
}

fn full_name(node: &Node) -> String {
    match node.domain() {
        "" => node.op().to_owned(),
        d => format!("{d}::{}", node.op()),
    }
}

enum Refusal {
    Operator(String),
    Bodies(Vec<(String, usize, String)>),
    Other(Box<Diagnostic>),
}

fn call(graph: &Graph, node: &Node) -> std::result::Result<Call, Refusal> {
    if Control::is(node) {
        let bodies = Control::bodies(graph, node).map_err(Refusal::Other)?;
        let missing: Vec<_> = bodies.iter().flat_map(|b| unsupported(&b.graph)).collect();
        if !missing.is_empty() {
            return Err(Refusal::Bodies(missing));
        }
        return Control::new(node, graph.opset(""), bodies)
            .map(|c| Call::Control(Box::new(c)))
            .map_err(Refusal::Other);
    }
    let Some(op) = find(node.domain(), node.op()) else {
        return Err(Refusal::Operator("an operator without a rule".into()));
    };
    match op.eval {
        secateur_ops::Column::Yes(f) => Ok(Call::Row(f)),
        secateur_ops::Column::No(why) => Err(Refusal::Operator(why.into())),
    }
}

impl Runner {
    /// Makes a graph ready.
    ///
    /// # Errors
    /// [`Code::X001`] that names every operator which cannot be run, with the number of its nodes.
    pub fn new(graph: Graph) -> Result<Self> {
        let missing = unsupported(&graph);
        if !missing.is_empty() {
            let list: Vec<String> = missing
                .iter()
                .map(|(name, count, why)| match count {
                    1 => format!("{name} ({why})"),
                    n => format!("{name} in {n} nodes ({why})"),
                })
                .collect();
            let title = format!("operators that cannot be executed: {}", list.join(", "));
            return Err(diag(Code::X001, title));
        }
        if let Some(&v) = graph.opaque.first() {
            let name = secateur_ir::text::value(&graph.value(v).name).to_string();
            return Err(diag(Code::X001, format!("the sparse constant {name} cannot be executed")));
        }
        let mut calls = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            calls.push(call(&graph, node).map_err(|r| match r {
                Refusal::Other(e) => secateur_ir::place(e, &graph, node),
                // Told above.
                Refusal::Operator(_) | Refusal::Bodies(_) => {
                    diag(Code::X001, "an operator cannot be executed")
                }
            })?);
        }
        let constant = |v: ValueId| Some((v, graph.init(v)?.clone().aligned()));
        let constants = graph.value_ids().filter_map(constant).collect();
        let last = last_readers(&graph);
        Ok(Self { graph, calls, constants, last, room: ROOM })
    }

    /// The same, with another bound on the bytes of one value.
    pub fn with_room(mut self, bytes: usize) -> Self {
        self.room = bytes;
        self
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Runs the graph on its data inputs. Initializers that are inputs too may be given as well.
    ///
    /// # Errors
    /// [`Code::D002`] for an input that is missing, those of the operators with their place, [`Code::X002`].
    pub fn run(&self, inputs: &[(ValueId, Tensor)]) -> Result<Vec<Tensor>> {
        self.watch(inputs, &mut |_, _| Ok(()))
    }

    /// The same with a bound on the bytes of one value.
    pub(crate) fn run_within(&self, inputs: &[(ValueId, Tensor)], room: usize) -> Result<Vec<Tensor>> {
        self.pass(inputs, room, &mut |_, _| Ok(()))
    }

    /// The same; `see` is shown every value that a node computes, in the order of the nodes.
    ///
    /// # Errors
    /// As [`Runner::run`], and those of `see`.
    pub fn watch(
        &self,
        inputs: &[(ValueId, Tensor)],
        see: &mut dyn FnMut(ValueId, &Tensor) -> Result<()>,
    ) -> Result<Vec<Tensor>> {
        self.pass(inputs, self.room, see)
    }

    fn pass(
        &self,
        inputs: &[(ValueId, Tensor)],
        room: usize,
        see: &mut dyn FnMut(ValueId, &Tensor) -> Result<()>,
    ) -> Result<Vec<Tensor>> {
        let mut values: FxHashMap<ValueId, Tensor> =
            inputs.iter().map(|(v, t)| (*v, t.clone().aligned())).collect();
        let name = |v: ValueId| secateur_ir::text::value(&self.graph.value(v).name).to_string();
        for v in self.graph.data_inputs() {
            if !values.contains_key(&v) {
                return Err(diag(Code::D002, format!("no tensor is given for {}", name(v))));
            }
        }
        for (n, node) in self.graph.nodes.iter().enumerate() {
            let place = |e| self.place(e, node, &values);
            let outputs = self.evaluate(n, node, &values, room).map_err(place)?;
            if outputs.len() < node.outputs.iter().rposition(Option::is_some).map_or(0, |i| i + 1) {
                return Err(place(diag(Code::X001, "one of the outputs is not computed here")));
            }
            for (v, t) in node.outputs.iter().zip(outputs) {
                if let Some(v) = v {
                    see(*v, &t)?;
                    values.insert(*v, t);
                }
            }
            for v in &self.last[n] {
                values.remove(v);
            }
        }
        let output = |v: &ValueId| self.value(&values, *v).cloned();
        self.graph
            .outputs
            .iter()
            .map(|v| output(v).ok_or_else(|| diag(Code::X002, format!("{} was not computed", name(*v)))))
            .collect()
    }

    fn value<'a>(&'a self, values: &'a FxHashMap<ValueId, Tensor>, v: ValueId) -> Option<&'a Tensor> {
        values.get(&v).or_else(|| self.constants.get(&v))
    }

    fn evaluate(
        &self,
        n: usize,
        node: &Node,
        values: &FxHashMap<ValueId, Tensor>,
        room: usize,
    ) -> Result<Vec<Tensor>> {
        let need = |v: ValueId| {
            self.value(values, v).cloned().ok_or_else(|| {
                let name = secateur_ir::text::value(&self.graph.value(v).name).to_string();
                diag(Code::X002, format!("{name} was not computed"))
            })
        };
        let inputs: Vec<Option<Tensor>> =
            node.inputs.iter().map(|v| v.map(need).transpose()).collect::<Result<_>>()?;
        match &self.calls[n] {
            Call::Row(f) => {
                f(&EvalCx { node, opset: self.graph.opset(node.domain()), inputs: &inputs, room })
            }
            Call::Control(c) => {
                let captured: Vec<(String, Tensor)> = node
                    .captures
                    .iter()
                    .map(|&v| Ok((self.graph.value(v).name.clone(), need(v)?)))
                    .collect::<Result<_>>()?;
                c.run(&inputs, &captured, room)
            }
        }
    }

    /// Adds the node and its inputs as they are in this run.
    fn place(&self, e: Box<Diagnostic>, node: &Node, values: &FxHashMap<ValueId, Tensor>) -> Box<Diagnostic> {
        // The place of a node in a body is told already.
        if e.fields.iter().any(|(label, _)| *label == "node") {
            return e;
        }
        let e = e.at("node", secateur_ir::describe(&self.graph, node));
        node.inputs.iter().flatten().fold(e, |e, &v| {
            let name = secateur_ir::text::value(&self.graph.value(v).name).to_string();
            match self.value(values, v) {
                Some(t) => e.at("input", format!("{name}: {}", t.describe())),
                None => e,
            }
        })
    }
}

/// By node: the values that no later node reads and that are no output.
fn last_readers(graph: &Graph) -> Vec<Vec<ValueId>> {
    let mut seen: FxHashSet<ValueId> = graph.outputs.iter().copied().collect();
    let mut last = vec![Vec::new(); graph.nodes.len()];
    for (n, node) in graph.nodes.iter().enumerate().rev() {
        for &v in node.inputs.iter().flatten().chain(&node.captures).chain(node.outputs.iter().flatten()) {
            if seen.insert(v) {
                last[n].push(v);
            }
        }
    }
    last
}
