//! How many zeros each layer gets, from one budget over all of them.

use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, Side};
use rustc_hash::FxHashMap;
use secateur_diag::Result;
use secateur_ir::{Graph, ValueId};

use super::measure::Reference;
use super::obs;
use super::pattern::Pattern;
use super::solve::damped;
use super::sparse::{Problem, solve_on};
use super::statistics::Known;

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
        out.push(Layer { weight: k.linear.weight, len: t.len(), error });
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

/// By weight, the share of elements that stay, so that `sparsity` of all of `total` elements are zero with the least
/// sum of errors.
///
/// `total` counts the weights of all linear operators, masked or not.
pub fn densities(layers: &[Layer], pattern: Pattern, total: usize, sparsity: f64) -> FxHashMap<ValueId, f64> {
    let least = (100.0 * pattern.least_sparsity()).round() as usize;
    let choose = |price: f64| -> Vec<usize> {
        let cost = |l: &Layer, at: usize| l.error[at] + price * l.len as f64 * (100 - at) as f64;
        let best = |l: &Layer| (least..=MOST).min_by(|&a, &b| cost(l, a).total_cmp(&cost(l, b)));
        layers.iter().map(|l| best(l).unwrap_or(least)).collect()
    };
    let zeros =
        |at: &[usize]| layers.iter().zip(at).map(|(l, a)| l.len as f64 * *a as f64 / 100.0).sum::<f64>();
    let goal = sparsity * total as f64;
    // The logarithm of the price is bisected.
    let (mut low, mut high) = (-80.0f64, 40.0f64);
    for _ in 0..100 {
        let mid = f64::midpoint(low, high);
        if zeros(&choose(mid.exp())) < goal { low = mid } else { high = mid }
    }
    let mut at: Vec<f64> = choose(high.exp()).iter().map(|a| *a as f64 / 100.0).collect();
    // What was overshot is given back where it is cheapest to take, evenly.
    let over = layers.iter().zip(&at).map(|(l, a)| l.len as f64 * a).sum::<f64>() - goal;
    let room: f64 = layers.iter().zip(&at).map(|(l, a)| l.len as f64 * (a - least as f64 / 100.0)).sum();
    if over > 0.0 && room > 0.0 {
        at.iter_mut().for_each(|a| *a -= (*a - least as f64 / 100.0) * over / room);
    }
    layers.iter().zip(at).map(|(l, a)| (l.weight, 1.0 - a)).collect()
}
