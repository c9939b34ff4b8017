//! Recurrent cells that start from zeros made in the graph start from the default, which is zeros.
//!
//! ```text
//! %h: f32[1,N,96] = ConstantOfShape(%shape)
//! %y: f32[28,1,N,96] = GRU(%x, @w[1,288,64], @r[1,288,96], @b[1,576], _, %h)
//!   =>
//! %y: f32[28,1,N,96] = GRU(%x, @w[1,288,64], @r[1,288,96], @b[1,576])
//! ```
//!
//! Exporters slice the states of all layers from one tensor, whose shape holds the number of hidden units in
//! arithmetic with the batch; it would tie all layers to each other and to a size that cannot be changed.

use secateur_diag::Result;
use secateur_ir::{Graph, Links, ValueId};

use crate::Pass;

/// The row of this pass.
pub const PASS: Pass = Pass { name: "zero_state", doc: "initial states that are zeros are left out", run };

/// Longest chain of data movement that is followed to its source.
const DEPTH: usize = 16;

fn run(graph: &mut Graph) -> Result<usize> {
    let links = graph.links();
    let mut drop = Vec::new();
    for (n, node) in graph.nodes.iter().enumerate() {
        let states: &[usize] = match node.op() {
            "GRU" | "RNN" => &[5],
            "LSTM" => &[5, 6],
            _ => continue,
        };
        if node.domain().is_empty() {
            drop.extend(
                states
                    .iter()
                    .filter(|&&i| node.input(i).is_some_and(|v| zero(graph, &links, v, DEPTH)))
                    .map(|&i| (n, i)),
            );
        }
    }
    for &(n, i) in &drop {
        let inputs = &mut graph.nodes[n].inputs;
        inputs[i] = None;
        while inputs.last() == Some(&None) {
            inputs.pop();
        }
    }
    Ok(drop.len())
}

/// Whether all elements of `v` are zero, whatever its shape.
fn zero(graph: &Graph, links: &Links, v: ValueId, depth: usize) -> bool {
    if let Some(t) = graph.init(v) {
        return t.bytes().is_some_and(|b| b.iter().all(|&b| b == 0));
    }
    let Some(node) = links.def(v).map(|n| &graph.nodes[n]) else { return false };
    let all = |inputs: &[Option<ValueId>]| {
        depth > 0 && inputs.iter().flatten().all(|&x| zero(graph, links, x, depth - 1))
    };
    if !node.domain().is_empty() {
        return false;
    }
    match node.op() {
        "ConstantOfShape" => match node.attr("value") {
            None => true,
            Some(a) => a.t.as_ref().is_some_and(|t| {
                let tensor = secateur_ir::module::tensor(t, &Default::default());
                tensor.is_ok_and(|t| t.bytes().is_some_and(|b| b.iter().all(|&b| b == 0)))
            }),
        },
        "Identity" | "Slice" | "Squeeze" | "Unsqueeze" | "Reshape" | "Transpose" | "Expand" | "Tile"
        | "Gather" | "Cast" => all(node.inputs.get(..1).unwrap_or(&[])),
        "Concat" => !node.inputs.is_empty() && all(&node.inputs),
        // Only the part that is read has to be zero, but all parts are.
        "Split" => all(node.inputs.get(..1).unwrap_or(&[])),
        _ => false,
    }
}
