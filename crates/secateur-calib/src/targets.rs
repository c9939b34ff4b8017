//! What a linear operator is to give: the original's output, the other path of a sum taken off it, and what a
//! rectifier behind it cuts off left open.

use crate::{Moments, Unfold};
use faer::Mat;
use secateur_diag::Result;
use secateur_ir::{Graph, Links, ValueId};
use secateur_run::fold_in_order;

use crate::Samples;
use crate::linear::Linear;
use crate::solve::Map;
use crate::statistics::{stride, thinned};
use crate::walk::Batches;

/// Where an operator's output goes.
pub struct Fate {
    /// The other operand of a sum.
    pub other: Option<ValueId>,
    /// What a rectifier behind it lets through.
    pub bounds: Option<(f32, f32)>,
}

/// Finds out where an operator's output goes; sums are looked for where `sums` is set.
pub fn fate(graph: &Graph, links: &Links, l: &Linear, sums: bool) -> Fate {
    let only = |v: ValueId| match links.uses(v) {
        [u] if u.input.is_some() && !graph.is_output(v) => Some(&graph.nodes[u.node]),
        _ => None,
    };
    let mut at = l.out;
    let mut other = None;
    if let Some(add) = only(at).filter(|n| n.is("Add") && sums) {
        let found = add.inputs.iter().flatten().copied().find(|v| *v != at);
        other = found.filter(|v| graph.init(*v).is_none() && graph.shape(*v) == graph.shape(at));
        if let (Some(_), Some(sum)) = (other, add.output(0)) {
            at = sum;
        }
    }
    let bounds = only(at).and_then(|n| {
        let constant = |i: usize, or: f32| match n.input(i) {
            Some(v) => graph.init(v)?.to_f32()?.first().copied(),
            None => Some(or),
        };
        match n.op() {
            _ if !n.domain().is_empty() => None,
            "Relu" => Some((0.0, f32::INFINITY)),
            "Clip" if graph.opset("") >= 11 => {
                Some((constant(1, f32::NEG_INFINITY)?, constant(2, f32::INFINITY)?))
            }
            "Clip" => Some((
                n.float("min").ok()?.unwrap_or(f32::NEG_INFINITY),
                n.float("max").ok()?.unwrap_or(f32::INFINITY),
            )),
            _ => None,
        }
    });
    Fate { other, bounds }
}

/// One operator's task: data and targets of all batches.
pub struct Task<'a> {
    /// Inputs in the pruned network.
    pub data: &'a Batches,
    /// Targets, one column an output.
    pub target: Vec<Mat<f32>>,
    /// The other path of the sum in the pruned network, where there is one.
    pub other: Option<Vec<Mat<f32>>>,
    /// What the original gives behind the sum.
    pub sum: Option<Vec<Mat<f32>>>,
    /// How inputs become rows.
    pub unfold: Unfold,
    /// The samples.
    pub samples: &'a Samples,
}

/// Moments of one group's unfolded inputs and targets, of the fitted and of the held-out batches.
///
/// With `bounds` and the map found so far, targets on the side that is cut off become what that map gives
/// there. With `like`, only what depends on the targets is computed again.
pub fn moments(
    task: &Task,
    range: std::ops::Range<usize>,
    p: usize,
    columns: &std::ops::Range<usize>,
    bounds: Option<((f32, f32), &Map)>,
    like: Option<(&Moments, &Moments)>,
) -> Result<(Moments, Moments)> {
    let q = columns.len();
    let zero = || Moments::zero(p, q);
    let (mut fit, mut held) = match like {
        Some((a, b)) => (a.clone(), b.clone()),
        None => (zero(), zero()),
    };
    if like.is_some() {
        fit.clear_y();
        held.clear_y();
    }
    let work = |b: usize| {
        let x = task.unfold.rows(&task.data[b], range.clone())?;
        let mut y = part(&task.target[b], columns);
        if let Some((bounds, map)) = bounds {
            let w = Mat::from_fn(p, q, |i, j| map.w[(i, j)] as f32);
            let own = &x * &w;
            clip_targets(&mut y, &own, &map.b, bounds, b, columns, task);
        }
        let step = stride(task.data, b, x.nrows(), p);
        let (x, y) = if step > 1 { (thinned(&x, step, b), thinned(&y, step, b)) } else { (x, y) };
        let mut m = Moments::zero(p, q);
        match like {
            Some(_) => m.add_y(x.as_ref(), y.as_ref()),
            None => m.add(x.as_ref(), y.as_ref()),
        }
        Ok(m)
    };
    fold_in_order(task.data.len(), task.samples.threads, work, &mut |b, m| {
        let to = if task.samples.held_out(b) { &mut held } else { &mut fit };
        match like {
            Some(_) => to.merge_y(&m),
            None => to.merge(&m),
        }
        Ok(())
    })?;
    if like.is_none() {
        fit.mirror();
        held.mirror();
        if held.count == 0.0 {
            held = fit.clone();
        }
    }
    Ok((fit, held))
}

fn part(m: &Mat<f32>, columns: &std::ops::Range<usize>) -> Mat<f32> {
    m.subcols(columns.start, columns.len()).to_owned()
}

/// Where the original is cut off, the target is the map's own value if that is cut off too, else the bound.
fn clip_targets(
    y: &mut Mat<f32>,
    own: &Mat<f32>,
    b: &[f64],
    (low, high): (f32, f32),
    batch: usize,
    columns: &std::ops::Range<usize>,
    task: &Task,
) {
    for (j, offset) in b.iter().enumerate() {
        let offset = *offset as f32;
        let c = columns.start + j;
        let other = task.other.as_ref().map(|o| o[batch].col_as_slice(c));
        let sum = task.sum.as_ref().map(|s| s[batch].col_as_slice(c));
        let own = own.col_as_slice(j);
        for (i, t) in y.col_as_slice_mut(j).iter_mut().enumerate() {
            let side = other.map_or(0.0, |o| o[i]);
            let goal = sum.map_or(*t, |s| s[i]);
            let got = own[i] + offset + side;
            if goal <= low {
                *t = got.min(low) - side;
            } else if goal >= high {
                *t = got.max(high) - side;
            }
        }
    }
}
