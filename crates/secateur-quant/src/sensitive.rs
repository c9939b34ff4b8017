//! Layers that are better left float.

use rustc_hash::FxHashSet;
use secateur_calib::Samples;
use secateur_calib::measure::Reference;
use secateur_diag::Result;

use crate::quantize::{Calibration, Spared};
use crate::work::Work;

/// A layer stays float where that takes at least this share of the error away.
const SHARE: f64 = 0.2;
/// An error that is small enough, a share of the outputs' variance: nothing is left float below it.
const ENOUGH: f64 = 1e-3;
/// Samples on which that is measured.
const SAMPLES: usize = 64;

/// The nodes that stay float, those of `float` among them, and what the others are.
///
/// Every layer is left float in turn, all others rounded to nearest, and the error of the outputs is measured. From
/// the one that helps most on, layers stay float as long as each still takes a large share of the error away, and the error is not small anyway. `done` is called once
/// for each.
///
/// # Errors
/// Those of the engine.
pub fn sensitive(
    work: &Work,
    c: &Calibration,
    mut float: FxHashSet<usize>,
    done: &mut dyn FnMut(),
) -> Result<(FxHashSet<usize>, Vec<Spared>)> {
    let samples = Samples::new(c.data, c.batch, false, c.threads)?;
    let reference = Reference::new(work.graph, &samples, samples.spread(SAMPLES))?;
    let error = |float: &FxHashSet<usize>| -> Result<f64> {
        reference.error(&work.build(float, None, None, &mut || ())?.0)
    };
    let with =
        |float: &FxHashSet<usize>, n: usize| float.iter().copied().chain([n]).collect::<FxHashSet<_>>();
    let mut now = error(&float)?;
    let mut each = Vec::new();
    for l in work.all.iter().filter(|l| !float.contains(&l.node)) {
        if now > ENOUGH {
            each.push((error(&with(&float, l.node))?, l));
        }
        done();
    }
    each.retain(|(e, _)| *e <= (1.0 - SHARE) * now);
    each.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut out = Vec::new();
    for (_, l) in each {
        if now <= ENOUGH {
            break;
        }
        let more = with(&float, l.node);
        let then = error(&more)?;
        if then > (1.0 - SHARE) * now {
            break;
        }
        let weight = work.graph.value(l.weight).name.clone();
        out.push(Spared { weight, before: now, after: then });
        (float, now) = (more, then);
    }
    Ok((float, out))
}
