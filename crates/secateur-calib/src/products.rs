//! Classes that are summed away between two computed values, as those of queries and keys are.

use secateur_coupling::{Axis, Coupling};
use secateur_diag::Result;
use secateur_ir::Graph;
use secateur_tensor::Tensor;

use crate::Samples;
use crate::walk::Walk;

/// Scores by class: how much its products `a_k b_k` move the sums that they go into, a share of what all classes of the
/// contraction move. The mean square of a product is taken to be the product of the mean squares, place by place of
/// the axis; a score is the root of their sum. `None` where no such contraction sums a class away.
///
/// # Errors
/// Those of the engine.
pub fn score(
    graph: &Graph,
    coupling: &Coupling,
    samples: &Samples,
    which: &[usize],
) -> Result<Vec<Option<f64>>> {
    let mut out: Vec<Option<f64>> = vec![None; coupling.classes.len()];
    let computed = |a: Axis| graph.init(a.0).is_none();
    let mut pairs: Vec<(usize, Axis, Axis)> = coupling
        .contractions
        .iter()
        .filter_map(|c| Some((c.node, c.data, c.weight?)))
        .filter(|(_, a, b)| computed(*a) && computed(*b) && coupling.row_of(*a) == coupling.row_of(*b))
        .collect();
    pairs.sort_unstable();
    // Both operands may be told as the data.
    pairs.dedup_by_key(|p| p.0);
    if pairs.is_empty() {
        return Ok(out);
    }
    let mut walk = Walk::new(graph, samples, which.to_vec())?;
    for (node, a, b) in pairs {
        walk.advance(graph, node, &[a.0, b.0])?;
        let squares = |axis: Axis| walk.get(axis.0).and_then(|t| mean_squares(t, axis.1));
        let (Some(row), Some(a), Some(b)) = (coupling.row_of(a), squares(a), squares(b)) else { continue };
        let moved: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
        let all = moved.iter().sum::<f64>().max(1e-300);
        for (class, score) in coupling.classes.iter().zip(&mut out) {
            let own = class.members.iter().filter(|m| m.0 == row);
            let sum: Option<f64> = own.map(|m| moved.get(m.1 as usize).map(|x| x / all)).sum();
            if let Some(sum) = sum.filter(|s| *s > 0.0) {
                *score.get_or_insert(0.0) += sum;
            }
        }
    }
    out.iter_mut().flatten().for_each(|s| *s = s.sqrt());
    Ok(out)
}

/// By place of an axis, the mean square over everything else.
fn mean_squares(batches: &[std::sync::Arc<Tensor>], axis: usize) -> Option<Vec<f64>> {
    let n = *batches.first()?.dims.get(axis)?;
    let mut out = vec![0.0; n];
    let mut count = 0usize;
    for t in batches {
        let inner: usize = t.dims.get(axis + 1..)?.iter().product();
        for (i, run) in t.slice::<f32>()?.chunks(inner.max(1)).enumerate() {
            *out.get_mut(i % n.max(1))? += run.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        }
        count += t.slice::<f32>()?.len();
    }
    out.iter_mut().for_each(|s| *s *= n as f64 / count.max(1) as f64);
    Some(out)
}
