//! Convolutions over one or two axes, grouped or not, and their transposes.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::windows::Windows;
use super::{Cx, Made, Make, Op};
use crate::array::Array;

/// A convolution; a transposed one is the same map run backwards.
struct Conv {
    windows: Windows,
    groups: usize,
    transposed: bool,
    bias: bool,
    out: Vec<usize>,
}

/// Sizes of one group's product: channels and plane of the side that windows slide over, channels and plane of the
/// other side, taps.
struct Sizes {
    wide: usize,
    plane: usize,
    narrow: usize,
    outs: usize,
    taps: usize,
}

impl Conv {
    fn sizes(&self, weight: &Array) -> Sizes {
        let (plane, outs, taps) = self.windows.sizes();
        // `[narrow, wide / groups, taps]` for both kinds.
        Sizes { wide: weight.shape[1], plane, narrow: weight.shape[0] / self.groups, outs, taps }
    }

    /// The windows of one group of one sample, a column a channel and tap; or the planes themselves.
    fn unfold<'a>(&self, s: &Sizes, data: &'a [f32], scratch: &'a mut Vec<f32>) -> MatRef<'a, f32> {
        let columns = s.wide * s.taps;
        if self.windows.pointwise() {
            return MatRef::from_column_major_slice(data, s.outs, columns);
        }
        scratch.resize(s.outs * columns, 0.0);
        let stride = self.windows.x.stride;
        for (c, plane) in data.chunks_exact(s.plane).enumerate() {
            let to = &mut scratch[c * s.taps * s.outs..][..s.taps * s.outs];
            let straight = self.windows.straight(|t, o, i, n, clear| {
                let to = &mut to[t * s.outs..][..s.outs];
                to[..o].fill(0.0);
                to[o..o + n].copy_from_slice(&plane[i..i + n]);
                to[o + n..].fill(0.0);
                clear(to);
            });
            if straight {
                continue;
            }
            to.fill(0.0);
            self.windows.rows(|t, o, i, n| {
                let to = &mut to[t * s.outs + o..][..n];
                if stride == 1 {
                    to.copy_from_slice(&plane[i..i + n]);
                } else {
                    to.iter_mut().zip(plane[i..].iter().step_by(stride)).for_each(|(a, b)| *a = *b);
                }
            });
        }
        MatRef::from_column_major_slice(&scratch[..s.outs * columns], s.outs, columns)
    }

    /// Adds windows back to where they are from.
    fn fold(&self, s: &Sizes, columns: &mut [f32], data: &mut [f32]) {
        let stride = self.windows.x.stride;
        for (c, plane) in data.chunks_exact_mut(s.plane).enumerate() {
            let from = &mut columns[c * s.taps * s.outs..][..s.taps * s.outs];
            let straight = self.windows.straight(|t, o, i, n, clear| {
                let from = &mut from[t * s.outs..][..s.outs];
                clear(from);
                plane[i..i + n].iter_mut().zip(&from[o..o + n]).for_each(|(a, b)| *a += b);
            });
            if straight {
                continue;
            }
            self.windows.rows(|t, o, i, n| {
                let from = &from[t * s.outs + o..][..n];
                if stride == 1 {
                    plane[i..i + n].iter_mut().zip(from).for_each(|(a, b)| *a += b);
                } else {
                    plane[i..].iter_mut().step_by(stride).zip(from).for_each(|(a, b)| *a += b);
                }
            });
        }
    }

    /// Narrow planes from wide ones: a convolution.
    fn gather(&self, s: &Sizes, w: &[f32], data: &[f32], out: &mut [f32], scratch: &mut Vec<f32>) {
        if s.wide == 1 {
            let stride = self.windows.x.stride;
            for (plane, w) in out.chunks_exact_mut(s.outs).zip(w.chunks_exact(s.taps)) {
                self.windows.rows(|t, o, i, n| {
                    let k = w[t];
                    let to = &mut plane[o..o + n];
                    if stride == 1 {
                        to.iter_mut().zip(&data[i..i + n]).for_each(|(a, b)| *a += k * b);
                    } else {
                        to.iter_mut().zip(data[i..].iter().step_by(stride)).for_each(|(a, b)| *a += k * b);
                    }
                });
            }
            return;
        }
        let x = self.unfold(s, data, scratch);
        let w = MatRef::from_column_major_slice(w, s.wide * s.taps, s.narrow);
        let y = MatMut::from_column_major_slice_mut(out, s.outs, s.narrow);
        matmul(y, Accum::Add, x, w, 1.0, Par::Seq);
    }

    /// Wide planes from narrow ones: the transpose of [`Conv::gather`].
    fn scatter(&self, s: &Sizes, w: &[f32], data: &[f32], out: &mut [f32], scratch: &mut Vec<f32>) {
        if s.wide == 1 {
            let stride = self.windows.x.stride;
            for (plane, w) in data.chunks_exact(s.outs).zip(w.chunks_exact(s.taps)) {
                self.windows.rows(|t, o, i, n| {
                    let k = w[t];
                    let from = &plane[o..o + n];
                    if stride == 1 {
                        out[i..i + n].iter_mut().zip(from).for_each(|(a, b)| *a += k * b);
                    } else {
                        out[i..].iter_mut().step_by(stride).zip(from).for_each(|(a, b)| *a += k * b);
                    }
                });
            }
            return;
        }
        let columns = s.wide * s.taps;
        let y = MatRef::from_column_major_slice(data, s.outs, s.narrow);
        let w = MatRef::from_column_major_slice(w, columns, s.narrow).transpose();
        if self.windows.pointwise() {
            let x = MatMut::from_column_major_slice_mut(out, s.outs, columns);
            return matmul(x, Accum::Add, y, w, 1.0, Par::Seq);
        }
        scratch.resize(s.outs * columns, 0.0);
        let x = MatMut::from_column_major_slice_mut(scratch, s.outs, columns);
        matmul(x, Accum::Replace, y, w, 1.0, Par::Seq);
        self.fold(s, scratch, out);
    }

    /// Adds the products of both sides to the weight's derivative.
    fn outer(&self, s: &Sizes, wide: &[f32], narrow: &[f32], dw: &mut [f32], scratch: &mut Vec<f32>) {
        if s.wide == 1 {
            let stride = self.windows.x.stride;
            for (plane, dw) in narrow.chunks_exact(s.outs).zip(dw.chunks_exact_mut(s.taps)) {
                self.windows.rows(|t, o, i, n| {
                    let d = &plane[o..o + n];
                    dw[t] += if stride == 1 {
                        dot(&wide[i..i + n], d)
                    } else {
                        wide[i..].iter().step_by(stride).zip(d).map(|(a, b)| a * b).sum()
                    };
                });
            }
            return;
        }
        let x = self.unfold(s, wide, scratch);
        let y = MatRef::from_column_major_slice(narrow, s.outs, s.narrow);
        let to = MatMut::from_column_major_slice_mut(dw, s.wide * s.taps, s.narrow);
        matmul(to, Accum::Add, x.transpose(), y, 1.0, Par::Seq);
    }

    /// Calls `each` with group, and ranges of wide planes, narrow planes and weights, sample by sample.
    fn groups(&self, s: &Sizes, mut each: impl FnMut([std::ops::Range<usize>; 3])) {
        let [wide, narrow, weight] = [s.wide * s.plane, s.narrow * s.outs, s.narrow * s.wide * s.taps];
        for n in 0..self.out[0] {
            for g in 0..self.groups {
                let i = n * self.groups + g;
                each([i * wide..(i + 1) * wide, i * narrow..(i + 1) * narrow, g * weight..(g + 1) * weight]);
            }
        }
    }
}

/// A dot product in eight partial sums, so that it can be done eight at a time.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (ca, cb) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = ca.remainder().iter().zip(cb.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in ca.zip(cb) {
        for k in 0..8 {
            sums[k] += a[k] * b[k];
        }
    }
    sums.iter().sum::<f32>() + rest
}

impl Op for Conv {
    fn forward(&self, x: &[&Array]) -> Vec<Array> {
        let s = self.sizes(x[1]);
        let plane: usize = self.out[2..].iter().product();
        let mut out = Vec::with_capacity(self.out.iter().product());
        if self.bias {
            let planes = (0..self.out[0]).flat_map(|_| x[2].data.iter());
            planes.for_each(|b| out.extend(std::iter::repeat_n(*b, plane)));
        } else {
            out.resize(self.out.iter().product(), 0.0);
        }
        let (data, weight) = (&x[0].data, &x[1].data);
        let scratch = &mut Vec::new();
        self.groups(&s, |[wide, narrow, w]| match self.transposed {
            false => self.gather(&s, &weight[w], &data[wide], &mut out[narrow], scratch),
            true => self.scatter(&s, &weight[w], &data[narrow], &mut out[wide], scratch),
        });
        vec![Array::new(&self.out, out)]
    }

    fn backward(&self, x: &[&Array], _: &[Array], dy: &[Option<Array>], want: &[bool]) -> Vec<Option<Array>> {
        let Some(d) = &dy[0] else { return vec![None; x.len()] };
        let s = self.sizes(x[1]);
        let (data, weight, d) = (&x[0].data, &x[1].data, &d.data);
        let mut dx = vec![0.0; if want[0] { data.len() } else { 0 }];
        let mut dw = vec![0.0; if want[1] { weight.len() } else { 0 }];
        let scratch = &mut Vec::new();
        self.groups(&s, |[wide, narrow, w]| {
            let (own, other) = if self.transposed { (narrow.clone(), wide.clone()) } else { (wide, narrow) };
            if want[0] {
                match self.transposed {
                    false => {
                        self.scatter(&s, &weight[w.clone()], &d[other.clone()], &mut dx[own.clone()], scratch)
                    }
                    true => {
                        self.gather(&s, &weight[w.clone()], &d[other.clone()], &mut dx[own.clone()], scratch)
                    }
                }
            }
            if want[1] {
                let (a, b) = if self.transposed { (&d[other], &data[own]) } else { (&data[own], &d[other]) };
                self.outer(&s, a, b, &mut dw[w], scratch);
            }
        });
        let mut out =
            vec![want[0].then(|| Array::new(&x[0].shape, dx)), want[1].then(|| Array::new(&x[1].shape, dw))];
        if self.bias {
            out.push(want[2].then(|| {
                let plane: usize = self.out[2..].iter().product();
                let mut db = vec![0.0; self.out[1]];
                for (i, d) in d.chunks_exact(plane).enumerate() {
                    db[i % self.out[1]] += d.iter().sum::<f32>();
                }
                Array::new(&x[2].shape, db)
            }));
        }
        out
    }
}

fn conv(cx: &Cx, transposed: bool) -> Option<Made> {
    let (data, weight, out) = (cx.shape(0)?, cx.shape(1)?, cx.out(0)?);
    let groups = usize::try_from(cx.int("group", 1)?).ok().filter(|g| *g > 0)?;
    let (wide, narrow) = if transposed { (out, data) } else { (data, out) };
    if weight.len() < 3 || wide.len() != weight.len() || narrow.len() != weight.len() {
        return None;
    }
    let fits = weight[0] == narrow[1]
        && weight[0].is_multiple_of(groups)
        && weight[1] * groups == wide[1]
        && wide[0] == narrow[0];
    if !fits || (cx.has(2) && cx.shape(2)? != [out[1]]) {
        return None;
    }
    let windows = Windows::of(cx, &weight[2..], wide, narrow)?;
    let bias = cx.has(2);
    let op = Conv { windows, groups, transposed, bias, out: out.to_vec() };
    Made::new(op, if bias { &[0, 1, 2] } else { &[0, 1] })
}

pub(super) const OPS: &[(&str, Make)] =
    &[("Conv", |cx| conv(cx, false)), ("ConvTranspose", |cx| conv(cx, true))];
