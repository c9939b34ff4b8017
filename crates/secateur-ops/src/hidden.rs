//! Why a shape is not known.

use rustc_hash::FxHashSet;

use secateur_ir::{Dim, ElemType, Graph, Node, ValueId};

/// The node that hides the shape of a value: going back from it through what is not known, the first operator without a
/// rule, or else the last node that there is. None where an input of the graph says nothing of itself.
pub fn hides(graph: &Graph, v: ValueId) -> Option<&Node> {
    let links = graph.links();
    let (mut open, mut seen) = (vec![v], FxHashSet::default());
    let mut last = None;
    while let Some(v) = open.pop() {
        let Some(node) = links.def(v).filter(|n| seen.insert(*n)).map(|n| &graph.nodes[n]) else { continue };
        if !has_rule(node) {
            return Some(node);
        }
        last = Some(node);
        open.extend(node.inputs.iter().flatten().filter(|v| !known(graph, **v)));
    }
    last
}

/// Whether the operator is in the table.
pub fn has_rule(node: &Node) -> bool {
    crate::find(node.domain(), node.op()).is_some()
}

/// `"name" (Op, opset 13)`, and that there is no rule for it where that is so.
pub fn explain(graph: &Graph, node: &Node) -> String {
    let name = secateur_ir::describe(graph, node);
    if has_rule(node) { name } else { format!("{name}, an operator without a rule") }
}

/// Whether the shape of a value is known, or a symbol of the inputs; of integers that may be a shape, the elements too.
fn known(graph: &Graph, v: ValueId) -> bool {
    let value = graph.value(v);
    let Some(ty) = &value.ty else { return value.init.is_some() };
    let integers = matches!(ty.elem, ElemType::I64 | ElemType::I32);
    let Some(shape) = &ty.shape else { return value.init.is_some() };
    let elements = !integers || shape.len() > 1 || value.ints.is_some();
    value.init.is_some() || (elements && !shape.iter().any(Dim::is_unknown))
}
