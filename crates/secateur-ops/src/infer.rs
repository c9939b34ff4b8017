//! The driver of the shape rules.

use secateur_diag::{Code, Result, diag};

use secateur_ir::{Graph, TensorType, place};

use crate::{InferCx, OutFact, find};

/// Infers types, shapes and the contents of small integer tensors, node by node.
///
/// A declared type stays where the rule finds nothing, and fills single sizes that it cannot tell.
///
/// # Errors
/// The rule's own reason, with the node's place added.
pub fn infer(graph: &mut Graph) -> Result<()> {
    for n in 0..graph.nodes.len() {
        let node = &graph.nodes[n];
        let mut cx = InferCx { graph, node, out: vec![OutFact::default(); node.outputs.len()] };
        if let Some(op) = find(node.domain(), node.op()) {
            (op.infer)(&mut cx).map_err(|e| place(e, cx.graph, cx.node))?;
        }
        let facts = cx.out;
        let outputs = graph.nodes[n].outputs.clone();
        for (v, fact) in outputs.into_iter().zip(facts) {
            let Some(v) = v else { continue };
            let value = graph.value_mut(v);
            value.ints = fact.ints;
            value.ty = merge(fact.ty, value.ty.take());
        }
    }
    Ok(())
}

fn merge(found: Option<TensorType>, declared: Option<TensorType>) -> Option<TensorType> {
    let (found, declared) = match (found, declared) {
        (Some(f), Some(d)) => (f, d),
        (f, d) => return f.or(d),
    };
    let shape = match (found.shape, declared.shape) {
        (Some(f), Some(d)) if f.len() == d.len() => Some(
            f.into_iter()
                .zip(d)
                .map(|(f, d)| if f.is_unknown() && d.size().is_some() { d } else { f })
                .collect(),
        ),
        (f, d) => f.or(d),
    };
    Some(TensorType { elem: found.elem, shape })
}

/// Replaces symbolic sizes by numbers and infers again; for costs. Sizes that only show when the model runs, as the
/// number of boxes found, are taken from `size` by their own names.
///
/// # Errors
/// As [`infer`]; [`Code::L006`] on overflow.
pub fn bind(graph: &mut Graph, size: &dyn Fn(&str) -> Option<usize>) -> Result<()> {
    bind_types(graph, size)?;
    infer(graph)?;
    bind_types(graph, size)
}

fn bind_types(graph: &mut Graph, size: &dyn Fn(&str) -> Option<usize>) -> Result<()> {
    for v in graph.value_ids() {
        let name = graph.value(v).name.clone();
        if let Some(TensorType { shape: Some(shape), .. }) = &mut graph.value_mut(v).ty {
            for d in shape {
                *d = d.bind(size).ok_or_else(|| {
                    diag(Code::L006, "a dimension overflows").at("value", secateur_ir::text::value(&name))
                })?;
            }
        }
    }
    Ok(())
}
