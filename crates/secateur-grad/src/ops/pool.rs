//! Means and maxima over windows.

use super::windows::Windows;
use super::{Cx, Made, Make, Op};
use crate::array::Array;

/// Weighted sums over windows.
struct Average {
    windows: Windows,
    /// By output of a plane: one over the number of elements.
    scale: Vec<f32>,
    out: Vec<usize>,
}

impl Op for Average {
    fn forward(&self, x: &[&Array]) -> Vec<Array> {
        let (plane, outs, _) = self.windows.sizes();
        let mut out = vec![0.0; self.out.iter().product()];
        let stride = self.windows.x.stride;
        for (to, from) in out.chunks_exact_mut(outs).zip(x[0].data.chunks_exact(plane)) {
            self.windows.rows(|_, o, i, n| {
                to[o..o + n].iter_mut().zip(from[i..].iter().step_by(stride)).for_each(|(a, b)| *a += b);
            });
            to.iter_mut().zip(&self.scale).for_each(|(a, s)| *a *= s);
        }
        vec![Array::new(&self.out, out)]
    }

    fn backward(&self, x: &[&Array], _: &[Array], dy: &[Option<Array>], _: &[bool]) -> Vec<Option<Array>> {
        let Some(d) = &dy[0] else { return vec![None] };
        let (plane, outs, _) = self.windows.sizes();
        let mut out = vec![0.0; x[0].len()];
        let stride = self.windows.x.stride;
        for (to, from) in out.chunks_exact_mut(plane).zip(d.data.chunks_exact(outs)) {
            self.windows.rows(|_, o, i, n| {
                let from = from[o..o + n].iter().zip(&self.scale[o..o + n]);
                to[i..].iter_mut().step_by(stride).zip(from).for_each(|(a, (b, s))| *a += b * s);
            });
        }
        vec![Some(Array::new(&x[0].shape, out))]
    }
}

/// The windows of a pool; a last window that is not whole is left to others.
fn windows(cx: &Cx) -> Option<Windows> {
    let (data, out) = (cx.shape(0)?, cx.out(0)?);
    let kernel: Vec<usize> = cx
        .node
        .ints("kernel_shape")
        .ok()??
        .iter()
        .map(|k| usize::try_from(*k).ok())
        .collect::<Option<_>>()?;
    if cx.int("ceil_mode", 0)? != 0 || cx.int("storage_order", 0)? != 0 || cx.node.output(1).is_some() {
        return None;
    }
    Windows::of(cx, &kernel, data, out)
}

fn average(cx: &Cx) -> Option<Made> {
    let windows = windows(cx)?;
    let (_, outs, taps) = windows.sizes();
    let mut inside = vec![0.0f32; outs];
    windows.rows(|_, o, _, n| inside[o..o + n].iter_mut().for_each(|c| *c += 1.0));
    let all = cx.int("count_include_pad", 0)? != 0;
    let scale = inside.iter().map(|c| 1.0 / if all { taps as f32 } else { c.max(1.0) }).collect();
    Made::new(Average { windows, scale, out: cx.out(0)?.to_vec() }, &[0])
}

/// Maxima; the first of equals gets the derivative.
struct Max {
    windows: Windows,
    out: Vec<usize>,
}

impl Max {
    fn best(&self, from: &[f32]) -> (Vec<f32>, Vec<usize>) {
        let (_, outs, _) = self.windows.sizes();
        let (mut best, mut at) = (vec![f32::NEG_INFINITY; outs], vec![0; outs]);
        self.windows.rows(|_, o, i, n| {
            for k in 0..n {
                let place = i + k * self.windows.x.stride;
                if from[place] > best[o + k] {
                    (best[o + k], at[o + k]) = (from[place], place);
                }
            }
        });
        (best, at)
    }
}

impl Op for Max {
    fn forward(&self, x: &[&Array]) -> Vec<Array> {
        let (plane, ..) = self.windows.sizes();
        let out = x[0].data.chunks_exact(plane).flat_map(|p| self.best(p).0).collect();
        vec![Array::new(&self.out, out)]
    }

    fn backward(&self, x: &[&Array], _: &[Array], dy: &[Option<Array>], _: &[bool]) -> Vec<Option<Array>> {
        let Some(d) = &dy[0] else { return vec![None] };
        let (plane, outs, _) = self.windows.sizes();
        let mut out = vec![0.0; x[0].len()];
        let planes = out.chunks_exact_mut(plane).zip(x[0].data.chunks_exact(plane));
        for ((to, from), d) in planes.zip(d.data.chunks_exact(outs)) {
            self.best(from).1.iter().zip(d).for_each(|(&at, d)| to[at] += d);
        }
        vec![Some(Array::new(&x[0].shape, out))]
    }
}

pub(super) const OPS: &[(&str, Make)] = &[
    ("AveragePool", average),
    ("MaxPool", |cx| Made::new(Max { windows: windows(cx)?, out: cx.out(0)?.to_vec() }, &[0])),
];
