//! Nodes and initializers that no output of the graph depends on are removed.
//!
//! ```text
//! graph g (%x: f32[2]) -> (%y) {          graph g (%x: f32[2]) -> (%y) {
//!   %a: f32[2] = Sqrt(%x)
//!   %y: f32[2] = Relu(%x)             =>    %y: f32[2] = Relu(%x)
//! ```
//!
//! Inputs stay, with the initializers that are their defaults, and so do nodes without any output.

use secateur_diag::Result;
use secateur_ir::Graph;

use crate::Pass;

/// The row of this pass.
pub const PASS: Pass = Pass { name: "dead", doc: "what no output depends on is removed", run };

fn run(graph: &mut Graph) -> Result<usize> {
    let mut live = vec![false; graph.value_count()];
    for &v in graph.outputs.iter().chain(&graph.inputs) {
        live[v.index()] = true;
    }
    let mut keep = vec![false; graph.nodes.len()];
    for (n, node) in graph.nodes.iter().enumerate().rev() {
        let mut outputs = node.outputs.iter().flatten().peekable();
        keep[n] = outputs.peek().is_none() || outputs.any(|v| live[v.index()]);
        if keep[n] {
            for &v in node.inputs.iter().flatten().chain(&node.captures) {
                live[v.index()] = true;
            }
        }
    }
    let before = graph.nodes.len();
    let mut keep = keep.into_iter();
    graph.nodes.retain(|_| keep.next().unwrap_or(true));
    let mut changes = before - graph.nodes.len();
    for v in graph.value_ids() {
        if !live[v.index()] && graph.init(v).is_some() {
            graph.drop_init(v);
            changes += 1;
        }
    }
    Ok(changes)
}
