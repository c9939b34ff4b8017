//! A subgraph's body becomes part of the graph around it.

use rustc_hash::{FxHashMap, FxHashSet};
use secateur_diag::Result;
use secateur_onnx::{ExternalFiles, Extras, proto};

use crate::graph::{Graph, Node, ValueId};
use crate::module;
use crate::names::{definitions, own_definitions, subgraphs};

/// Nodes that compute `outputs` as `body` does, which must take no inputs and be a subgraph of a node of `graph`. The
/// caller inserts them where that node was, and removes it.
///
/// Inner names that are taken outside are changed. `None` where the body is not understood: sparse or external
/// initializers, another number of outputs.
///
/// # Errors
/// [`secateur_diag::Code::G002`] for an inner name without a source.
pub fn inline(
    graph: &mut Graph,
    body: &proto::GraphProto,
    outputs: &[Option<ValueId>],
) -> Result<Option<Vec<Node>>> {
    if !body.input.is_empty() || !body.sparse_initializer.is_empty() || body.output.len() != outputs.len() {
        return Ok(None);
    }
    let mut tensors = Vec::with_capacity(body.initializer.len());
    for t in &body.initializer {
        match module::tensor(t, &ExternalFiles::new(None)) {
            Ok(tensor) => tensors.push((t.name(), tensor)),
            Err(_) => return Ok(None),
        }
    }
    let Some(own) = distinct(body) else { return Ok(None) };
    if !body.output.iter().all(|o| own.contains(o.name()) || graph.find(o.name()).is_some()) {
        return Ok(None);
    }
    // Its own names may become the graph's.
    graph.held.open(body);
    let mut names: FxHashMap<&str, String> = FxHashMap::default();
    for (name, tensor) in tensors {
        let v = graph.add_init(name, tensor);
        names.insert(name, graph.value(v).name.clone());
    }
    for name in body.node.iter().flat_map(|n| &n.output).filter(|n| !n.is_empty()) {
        let v = graph.add_fresh(name, None);
        names.insert(name, graph.value(v).name.clone());
    }
    for info in &body.value_info {
        if let Some(v) = names.get(info.name()).and_then(|n| graph.find(n))
            && graph.value(v).ty.is_none()
        {
            graph.value_mut(v).ty = module::tensor_type(info);
        }
    }
    names.retain(|old, new| *old != new);
    let mut nodes = Vec::with_capacity(body.node.len() + outputs.len());
    for (i, p) in body.node.iter().enumerate() {
        let mut p = p.clone();
        rename_node(&mut p, &names);
        nodes.push(module::import_node(graph, p, Extras::default(), i)?);
        // What is inside of its nodes was held before they came.
        graph.held.leave(&body.node[i]);
    }
    for (info, out) in body.output.iter().zip(outputs) {
        let Some(out) = out else { continue };
        let name = names.get(info.name()).map_or(info.name(), String::as_str);
        let Some(v) = graph.find(name) else { return Ok(None) };
        nodes.push(Node::new("", "Identity", "", vec![Some(v)], vec![Some(*out)]));
    }
    Ok(Some(nodes))
}

/// What a body defines; `None` where it defines a name twice, or a graph inside of it one of its own.
fn distinct(body: &proto::GraphProto) -> Option<FxHashSet<&str>> {
    let mut own = FxHashSet::default();
    let mut all = own_definitions(body).all(|name| own.insert(name));
    for g in body.node.iter().flat_map(subgraphs) {
        definitions(g, &mut |name| all &= !own.contains(name));
    }
    all.then_some(own)
}

/// Gives what a node reads and writes other names, in its subgraphs too, whose own definitions have other names.
fn rename_node(node: &mut proto::NodeProto, names: &FxHashMap<&str, String>) {
    let change = |name: &mut String| {
        if let Some(new) = names.get(name.as_str()) {
            name.clone_from(new);
        }
    };
    node.input.iter_mut().chain(&mut node.output).for_each(change);
    for g in node.attribute.iter_mut().flat_map(|a| a.g.iter_mut().chain(&mut a.graphs)) {
        g.node.iter_mut().for_each(|n| rename_node(n, names));
        for info in g.output.iter_mut() {
            if let Some(new) = names.get(info.name()) {
                info.name = Some(new.clone());
            }
        }
    }
}
