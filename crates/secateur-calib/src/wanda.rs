//! Weights rated by magnitude times the input's norm.

use rustc_hash::FxHashMap;
use secateur_coupling::Coupling;
use secateur_ir::{Graph, ValueId};

use crate::readers::readers;
use crate::statistics::Known;

/// Scores by class: the sum over its weights of `|w| * |x|`, each reader divided by its own sum; `None` where no
/// known operator reads the class (Sun et al. 2024, "A Simple and Effective Pruning Approach", eq. 1).
pub fn score(graph: &Graph, coupling: &Coupling, known: &[Known]) -> Vec<Option<f64>> {
    let by_weight: FxHashMap<ValueId, &Known> = known.iter().map(|k| (k.linear.weight, k)).collect();
    let mut out = vec![None; coupling.classes.len()];
    for (group, readers) in coupling.groups.iter().zip(readers(graph, coupling)) {
        for r in &readers {
            let Some(k) = by_weight.get(&r.weight) else { continue };
            let Some(w) = graph.init(r.weight).and_then(|t| k.linear.matrices(t)) else { continue };
            let (w, x) = (&w[r.part], &k.mean_square[r.part]);
            let row = |f: usize| x[f].sqrt() * (0..w.ncols()).map(|j| w[(f, j)].abs()).sum::<f64>();
            let rated: Vec<f64> = r.rows.iter().map(|rows| rows.iter().map(|&f| row(f)).sum()).collect();
            let total: f64 = rated.iter().sum();
            for (&c, s) in group.classes.iter().zip(rated) {
                *out[c as usize].get_or_insert(0.0) += s / total.max(1e-300);
            }
        }
    }
    out
}
