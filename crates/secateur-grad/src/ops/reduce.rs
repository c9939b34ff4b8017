//! Sums, means and maxima over whole axes.

use super::{Cx, Made, Make, Op};
use crate::array::{Array, Broadcast};

/// A sum with a factor.
struct Sum {
    factor: f32,
    /// The shape with ones for the axes that are gone.
    kept: Vec<usize>,
    out: Vec<usize>,
}

impl Op for Sum {
    fn forward(&self, x: &[&Array]) -> Vec<Array> {
        let mut out = vec![0.0; self.out.iter().product()];
        let mut from = 0;
        if let Some(walk) = Broadcast::new(&x[0].shape, &[&self.kept]) {
            walk.runs(|n, at| {
                let d = &x[0].data[from..from + n];
                match at[0] {
                    (to, 0) => out[to] += d.iter().sum::<f32>(),
                    (to, s) => d.iter().enumerate().for_each(|(k, d)| out[to + k * s] += d),
                }
                from += n;
            });
        }
        out.iter_mut().for_each(|v| *v *= self.factor);
        vec![Array::new(&self.out, out)]
    }

    fn backward(&self, x: &[&Array], _: &[Array], dy: &[Option<Array>], _: &[bool]) -> Vec<Option<Array>> {
        let Some(d) = &dy[0] else { return vec![None] };
        let mut out = Vec::with_capacity(x[0].len());
        if let Some(walk) = Broadcast::new(&x[0].shape, &[&self.kept]) {
            walk.runs(|n, at| out.extend((0..n).map(|k| self.factor * d.data[at[0].0 + k * at[0].1])));
        }
        vec![Some(Array::new(&x[0].shape, out))]
    }
}

fn sum(cx: &Cx, mean: bool, axes: &[usize]) -> Option<Made> {
    let (data, out) = (cx.shape(0)?, cx.out(0)?.to_vec());
    let kept: Vec<usize> = (0..data.len()).map(|a| if axes.contains(&a) { 1 } else { data[a] }).collect();
    (kept.iter().product::<usize>() == out.iter().product::<usize>()).then_some(())?;
    let n: usize = axes.iter().map(|a| data[*a]).product();
    let factor = if mean { 1.0 / n.max(1) as f32 } else { 1.0 };
    Made::new(Sum { factor, kept, out }, &[0])
}

fn over(cx: &Cx, mean: bool) -> Option<Made> {
    let rank = cx.shape(0)?.len();
    let axes = match cx.list("axes", 1) {
        Some(a) => a.iter().map(|&a| cx.axis(a, rank)).collect::<Option<Vec<_>>>()?,
        None if cx.int("noop_with_empty_axes", 0)? != 0 || cx.has(1) => return None,
        None => (0..rank).collect(),
    };
    sum(cx, mean, &axes)
}

fn global(cx: &Cx) -> Option<Made> {
    let axes: Vec<usize> = (2..cx.shape(0)?.len()).collect();
    sum(cx, true, &axes)
}

/// The largest element of each plane.
struct Largest {
    out: Vec<usize>,
}

fn largest(plane: &[f32]) -> usize {
    (0..plane.len()).fold(0, |best, i| if plane[i] > plane[best] { i } else { best })
}

impl Op for Largest {
    fn forward(&self, x: &[&Array]) -> Vec<Array> {
        let plane = x[0].len() / self.out.iter().product::<usize>().max(1);
        let out = x[0].data.chunks_exact(plane.max(1)).map(|p| p[largest(p)]).collect();
        vec![Array::new(&self.out, out)]
    }

    fn backward(&self, x: &[&Array], _: &[Array], dy: &[Option<Array>], _: &[bool]) -> Vec<Option<Array>> {
        let Some(d) = &dy[0] else { return vec![None] };
        let plane = x[0].len() / d.len().max(1);
        let mut out = vec![0.0; x[0].len()];
        for (i, p) in x[0].data.chunks_exact(plane.max(1)).enumerate() {
            out[i * plane + largest(p)] = d.data[i];
        }
        vec![Some(Array::new(&x[0].shape, out))]
    }
}

fn global_max(cx: &Cx) -> Option<Made> {
    (cx.shape(0)?.iter().product::<usize>() > 0).then_some(())?;
    Made::new(Largest { out: cx.out(0)?.to_vec() }, &[0])
}

pub(super) const OPS: &[(&str, Make)] = &[
    ("ReduceMean", |cx| over(cx, true)),
    ("ReduceSum", |cx| over(cx, false)),
    ("GlobalAveragePool", global),
    ("GlobalMaxPool", global_max),
];
