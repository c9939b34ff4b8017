//! The driver of the shape rules.

use secateur_diag::{Code, Diagnostic, Result, diag};

use crate::dim::Dim;
use crate::graph::{Graph, Node, TensorType};
use crate::ops::{self, InferCx, OutFact};
use crate::print;

/// Infers types, shapes and the contents of small integer tensors, node by node.
///
/// A declared type stays where the rule finds nothing, and fills single sizes that it cannot tell.
///
/// # Errors
/// The rule's own reason, with the node's place added.
pub fn infer(graph: &mut Graph) -> Result<()> {
    for n in 0..graph.nodes.len() {
        let node = &graph.nodes[n];
        let mut cx = InferCx { graph, node, out: vec![OutFact::default(); node.outputs.len()] };
        if let Some(op) = ops::find(node.domain(), node.op()) {
            (op.infer)(&mut cx).map_err(|e| place(e, cx.graph, cx.node))?;
        }
        let facts = cx.out;
        let outputs = graph.nodes[n].outputs.clone();
        for (v, fact) in outputs.into_iter().zip(facts) {
            let Some(v) = v else { continue };
            let value = graph.value_mut(v);
            value.ints = fact.ints;
            value.ty = merge(fact.ty, value.ty.take());
        }
    }
    Ok(())
}

fn merge(found: Option<TensorType>, declared: Option<TensorType>) -> Option<TensorType> {
    let (found, declared) = match (found, declared) {
        (Some(f), Some(d)) => (f, d),
        (f, d) => return f.or(d),
    };
    let shape = match (found.shape, declared.shape) {
        (Some(f), Some(d)) if f.len() == d.len() => Some(
            f.into_iter()
                .zip(d)
                .map(|(f, d)| if f.is_unknown() && d.size().is_some() { d } else { f })
                .collect(),
        ),
        (f, d) => f.or(d),
    };
    Some(TensorType { elem: found.elem, shape })
}

/// Adds node and inputs to a rule's error.
pub fn place(e: Box<Diagnostic>, graph: &Graph, node: &Node) -> Box<Diagnostic> {
    let e = e.at("node", describe(graph, node));
    node.inputs.iter().flatten().fold(e, |e, &v| {
        let value = graph.value(v);
        e.at("input", format!("{}: {}", crate::text::value(&value.name), print::ty(value.ty.as_ref())))
    })
}

/// `"name" (Op, opset 13)`.
pub fn describe(graph: &Graph, node: &Node) -> String {
    let name = match node.name() {
        "" => node.outputs.iter().flatten().next().map_or("", |&v| graph.value(v).name.as_str()),
        n => n,
    };
    let domain = match node.domain() {
        "" => String::new(),
        d => format!("{d}::"),
    };
    format!("{name:?} ({domain}{}, opset {})", node.op(), graph.opset(node.domain()))
}

/// Replaces symbolic sizes by numbers and infers again; for costs. Sizes that only show when the model runs, as the
/// number of boxes found, are taken from `size` by their own names.
///
/// # Errors
/// As [`infer`]; [`Code::L006`] on overflow.
pub fn bind(graph: &mut Graph, size: &dyn Fn(&str) -> Option<usize>) -> Result<()> {
    bind_types(graph, size)?;
    infer(graph)?;
    bind_types(graph, size)
}

fn bind_types(graph: &mut Graph, size: &dyn Fn(&str) -> Option<usize>) -> Result<()> {
    for v in graph.value_ids() {
        let name = graph.value(v).name.clone();
        if let Some(TensorType { shape: Some(shape), .. }) = &mut graph.value_mut(v).ty {
            for d in shape {
                *d = d.bind(size).ok_or_else(|| {
                    diag(Code::L006, "a dimension overflows").at("value", crate::text::value(&name))
                })?;
            }
        }
    }
    Ok(())
}

/// The symbols of the shapes of the graph's inputs, in order.
pub fn input_symbols(graph: &Graph) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for v in graph.data_inputs() {
        for s in graph.shape(v).unwrap_or(&[]).iter().flat_map(Dim::symbols) {
            if !out.iter().any(|o| o.as_str() == &**s) {
                out.push(s.to_string());
            }
        }
    }
    out
}
