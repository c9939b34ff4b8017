//! Constants that say how an operator works, not what it computes with: shapes, bounds, indices.

use secateur_ir::{Graph, Links, ValueId};

/// Whether every reader of the initializer takes it as a parameter. Nobody is surprised that such a one stays whole.
pub(crate) fn is_operand(graph: &Graph, links: &Links, v: ValueId) -> bool {
    let uses = links.uses(v);
    !uses.is_empty()
        && uses.iter().all(|u| {
            let node = &graph.nodes[u.node];
            node.domain().is_empty() && u.input.is_some_and(|input| takes(node.op(), input))
        })
}

/// Whether the operator takes the input as a parameter.
fn takes(op: &str, input: usize) -> bool {
    match op {
        "Reshape" | "Slice" | "Resize" | "Upsample" | "Pad" | "Expand" | "Tile" | "Squeeze" | "Unsqueeze"
        | "Split" | "SplitToSequence" | "TopK" | "CumSum" | "Trilu" | "Clip" | "Dropout" | "OneHot"
        | "CenterCropPad" | "AffineGrid" | "Col2Im" | "MaxUnpool" => input >= 1,
        "Gather" | "GatherElements" | "GatherND" | "Scatter" | "ScatterElements" | "ScatterND" => input == 1,
        "ConstantOfShape" | "Range" | "If" | "Loop" => true,
        _ => op.starts_with("Reduce") && input >= 1,
    }
}
