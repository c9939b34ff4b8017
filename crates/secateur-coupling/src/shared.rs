//! Weights that several nodes share lose the same elements everywhere, where that costs nothing.
//!
//! Coupling looks at a graph in which every reader has its own copy of a weight. A weight that is used in
//! many places (layers that are repeated, twins) would fall apart into as many different ones, and the file
//! would grow. So copies are tied, unless one must keep what another may lose, or the tie makes one thing of
//! two elements of an axis: two layers whose weights are equal by chance then stay apart.

use rustc_hash::{FxHashMap, FxHashSet};
use secateur_ir::{Graph, ValueId};

use crate::rows::{Sets, State};

/// Ties copies of weights to what they were copied from. Vectors follow the weights that they belong to; an exporter
/// that merges equal vectors merges those of unrelated layers.
pub fn tie(graph: &Graph, state: &mut State) {
    let mut families: FxHashMap<ValueId, Vec<ValueId>> = FxHashMap::default();
    for v in graph.value_ids() {
        let Some(init) =
            graph.value(v).init.as_ref().filter(|i| i.tensor.dims.len() > 1 && !i.tensor.is_empty())
        else {
            continue;
        };
        families.entry(init.copy_of.unwrap_or(v)).or_default().push(v);
    }
    let mut families: Vec<_> = families.into_values().filter(|f| f.len() > 1).collect();
    families.sort_unstable();
    for family in families {
        for &copy in &family[1..] {
            let pairs = pairs(graph, state, family[0], copy);
            let Some(pairs) = pairs.filter(|p| !p.is_empty()) else { continue };
            if !collapses(state, &pairs) {
                pairs.iter().flatten().for_each(|&(a, b)| state.join_elements(a, b));
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

/// Whether the ties would make one class of two elements of an axis, on the side where there are fewer.
fn collapses(state: &mut State, pairs: &[Vec<(u32, u32)>]) -> bool {
    // The ties are tried on the classes alone, so that nothing has to be undone.
    let mut number: FxHashMap<u32, u32> = FxHashMap::default();
    let mut of = |state: &mut State, e: u32| {
        let next = number.len() as u32;
        *number.entry(state.sets.find(e)).or_insert(next)
    };
    let pairs: Vec<Vec<(u32, u32)>> =
        pairs.iter().map(|t| t.iter().map(|&(a, b)| (of(state, a), of(state, b))).collect()).collect();
    let mut tried = Sets::new(number.len());
    for &(a, b) in pairs.iter().flatten() {
        tried.union(a, b);
    }
    let fewest = |ties: &[(u32, u32)], class: &mut dyn FnMut(u32) -> u32| {
        let left: FxHashSet<u32> = ties.iter().map(|t| class(t.0)).collect();
        let right: FxHashSet<u32> = ties.iter().map(|t| class(t.1)).collect();
        left.len().min(right.len())
    };
    pairs.iter().any(|ties| fewest(ties, &mut |c| c) != fewest(ties, &mut |c| tried.find(c)))
}
