//! One sweep over the layers: each is fitted to what the original gives, on what the rounded layers before it pass on,
//! and rounded at once with error feedback, so that it makes up for what was cut off and rounded before it.
//!
//! The fit is that of pruning's compensation (`secateur_calib::refit`); with targets of the float network and
//! data of the rounded one it is what Li et al., "GPTAQ: Efficient finetuning-free quantization for asymmetric
//! calibration", 2025, section 3, call asymmetric calibration.

use rustc_hash::{FxHashMap, FxHashSet};
use secateur_calib::Samples;
use secateur_calib::linear::linears;
use secateur_calib::refit;
use secateur_calib::statistics::has_offset;
use secateur_diag::Result;
use secateur_ir::{Graph, ValueId};

use crate::feedback::Inverse;
use crate::layers::{Layer, Rounding, least, nearest};
use crate::reconstruct::Target;
use crate::weight::{Rounded, round};

/// Share of the mean diagonal that a Gram matrix is damped with, as GPTQ has it.
const DAMPING: f64 = 0.01;

/// Fits and rounds the weights of the layers whose nodes `chosen` holds; fits the others.
///
/// Returns the graph, with biases where layers got one, and the layers.
///
/// # Errors
/// Those of the engine.
pub fn swept(
    graph: &Graph,
    chosen: &FxHashSet<usize>,
    r: &Rounding,
    samples: &Samples,
    target: &Target,
    done: &mut dyn FnMut(),
) -> Result<(Graph, Vec<Layer>)> {
    let mut after = graph.clone();
    let mut found: FxHashMap<ValueId, Vec<Rounded>> = FxHashMap::default();
    let settle: &mut refit::Settle = &mut |l, _, map, m| {
        if !chosen.contains(&l.node) {
            return None;
        }
        let bias: Vec<f32> = map.b.iter().map(|b| *b as f32).collect();
        let least = least(&Some(bias), r.data_scale.get(&l.node).copied(), map.w.ncols());
        let inverse = Inverse::new(&m.gram(has_offset(graph, l)), DAMPING);
        let power: Vec<f64> = (0..map.w.nrows()).map(|i| m.xx[(i, i)] / m.count.max(1.0)).collect();
        let one = round(&map.w, r.grid, &least, Some(&power), inverse.as_ref());
        let values = one.values();
        found.entry(l.weight).or_default().push(one);
        Some(values)
    };
    let options = refit::Options::default();
    let told = &mut |n: usize| {
        if chosen.contains(&n) {
            done()
        }
    };
    refit::sweep((target.original, &mut after), target.kept, samples, &options, Some(settle), told)?;
    let mut out = Vec::new();
    for linear in linears(&after).into_iter().filter(|l| chosen.contains(&l.node)) {
        let weight = linear.weight;
        let Some(mut layer) = nearest(&after, linear, r) else { continue };
        if let Some(f) = found.remove(&weight).filter(|f| f.len() == layer.rounded.len()) {
            layer.rounded = f;
        }
        out.push(layer);
    }
    Ok((after, out))
}
