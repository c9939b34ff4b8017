//! Load, simplify, quantize, export.

use secateur_diag::Result;
use secateur_ir::{Graph, Module};
use secateur_onnx::Model;
use secateur_quant::{Calibration, Options, Report};

/// The least IR version whose files may hold operator set 21.
const IR_VERSION: i64 = 10;

/// Quantizes a model; gives its file form and what was done. With `requantize` one that is quantized already is made
/// float first.
///
/// # Errors
/// Those of the passes and of [`secateur_quant::quantize`].
pub fn quantize(
    mut module: Module,
    options: &Options,
    requantize: bool,
    calibration: Option<&Calibration>,
    done: &mut dyn FnMut(),
) -> Result<(Model, secateur_onnx::ExternalOut, Report)> {
    secateur_passes::prepare(&mut module.graph, &mut secateur_passes::Options::default())?;
    if requantize {
        module.graph = secateur_quant::dequantized(&module.graph)?;
        secateur_passes::prepare(&mut module.graph, &mut secateur_passes::Options::default())?;
    }
    let (graph, report) = secateur_quant::quantize(&module.graph, options, calibration, None, done)?;
    let (model, external) = exported(&finished(module, graph)?);
    Ok((model, external, report))
}

/// The model around a graph that was quantized.
pub(crate) fn finished(mut module: Module, graph: Graph) -> Result<Module> {
    module.graph = graph;
    secateur_passes::run(&mut module.graph, &["merge_shared"])?;
    Ok(module)
}

/// The file of a quantized model, with the IR version that its operators need.
pub(crate) fn exported(module: &Module) -> (Model, secateur_onnx::ExternalOut) {
    let (mut model, external) = module.export();
    let proto = model.proto_mut();
    proto.ir_version = proto.ir_version.max(Some(if module.graph.opset("") >= 21 { IR_VERSION } else { 7 }));
    (model, external)
}
