//! What a file must say about itself to be accepted.

use secateur_diag::{Code, Diagnostic, Result};

use crate::proto::ModelProto;

/// The newest `ir_version` that is understood.
pub const MAX_IR_VERSION: i64 = 14;
/// The newest version of the standard operator set that is understood.
pub const MAX_OPSET: i64 = 28;

/// Refuses models without a graph and models of unknown versions.
pub(crate) fn check(model: &ModelProto) -> Result<()> {
    let Some(graph) = &model.graph else {
        if model.ir_version.is_none() && model.opset_import.is_empty() {
            return Err(Diagnostic::new(Code::L002, "the file is a protobuf, but not of an ONNX model"));
        }
        return Err(Diagnostic::new(Code::L003, "the model has no graph"));
    };
    if graph.node.is_empty() {
        return Err(Diagnostic::new(Code::L003, "the model's graph has no node"));
    }
    if graph.output.is_empty() {
        return Err(Diagnostic::new(Code::L003, "the model's graph has no output"));
    }
    let range = format!("1 to {MAX_IR_VERSION}");
    match model.ir_version {
        Some(1..=MAX_IR_VERSION) => {}
        Some(found) => return Err(unsupported(format!("IR version {found} is not supported"), range)),
        None => return Err(unsupported("the model states no IR version".into(), range)),
    }
    let range = format!("1 to {MAX_OPSET}");
    if model.opset_import.is_empty() && model.ir_version() >= 3 {
        return Err(unsupported("the model states no operator set".into(), range));
    }
    for set in &model.opset_import {
        let standard = matches!(set.domain(), "" | "ai.onnx");
        if standard && !(1..=MAX_OPSET).contains(&set.version()) {
            return Err(unsupported(format!("opset {} is not supported", set.version()), range));
        }
    }
    Ok(())
}

fn unsupported(title: String, range: String) -> Box<Diagnostic> {
    Diagnostic::new(Code::L008, title)
        .at("range", range)
        .help("convert the model with onnx.version_converter or export it again")
}
