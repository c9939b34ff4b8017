//! Error against number of removed classes, for each group: the order and its shape from second moments, its
//! height from the network's outputs.

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};
use rustc_hash::{FxHashMap, FxHashSet};
use secateur_coupling::Coupling;
use secateur_diag::Result;
use secateur_ir::{Graph, ValueId};
use serde::{Deserialize, Serialize};

use crate::mask::masked;
use crate::plan::Plan;
use secateur_calib::measure::Reference;
use secateur_calib::obs::{self, Block, Order};
use secateur_calib::readers::{Reader, readers};
use secateur_calib::solve::damped;
use secateur_calib::statistics::Known;

/// Shares of a group's classes at whose removal the outputs are measured.
const MEASURED: [f64; 3] = [0.25, 0.5, 0.75];

/// What removing classes of one group costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Number of the group.
    pub group: usize,
    /// The classes in their order, and the error at the readers.
    pub order: Order,
    /// Number removed, and the error of the network's outputs that was measured then.
    pub measured: Vec<(usize, f64)>,
}

impl Curve {
    /// The expected error of the outputs with `k` classes removed, a share of their variance.
    pub fn error(&self, k: usize) -> f64 {
        let local = |k: usize| self.order.error.get(k).copied().unwrap_or(f64::INFINITY);
        let ratio = |m: &(usize, f64)| m.1 / local(m.0).max(1e-30);
        let after = self.measured.iter().position(|m| m.0 >= k);
        let scale = match (after, self.measured.as_slice()) {
            (_, []) => 1.0,
            (Some(0), [first, ..]) => ratio(first),
            (None, [.., last]) => ratio(last),
            (Some(i), m) => {
                let (a, b) = (&m[i - 1], &m[i]);
                let t = (k - a.0) as f64 / (b.0 - a.0).max(1) as f64;
                // Errors grow by factors, so factors are what is interpolated.
                (ratio(a).max(1e-30).ln() * (1.0 - t) + ratio(b).max(1e-30).ln() * t).exp()
            }
        };
        scale * local(k)
    }

    /// Places of the first `k` classes to go.
    pub fn removed(&self, k: usize) -> &[usize] {
        &self.order.classes[..k]
    }
}

/// Weights of the operators that some allowed group goes into.
pub fn wanted(graph: &Graph, coupling: &Coupling, allowed: &[bool]) -> FxHashSet<ValueId> {
    let all = readers(graph, coupling);
    all.iter().zip(allowed).filter(|(_, a)| **a).flat_map(|(r, _)| r.iter().map(|r| r.weight)).collect()
}

/// Orders of all allowed groups; `fallback` rates the classes of groups that no known operator reads.
///
/// # Errors
/// `D006`.
pub fn orders(
    graph: &Graph,
    coupling: &Coupling,
    allowed: &[bool],
    known: &[Known],
    fallback: &[Option<f64>],
    done: &mut dyn FnMut(),
) -> Result<Vec<Curve>> {
    let by_weight: FxHashMap<ValueId, &Known> = known.iter().map(|k| (k.linear.weight, k)).collect();
    let all = readers(graph, coupling);
    let mut out = Vec::new();
    for (g, group) in coupling.groups.iter().enumerate().filter(|(g, _)| allowed[*g]) {
        let n = group.classes.len();
        if n < 2 {
            continue;
        }
        let blocks = all[g].iter().map(|r| block(graph, &by_weight, r));
        let blocks: Vec<Block> = blocks.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        let extra = if blocks.is_empty() { shares(&group.classes, fallback) } else { vec![0.0; n] };
        out.push(Curve { group: g, order: obs::order(blocks, n, &extra), measured: Vec::new() });
        done();
    }
    Ok(out)
}

fn block(graph: &Graph, known: &FxHashMap<ValueId, &Known>, r: &Reader) -> Result<Option<Block>> {
    let Some(k) = known.get(&r.weight) else { return Ok(None) };
    let all = graph.init(r.weight).and_then(|w| k.linear.matrices(w));
    let Some(weight) = all.map(|mut m| m.swap_remove(r.part)) else { return Ok(None) };
    Ok(Block::new(&*k.covariance[r.part].get()?, &weight, r.rows.clone()))
}

/// Rows of a weight above which classes that go into it are not exchanged: the time grows with their cube.
pub const EXCHANGED_ROWS: usize = 1024;

/// A plan of as many classes of every group that leaves a smaller error at their readers, by exchanges. Groups stay as
/// they are where a reader is not known or large.
///
/// # Errors
/// `D006`.
pub fn exchanged(graph: &Graph, coupling: &Coupling, known: &[Known], plan: Plan) -> Result<Plan> {
    let by_weight: FxHashMap<ValueId, &Known> = known.iter().map(|k| (k.linear.weight, k)).collect();
    let all = readers(graph, coupling);
    let gone: FxHashSet<u32> = plan.removed.iter().copied().collect();
    let mut removed = Vec::new();
    for (group, readers) in coupling.groups.iter().zip(&all) {
        let n = group.classes.len();
        let places: Vec<usize> = (0..n).filter(|&i| gone.contains(&group.classes[i])).collect();
        let small = |r: &Reader| {
            by_weight.get(&r.weight).is_some_and(|k| k.covariance[r.part].nrows() <= EXCHANGED_ROWS)
        };
        let blocks = match !places.is_empty() && places.len() < n && readers.iter().all(small) {
            true => {
                readers.iter().map(|r| block(graph, &by_weight, r)).collect::<Result<Option<Vec<_>>>>()?
            }
            false => None,
        };
        let places = match blocks.filter(|b| !b.is_empty()) {
            Some(b) => obs::exchange(&b, n, &places),
            None => places,
        };
        removed.extend(places.into_iter().map(|i| group.classes[i]));
    }
    // Classes of no group stay as planned.
    let grouped: FxHashSet<u32> = coupling.groups.iter().flat_map(|g| g.classes.iter().copied()).collect();
    removed.extend(plan.removed.iter().copied().filter(|c| !grouped.contains(c)));
    removed.sort_unstable();
    Ok(Plan::new(coupling, removed))
}

/// Scores as shares of their sum.
fn shares(classes: &[u32], scores: &[Option<f64>]) -> Vec<f64> {
    let s: Vec<f64> =
        classes.iter().map(|&c| scores[c as usize].filter(|s| s.is_finite()).unwrap_or(1e30)).collect();
    let sum: f64 = s.iter().map(|s| s * s).sum();
    s.iter().map(|s| s * s / sum.max(1e-30)).collect()
}

/// Runs the network with one group cut at a time, the rest of its readers' weights fitted again, and writes
/// down the error of the outputs.
///
/// # Errors
/// Those of the engine.
pub fn measure(
    graph: &Graph,
    coupling: &Coupling,
    known: &[Known],
    curves: &mut [Curve],
    reference: &Reference,
    done: &mut dyn FnMut(),
) -> Result<()> {
    let by_weight: FxHashMap<ValueId, &Known> = known.iter().map(|k| (k.linear.weight, k)).collect();
    let all = readers(graph, coupling);
    // What earlier steps have cost already.
    let before = reference.error(graph)?;
    let mut walk = reference.walk(graph)?;
    let place: FxHashMap<ValueId, usize> = known.iter().map(|k| (k.linear.weight, k.linear.node)).collect();
    // Up to the first reader nothing changes. Groups that other operators sum away run from the start.
    let first = |c: &Curve| {
        let nodes = all[c.group].iter().map(|r| place.get(&r.weight).copied().unwrap_or(0));
        let touched = coupling.contractions.iter().filter(|k| reads(coupling, c.group, k));
        nodes.chain(touched.map(|k| k.node)).min().unwrap_or(0)
    };
    let mut order: Vec<(usize, usize)> = curves.iter().enumerate().map(|(i, c)| (first(c), i)).collect();
    order.sort_unstable();
    for (node, i) in order {
        walk.advance(graph, node, &[])?;
        let curve = &mut curves[i];
        let n = curve.order.classes.len();
        for share in MEASURED {
            let k = ((n as f64 * share).round() as usize).clamp(1, n - 1);
            if curve.measured.iter().all(|m| m.0 != k) {
                let cut = single(graph, coupling, curve, k, &by_weight, &all[curve.group])?;
                let error = reference.error_from(&cut, &walk)? - before;
                curve.measured.push((k, if error.is_nan() { f64::INFINITY } else { error.max(1e-9) }));
            }
            done();
        }
    }
    Ok(())
}

/// Whether a contraction sums away classes of a group.
fn reads(coupling: &Coupling, group: usize, c: &secateur_coupling::Contraction) -> bool {
    let rows = [Some(c.data), c.weight].into_iter().flatten().filter_map(|a| coupling.row_of(a));
    let footprint = &coupling.groups[group].footprint;
    rows.into_iter().any(|r| footprint.iter().any(|f| f.0 == r))
}

/// Curves of groups whose classes are rated from outside: lowest score first.
pub fn from_scores(coupling: &Coupling, allowed: &[bool], scores: &[Option<f64>]) -> Vec<Curve> {
    let groups =
        coupling.groups.iter().enumerate().filter(|(g, group)| allowed[*g] && group.classes.len() > 1);
    groups
        .map(|(g, group)| {
            let extra = shares(&group.classes, scores);
            Curve { group: g, order: obs::order(Vec::new(), extra.len(), &extra), measured: Vec::new() }
        })
        .collect()
}

/// By class, what its removal adds to its group's error in the order of the curves; the last of a group costs most.
pub fn scores(coupling: &Coupling, curves: &[Curve]) -> Vec<Option<f64>> {
    let mut out = vec![None; coupling.classes.len()];
    for c in curves {
        let classes = &coupling.groups[c.group].classes;
        for (k, &at) in c.order.classes.iter().enumerate() {
            let last = c.order.error.len() - 1;
            let (a, b) = (c.order.error[k.min(last)], c.order.error[(k + 1).min(last)]);
            out[classes[at] as usize] = Some(if k == last { f64::INFINITY } else { (b - a).max(0.0) });
        }
    }
    out
}

/// The graph with the first `k` classes of one group masked and their readers fitted again.
fn single(
    graph: &Graph,
    coupling: &Coupling,
    curve: &Curve,
    k: usize,
    known: &FxHashMap<ValueId, &Known>,
    readers: &[Reader],
) -> Result<Graph> {
    let classes = &coupling.groups[curve.group].classes;
    let plan = Plan::new(coupling, curve.removed(k).iter().map(|&at| classes[at]).collect());
    let mut out = masked(graph, coupling, &plan);
    let mut matrices: FxHashMap<ValueId, Vec<Mat<f64>>> = FxHashMap::default();
    for r in readers {
        let (Some(known), Some(t)) = (known.get(&r.weight), graph.init(r.weight)) else { continue };
        let Some(all) = known.linear.matrices(t) else { continue };
        let gone: FxHashSet<usize> =
            curve.removed(k).iter().flat_map(|&c| r.rows[c].iter().copied()).collect();
        let m = matrices.entry(r.weight).or_insert(all);
        if let Some(fitted) = without(&*known.covariance[r.part].get()?, &m[r.part], &gone) {
            m[r.part] = fitted;
        }
    }
    for (v, m) in matrices {
        if let (Some(known), Some(t)) = (known.get(&v), graph.init(v))
            && let Some(t) = known.linear.with_matrices(t, &m)
        {
            out.set_init(v, t);
        }
    }
    Ok(out)
}

/// Weights whose rows `gone` are zero and whose others give as nearly as they can what all gave:
/// `H_KK^-1 H_K W`.
fn without(covariance: &Mat<f64>, weight: &Mat<f64>, gone: &FxHashSet<usize>) -> Option<Mat<f64>> {
    let h = damped(covariance, obs::DAMPING);
    let kept: Vec<usize> = (0..h.nrows()).filter(|i| !gone.contains(i)).collect();
    let hk = Mat::from_fn(kept.len(), kept.len(), |i, j| h[(kept[i], kept[j])]);
    let goal = &h * weight;
    let goal = Mat::from_fn(kept.len(), weight.ncols(), |i, j| goal[(kept[i], j)]);
    let w = hk.llt(Side::Lower).ok()?.solve(&goal);
    let mut out = Mat::zeros(weight.nrows(), weight.ncols());
    for (i, &k) in kept.iter().enumerate() {
        for j in 0..weight.ncols() {
            out[(k, j)] = w[(i, j)];
        }
    }
    Some(out)
}
