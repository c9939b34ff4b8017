//! The weights of a graph rounded layer by layer, each on what the rounded layers before it pass on.

use faer::Mat;
use rustc_hash::{FxHashMap, FxHashSet};
use secateur_diag::Result;
use secateur_exec::Moments;
use secateur_ir::{Graph, ValueId};
use secateur_prune::calib::Samples;
use secateur_prune::calib::linear::{Linear, linears};
use secateur_prune::calib::statistics::{moments, unfolding};
use secateur_prune::calib::walk::Walk;

use crate::feedback::Inverse;
use crate::weight::{Grid, Rounded, round};

/// Share of the mean diagonal that a Gram matrix is damped with, as GPTQ has it.
const DAMPING: f64 = 0.01;

/// The rounded weight of a layer, one matrix a group, and its bias after correction.
pub struct Layer {
    /// The operator.
    pub linear: Linear,
    /// By group.
    pub rounded: Vec<Rounded>,
    /// By output, where the layer has a bias.
    pub bias: Option<Vec<f64>>,
}

/// What is known of a layer's rounding before it starts.
pub struct Rounding<'a> {
    /// The grid of weights.
    pub grid: Grid,
    /// The data's scale by layer node, where activations are quantized.
    pub data_scale: FxHashMap<usize, f32>,
    /// Samples for error feedback and bias correction; `None` rounds to nearest.
    pub samples: Option<&'a Samples>,
}

/// Rounds the weights of the layers whose nodes `chosen` holds.
///
/// # Errors
/// Those of the engine.
pub fn layers(
    graph: &Graph,
    chosen: &FxHashSet<usize>,
    r: &Rounding,
    done: &mut dyn FnMut(),
) -> Result<Vec<Layer>> {
    let mut after = graph.clone();
    let all = |s: &Samples| (0..s.batches.len()).collect::<Vec<_>>();
    let mut walks = match r.samples {
        Some(s) => Some((Walk::new(graph, s, all(s))?, Walk::new(graph, s, all(s))?)),
        None => None,
    };
    let mut out = Vec::new();
    for l in linears(graph).into_iter().filter(|l| chosen.contains(&l.node)) {
        let Some(matrices) = graph.init(l.weight).and_then(|w| l.matrices(w)) else { continue };
        let bias = l.bias.and_then(|b| graph.init(b)?.to_f32());
        let outputs: usize = matrices.iter().map(Mat::ncols).sum();
        let least = least(&bias, r.data_scale.get(&l.node).copied(), outputs);
        let mut stats = None;
        if let (Some((original, rounded)), Some(s)) = (&mut walks, r.samples) {
            let raw = graph.nodes[l.node].output(0).unwrap_or(l.out);
            original.advance(graph, l.node, &[l.data])?;
            let a = original.get(l.data).cloned();
            rounded.advance(&after, l.node, &[l.data])?;
            let b = rounded.get(l.data).cloned();
            // The shape of the result is known once it has run.
            original.advance(graph, l.node + 1, &[raw])?;
            let shape = original.get(raw).and_then(|r| r.first()).map(|t| t.shape.clone());
            if let (Some(a), Some(b), Some(shape)) = (a, b, shape) {
                let unfold = unfolding(graph, &l, &a[0], &shape)?;
                stats = Some((a, b, unfold, s));
            }
        }
        let mut rounded = Vec::new();
        let mut corrected: Option<Vec<f64>> = bias.map(|b| b.iter().map(|v| f64::from(*v)).collect());
        for (g, w) in matrices.iter().enumerate() {
            let (p, q) = (w.nrows(), w.ncols());
            let least = &least[g * q..(g + 1) * q];
            let Some((a, b, unfold, s)) = &stats else {
                rounded.push(round(w, r.grid, least, None, None));
                continue;
            };
            let channels = graph.init(l.weight).map_or(0, |t| l.sizes(t).0);
            let range = g * channels..(g + 1) * channels;
            let before = moments(a, unfold, range.clone(), p, s.threads, false)?;
            let now = moments(b, unfold, range, p, s.threads, true)?;
            let gram = now.gram(corrected.is_some());
            let power: Vec<f64> = (0..p).map(|i| now.xx[(i, i)] / now.count.max(1.0)).collect();
            let inverse = Inverse::new(&gram, DAMPING);
            let one = round(w, r.grid, least, Some(&power), inverse.as_ref());
            if let Some(bias) = &mut corrected {
                let values = one.values();
                for j in 0..q {
                    let mean = |m: &Moments, w: &Mat<f64>| -> f64 {
                        (0..p).map(|i| m.x[i] / m.count.max(1.0) * w[(i, j)]).sum()
                    };
                    bias[g * q + j] += mean(&before, w) - mean(&now, &values);
                }
            }
            rounded.push(one);
        }
        write(&mut after, &l, &rounded, corrected.as_deref());
        out.push(Layer { linear: l, rounded, bias: corrected });
        done();
    }
    Ok(out)
}

/// The least scale of each output's weight at which its bias fits an i32 with room to spare.
fn least(bias: &Option<Vec<f32>>, data: Option<f32>, outputs: usize) -> Vec<f64> {
    let one = |b: f32, s: f32| f64::from(b.abs()) / (f64::from(s) * f64::from(1 << 30));
    match (bias, data) {
        (Some(b), Some(s)) if b.len() == outputs => b.iter().map(|b| one(*b, s)).collect(),
        _ => vec![0.0; outputs],
    }
}

/// Puts what a layer has become into the graph that later layers are measured on.
fn write(graph: &mut Graph, l: &Linear, rounded: &[Rounded], bias: Option<&[f64]>) {
    let values: Vec<Mat<f64>> = rounded.iter().map(Rounded::values).collect();
    let set = |graph: &mut Graph, v: ValueId, t: Option<secateur_ir::Tensor>| {
        if let Some(t) = t {
            graph.set_init(v, t);
        }
    };
    let weight = graph.init(l.weight).and_then(|w| l.with_matrices(w, &values));
    set(graph, l.weight, weight);
    if let (Some(v), Some(b)) = (l.bias, bias) {
        let b: Vec<f32> = b.iter().map(|x| *x as f32).collect();
        let t = graph.init(v).and_then(|t| t.with_f32(t.dims.clone(), &b));
        set(graph, v, t);
    }
}
