//! Finds the operators the engine lacks before it is asked to run them, so that all are named at once.

use secateur_diag::{Code, Diagnostic, Result};
use tract_onnx::{Onnx, pb};

/// Operators of `com.microsoft` that the engine knows under the same meaning. It looks operators up by
/// name alone, so any other name of that domain could silently be taken for the standard one.
const CONTRIBUTED: &[&str] = &[
    "BiasGelu",
    "FastGelu",
    "GatherBlockQuantized",
    "Gelu",
    "GroupQueryAttention",
    "MatMulNBits",
    "MultiHeadAttention",
    "QuickGelu",
    "SimplifiedLayerNormalization",
    "SkipLayerNormalization",
];
/// How many nodes one message lists.
const LISTED: usize = 8;
/// Subgraphs deeper than this are refused.
const MAX_DEPTH: usize = 32;

/// Checks every node of the model, subgraphs included.
pub(crate) fn operators(onnx: &Onnx, model: &pb::ModelProto) -> Result<()> {
    let Some(graph) = &model.graph else {
        return Err(Diagnostic::new(Code::X001, "the model has no graph"));
    };
    let mut lacking = Vec::new();
    walk(onnx, graph, 0, &mut lacking)?;
    if lacking.is_empty() {
        return Ok(());
    }
    let mut ops: Vec<&str> = lacking.iter().map(|n| n.op_type.as_str()).collect();
    ops.sort_unstable();
    ops.dedup();
    let title = format!("the model cannot be executed: no operator {}", ops.join(", "));
    let error = lacking
        .iter()
        .take(LISTED)
        .fold(Diagnostic::new(Code::X001, title), |d, node| d.at("node", describe(node)));
    Err(match lacking.len().saturating_sub(LISTED) {
        0 => error,
        more => error.at("and", format!("{more} more nodes")),
    })
}

fn walk<'a>(
    onnx: &Onnx,
    graph: &'a pb::GraphProto,
    depth: usize,
    lacking: &mut Vec<&'a pb::NodeProto>,
) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Diagnostic::new(Code::X001, "the model's subgraphs nest too deeply to be executed"));
    }
    for node in &graph.node {
        let known = match node.domain.as_str() {
            "" | "ai.onnx" | "ai.onnx.ml" => true,
            "com.microsoft" => CONTRIBUTED.contains(&node.op_type.as_str()),
            _ => false,
        };
        if !known || !onnx.op_register.0.contains_key(&node.op_type) {
            lacking.push(node);
        }
        for attribute in &node.attribute {
            for subgraph in attribute.g.iter().chain(&attribute.graphs) {
                walk(onnx, subgraph, depth + 1, lacking)?;
            }
        }
    }
    Ok(())
}

/// `"conv1" (Conv)`, with the domain if it is not the default one.
fn describe(node: &pb::NodeProto) -> String {
    let unnamed = String::new();
    let name = if node.name.is_empty() { node.output.first().unwrap_or(&unnamed) } else { &node.name };
    match node.domain.as_str() {
        "" | "ai.onnx" => format!("{name:?} ({})", node.op_type),
        domain => format!("{name:?} ({}, domain {domain})", node.op_type),
    }
}
