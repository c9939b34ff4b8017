//! The weights of a graph rounded to nearest, layer by layer.

use faer::Mat;
use rustc_hash::{FxHashMap, FxHashSet};
use secateur_calib::linear::{Linear, linears};
use secateur_ir::{Graph, Tensor};

use crate::weight::{Grid, Rounded, round};

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
pub struct Rounding {
    /// The grid of weights.
    pub grid: Grid,
    /// The data's scale by layer node, where activations are quantized.
    pub data_scale: FxHashMap<usize, f32>,
}

/// Rounds the weights of the layers whose nodes `chosen` holds.
pub fn layers(graph: &Graph, chosen: &FxHashSet<usize>, r: &Rounding, done: &mut dyn FnMut()) -> Vec<Layer> {
    let mut out = Vec::new();
    for l in linears(graph).into_iter().filter(|l| chosen.contains(&l.node)) {
        out.extend(nearest(graph, l, r));
        done();
    }
    out
}

/// A layer rounded to nearest.
pub fn nearest(graph: &Graph, l: Linear, r: &Rounding) -> Option<Layer> {
    let matrices = graph.init(l.weight).and_then(|w| l.matrices(w))?;
    let bias = l.bias.and_then(|b| graph.init(b)).and_then(Tensor::to_f32);
    let outputs: usize = matrices.iter().map(Mat::ncols).sum();
    let least = least(&bias, r.data_scale.get(&l.node).copied(), outputs);
    let one =
        |(g, w): (usize, &Mat<f64>)| round(w, r.grid, &least[g * w.ncols()..(g + 1) * w.ncols()], None, None);
    let rounded = matrices.iter().enumerate().map(one).collect();
    let bias = bias.map(|b| b.iter().map(|v| f64::from(*v)).collect());
    Some(Layer { linear: l, rounded, bias })
}

/// The least scale of each output's weight at which its bias fits an i32 with room to spare.
pub fn least(bias: &Option<Vec<f32>>, data: Option<f32>, outputs: usize) -> Vec<f64> {
    let one = |b: f32, s: f32| f64::from(b.abs()) / (f64::from(s) * f64::from(1 << 30));
    match (bias, data) {
        (Some(b), Some(s)) if b.len() == outputs => b.iter().map(|b| one(*b, s)).collect(),
        _ => vec![0.0; outputs],
    }
}
