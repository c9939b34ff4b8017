//! Raising the operator set to one that has what quantization needs.

use secateur_diag::{Code, Result, diag};
use secateur_ir::{Graph, Tensor, place};
use secateur_ops::infer;

/// Raises the standard operator set to `to` where it is older. Shapes must be inferred.
///
/// # Errors
/// `Q003` for sets older than 11, and for a node that would mean something else.
pub fn raise(graph: &mut Graph, to: i64) -> Result<()> {
    let from = graph.opset("");
    if from >= to {
        return Ok(());
    }
    if from < 11 {
        return Err(diag(Code::Q003, format!("operator set {from} is too old to be quantized"))
            .help("convert the model to operator set 13 or later"));
    }
    for n in 0..graph.nodes.len() {
        let node = &graph.nodes[n];
        if !node.domain().is_empty() {
            continue;
        }
        let moved = |since: i64| from < since && since <= to;
        let attribute = match node.op() {
            "Squeeze" | "Unsqueeze" | "ReduceSum" if moved(13) => Some("axes"),
            "Split" if moved(13) => Some("split"),
            "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceL1" | "ReduceL2"
            | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceSumSquare"
                if moved(18) =>
            {
                Some("axes")
            }
            "Softmax" | "LogSoftmax" | "Hardmax" if moved(13) => {
                let rank = node.input(0).and_then(|v| graph.shape(v)).map(<[_]>::len);
                // Before set 13 everything from the axis on was one row.
                let axis = rank.and_then(|r| node.axis_or("axis", 1, r).ok());
                match (rank, axis) {
                    (Some(r), Some(a)) if a + 1 == r => {
                        graph.nodes[n].set_int("axis", -1);
                        None
                    }
                    _ => return Err(refuse(graph, n)),
                }
            }
            "BatchNormalization" if moved(14) && node.outputs.len() > 1 => return Err(refuse(graph, n)),
            "GroupNormalization" | "Upsample" | "Scatter" => return Err(refuse(graph, n)),
            _ => None,
        };
        if let Some(name) = attribute
            && let Some(list) = graph.nodes[n].ints(name)?.map(<[i64]>::to_vec)
        {
            let list = graph.add_init(name, Tensor::vec_i64(&list));
            let node = &mut graph.nodes[n];
            node.remove_attr(name);
            node.inputs.truncate(1);
            node.inputs.push(Some(list));
        }
        let node = &mut graph.nodes[n];
        if node.is("Split") && moved(18) && node.input(1).is_none() {
            node.set_int("num_outputs", node.outputs.len() as i64);
        }
    }
    for (domain, version) in &mut graph.opsets {
        if domain.is_empty() {
            *version = to;
        }
    }
    infer(graph)
}

fn refuse(graph: &Graph, n: usize) -> Box<secateur_diag::Diagnostic> {
    let e = diag(Code::Q003, "an operator means something else in the operator set that quantization needs");
    place(e, graph, &graph.nodes[n])
}
