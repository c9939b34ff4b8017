//! A subgraph's body becomes part of the graph around it.

use rustc_hash::FxHashMap;
use secateur_diag::Result;
use secateur_onnx::{ExternalFiles, Extras, proto};

use crate::graph::{Graph, Node, ValueId};
use crate::module;

/// Nodes that compute `outputs` as `body` does, which must take no inputs. The caller inserts them where the
/// subgraph's node was, and removes that.
///
/// Inner names that are taken outside are changed. `None` where the body is not understood: sparse or
/// external initializers, another number of outputs, a name to be changed that a nested subgraph may read.
///
/// # Errors
/// [`secateur_diag::Code::G002`] for an inner name without a source.
pub fn inline(
    graph: &mut Graph,
    body: &proto::GraphProto,
    outputs: &[Option<ValueId>],
) -> Result<Option<Vec<Node>>> {
    let written = || body.node.iter().flat_map(|n| &n.output).filter(|n| !n.is_empty());
    let nested = body.node.iter().flat_map(|n| &n.attribute).any(|a| a.g.is_some() || !a.graphs.is_empty());
    let inner = || body.initializer.iter().map(proto::TensorProto::name).chain(written().map(String::as_str));
    if !body.input.is_empty()
        || !body.sparse_initializer.is_empty()
        || body.output.len() != outputs.len()
        || (nested && inner().any(|n| graph.find(n).is_some()))
    {
        return Ok(None);
    }
    let mut tensors = Vec::with_capacity(body.initializer.len());
    for t in &body.initializer {
        match module::tensor(t, &ExternalFiles::new(None)) {
            Ok(tensor) => tensors.push((t.name(), tensor)),
            Err(_) => return Ok(None),
        }
    }
    let mut names: FxHashMap<&str, String> = FxHashMap::default();
    for (name, tensor) in tensors {
        let v = graph.add_init(name, tensor);
        names.insert(name, graph.value(v).name.clone());
    }
    for name in written() {
        let v = graph.add_fresh(name, None);
        if names.insert(name, graph.value(v).name.clone()).is_some() {
            return Ok(None);
        }
    }
    for info in &body.value_info {
        if let Some(v) = names.get(info.name()).and_then(|n| graph.find(n))
            && graph.value(v).ty.is_none()
        {
            graph.value_mut(v).ty = module::tensor_type(info);
        }
    }
    let mut nodes = Vec::with_capacity(body.node.len() + outputs.len());
    for (i, p) in body.node.iter().enumerate() {
        let mut p = p.clone();
        for name in p.input.iter_mut().chain(&mut p.output) {
            if let Some(new) = names.get(name.as_str()) {
                name.clone_from(new);
            }
        }
        nodes.push(module::import_node(graph, p, Extras::default(), i)?);
    }
    for (info, out) in body.output.iter().zip(outputs) {
        let Some(out) = out else { continue };
        let name = names.get(info.name()).map_or(info.name(), String::as_str);
        let Some(v) = graph.find(name) else { return Ok(None) };
        nodes.push(Node::new("", "Identity", "", vec![Some(v)], vec![Some(*out)]));
    }
    Ok(Some(nodes))
}
