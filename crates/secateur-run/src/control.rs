//! Operators with bodies. <https://onnx.ai/onnx/operators/onnx__If.html>,
//! <https://onnx.ai/onnx/operators/onnx__Loop.html>, <https://onnx.ai/onnx/operators/onnx__Scan.html>
//!
//! A body is a graph of its own whose inputs are its own and, behind them, the outer values that it reads.

use rustc_hash::FxHashSet;
use secateur_diag::{Code, Result, diag};
use secateur_ir::{Graph, Module, Node, ValueId, norm_axis};
use secateur_onnx::{ExternalFiles, Extras, Model, proto};
use secateur_ops::unfit;
use secateur_tensor::{Data, Tensor};

use crate::runner::Runner;

/// A body before it is made ready.
pub struct Body {
    pub graph: Graph,
    /// Number of inputs that are its own.
    own: usize,
}

/// A body made ready.
struct Ready {
    runner: Runner,
    inputs: Vec<ValueId>,
    /// By input behind its own ones: the outer value's name.
    captured: Vec<String>,
}

/// An operator with bodies, made ready.
pub struct Control {
    kind: Kind,
    /// Both branches of If, the one body of the others.
    bodies: Vec<Ready>,
}

enum Kind {
    If,
    Loop,
    Scan(Sweep),
}

/// Axes and directions of a Scan's sequences.
struct Sweep {
    scanned: usize,
    input_axes: Vec<i64>,
    output_axes: Vec<i64>,
    input_back: Vec<bool>,
    output_back: Vec<bool>,
}

impl Control {
    /// Whether the node has bodies that are run here.
    pub fn is(node: &Node) -> bool {
        ["If", "Loop", "Scan"].iter().any(|op| node.is(op))
    }

    /// The bodies of a node: first `then_branch`, then `else_branch`.
    pub fn bodies(graph: &Graph, node: &Node) -> Result<Vec<Body>> {
        let names: &[&str] = if node.is("If") { &["then_branch", "else_branch"] } else { &["body"] };
        names.iter().map(|name| body(graph, node, name)).collect()
    }

    /// Makes a node ready.
    pub fn new(node: &Node, opset: i64, bodies: Vec<Body>) -> Result<Self> {
        let kind = match node.op() {
            "If" => Kind::If,
            "Loop" => Kind::Loop,
            _ if opset < 9 => return Err(diag(Code::X001, "Scan of operator set 8 is not executed")),
            _ => Kind::Scan(Sweep::read(node, bodies.first().map_or(0, |b| b.graph.outputs.len()))?),
        };
        let ready = |b: Body| {
            let inputs: Vec<ValueId> = b.graph.inputs[..b.own].to_vec();
            let captured = b.graph.inputs[b.own..].iter().map(|&v| b.graph.value(v).name.clone()).collect();
            Ok(Ready { runner: Runner::new(b.graph)?, inputs, captured })
        };
        Ok(Self { kind, bodies: bodies.into_iter().map(ready).collect::<Result<_>>()? })
    }

    /// Runs it. `captured` are the outer values that its bodies read, by name.
    pub fn run(
        &self,
        inputs: &[Option<Tensor>],
        captured: &[(String, Tensor)],
        room: usize,
    ) -> Result<Vec<Tensor>> {
        match &self.kind {
            Kind::If => {
                let branch = if truth(inputs.first().and_then(Option::as_ref))? { 0 } else { 1 };
                self.bodies[branch].run(&[], captured, room)
            }
            Kind::Loop => self.run_loop(inputs, captured, room),
            Kind::Scan(sweep) => self.run_scan(sweep, inputs, captured, room),
        }
    }

    fn run_loop(
        &self,
        inputs: &[Option<Tensor>],
        captured: &[(String, Tensor)],
        room: usize,
    ) -> Result<Vec<Tensor>> {
        let body = &self.bodies[0];
        let trips = match inputs.first().and_then(Option::as_ref) {
            Some(t) => t.to_i64().and_then(|v| v.first().copied()).unwrap_or(0),
            None => i64::MAX,
        };
        let mut go = match inputs.get(1).and_then(Option::as_ref) {
            Some(t) => truth(Some(t))?,
            None => true,
        };
        let mut carried: Vec<Tensor> = inputs.iter().skip(2).flatten().cloned().collect();
        let scans = body.runner.graph().outputs.len().checked_sub(1 + carried.len());
        let scans = scans.ok_or_else(|| diag(Code::S002, "the body has too few outputs"))?;
        let mut rows: Vec<Vec<Tensor>> = vec![Vec::new(); scans];
        let mut i = 0;
        while go && i < trips {
            let mut fed = vec![Tensor::i64(&[], &[i]), Tensor::bools(&[], vec![u8::from(go)])];
            fed.extend(carried.iter().cloned());
            let mut out = body.run(&fed, captured, room)?.into_iter();
            go = truth(out.next().as_ref())?;
            let count = carried.len();
            carried = out.by_ref().take(count).collect();
            gather(&mut rows, out, room)?;
            i += 1;
        }
        let outputs = &body.runner.graph().outputs[1 + carried.len()..];
        let stacked = rows.iter().zip(outputs).map(|(r, &v)| match r.is_empty() {
            false => stack(r, 0, false),
            true => nothing(body.runner.graph(), v),
        });
        let stacked: Vec<Tensor> = stacked.collect::<Result<_>>()?;
        Ok(carried.into_iter().chain(stacked).collect())
    }

    fn run_scan(
        &self,
        sweep: &Sweep,
        inputs: &[Option<Tensor>],
        captured: &[(String, Tensor)],
        room: usize,
    ) -> Result<Vec<Tensor>> {
        let body = &self.bodies[0];
        let inputs: Vec<&Tensor> = inputs.iter().flatten().collect();
        let states = inputs.len().checked_sub(sweep.scanned);
        let states =
            states.ok_or_else(|| diag(Code::S002, "num_scan_inputs is larger than the number of inputs"))?;
        let mut carried: Vec<Tensor> = inputs[..states].iter().map(|t| (*t).clone()).collect();
        let mut sequences = Vec::new();
        for (k, t) in inputs[states..].iter().enumerate() {
            let axis = norm_axis(sweep.input_axes.get(k).copied().unwrap_or(0), t.dims.len())?;
            sequences.push((*t, axis, sweep.input_back.get(k).copied().unwrap_or(false)));
        }
        let len = sequences.first().map_or(0, |(t, axis, _)| t.dims[*axis]);
        if sequences.iter().any(|(t, axis, _)| t.dims[*axis] != len) {
            return Err(unfit("the sequences of a Scan differ in length"));
        }
        let scans = body.runner.graph().outputs.len().checked_sub(states);
        let scans = scans.ok_or_else(|| diag(Code::S002, "the body has too few outputs"))?;
        let mut rows: Vec<Vec<Tensor>> = vec![Vec::new(); scans];
        for i in 0..len {
            let mut fed = carried.clone();
            for (t, axis, back) in &sequences {
                fed.push(row(t, *axis, if *back { len - 1 - i } else { i })?);
            }
            let mut out = body.run(&fed, captured, room)?.into_iter();
            carried = out.by_ref().take(states).collect();
            gather(&mut rows, out, room)?;
        }
        let outputs = &body.runner.graph().outputs[states..];
        let stacked = rows.iter().zip(outputs).enumerate().map(|(k, (r, &v))| match r.first() {
            Some(first) => {
                let axis = sweep.output_axes.get(k).copied().unwrap_or(0);
                let axis = norm_axis(axis, first.dims.len() + 1)?;
                stack(r, axis, sweep.output_back.get(k).copied().unwrap_or(false))
            }
            None => nothing(body.runner.graph(), v),
        });
        let stacked: Vec<Tensor> = stacked.collect::<Result<_>>()?;
        Ok(carried.into_iter().chain(stacked).collect())
    }
}

impl Sweep {
    fn read(node: &Node, _outputs: usize) -> Result<Self> {
        let list = |name: &str| Ok::<_, Box<_>>(node.ints(name)?.unwrap_or_default().to_vec());
        let flags = |name: &str| Ok::<Vec<bool>, Box<_>>(list(name)?.iter().map(|&v| v != 0).collect());
        let scanned = node.int("num_scan_inputs")?.and_then(|n| usize::try_from(n).ok());
        Ok(Self {
            scanned: scanned.ok_or_else(|| diag(Code::S002, "num_scan_inputs is missing"))?,
            input_axes: list("scan_input_axes")?,
            output_axes: list("scan_output_axes")?,
            input_back: flags("scan_input_directions")?,
            output_back: flags("scan_output_directions")?,
        })
    }
}

impl Ready {
    fn run(&self, inputs: &[Tensor], captured: &[(String, Tensor)], room: usize) -> Result<Vec<Tensor>> {
        if inputs.len() != self.inputs.len() {
            let (want, have) = (self.inputs.len(), inputs.len());
            return Err(diag(Code::S002, format!("the body has {want} inputs and is given {have}")));
        }
        let mut fed: Vec<(ValueId, Tensor)> =
            self.inputs.iter().copied().zip(inputs.iter().cloned()).collect();
        let outer = &self.runner.graph().inputs[self.inputs.len()..];
        for (v, name) in outer.iter().zip(&self.captured) {
            let found = captured.iter().find(|(n, _)| n == name);
            let (_, t) =
                found.ok_or_else(|| diag(Code::G002, format!("the outer value {name} is missing")))?;
            fed.push((*v, t.clone()));
        }
        self.runner.run_within(&fed, room)
    }
}

/// A body as a graph, with the outer values that it reads as inputs behind its own.
fn body(graph: &Graph, node: &Node, name: &str) -> Result<Body> {
    let missing = || diag(Code::S002, format!("the graph {name} is missing")).at("attr", name.to_owned());
    let mut inner = node.attr(name).and_then(|a| a.g.clone()).ok_or_else(missing)?;
    let own = inner.input.len();
    let mut defined: FxHashSet<String> = inner.input.iter().map(|i| i.name().to_owned()).collect();
    defined.extend(inner.initializer.iter().map(|t| t.name().to_owned()));
    defined.extend(inner.node.iter().flat_map(|n| n.output.iter().cloned()));
    for &v in &node.captures {
        let name = graph.value(v).name.clone();
        if defined.insert(name.clone()) {
            inner.input.push(proto::ValueInfoProto { name: Some(name), ..Default::default() });
        }
    }
    let opset_import = graph
        .opsets
        .iter()
        .map(|(d, v)| proto::OperatorSetIdProto { domain: Some(d.clone()), version: Some(*v) })
        .collect();
    let model = proto::ModelProto { opset_import, graph: Some(inner), ..Default::default() };
    let model = Model::from_parts(model, Extras::default(), ExternalFiles::new(None));
    Ok(Body { graph: Module::import(model)?.graph, own })
}

fn truth(t: Option<&Tensor>) -> Result<bool> {
    let first = t.and_then(Tensor::to_i64).and_then(|v| v.first().copied());
    first.map(|v| v != 0).ok_or_else(|| unfit("a condition is no bool"))
}

/// Adds one row to each output that is stacked.
fn gather(rows: &mut [Vec<Tensor>], new: impl Iterator<Item = Tensor>, room: usize) -> Result<()> {
    for (r, t) in rows.iter_mut().zip(new) {
        if r.first().is_some_and(|f| f.dims != t.dims || f.elem != t.elem) {
            return Err(unfit("the rows of a stacked output differ in shape or type"));
        }
        if t.byte_len().saturating_mul(r.len() + 1) > room {
            return Err(unfit("a stacked output would take too much memory"));
        }
        r.push(t);
    }
    Ok(())
}

/// The index `i` of an axis, which is dropped.
fn row(t: &Tensor, axis: usize, i: usize) -> Result<Tensor> {
    let mut one = t.take(axis, &[i]).ok_or_else(|| unfit("a sequence of unknown elements"))?;
    one.dims.remove(axis);
    Ok(one)
}

/// Rows along a new axis, the last first where `back`.
fn stack(rows: &[Tensor], axis: usize, back: bool) -> Result<Tensor> {
    let first = &rows[0];
    let mut dims = first.dims.clone();
    dims.insert(axis, rows.len());
    let order: Vec<&Tensor> = if back { rows.iter().rev().collect() } else { rows.iter().collect() };
    let outer: usize = first.dims[..axis].iter().product();
    if let Data::Strings(_) = first.data {
        return Err(diag(Code::X001, "text is not stacked"));
    }
    let run = first.byte_len() / outer.max(1);
    let mut out = Vec::with_capacity(first.byte_len() * rows.len());
    for o in 0..outer {
        for t in &order {
            let bytes = t.bytes().ok_or_else(|| unfit("rows of unknown elements"))?;
            out.extend_from_slice(&bytes[o * run..(o + 1) * run]);
        }
    }
    Ok(Tensor::from_bytes(first.elem, dims, out).aligned())
}

/// The stacked output of a loop that never ran: no rows of what the body declares.
fn nothing(graph: &Graph, v: ValueId) -> Result<Tensor> {
    let unknown = || diag(Code::X001, "a loop without iterations, whose body does not say what it computes");
    let ty = graph.value(v).ty.as_ref().ok_or_else(unknown)?;
    let sizes = ty.shape.iter().flatten().map(|d| d.size().unwrap_or(0));
    Ok(Tensor::from_bytes(ty.elem, std::iter::once(0).chain(sizes).collect(), Vec::new()))
}
