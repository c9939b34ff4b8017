//! All weights moved together while they are rounded, after each layer has been rounded by itself.

use faer::Mat;
use rustc_hash::FxHashMap;
use secateur_calib::Samples;
use secateur_calib::measure::Reference;
use secateur_calib::reconstruct::{Judge, Left, Options, Reconstructed, Steps, reconstruct};
use secateur_diag::Result;
use secateur_ir::{Graph, Tensor, ValueId};

use crate::layers::Layer;
use crate::weight::{Rounded, most};

/// What the quantized network is to be like.
pub struct Target<'a> {
    /// The network whose values are the targets.
    pub original: &'a Graph,
    /// Which elements of an axis of a value of it are left in the quantized one; `None` where all are.
    pub kept: &'a dyn Fn(ValueId, usize) -> Option<Vec<usize>>,
    /// Layers are fitted towards it one by one as well. Not where all of them have been moved towards its outputs
    /// together: what each gives by itself is then no longer what serves best.
    pub layers: bool,
}

/// Moves the weights of `graph` towards `target`; those of `layers` stay on their grids.
///
/// The layers' integers and biases, and all else in `graph` that moved, are changed in place, or nothing is.
///
/// # Errors
/// Those of the engine.
pub fn moved(
    graph: &mut Graph,
    layers: &mut [Layer],
    (bits, epochs): (u32, Option<usize>),
    target: &Target,
    samples: &Samples,
    done: &mut dyn FnMut(f64),
) -> Result<std::result::Result<Reconstructed, Left>> {
    let mut out = graph.clone();
    let mut grids = FxHashMap::default();
    for layer in layers.iter() {
        let l = &layer.linear;
        let Some(w) = graph.init(l.weight) else { continue };
        let matrices = |of: &dyn Fn(&Rounded) -> Mat<f64>| {
            l.with_matrices(w, &layer.rounded.iter().map(of).collect::<Vec<_>>())
        };
        let (Some(before), Some(scale)) = (matrices(&|r| r.before.clone()), matrices(&Rounded::scales))
        else {
            continue;
        };
        let scale = scale.to_f32().unwrap_or_default();
        grids.insert(l.weight, Steps { scale, most: most(bits) as f32 });
        out.set_init(l.weight, before);
        if let (Some(v), Some(b)) = (l.bias, &layer.bias) {
            let b: Vec<f32> = b.iter().map(|x| *x as f32).collect();
            if let Some(t) = out.init(v).and_then(|t| t.with_f32(t.dims.clone(), &b)) {
                out.set_init(v, t);
            }
        }
    }
    let held: Vec<usize> = (0..samples.batches.len()).filter(|b| samples.held_out(*b)).collect();
    let reference = Reference::new(target.original, samples, held)?;
    let start = out.clone();
    let honest = &mut || reference.error(&start);
    let judge = Judge { held_out: &reference, honest };
    let mut options = Options::rounding(grids, samples.len());
    options.epochs = epochs.unwrap_or(options.epochs);
    let did = reconstruct(target.original, &mut out, target.kept, samples, judge, &options, done)?;
    if did.is_err() {
        return Ok(did);
    }
    for layer in layers {
        let l = &layer.linear;
        let Some(matrices) = out.init(l.weight).and_then(|w| l.matrices(w)) else { continue };
        layer.rounded.iter_mut().zip(&matrices).for_each(|(r, w)| r.set(w, bits));
        let bias = l.bias.and_then(|b| out.init(b)).and_then(Tensor::to_f32);
        layer.bias = bias.map(|b| b.iter().map(|x| f64::from(*x)).collect());
    }
    *graph = out;
    Ok(did)
}
