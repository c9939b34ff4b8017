//! The layers that cost anything, before and after.

use secateur_ir::{Graph, Node};
use secateur_ops::{CostCx, Port};
use serde::Serialize;

/// A node that multiplies: its channels and its cost for one sample.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layer {
    /// Its name, or its output's where it has none.
    pub name: String,
    /// The operator.
    pub op: String,
    /// Shape of its weight.
    pub weight: Vec<usize>,
    /// Multiply-adds; `None` where a size is unknown.
    pub macs: Option<u64>,
}

/// All such nodes of a graph, in order.
pub(crate) fn layers(bound: &Graph) -> Vec<Layer> {
    bound.nodes.iter().filter_map(|n| layer(bound, n)).collect()
}

fn layer(graph: &Graph, node: &Node) -> Option<Layer> {
    let cost = (secateur_ops::find(node.domain(), node.op())?.cost)(&CostCx { graph, node }).ok()?;
    if cost.macs.is_empty() {
        return None;
    }
    let size = |(port, axis): (Port, usize)| {
        let v = match port {
            Port::In(i) => node.input(i),
            Port::Out(i) => node.output(i),
        };
        graph.shape(v?)?.get(axis)?.size().map(|n| n as u64)
    };
    let mut macs = cost.macs.iter().map(|t| t.axes.iter().try_fold(t.coef, |c, &a| c.checked_mul(size(a)?)));
    let macs = macs.try_fold(0u64, |sum, m| sum.checked_add(m?));
    let weight = node.inputs.iter().flatten().filter_map(|&v| graph.init(v)).find(|t| t.dims.len() > 1);
    let name = graph.name_of(node).to_owned();
    Some(Layer { name, op: node.op().to_owned(), weight: weight.map_or(vec![], |t| t.dims.clone()), macs })
}
