//! Normalizations.

use super::{Cx, Made, Make, Op};
use crate::array::Array;

/// BatchNormalization with fixed statistics: `(x - mean) * rate * scale + bias`.
struct Batch {
    mean: Vec<f32>,
    rate: Vec<f32>,
}

impl Batch {
    /// Calls `each` with channel and range of every plane.
    fn planes(&self, x: &Array, mut each: impl FnMut(usize, std::ops::Range<usize>)) {
        let c = self.mean.len();
        let plane: usize = x.shape[2..].iter().product();
        (0..x.shape[0] * c).for_each(|i| each(i % c, i * plane..(i + 1) * plane));
    }
}

impl Op for Batch {
    fn forward(&self, x: &[&Array]) -> Vec<Array> {
        let mut out = Vec::with_capacity(x[0].len());
        self.planes(x[0], |c, at| {
            let (s, b) = (x[1].data[c] * self.rate[c], x[2].data[c]);
            out.extend(x[0].data[at].iter().map(|v| (v - self.mean[c]) * s + b));
        });
        vec![Array::new(&x[0].shape, out)]
    }

    fn backward(&self, x: &[&Array], _: &[Array], dy: &[Option<Array>], _: &[bool]) -> Vec<Option<Array>> {
        let Some(d) = &dy[0] else { return vec![None, None, None] };
        let c = self.mean.len();
        let (mut dx, mut ds, mut db) = (Vec::with_capacity(x[0].len()), vec![0.0; c], vec![0.0; c]);
        self.planes(x[0], |c, at| {
            let s = x[1].data[c] * self.rate[c];
            dx.extend(d.data[at.clone()].iter().map(|d| d * s));
            let pairs = d.data[at.clone()].iter().zip(&x[0].data[at.clone()]);
            ds[c] += pairs.map(|(d, x)| d * (x - self.mean[c])).sum::<f32>() * self.rate[c];
            db[c] += d.data[at].iter().sum::<f32>();
        });
        vec![
            Some(Array::new(&x[0].shape, dx)),
            Some(Array::new(&x[1].shape, ds)),
            Some(Array::new(&x[2].shape, db)),
        ]
    }
}

fn batch(cx: &Cx) -> Option<Made> {
    let (mean, var) = (cx.floats(3)?, cx.floats(4)?);
    let eps = cx.float("epsilon", 1e-5)?;
    let c = mean.len();
    let fits = cx.shape(0)?.len() >= 2
        && cx.shape(0)?[1] == c
        && var.len() == c
        && cx.shape(1)? == [c]
        && cx.shape(2)? == [c]
        && cx.int("training_mode", 0)? == 0
        && cx.node.outputs.iter().skip(1).all(Option::is_none);
    fits.then_some(())?;
    let rate = var.iter().map(|v| 1.0 / (v + eps).sqrt()).collect();
    Made::new(Batch { mean, rate }, &[0, 1, 2])
}

/// LayerNormalization over the last axes.
struct Layer {
    width: usize,
    eps: f32,
    bias: bool,
}

fn moments(row: &[f32], eps: f32) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = row.iter().sum::<f32>() / n;
    let var = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n;
    (mean, 1.0 / (var + eps).sqrt())
}

impl Op for Layer {
    fn forward(&self, x: &[&Array]) -> Vec<Array> {
        let mut out = Vec::with_capacity(x[0].len());
        for row in x[0].data.chunks_exact(self.width) {
            let (mean, rate) = moments(row, self.eps);
            let scaled = row.iter().zip(x[1].data.iter()).map(|(v, s)| (v - mean) * rate * s);
            match self.bias {
                true => out.extend(scaled.zip(x[2].data.iter()).map(|(v, b)| v + b)),
                false => out.extend(scaled),
            }
        }
        vec![Array::new(&x[0].shape, out)]
    }

    fn backward(&self, x: &[&Array], _: &[Array], dy: &[Option<Array>], _: &[bool]) -> Vec<Option<Array>> {
        let Some(d) = &dy[0] else { return vec![None; x.len()] };
        let n = self.width as f32;
        let (mut dx, mut ds, mut db) =
            (Vec::with_capacity(x[0].len()), vec![0.0; self.width], vec![0.0; self.width]);
        for (row, d) in x[0].data.chunks_exact(self.width).zip(d.data.chunks_exact(self.width)) {
            let (mean, rate) = moments(row, self.eps);
            let (mut sum, mut dot) = (0.0, 0.0);
            for i in 0..self.width {
                let (h, g) = ((row[i] - mean) * rate, d[i] * x[1].data[i]);
                sum += g;
                dot += g * h;
                ds[i] += d[i] * h;
                db[i] += d[i];
            }
            dx.extend((0..self.width).map(|i| {
                let (h, g) = ((row[i] - mean) * rate, d[i] * x[1].data[i]);
                rate * (g - sum / n - h * dot / n)
            }));
        }
        let mut out = vec![Some(Array::new(&x[0].shape, dx)), Some(Array::new(&x[1].shape, ds))];
        if self.bias {
            out.push(Some(Array::new(&x[2].shape, db)));
        }
        out
    }
}

fn layer(cx: &Cx) -> Option<Made> {
    let data = cx.shape(0)?;
    let axis = cx.axis(cx.int("axis", -1)?, data.len())?;
    let width: usize = data[axis..].iter().product();
    let own = |i: usize| Some(cx.shape(i)?.iter().product::<usize>() == width);
    let bias = cx.has(2);
    let fits =
        width > 0 && own(1)? && (!bias || own(2)?) && cx.node.outputs.iter().skip(1).all(Option::is_none);
    fits.then_some(())?;
    let op = Layer { width, eps: cx.float("epsilon", 1e-5)?, bias };
    Made::new(op, if bias { &[0, 1, 2] } else { &[0, 1] })
}

/// Softmax over the last axis.
struct Softmax {
    width: usize,
}

impl Op for Softmax {
    fn forward(&self, x: &[&Array]) -> Vec<Array> {
        let mut out = Vec::with_capacity(x[0].len());
        for row in x[0].data.chunks_exact(self.width) {
            let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let start = out.len();
            out.extend(row.iter().map(|v| libm::expf(v - top)));
            let sum: f32 = out[start..].iter().sum();
            out[start..].iter_mut().for_each(|v| *v /= sum);
        }
        vec![Array::new(&x[0].shape, out)]
    }

    fn backward(&self, x: &[&Array], y: &[Array], dy: &[Option<Array>], _: &[bool]) -> Vec<Option<Array>> {
        let Some(d) = &dy[0] else { return vec![None] };
        let mut out = Vec::with_capacity(x[0].len());
        for (y, d) in y[0].data.chunks_exact(self.width).zip(d.data.chunks_exact(self.width)) {
            let dot: f32 = y.iter().zip(d).map(|(y, d)| y * d).sum();
            out.extend(y.iter().zip(d).map(|(y, d)| y * (d - dot)));
        }
        vec![Some(Array::new(&x[0].shape, out))]
    }
}

fn softmax(cx: &Cx) -> Option<Made> {
    let data = cx.shape(0)?;
    let axis = cx.axis(cx.int("axis", if cx.opset() >= 13 { -1 } else { 1 })?, data.len())?;
    // Before version 13 all axes from `axis` on are one.
    let width = if cx.opset() >= 13 { data[axis] } else { data[axis..].iter().product() };
    (width > 0 && (cx.opset() < 13 || axis + 1 == data.len())).then_some(())?;
    Made::new(Softmax { width }, &[0])
}

pub(super) const OPS: &[(&str, Make)] =
    &[("BatchNormalization", batch), ("LayerNormalization", layer), ("Softmax", softmax)];
