//! Checks that every rewrite must keep.

use secateur_diag::{Code, Result, diag};

use crate::graph::Graph;
use crate::text;

/// Checks that every value has one source, is read after it is written, and that outputs exist.
///
/// # Errors
/// [`Code::G002`], [`Code::G003`] or [`Code::G001`], naming value and node.
pub fn verify(graph: &Graph) -> Result<()> {
    let mut ready = vec![false; graph.value_count()];
    for v in graph.value_ids() {
        ready[v.index()] = graph.value(v).init.is_some();
    }
    for &v in graph.inputs.iter().chain(&graph.opaque) {
        ready[v.index()] = true;
    }
    let links = graph.links();
    for node in &graph.nodes {
        for &v in node.inputs.iter().flatten().chain(&node.captures) {
            if !ready[v.index()] {
                let name = text::value(&graph.value(v).name);
                let e = match links.def(v) {
                    Some(_) => diag(Code::G001, format!("{name} is read before it is written")),
                    None => diag(Code::G002, format!("{name} has no source")),
                };
                return Err(e.at("node", crate::describe(graph, node)));
            }
        }
        for &v in node.outputs.iter().flatten() {
            if std::mem::replace(&mut ready[v.index()], true) {
                return Err(diag(
                    Code::G003,
                    format!("{} is defined twice", text::value(&graph.value(v).name)),
                )
                .at("node", crate::describe(graph, node)));
            }
        }
    }
    for &v in &graph.outputs {
        if !ready[v.index()] {
            return Err(diag(
                Code::G002,
                format!("the output {} has no source", text::value(&graph.value(v).name)),
            ));
        }
    }
    Ok(())
}

/// Sorts the nodes so that each comes after what it reads, keeping the given order where it is one already.
///
/// # Errors
/// [`Code::G001`] naming the nodes of a cycle.
pub fn sort(graph: &mut Graph) -> Result<()> {
    let links = graph.links();
    let mut missing = vec![0usize; graph.nodes.len()];
    for (n, node) in graph.nodes.iter().enumerate() {
        missing[n] =
            node.inputs.iter().flatten().chain(&node.captures).filter(|v| links.def(**v).is_some()).count();
    }
    // A heap by index keeps the file's order wherever it is valid.
    let mut heap: std::collections::BinaryHeap<std::cmp::Reverse<usize>> =
        missing.iter().enumerate().filter(|(_, m)| **m == 0).map(|(n, _)| std::cmp::Reverse(n)).collect();
    let mut order = Vec::with_capacity(graph.nodes.len());
    while let Some(std::cmp::Reverse(n)) = heap.pop() {
        order.push(n);
        for &v in graph.nodes[n].outputs.iter().flatten() {
            for u in links.uses(v) {
                missing[u.node] -= 1;
                if missing[u.node] == 0 {
                    heap.push(std::cmp::Reverse(u.node));
                }
            }
        }
    }
    if order.len() < graph.nodes.len() {
        let mut e = diag(Code::G001, "the graph is cyclic");
        for n in (0..graph.nodes.len()).filter(|n| missing[*n] > 0).take(3) {
            e = e.at("node", crate::describe(graph, &graph.nodes[n]));
        }
        return Err(e);
    }
    if order.windows(2).any(|w| w[0] > w[1]) {
        let mut nodes: Vec<_> = std::mem::take(&mut graph.nodes).into_iter().map(Some).collect();
        graph.nodes = order.into_iter().filter_map(|n| nodes[n].take()).collect();
    }
    Ok(())
}
