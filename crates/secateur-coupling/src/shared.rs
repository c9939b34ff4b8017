//! Weights that several nodes share lose the same elements everywhere, where that costs nothing.
//!
//! Coupling looks at a graph in which every reader has its own copy of a weight. A weight that is used in
//! many places (layers that are repeated, twins) would fall apart into as many different ones, and the file
//! would grow. So copies are tied, unless one must keep what another may lose, or the tie makes one thing of
//! two elements of an axis: two layers whose weights are equal by chance then stay apart.

use rustc_hash::{FxHashMap, FxHashSet};
use secateur_ir::{Graph, ValueId};

use crate::rows::State;

/// Ties copies of weights to what they were copied from. Vectors follow the weights that they belong to; an exporter
/// that merges equal vectors merges those of unrelated layers.
pub fn tie(graph: &Graph, state: &mut State) {
    let mut families: FxHashMap<ValueId, Vec<ValueId>> = FxHashMap::default();
    for v in graph.value_ids() {
        let Some(init) = graph.value(v).init.as_ref().filter(|i| i.tensor.dims.len() > 1) else { continue };
        families.entry(init.copy_of.unwrap_or(v)).or_default().push(v);
    }
    let mut families: Vec<_> = families.into_values().filter(|f| f.len() > 1).collect();
    families.sort_unstable();
    for family in families {
        for &copy in &family[1..] {
            let pairs = pairs(graph, state, family[0], copy);
            let Some(pairs) = pairs.filter(|p| !p.is_empty()) else { continue };
            let before = state.clone_sets();
            let distinct = distinct(state, &pairs);
            pairs.iter().flatten().for_each(|&(a, b)| state.join_elements(a, b));
            if self::distinct(state, &pairs) != distinct {
                state.restore_sets(before);
            }
        }
    }
}

/// By axis, the elements of both copies; `None` where one has to stay and its twin has not.
fn pairs(graph: &Graph, state: &mut State, a: ValueId, b: ValueId) -> Option<Vec<Vec<(u32, u32)>>> {
    let dims = &graph.init(a)?.dims;
    let mut out = Vec::new();
    for (axis, &len) in dims.iter().enumerate() {
        let mut ties = Vec::new();
        for i in 0..len {
            let (x, y) = (state.element((a, axis), i), state.element((b, axis), i));
            let mut stays = |e: Option<u32>| e.is_none_or(|e| state.pin_of(e).is_some());
            match (stays(x), stays(y)) {
                (false, false) => ties.extend(x.zip(y)),
                (true, true) => {}
                _ => return None,
            }
        }
        out.push(ties);
    }
    out.retain(|t| !t.is_empty());
    Some(out)
}

/// Of each axis, on the side where there are fewer: how many different classes.
fn distinct(state: &mut State, pairs: &[Vec<(u32, u32)>]) -> Vec<usize> {
    pairs
        .iter()
        .map(|ties| {
            let mut count = |side: &dyn Fn(&(u32, u32)) -> u32| {
                ties.iter().map(|t| state.sets.find(side(t))).collect::<FxHashSet<u32>>().len()
            };
            count(&|t| t.0).min(count(&|t| t.1))
        })
        .collect()
}
