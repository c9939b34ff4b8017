//! Quantization spelled out as plain float arithmetic, before the engine sees the model.
//!
//! The engine fuses chains from DequantizeLinear to QuantizeLinear into tables and gets some of them wrong
//! (`docs/decisions/0008-quantized-models-run-as-float-arithmetic.md`). Here a QuantizeLinear becomes
//! `clip(round_half_even(x / s) + z)` and a DequantizeLinear `(q - z) * s`, both in f32, as
//! <https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html> defines them. The grid of a type of at most 16 bits
//! is exact in f32. Weights are dequantized once, so that 4-bit and blocked ones, which the engine lacks, run too.

use crate::plain_tensor::{Grid, dequantize, grid, scalar, values};
use secateur_diag::Result;
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

/// Subgraphs deeper than this are left as they are; the model is refused elsewhere.
const MAX_DEPTH: usize = 32;

/// Rewrites every quantization of the model that is understood; says whether any is left.
///
/// # Errors
/// `S002` for a scale that is zero, negative or not finite, or operands that do not fit each other.
pub(crate) fn spell_out(model: &mut ModelProto) -> Result<bool> {
    match &mut model.graph {
        Some(graph) => graph_of(graph, 0),
        None => Ok(false),
    }
}

/// Whether an operator computes with quantized numbers.
fn is_quantized(node: &NodeProto) -> bool {
    let op = node.op_type.as_str();
    op.ends_with("QuantizeLinear")
        || op == "DequantizeLinear"
        || op.starts_with("QLinear")
        || op.ends_with("Integer")
}

fn is(node: &NodeProto, op: &str) -> bool {
    node.op_type == op && matches!(node.domain.as_str(), "" | "ai.onnx" | "com.microsoft")
}

fn graph_of(graph: &mut GraphProto, depth: usize) -> Result<bool> {
    if depth > MAX_DEPTH {
        return Ok(true);
    }
    let mut left = false;
    let inner = graph.node.iter_mut().flat_map(|n| &mut n.attribute);
    for subgraph in inner.flat_map(|a| a.g.iter_mut().chain(&mut a.graphs)) {
        left |= graph_of(subgraph, depth + 1)?;
    }
    if graph.node.iter().any(is_quantized) {
        left |= Rewrite::new(graph).run(graph)?;
    }
    Ok(left)
}

/// The state of one graph's rewriting.
struct Rewrite {
    constants: HashMap<String, TensorProto>,
    /// By value: how many readers are DequantizeLinear's first operand, and how many are not.
    readers: HashMap<String, (usize, usize)>,
    /// Quantized value to the value that holds its numbers as f32.
    twins: HashMap<String, String>,
    names: HashSet<String>,
    nodes: Vec<NodeProto>,
    added: Vec<TensorProto>,
}

impl Rewrite {
    fn new(graph: &GraphProto) -> Self {
        let mut constants: HashMap<String, TensorProto> = HashMap::new();
        // A float weight may be large and is never looked at beyond a scale, so only small ones are copied.
        let wanted = |t: &TensorProto| grid(t.data_type).is_some() || t.data_type == 6 || t.data_type == 1;
        let read: HashSet<&str> = graph
            .node
            .iter()
            .filter(|n| is_quantized(n))
            .flat_map(|n| n.input.iter().map(String::as_str))
            .collect();
        for t in graph.initializer.iter().filter(|t| wanted(t) && read.contains(t.name.as_str())) {
            constants.insert(t.name.clone(), t.clone());
        }
        for n in graph.node.iter().filter(|n| is(n, "Constant")) {
            let value = n.attribute.iter().find(|a| a.name == "value").and_then(|a| a.t.as_ref());
            if let (Some(t), Some(out)) = (value.filter(|t| wanted(t)), n.output.first())
                && read.contains(out.as_str())
            {
                constants.insert(out.clone(), t.clone());
            }
        }
        // An initializer that is also an input may be fed another value.
        let fed = graph.input.iter().map(|i| i.name.as_str());
        for name in fed {
            constants.remove(name);
        }
        let mut readers: HashMap<String, (usize, usize)> = HashMap::new();
        for n in &graph.node {
            for (i, name) in n.input.iter().enumerate() {
                let count = readers.entry(name.clone()).or_default();
                match is(n, "DequantizeLinear") && i == 0 {
                    true => count.0 += 1,
                    false => count.1 += 1,
                }
            }
        }
        for o in &graph.output {
            readers.entry(o.name.clone()).or_default().1 += 1;
        }
        // What a subgraph reads keeps its type.
        let captured = graph.node.iter().flat_map(|n| &n.attribute).flat_map(|a| a.g.iter().chain(&a.graphs));
        for name in captured.flat_map(|g| &g.node).flat_map(|n| &n.input) {
            readers.entry(name.clone()).or_default().1 += 1;
        }
        let defined = graph.node.iter().flat_map(|n| &n.output).cloned();
        let names = defined
            .chain(graph.initializer.iter().map(|t| t.name.clone()))
            .chain(graph.input.iter().map(|i| i.name.clone()))
            .collect();
        Self { constants, readers, twins: HashMap::new(), names, nodes: Vec::new(), added: Vec::new() }
    }

    fn run(mut self, graph: &mut GraphProto) -> Result<bool> {
        let mut left = false;
        let mut folded = HashSet::new();
        for node in std::mem::take(&mut graph.node) {
            let done = if is(&node, "QuantizeLinear") {
                self.quantize(&node)?
            } else {
                is(&node, "DequantizeLinear") && self.dequantize(&node, &mut folded)?
            };
            if !done {
                left |= is_quantized(&node);
                self.nodes.push(node);
            }
        }
        graph.node = self.nodes;
        // The engine does not know every type of a weight, so those that nothing reads any more go.
        let read: HashSet<&str> = graph.node.iter().flat_map(|n| &n.input).map(String::as_str).collect();
        graph.initializer.retain(|t| read.contains(t.name.as_str()) || !folded.contains(&t.name));
        graph.node.retain(|n| !(is(n, "Constant") && n.output.iter().all(|o| folded.contains(o))));
        graph.initializer.extend(self.added);
        Ok(left)
    }

    /// A name that nothing else has.
    fn fresh(&mut self, base: &str, what: &str) -> String {
        let mut name = format!("{base}/{what}");
        while !self.names.insert(name.clone()) {
            name.push('_');
        }
        name
    }

    fn constant(&mut self, base: &str, what: &str, tensor: TensorProto) -> String {
        let name = self.fresh(base, what);
        self.added.push(TensorProto { name: name.clone(), ..tensor });
        name
    }

    /// `op(a, b)` under the name `out`.
    fn emit(&mut self, node: &NodeProto, op: &str, inputs: &[&str], out: &str) {
        self.nodes.push(NodeProto {
            op_type: op.into(),
            name: format!("{}/{op}", if node.name.is_empty() { out } else { &node.name }),
            input: inputs.iter().map(|&i| i.to_owned()).collect(),
            output: vec![out.to_owned()],
            ..Default::default()
        });
    }

    fn emit_cast(&mut self, node: &NodeProto, from: &str, to: i32, out: &str) {
        self.emit(node, "Cast", &[from], out);
        let cast = self.nodes.len() - 1;
        self.nodes[cast].attribute.push(tract_onnx::pb::AttributeProto {
            name: "to".into(),
            r#type: 2,
            i: to.into(),
            ..Default::default()
        });
    }

    /// Scale and zero point as constants that broadcast against the data, which are of unknown rank: only single
    /// numbers do.
    fn single(&self, node: &NodeProto, code: i32) -> Result<Option<(f32, f32)>> {
        let of = |i: usize| node.input.get(i).filter(|n| !n.is_empty());
        let Some(scale) = of(1).and_then(|n| self.constants.get(n)) else { return Ok(None) };
        let zero = match of(2) {
            None => None,
            Some(n) => match self.constants.get(n) {
                Some(z) => Some(z),
                None => return Ok(None),
            },
        };
        if zero.is_some_and(|z| z.data_type != code) {
            return Ok(None);
        }
        scalar(node, scale, zero)
    }

    /// What a QuantizeLinear makes: the code of its type and its bounds.
    fn quantized_type(&self, node: &NodeProto) -> Option<(i32, Grid)> {
        let attribute = node.attribute.iter().find(|a| a.name == "output_dtype").map_or(0, |a| a.i as i32);
        let zero = node.input.get(2).filter(|n| !n.is_empty());
        let code = match zero {
            Some(n) => self.constants.get(n)?.data_type,
            None if attribute != 0 => attribute,
            None => 2,
        };
        Some((code, grid(code)?))
    }

    fn quantize(&mut self, node: &NodeProto) -> Result<bool> {
        let Some((code, bounds)) = self.quantized_type(node) else { return Ok(false) };
        let Some((scale, zero)) = self.single(node, code)? else { return Ok(false) };
        let (Some(x), Some(out)) = (node.input.first(), node.output.first()) else { return Ok(false) };
        let s = self.constant(out, "scale", values(&[], &[scale]));
        let divided = self.fresh(out, "divided");
        self.emit(node, "Div", &[x, &s], &divided);
        let rounded = self.fresh(out, "rounded");
        self.emit(node, "Round", &[&divided], &rounded);
        let mut last = rounded;
        if zero != 0.0 {
            let z = self.constant(out, "zero_point", values(&[], &[zero]));
            let shifted = self.fresh(out, "shifted");
            self.emit(node, "Add", &[&last, &z], &shifted);
            last = shifted;
        }
        let least = self.constant(out, "least", values(&[], &[bounds.least]));
        let most = self.constant(out, "most", values(&[], &[bounds.most]));
        let (raised, clipped) = (self.fresh(out, "raised"), self.fresh(out, "clipped"));
        self.emit(node, "Max", &[&last, &least], &raised);
        self.emit(node, "Min", &[&raised, &most], &clipped);
        if self.readers.get(out).is_some_and(|r| r.1 > 0) {
            // The engine has no 4-bit integers; nothing that it can run reads them as such.
            let code = match code {
                21 => 2,
                22 => 3,
                code => code,
            };
            self.emit_cast(node, &clipped, code, out);
        }
        self.twins.insert(out.clone(), clipped);
        Ok(true)
    }

    fn dequantize(&mut self, node: &NodeProto, folded: &mut HashSet<String>) -> Result<bool> {
        let (Some(x), Some(out)) = (node.input.first(), node.output.first()) else { return Ok(false) };
        let of = |i: usize| node.input.get(i).filter(|n| !n.is_empty());
        if let Some(weight) = self.constants.get(x) {
            let scale = of(1).and_then(|n| self.constants.get(n));
            let zero = of(2).map(|n| self.constants.get(n));
            if let (Some(scale), None | Some(Some(_))) = (scale, zero)
                && let Some(tensor) = dequantize(node, weight, scale, zero.flatten())?
            {
                folded.extend(node.input.iter().cloned());
                self.added.push(TensorProto { name: out.clone(), ..tensor });
                return Ok(true);
            }
            return Ok(false);
        }
        let zero = of(2).and_then(|n| self.constants.get(n));
        let code = zero.map_or(0, |z| z.data_type);
        let Some((scale, zero)) = self.single(node, code)? else { return Ok(false) };
        let mut last = match self.twins.get(x) {
            Some(twin) => twin.clone(),
            None => {
                let cast = self.fresh(out, "float");
                self.emit_cast(node, x, 1, &cast);
                cast
            }
        };
        if zero != 0.0 {
            let z = self.constant(out, "zero_point", values(&[], &[zero]));
            let shifted = self.fresh(out, "shifted");
            self.emit(node, "Sub", &[&last, &z], &shifted);
            last = shifted;
        }
        let s = self.constant(out, "scale", values(&[], &[scale]));
        self.emit(node, "Mul", &[&last, &s], out);
        Ok(true)
    }
}
