//! How many zeros each layer gets, from one budget over all of them.

use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, Side};
use rustc_hash::FxHashMap;
use secateur_diag::Result;
use secateur_ir::{Graph, ValueId};

use crate::measure::Reference;
use crate::obs;
use crate::pattern::Pattern;
use crate::solve::damped;
use crate::sparse::{Problem, solve_on};
use crate::statistics::Known;

/// Shares of zeros at which the outputs are measured.
const MEASURED: [f64; 4] = [0.5, 0.7, 0.85, 0.95];
/// Shares of zeros that are chosen from, in hundredths.
const MOST: usize = 99;

/// What zeros in one layer cost.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The weight.
    pub weight: ValueId,
    /// Its elements.
    pub len: usize,
    /// By hundredth of zeros: the expected error of the network's outputs, a share of their variance.
    pub error: Vec<f64>,
    /// By hundredth of zeros: modelled cycles on a target, where these are limited.
    pub cycles: Vec<f64>,
}

impl Layer {
    /// A layer of which nothing was measured.
    pub fn of(weight: ValueId) -> Self {
        Self { weight, len: 0, error: Vec::new(), cycles: Vec::new() }
    }
}

/// What zeros are to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// Elements of the weights of all linear operators, masked or not.
    pub total: usize,
    /// The share of them that is to be zero at least.
    pub sparsity: f64,
    /// What the layers that may be masked are to take together at most, in [`Layer::cycles`].
    pub cycles: Option<f64>,
}

/// Shares of zeros, in hundredths, at which time is to be measured; none first.
pub const TIMED: [usize; 12] = [0, 40, 50, 60, 70, 75, 80, 85, 90, 94, 97, 99];

/// The graph with this share of zeros, in hundredths, in every weight that may be masked, by size: what its kernels take
/// depends on where zeros are only little.
pub fn with_zeros(graph: &Graph, known: &[Known], pattern: Pattern, hundredths: usize) -> Graph {
    let mut out = graph.clone();
    for k in known.iter().filter(|k| maskable(graph, k)) {
        let Some(t) = graph.init(k.linear.weight) else { continue };
        let (Some(weights), (_, taps, _)) = (k.linear.matrices(t), k.linear.sizes(t)) else { continue };
        let masked = |w: &Mat<f64>| {
            let keep = w.nrows() * w.ncols() * (100 - hundredths.min(100)) / 100;
            let support = pattern.support(w, taps, keep);
            Mat::from_fn(w.nrows(), w.ncols(), |i, j| if support[(i, j)] { w[(i, j)] } else { 0.0 })
        };
        let masked: Vec<Mat<f64>> = weights.iter().map(masked).collect();
        if let Some(t) = k.linear.with_matrices(t, &masked) {
            out.set_init(k.linear.weight, t);
        }
    }
    out
}

/// Cycles at every hundredth from those at [`TIMED`]: between two by a straight line, and never more than with fewer
/// zeros, as a kernel that does not look at zeros can always be taken.
pub fn cycles(timed: &[u64]) -> Vec<f64> {
    let at = |n: usize| {
        let i = TIMED.iter().position(|t| *t >= n).unwrap_or(TIMED.len() - 1);
        let (Some(&to), Some(&from)) = (timed.get(i), timed.get(i.saturating_sub(1))) else { return 0.0 };
        let (a, b) = (TIMED[i.saturating_sub(1)], TIMED[i]);
        let t = if b > a { (n - a) as f64 / (b - a) as f64 } else { 1.0 };
        from as f64 * (1.0 - t) + to as f64 * t
    };
    let least = |least: &mut f64, n: usize| {
        *least = least.min(at(n));
        Some(*least)
    };
    (0..=MOST).scan(f64::INFINITY, least).collect()
}

/// Whether a layer is masked: depthwise convolutions stay as they are.
pub fn maskable(graph: &Graph, known: &Known) -> bool {
    graph.init(known.linear.weight).is_some_and(|w| known.linear.sizes(w).0 > 1 || known.linear.groups() == 1)
}

/// Measures every layer: its weights masked by their saliency `w^2 / [H^-1]_ff` (Hassibi and Stork 1993), the others
/// fitted again, the rest of the network as it is.
///
/// # Errors
/// Those of the engine.
pub fn layers(
    graph: &Graph,
    known: &[Known],
    pattern: Pattern,
    reference: &Reference,
    threads: usize,
    done: &mut dyn FnMut(),
) -> Result<Vec<Layer>> {
    let mut out = Vec::new();
    let mut walk = reference.walk(graph)?;
    let before = reference.error(graph)?;
    for k in known.iter().filter(|k| maskable(graph, k)) {
        walk.advance(graph, k.linear.node, &[])?;
        let Some(t) = graph.init(k.linear.weight) else { continue };
        let (Some(weights), (_, taps, _)) = (k.linear.matrices(t), k.linear.sizes(t)) else { continue };
        let parts = k.covariance.iter().zip(&weights).map(|(c, w)| Ok(Part::new(&*c.get()?, w)));
        let parts: Vec<Part> = parts.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        if parts.len() != weights.len() {
            continue;
        }
        let mut measured: Vec<(usize, f64)> = Vec::new();
        for share in MEASURED {
            let share = share.max(pattern.least_sparsity());
            let at = (100.0 * share).round() as usize;
            if measured.iter().any(|m| m.0 == at) {
                continue;
            }
            let masked: Vec<Mat<f64>> = parts.iter().map(|p| p.masked(pattern, taps, at, threads)).collect();
            let mut g = graph.clone();
            if let Some(t) = k.linear.with_matrices(t, &masked) {
                g.set_init(k.linear.weight, t);
            }
            let error = reference.error_from(&g, &walk)? - before;
            measured.push((at, if error.is_nan() { f64::INFINITY } else { error.max(1e-9) }));
            done();
        }
        let local: Vec<f64> =
            (0..=MOST).map(|at| parts.iter().map(|p| p.local(pattern, taps, at)).sum()).collect();
        let error = (0..=MOST).map(|at| interpolated(&local, &measured, at)).collect();
        out.push(Layer { weight: k.linear.weight, len: t.len(), error, cycles: Vec::new() });
    }
    Ok(out)
}

/// A layer's group.
struct Part {
    problem: Problem,
    weight: Mat<f64>,
    saliency: Mat<f64>,
}

impl Part {
    fn new(covariance: &Mat<f64>, weight: &Mat<f64>) -> Option<Self> {
        let h = damped(covariance, obs::DAMPING);
        let inverse = h.llt(Side::Lower).ok()?.inverse();
        let saliency = Mat::from_fn(weight.nrows(), weight.ncols(), |i, j| {
            weight[(i, j)].abs() / inverse[(i, i)].max(1e-300).sqrt()
        });
        let c = &h * weight;
        Some(Self { problem: Problem { h, c }, weight: weight.clone(), saliency })
    }

    fn support(&self, pattern: Pattern, taps: usize, hundredths: usize) -> Mat<bool> {
        let all = self.weight.nrows() * self.weight.ncols();
        pattern.support(&self.saliency, taps, all * (100 - hundredths) / 100)
    }

    fn masked(&self, pattern: Pattern, taps: usize, at: usize, threads: usize) -> Mat<f64> {
        solve_on(&self.problem, &self.support(pattern, taps, at), threads)
    }

    /// Saliency of what goes.
    fn local(&self, pattern: Pattern, taps: usize, at: usize) -> f64 {
        let s = self.support(pattern, taps, at);
        (0..s.ncols())
            .map(|j| {
                (0..s.nrows()).filter(|&i| !s[(i, j)]).map(|i| self.saliency[(i, j)].powi(2)).sum::<f64>()
            })
            .sum()
    }
}

/// The measured error carried to other shares by the shape of the local one.
fn interpolated(local: &[f64], measured: &[(usize, f64)], at: usize) -> f64 {
    let ratio = |m: &(usize, f64)| (m.1 / local[m.0].max(1e-300)).max(1e-300);
    let scale = match (measured.iter().position(|m| m.0 >= at), measured) {
        (_, []) => 1.0,
        (Some(0), [first, ..]) => ratio(first),
        (None, [.., last]) => ratio(last),
        (Some(i), m) => {
            let t = (at - m[i - 1].0) as f64 / (m[i].0 - m[i - 1].0) as f64;
            (ratio(&m[i - 1]).ln() * (1.0 - t) + ratio(&m[i]).ln() * t).exp()
        }
    };
    local[at] * scale
}

/// By weight, the share of elements that stay, so that the goal is reached with the least sum of errors. Where cycles are
/// limited and no choice holds the limit, the one with the most zeros.
pub fn densities(layers: &[Layer], pattern: Pattern, goal: &Goal) -> FxHashMap<ValueId, f64> {
    let least = (100.0 * pattern.least_sparsity()).round() as usize;
    let found = match goal.cycles {
        None => plain(layers, least, goal),
        Some(limit) => timed(layers, least, goal, limit),
    };
    layers.iter().zip(found).map(|(l, a)| (l.weight, 1.0 - a)).collect()
}

/// The share of zeros of each layer in hundredths where an element that stays and a cycle have these prices.
fn choose(layers: &[Layer], least: usize, element: f64, cycle: f64) -> Vec<usize> {
    let cost = |l: &Layer, at: usize| {
        l.error[at]
            + element * l.len as f64 * (100 - at) as f64
            + cycle * l.cycles.get(at).copied().unwrap_or(0.0)
    };
    let best = |l: &Layer| (least..=MOST).min_by(|&a, &b| cost(l, a).total_cmp(&cost(l, b)));
    layers.iter().map(|l| best(l).unwrap_or(least)).collect()
}

fn zeros(layers: &[Layer], at: &[usize]) -> f64 {
    layers.iter().zip(at).map(|(l, a)| l.len as f64 * *a as f64 / 100.0).sum()
}

/// The choice at the lowest price for which `enough` holds, by bisection of its logarithm.
fn priced(choose: &dyn Fn(f64) -> Vec<usize>, enough: &dyn Fn(&[usize]) -> bool) -> Vec<usize> {
    let (mut low, mut high) = (-80.0f64, 40.0f64);
    for _ in 0..100 {
        let mid = f64::midpoint(low, high);
        if enough(&choose(mid.exp())) { high = mid } else { low = mid }
    }
    choose(high.exp())
}

fn timed(layers: &[Layer], least: usize, goal: &Goal, limit: f64) -> Vec<f64> {
    let taken = |at: &[usize]| layers.iter().zip(at).map(|(l, a)| l.cycles[*a]).sum::<f64>();
    let elements = goal.sparsity * goal.total as f64;
    let with = |cycle: f64| {
        let by_element = |element: f64| choose(layers, least, element, cycle);
        match goal.sparsity > 0.0 {
            true => priced(&by_element, &|at| zeros(layers, at) >= elements),
            false => by_element(0.0),
        }
    };
    let mut at = priced(&with, &|at| taken(at) <= limit);
    // Prices find the choices on the lower hull; what they leave of the limits is given back, most error first.
    loop {
        let (time, all) = (taken(&at), zeros(layers, &at));
        let mut most: Option<(f64, usize, usize)> = None;
        for (l, layer) in layers.iter().enumerate() {
            let now = at[l];
            for a in least..now {
                let fewer = layer.len as f64 * (now - a) as f64 / 100.0;
                let fits = time - layer.cycles[now] + layer.cycles[a] <= limit && all - fewer >= elements;
                let gain = layer.error[now] - layer.error[a];
                if fits && gain > most.map_or(0.0, |m| m.0) {
                    most = Some((gain, l, a));
                }
            }
        }
        let Some((_, l, a)) = most else { break };
        at[l] = a;
    }
    at.into_iter().map(|a| a as f64 / 100.0).collect()
}

/// `goal.sparsity` alone.
fn plain(layers: &[Layer], least: usize, goal: &Goal) -> Vec<f64> {
    let goal = goal.sparsity * goal.total as f64;
    let found = priced(&|price| choose(layers, least, price, 0.0), &|at| zeros(layers, at) >= goal);
    let mut at: Vec<f64> = found.iter().map(|a| *a as f64 / 100.0).collect();
    // What was overshot is given back where it is cheapest to take, evenly.
    let over = layers.iter().zip(&at).map(|(l, a)| l.len as f64 * a).sum::<f64>() - goal;
    let room: f64 = layers.iter().zip(&at).map(|(l, a)| l.len as f64 * (a - least as f64 / 100.0)).sum();
    if over > 0.0 && room > 0.0 {
        at.iter_mut().for_each(|a| *a -= (*a - least as f64 / 100.0) * over / room);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Errors that grow with the square of the share, times a factor.
    fn layer(id: u32, len: usize, factor: f64, cycles: &dyn Fn(usize) -> f64) -> Layer {
        let error = (0..=MOST).map(|at| factor * (at as f64 / 100.0).powi(2)).collect();
        Layer { weight: ValueId(id), len, error, cycles: (0..=MOST).map(cycles).collect() }
    }

    #[test]
    fn zeros_go_where_they_save_time() {
        // Two equal layers, of which one's kernel has no use for zeros; a third that has, at a higher error.
        let useful = |at: usize| 1000.0 - 9.0 * at as f64;
        let layers =
            [layer(0, 100, 1.0, &useful), layer(1, 100, 1.0, &|_| 1000.0), layer(2, 100, 3.0, &useful)];
        let pattern = Pattern::Block { outputs: 1, channels: 1 };
        let share = |goal: Goal| -> Vec<f64> {
            let found = densities(&layers, pattern, &goal);
            layers.iter().map(|l| 1.0 - found[&l.weight]).collect()
        };
        let timed = share(Goal { total: 300, sparsity: 0.0, cycles: Some(2400.0) });
        assert!(timed[1] == 0.0 && timed[0] > 2.5 * timed[2], "{timed:?}");
        let taken: f64 = 1000.0 + [0, 2].map(|l| 1000.0 - 900.0 * timed[l]).iter().sum::<f64>();
        assert!(taken <= 2400.0 + 1e-6 && taken > 2385.0, "{taken}");
        // With a share of zeros over all, the idle layer takes its part of them.
        let both = share(Goal { total: 300, sparsity: 0.5, cycles: Some(2400.0) });
        assert!(both[1] > 0.5 && both.iter().sum::<f64>() >= 1.5 - 1e-9, "{both:?}");
        // What cannot be reached: as many zeros as there may be.
        assert_eq!(share(Goal { total: 300, sparsity: 0.0, cycles: Some(900.0) })[0], 0.99);
    }

    #[test]
    fn time_does_not_grow_with_zeros() {
        // A sparse kernel loses to a dense one up to 60 %.
        let timed: Vec<u64> =
            TIMED.iter().map(|&t| if t < 60 { 100 + t as u64 } else { 200 - 2 * t as u64 }).collect();
        let all = cycles(&timed);
        assert_eq!((all[0], all[20], all[50]), (100.0, 100.0, 100.0));
        assert!(all.windows(2).all(|w| w[1] <= w[0]) && all[99] == 2.0 && all[72] == 56.0, "{all:?}");
    }
}
