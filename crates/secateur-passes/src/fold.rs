//! Nodes whose inputs are all constants are evaluated.
//!
//! ```text
//! @a: f32[2] = [1.0, 2.0]                 @c: f32[2] = [2.0, 4.0]
//! %c: f32[2] = Add(@a[2], @a[2])      =>
//! ```
//!
//! What would make the file grow by more than a MiB stays, as do random numbers and operators whose row
//! has no evaluation. Initializers that the file also lists as inputs count as constants.

use secateur_diag::Result;
use secateur_ir::{Dim, Edit, Graph, Node, Tensor};
use secateur_ops::{EvalCx, FoldCx};

use crate::Pass;

/// The row of this pass.
pub const PASS: Pass = Pass { name: "fold", doc: "constant expressions are evaluated", run };

/// Bytes by which the result may exceed the inputs.
const MAX_GROWTH: usize = 1 << 20;
/// Bytes that a result may take in any case; the growth is checked before.
const MAX_ROOM: usize = 1 << 34;

fn run(graph: &mut Graph) -> Result<usize> {
    let mut edit = Edit::new(graph);
    let mut changes = 0;
    for n in 0..graph.nodes.len() {
        let Some(results) = evaluate(graph, &edit, &graph.nodes[n])? else { continue };
        let outputs = graph.nodes[n].outputs.clone();
        for (v, tensor) in outputs.into_iter().zip(results) {
            if let Some(v) = v {
                graph.set_init(v, tensor);
            }
        }
        edit.remove(n);
        changes += 1;
    }
    edit.apply(graph);
    Ok(changes)
}

/// The node's outputs, where they can be told now.
fn evaluate(graph: &Graph, edit: &Edit, node: &Node) -> Result<Option<Vec<Tensor>>> {
    let Some(op) = secateur_ops::find(node.domain(), node.op()) else { return Ok(None) };
    let mut inputs = Vec::with_capacity(node.inputs.len());
    let mut budget = MAX_GROWTH;
    for v in &node.inputs {
        let tensor = v.map(|v| graph.init(v));
        if tensor == Some(None) {
            return Ok(None);
        }
        budget = budget.saturating_add(tensor.flatten().map_or(0, Tensor::byte_len));
        inputs.push(tensor.flatten());
    }
    let outputs: Vec<_> = node.outputs.iter().flatten().copied().collect();
    if inputs.iter().all(Option::is_none)
        || !node.captures.is_empty()
        || outputs.iter().any(|&v| edit.is_output(v))
    {
        return Ok(None);
    }
    // The size is checked before anything is allocated.
    for &v in &outputs {
        let Some(ty) = &graph.value(v).ty else { return Ok(None) };
        let dims = ty.shape.as_deref().and_then(|s| s.iter().map(Dim::size).collect::<Option<Vec<_>>>());
        let bits = dims.and_then(|d| d.iter().try_fold(ty.elem.bits().max(8), |n, &d| n.checked_mul(d)));
        match bits.and_then(|b| budget.checked_sub(b / 8)) {
            Some(left) => budget = left,
            None => return Ok(None),
        }
    }
    let results = match op.eval.get() {
        Some(eval) => {
            let inputs: Vec<Option<Tensor>> =
                inputs.into_iter().map(|t| t.map(|t| t.clone().aligned())).collect();
            let opset = graph.opset(node.domain());
            // What cannot be computed is left to the runtime, which says so in its own way.
            eval(&EvalCx { node, opset, inputs: &inputs, room: MAX_ROOM }).ok()
        }
        None => (op.fold)(&FoldCx { graph, node, inputs })?,
    };
    // A rule that contradicts the inferred type is not trusted.
    Ok(results.filter(|r| {
        r.len() >= node.outputs.len()
            && node.outputs.iter().zip(r).all(|(v, t)| {
                v.and_then(|v| graph.value(v).ty.as_ref()).is_none_or(|ty| {
                    ty.elem == t.elem
                        && ty.shape.as_ref().is_none_or(|s| {
                            s.len() == t.dims.len() && s.iter().zip(&t.dims).all(|(a, &b)| a.is(b as i64))
                        })
                })
            })
    }))
}
