//! BatchNormalization that is still a node: its running statistics are made to fit the pruned network's values.
//!
//! Behind a linear operator that is fitted there is nothing to do, as its outputs are again what the original's
//! are. Behind anything else (a sum, a concatenation, a rectifier) the values differ, channel by channel, from
//! those that the statistics were taken of.

use rustc_hash::FxHashSet;
use secateur_diag::Result;
use secateur_ir::{Graph, ValueId};
use secateur_run::fold_in_order;
use secateur_tensor::Tensor;

use crate::linear::linears;
use crate::walk::{Batches, Walk};

/// Most that a channel is scaled by, in either direction.
const MOST: f64 = 2.0;

/// Sums over all places of one channel: of the original's values `y`, the pruned network's `x`, and products.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    n: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    yy: f64,
}

/// Nodes whose statistics are to be fitted: those that read a value of `changed`, not straight from a linear
/// operator, with mean and variance that no other node reads. Ascending.
pub fn nodes(graph: &Graph, changed: &FxHashSet<ValueId>) -> Vec<usize> {
    let links = graph.links();
    let fitted: FxHashSet<ValueId> = linears(graph).into_iter().map(|l| l.out).collect();
    let own = |v: Option<ValueId>| {
        v.is_some_and(|v| links.uses(v).len() == 1 && graph.init(v).is_some_and(|t| t.to_f32().is_some()))
    };
    let wanted = |n: &usize| {
        let node = &graph.nodes[*n];
        node.is("BatchNormalization")
            && node.int_or("training_mode", 0).is_ok_and(|t| t == 0)
            && node.input(0).is_some_and(|v| changed.contains(&v) && !fitted.contains(&v))
            && own(node.input(3))
            && own(node.input(4))
    };
    (0..graph.nodes.len()).filter(wanted).collect()
}

/// Fits the statistics of `norms` (ascending, those done are taken out) that come before node `to`, in order.
///
/// Both walks are taken as far as these nodes; `outs` are values of the original that are needed later, `kept` tells
/// which elements of an axis are left. With `fit` each channel is brought nearest to the original's by least
/// squares, else its mean and variance become the original's.
///
/// # Errors
/// Those of the engine.
pub fn repair(
    (original, before): (&Graph, &mut Walk),
    (pruned, after): (&mut Graph, &mut Walk),
    (norms, to): (&mut Vec<usize>, usize),
    outs: &[ValueId],
    kept: &dyn Fn(ValueId, usize) -> Option<Vec<usize>>,
    fit: bool,
) -> Result<()> {
    let count = norms.iter().take_while(|n| **n < to).count();
    for n in norms.drain(..count) {
        let (Some(data), Some(out)) = (pruned.nodes[n].input(0), pruned.nodes[n].output(0)) else { continue };
        let Some(place) = original.links().def(out) else { continue };
        let wanted: Vec<ValueId> = outs.iter().copied().chain([data]).collect();
        before.advance(original, place, &wanted)?;
        after.advance(pruned, n, &[data])?;
        if let (Some(y), Some(x)) = (before.get(data), after.get(data)) {
            let sums = sums(x, y, kept(data, 1).as_deref(), after.threads())?;
            set(pruned, n, &sums, fit);
        }
    }
    Ok(())
}

/// By channel; empty where shapes do not agree.
fn sums(x: &Batches, y: &Batches, kept: Option<&[usize]>, threads: usize) -> Result<Vec<Sums>> {
    let mut all: Option<Vec<Sums>> = None;
    let work = |b: usize| Ok(batch(&x[b], &y[b], kept));
    fold_in_order(x.len(), threads, work, &mut |_, s: Vec<Sums>| {
        let sum = all.get_or_insert_with(|| vec![Sums::default(); s.len()]);
        sum.truncate(s.len());
        sum.iter_mut().zip(&s).for_each(|(a, b)| {
            *a = Sums {
                n: a.n + b.n,
                x: a.x + b.x,
                y: a.y + b.y,
                xx: a.xx + b.xx,
                xy: a.xy + b.xy,
                yy: a.yy + b.yy,
            };
        });
        Ok(())
    })?;
    Ok(all.unwrap_or_default())
}

/// Shapes: `x` is `[N, C, ...]`, `y` is `[N, D, ...]` with `C` of its `D` channels kept.
fn batch(x: &Tensor, y: &Tensor, kept: Option<&[usize]>) -> Vec<Sums> {
    let (Some(xs), Some(ys)) = (x.slice::<f32>(), y.slice::<f32>()) else { return Vec::new() };
    let like = x.dims.len() >= 2 && x.dims.len() == y.dims.len() && x.dims[0] == y.dims[0];
    if !like || x.dims[2..] != y.dims[2..] {
        return Vec::new();
    }
    let (channels, wide) = (x.dims[1], y.dims[1]);
    let fits = kept.map_or(channels == wide, |k| k.len() == channels && k.iter().all(|&c| c < wide));
    if !fits {
        return Vec::new();
    }
    let inner: usize = x.dims[2..].iter().product();
    let mut out = vec![Sums::default(); channels];
    for (sample, c) in (0..x.dims[0]).flat_map(|s| (0..channels).map(move |c| (s, c))) {
        let from = kept.map_or(c, |k| k[c]);
        let xs = &xs[(sample * channels + c) * inner..][..inner];
        let ys = &ys[(sample * wide + from) * inner..][..inner];
        let s = &mut out[c];
        s.n += inner as f64;
        for (x, y) in xs.iter().zip(ys).map(|(x, y)| (f64::from(*x), f64::from(*y))) {
            s.x += x;
            s.y += y;
            s.xx += x * x;
            s.xy += x * y;
            s.yy += y * y;
        }
    }
    out
}

impl Sums {
    /// Scale and offset that take `x` to `y`.
    fn map(&self, fit: bool) -> (f64, f64) {
        let n = self.n.max(1.0);
        let (mx, my) = (self.x / n, self.y / n);
        let vx = (self.xx / n - mx * mx).max(0.0);
        let vy = (self.yy / n - my * my).max(0.0);
        // A channel that hardly varies in either network tells no scale.
        let varies = |v: f64, m: f64| v > 1e-9 * (m * m).max(f64::MIN_POSITIVE);
        let scale = match varies(vx, mx) && varies(vy, my) {
            true if fit => (self.xy / n - mx * my) / vx,
            true => (vy / vx).sqrt(),
            false => 1.0,
        };
        let scale = scale.clamp(1.0 / MOST, MOST);
        (scale, my - scale * mx)
    }
}

/// Writes statistics with which the node gives for `x` what it gave for `scale * x + offset`.
fn set(graph: &mut Graph, n: usize, sums: &[Sums], fit: bool) {
    let node = &graph.nodes[n];
    let (Some(m), Some(v)) = (node.input(3), node.input(4)) else { return };
    let epsilon = f64::from(node.float("epsilon").ok().flatten().unwrap_or(1e-5));
    let values = |v: ValueId| graph.init(v).and_then(secateur_tensor::Tensor::to_f32);
    let (Some(mut mean), Some(mut variance)) = (values(m), values(v)) else { return };
    if mean.len() != sums.len() || variance.len() != sums.len() {
        return;
    }
    for ((m, v), s) in mean.iter_mut().zip(&mut variance).zip(sums) {
        let (scale, offset) = s.map(fit);
        let new_mean = (f64::from(*m) - offset) / scale;
        let new_variance = ((f64::from(*v) + epsilon) / (scale * scale) - epsilon).max(0.0);
        if new_mean.is_finite() && new_variance.is_finite() {
            (*m, *v) = (new_mean as f32, new_variance as f32);
        }
    }
    for (v, values) in [(m, mean), (v, variance)] {
        let new = graph.init(v).and_then(|t| t.with_f32(t.dims.clone(), &values));
        if let Some(t) = new {
            graph.set_init(v, t);
        }
    }
}
