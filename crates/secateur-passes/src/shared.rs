//! Equal weights become one, shared initializers get a copy for each reader, and copies that stayed equal are merged
//! again.
//!
//! ```text
//! %a: .. = Conv(%x, @w[4,4,1,1])          %a: .. = Conv(%x, @w[4,4,1,1])
//! %b: .. = Conv(%a, @w[4,4,1,1])      =>  %b: .. = Conv(%a, @w_1[4,4,1,1])
//! ```
//!
//! The elements are shared until written, so that copies cost nothing. What a subgraph reads, or an output
//! of the graph, is left alone.

use rustc_hash::FxHashMap;
use secateur_diag::Result;
use secateur_ir::{Edit, ElemType, Graph, ValueId};

use crate::Pass;

/// The row of `split_shared`.
pub const SPLIT: Pass =
    Pass { name: "split_shared", doc: "each reader gets its own initializer", run: split };

/// The row of `merge_shared`.
pub const MERGE: Pass = Pass {
    name: "merge_shared",
    doc: "copies of an initializer that are still equal are merged",
    run: merge,
};

/// The row of `merge_equal`.
pub const EQUAL: Pass =
    Pass { name: "merge_equal", doc: "weights that hold the same elements become one", run: equal };

/// Exporters write the weight of a layer that is used twice as two, transposed or folded one by one; as one they are
/// cut alike and stored once. Vectors are too small to matter.
fn equal(graph: &mut Graph) -> Result<usize> {
    let mut edit = Edit::new(graph);
    let mut by_dims: FxHashMap<(ElemType, Vec<usize>), Vec<ValueId>> = FxHashMap::default();
    let mut changes = 0;
    for v in graph.value_ids() {
        let Some(t) = graph.init(v).filter(|t| t.dims.len() > 1) else { continue };
        let alike = by_dims.entry((t.elem, t.dims.clone())).or_default();
        match alike.iter().copied().find(|&s| graph.init(s) == Some(t)) {
            Some(s) if !edit.is_fixed(v) && edit.replace(v, s) => {
                graph.drop_init(v);
                changes += 1;
            }
            _ => alike.push(v),
        }
    }
    edit.apply(graph);
    Ok(changes)
}

fn split(graph: &mut Graph) -> Result<usize> {
    let edit = Edit::new(graph);
    let links = graph.links();
    let mut changes = 0;
    for v in graph.value_ids() {
        if graph.init(v).is_none() || edit.is_fixed(v) {
            continue;
        }
        for at in links.uses(v).iter().skip(1) {
            let (Some(i), Some(copy)) = (at.input, graph.copy_init(v)) else { continue };
            graph.nodes[at.node].inputs[i] = Some(copy);
            changes += 1;
        }
    }
    Ok(changes)
}

fn merge(graph: &mut Graph) -> Result<usize> {
    let mut edit = Edit::new(graph);
    // By origin: the initializers that stay, usually one.
    let mut stay: FxHashMap<ValueId, Vec<ValueId>> = FxHashMap::default();
    let mut changes = 0;
    for v in graph.value_ids() {
        let Some(init) = graph.value(v).init.as_ref() else { continue };
        let origin = init.copy_of.unwrap_or(v);
        let same = stay.entry(origin).or_default();
        match same.iter().copied().find(|&s| graph.init(s) == Some(&init.tensor)) {
            Some(s) if edit.replace(v, s) => {
                graph.drop_init(v);
                changes += 1;
            }
            _ => same.push(v),
        }
    }
    edit.apply(graph);
    Ok(changes)
}
