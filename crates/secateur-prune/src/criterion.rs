//! How much a class matters, from the weights alone.

use rustc_hash::FxHashMap;
use secateur_coupling::Coupling;
use secateur_diag::{Code, Result, diag};
use secateur_ir::{Graph, Tensor, ValueId};

/// A rating of classes; small means unimportant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criterion {
    /// Mean absolute weight (Li et al. 2017, "Pruning Filters for Efficient ConvNets", section 3.1).
    L1,
    /// Root mean square weight.
    L2,
    /// Distance from the group's other members (He et al. 2019, "Filter Pruning via Geometric Median", eq. 4).
    Fpgm,
    /// Absolute BatchNormalization scale (Liu et al. 2017, "Network Slimming", section 3).
    BatchNormScale,
    /// By a hash of the seed and the class's number.
    Random(u64),
}

/// Scores by class; `None` where the criterion has nothing to say of it.
///
/// # Errors
/// [`Code::P005`] for `BatchNormScale` on a graph without BatchNormalization.
pub fn score(graph: &Graph, coupling: &Coupling, criterion: Criterion) -> Result<Vec<Option<f64>>> {
    match criterion {
        Criterion::L1 => Ok(norms(graph, coupling, |w| f64::from(w.abs()), |s| s)),
        Criterion::L2 => Ok(norms(graph, coupling, |w| f64::from(w) * f64::from(w), f64::sqrt)),
        Criterion::Fpgm => Ok(fpgm(graph, coupling)),
        Criterion::BatchNormScale => batch_norm(graph, coupling),
        Criterion::Random(seed) => Ok((0..coupling.classes.len() as u64)
            .map(|c| Some(hash(seed, c) as f64 / u64::MAX as f64))
            .collect()),
    }
}

/// SplitMix64 of two words.
fn hash(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Weights proper: floating or integer tensors of two axes or more; biases and scales are not rated.
fn weight(graph: &Graph, v: ValueId) -> Option<&Tensor> {
    graph.init(v).filter(|t| t.dims.len() > 1 && !t.is_empty())
}

fn numbers(t: &Tensor) -> Option<Vec<f32>> {
    t.to_f32().or_else(|| Some(t.to_i64()?.into_iter().map(|i| i as f32).collect()))
}

/// Mean of `f` over all weights of the class, through `end`.
fn norms(
    graph: &Graph,
    coupling: &Coupling,
    f: impl Fn(f32) -> f64,
    end: impl Fn(f64) -> f64,
) -> Vec<Option<f64>> {
    // By row and index: sum and count over the weights that have the row as an axis.
    let mut sums: Vec<Vec<(f64, f64)>> = vec![Vec::new(); coupling.rows.len()];
    let mut axes: FxHashMap<ValueId, Vec<(usize, u32)>> = FxHashMap::default();
    for (r, row) in coupling.rows.iter().enumerate().filter(|(_, r)| r.pin.is_none()) {
        for &(v, a) in row.axes.iter().filter(|(v, _)| weight(graph, *v).is_some()) {
            axes.entry(v).or_default().push((a, r as u32));
            sums[r].resize(row.len, (0.0, 0.0));
        }
    }
    let mut order: Vec<_> = axes.into_iter().collect();
    order.sort_unstable_by_key(|(v, _)| *v);
    for (v, axes) in order {
        let Some((t, w)) = weight(graph, v).and_then(|t| Some((t, numbers(t)?))) else { continue };
        for (a, r) in axes {
            let n = t.dims[a];
            let inner: usize = t.dims[a + 1..].iter().product();
            let slice = (t.len() / n.max(1)) as f64;
            let row = &mut sums[r as usize];
            for (k, chunk) in w.chunks_exact(inner.max(1)).enumerate() {
                row[k % n].0 += chunk.iter().map(|&w| f(w)).sum::<f64>();
            }
            row.iter_mut().for_each(|s| s.1 += slice);
        }
    }
    coupling
        .classes
        .iter()
        .map(|c| {
            let (sum, count) = c.members.iter().fold((0.0, 0.0), |(s, n), &(r, i)| {
                let (ds, dn) = sums[r as usize].get(i as usize).copied().unwrap_or_default();
                (s + ds, n + dn)
            });
            (count > 0.0).then(|| end(sum / count))
        })
        .collect()
}

/// Sum of distances to the other classes of the group, on all weights of a class laid end to end.
fn fpgm(graph: &Graph, coupling: &Coupling) -> Vec<Option<f64>> {
    let mut out = vec![None; coupling.classes.len()];
    for group in coupling.groups.iter().filter(|g| g.classes.len() > 1) {
        let mut vectors: Vec<Vec<f32>> = vec![Vec::new(); group.classes.len()];
        for &(r, _) in &group.footprint {
            for &(v, a) in &coupling.rows[r as usize].axes {
                let Some((t, w)) = weight(graph, v).and_then(|t| Some((t, numbers(t)?))) else { continue };
                let inner: usize = t.dims[a + 1..].iter().product();
                let outer: usize = t.dims[..a].iter().product();
                for (vector, &c) in vectors.iter_mut().zip(&group.classes) {
                    for &(_, i) in coupling.classes[c as usize].members.iter().filter(|m| m.0 == r) {
                        for o in 0..outer {
                            let at = (o * t.dims[a] + i as usize) * inner;
                            vector.extend_from_slice(&w[at..at + inner]);
                        }
                    }
                }
            }
        }
        if vectors[0].is_empty() {
            continue;
        }
        for (k, &c) in group.classes.iter().enumerate() {
            let distance = |other: &Vec<f32>| {
                let square: f32 = vectors[k].iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum();
                f64::from(square).sqrt()
            };
            out[c as usize] = Some(vectors.iter().map(distance).sum());
        }
    }
    out
}

fn batch_norm(graph: &Graph, coupling: &Coupling) -> Result<Vec<Option<f64>>> {
    let mut scales: Vec<Vec<(f64, f64)>> = vec![Vec::new(); coupling.rows.len()];
    let mut found = false;
    for n in graph.nodes.iter().filter(|n| n.is("BatchNormalization")) {
        let Some(v) = n.input(1) else { continue };
        let (Some(r), Some(s)) = (coupling.row_of((v, 0)), graph.init(v).and_then(numbers)) else { continue };
        found = true;
        let row = &mut scales[r as usize];
        row.resize(s.len(), (0.0, 0.0));
        for (slot, s) in row.iter_mut().zip(s) {
            *slot = (slot.0 + f64::from(s.abs()), slot.1 + 1.0);
        }
    }
    if !found {
        return Err(diag(Code::P005, "the model has no BatchNormalization to rate channels by")
            .help("it may have been folded by the exporter; use --criterion l2"));
    }
    Ok(coupling
        .classes
        .iter()
        .map(|c| {
            let (sum, count) = c.members.iter().fold((0.0, 0.0), |(s, n), &(r, i)| {
                let (ds, dn) = scales[r as usize].get(i as usize).copied().unwrap_or_default();
                (s + ds, n + dn)
            });
            (count > 0.0).then_some(sum / count)
        })
        .collect())
}
