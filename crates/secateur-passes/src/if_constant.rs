//! An If whose condition is known is replaced by the branch that is taken.
//!
//! ```text
//! %y: .. = If(@true[]) {then_branch=.., ..}       %s: .. = Squeeze(%x)
//!                                             =>  %y: .. = Identity(%s)
//! ```
//!
//! Exporters write these for a Squeeze of an axis that may have another size than 1.

use secateur_diag::Result;
use secateur_ir::{Edit, Graph, Node, inline};
use secateur_onnx::proto::GraphProto;

use crate::Pass;
use crate::util::const_ints;

/// The row of this pass.
pub const PASS: Pass =
    Pass { name: "if_constant", doc: "an If with a known condition becomes its branch", run };

fn run(graph: &mut Graph) -> Result<usize> {
    let mut edit = Edit::new(graph);
    let mut changes = 0;
    for n in 0..graph.nodes.len() {
        let Some(body) = taken(graph, &graph.nodes[n]) else { continue };
        let outputs = graph.nodes[n].outputs.clone();
        let Some(nodes) = inline(graph, &body, &outputs)? else { continue };
        for node in nodes {
            edit.insert(n, node);
        }
        edit.remove(n);
        changes += 1;
    }
    edit.apply(graph);
    Ok(changes)
}

/// The branch that the node always takes.
fn taken(graph: &Graph, node: &Node) -> Option<GraphProto> {
    let condition = node.is("If").then(|| node.input(0))??;
    let branch = if const_ints(graph, condition)?.first()? == &0 { "else_branch" } else { "then_branch" };
    node.attr(branch)?.g.clone()
}
