//! Convolutions over one or two axes, grouped or not, and their transposes.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::planes::Copies;
use super::windows::Windows;
use super::{Cx, Made, Make, Op};
use crate::array::Array;

/// Planes from the planes that windows slide over, of one group: a convolution without its weights.
///
/// Weights lie as `[tap of the first axis, to, from, tap of the last axis]`, so that those of one tap of the first
/// axis are a matrix.
struct Map {
    windows: Windows,
    copies: Copies,
    /// Channels that are read and made.
    from: usize,
    to: usize,
}

impl Map {
    fn new(windows: Windows, from: usize, to: usize) -> Self {
        Self { windows, copies: Copies::new(windows), from, to }
    }

    /// Elements of a plane that is made.
    fn outs(&self) -> usize {
        self.windows.sizes().1
    }

    /// Columns of the matrix of one tap of the first axis.
    fn columns(&self) -> usize {
        self.from * self.windows.x.taps
    }

    /// Whether there is but one channel on each side, where a product of matrices would be one of vectors.
    fn depthwise(&self) -> bool {
        self.from == 1 && self.to == 1
    }

    /// Copies of all planes of `data`, or the planes themselves where each output reads the input under it.
    fn copies<'a>(&self, data: &'a [f32], scratch: &'a mut Vec<f32>) -> (&'a [f32], usize) {
        let (plane, outs, _) = self.windows.sizes();
        if self.windows.pointwise() {
            return (data, outs);
        }
        let len = self.copies.len();
        let one = self.windows.x.taps * len;
        scratch.resize(self.from * one, 0.0);
        for (plane, to) in data.chunks_exact(plane).zip(scratch.chunks_exact_mut(one)) {
            self.copies.fill(plane, to);
        }
        (&scratch[..self.from * one], len)
    }

    /// Taps of the first axis: where what they read begins in every copy, and where their weights are.
    fn taps(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let one = self.to * self.columns();
        (0..self.windows.y.taps).map(move |t| (self.copies.run(t), t * one..(t + 1) * one))
    }

    /// Adds what the weights make of `data`.
    fn gather(&self, w: &[f32], data: &[f32], out: &mut [f32], scratch: &mut Vec<f32>) {
        let (copies, stride) = self.copies(data, scratch);
        let (outs, columns) = (self.outs(), self.columns());
        for (run, tap) in self.taps() {
            if self.depthwise() {
                let read = |k: usize| &copies[k * stride + run..][..outs];
                match w[tap] {
                    [a, b, c] => {
                        let three = read(0).iter().zip(read(1)).zip(read(2));
                        out.iter_mut().zip(three).for_each(|(o, ((x, y), z))| *o += a * x + b * y + c * z);
                    }
                    ref w => {
                        for (k, w) in w.iter().enumerate() {
                            out.iter_mut().zip(read(k)).for_each(|(o, x)| *o += w * x);
                        }
                    }
                }
                continue;
            }
            let x = MatRef::from_column_major_slice_with_stride(&copies[run..], outs, columns, stride);
            let w = MatRef::from_column_major_slice(&w[tap], columns, self.to);
            let y = MatMut::from_column_major_slice_mut(&mut *out, outs, self.to);
            matmul(y, Accum::Add, x, w, 1.0, Par::Seq);
        }
    }

    /// The transpose of [`Map::gather`]: adds to the planes that are read, from those that are made.
    fn scatter(&self, w: &[f32], data: &[f32], out: &mut [f32], scratch: &mut Vec<f32>) {
        let (plane, outs, _) = self.windows.sizes();
        let columns = self.columns();
        let y = MatRef::from_column_major_slice(data, outs, self.to);
        let matrix =
            |tap: Range<usize>| MatRef::from_column_major_slice(&w[tap], columns, self.to).transpose();
        if self.windows.pointwise() {
            let x = MatMut::from_column_major_slice_mut(out, outs, columns);
            return matmul(x, Accum::Add, y, matrix(0..w.len()), 1.0, Par::Seq);
        }
        let len = self.copies.len();
        scratch.clear();
        scratch.resize(columns * len, 0.0);
        for (run, tap) in self.taps() {
            if self.depthwise() {
                for (copy, w) in scratch.chunks_exact_mut(len).zip(&w[tap]) {
                    copy[run..run + outs].iter_mut().zip(data).for_each(|(a, d)| *a += w * d);
                }
                continue;
            }
            let x = MatMut::from_column_major_slice_with_stride_mut(&mut scratch[run..], outs, columns, len);
            matmul(x, Accum::Add, y, matrix(tap), 1.0, Par::Seq);
        }
        let planes = out.chunks_exact_mut(plane).zip(scratch.chunks_exact(self.windows.x.taps * len));
        planes.for_each(|(plane, copies)| self.copies.fold(copies, plane));
    }

    /// Adds the products of both sides to the weights' derivative.
    fn outer(&self, read: &[f32], made: &[f32], dw: &mut [f32], scratch: &mut Vec<f32>) {
        let (copies, stride) = self.copies(read, scratch);
        let (outs, columns) = (self.outs(), self.columns());
        for (run, tap) in self.taps() {
            if self.depthwise() {
                for (k, d) in dw[tap].iter_mut().enumerate() {
                    *d += dot(&copies[k * stride + run..][..outs], made);
                }
                continue;
            }
            let x = MatRef::from_column_major_slice_with_stride(&copies[run..], outs, columns, stride);
            let y = MatRef::from_column_major_slice(made, outs, self.to);
            let to = MatMut::from_column_major_slice_mut(&mut dw[tap], columns, self.to);
            matmul(to, Accum::Add, x.transpose(), y, 1.0, Par::Seq);
        }
    }

    /// Weights of a group, `[narrow, wide, taps]`, as this map wants them; `turned` where it goes from narrow to wide.
    fn arranged(&self, w: &[f32], turned: bool, out: &mut [f32]) {
        let n = self.windows.x.taps;
        self.lines(turned, |own, theirs| {
            let (to, from) = (&mut out[own..own + n], &w[theirs..theirs + n]);
            match turned {
                false => to.iter_mut().zip(from).for_each(|(a, b)| *a = *b),
                true => to.iter_mut().zip(from.iter().rev()).for_each(|(a, b)| *a = *b),
            }
        });
    }

    /// Where the weights of all taps of the last axis begin: in this map's order, and in that of the operator.
    fn lines(&self, turned: bool, mut each: impl FnMut(usize, usize)) {
        let (ty, tx) = (self.windows.y.taps, self.windows.x.taps);
        let mut own = 0;
        for y in 0..ty {
            for to in 0..self.to {
                for from in 0..self.from {
                    let theirs = match turned {
                        false => (to * self.from + from) * ty + y,
                        true => (from * self.to + to) * ty + ty - 1 - y,
                    };
                    each(own, theirs * tx);
                    own += tx;
                }
            }
        }
    }
}

/// A dot product in sixteen partial sums, so that many can be done at a time.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const WIDTH: usize = 16;
    let mut sums = [0.0f32; WIDTH];
    let (ca, cb) = (a.chunks_exact(WIDTH), b.chunks_exact(WIDTH));
    let rest: f32 = ca.remainder().iter().zip(cb.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in ca.zip(cb) {
        for k in 0..WIDTH {
            sums[k] += a[k] * b[k];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// A convolution; a transposed one is the same map run backwards.
struct Conv {
    /// From the planes that windows slide over to those that have an element for each window.
    down: Map,
    /// The way back, where that is a convolution as well: windows that move by one element.
    up: Option<Map>,
    groups: usize,
    transposed: bool,
    bias: bool,
    out: Vec<usize>,
}

/// Weights of all groups in the orders of both maps.
struct Weights {
    down: Vec<f32>,
    up: Vec<f32>,
}

impl Conv {
    /// Elements of one group's weights.
    fn size(&self) -> usize {
        self.down.to * self.down.from * self.down.windows.sizes().2
    }

    /// Weights for the ways that are wanted.
    fn weights(&self, weight: &[f32], down: bool, up: bool) -> Weights {
        let arrange = |m: &Map, turned: bool| {
            let mut out = vec![0.0; weight.len()];
            let groups = weight.chunks_exact(self.size()).zip(out.chunks_exact_mut(self.size()));
            groups.for_each(|(w, out)| m.arranged(w, turned, out));
            out
        };
        let scatters = up && self.up.is_none();
        Weights {
            down: if down || scatters { arrange(&self.down, false) } else { Vec::new() },
            up: self.up.as_ref().filter(|_| up).map_or_else(Vec::new, |m| arrange(m, true)),
        }
    }

    /// Wide planes from narrow ones.
    fn widen(&self, w: &Weights, group: Range<usize>, data: &[f32], out: &mut [f32], scratch: &mut Vec<f32>) {
        match &self.up {
            Some(up) => up.gather(&w.up[group], data, out, scratch),
            None => self.down.scatter(&w.down[group], data, out, scratch),
        }
    }

    /// Calls `each` with ranges of wide planes, narrow planes and weights, group by group and sample by sample.
    fn groups(&self, mut each: impl FnMut([Range<usize>; 3])) {
        let (plane, outs, _) = self.down.windows.sizes();
        let [wide, narrow, weight] = [self.down.from * plane, self.down.to * outs, self.size()];
        for n in 0..self.out[0] {
            for g in 0..self.groups {
                let i = n * self.groups + g;
                each([i * wide..(i + 1) * wide, i * narrow..(i + 1) * narrow, g * weight..(g + 1) * weight]);
            }
        }
    }
}

impl Op for Conv {
    fn forward(&self, x: &[&Array]) -> Vec<Array> {
        let plane: usize = self.out[2..].iter().product();
        let mut out = Vec::with_capacity(self.out.iter().product());
        if self.bias {
            let planes = (0..self.out[0]).flat_map(|_| x[2].data.iter());
            planes.for_each(|b| out.extend(std::iter::repeat_n(*b, plane)));
        } else {
            out.resize(self.out.iter().product(), 0.0);
        }
        let data = &x[0].data;
        let w = self.weights(&x[1].data, !self.transposed, self.transposed);
        let scratch = &mut Vec::new();
        self.groups(|[wide, narrow, group]| match self.transposed {
            false => self.down.gather(&w.down[group], &data[wide], &mut out[narrow], scratch),
            true => self.widen(&w, group, &data[narrow], &mut out[wide], scratch),
        });
        vec![Array::new(&self.out, out)]
    }

    fn backward(&self, x: &[&Array], _: &[Array], dy: &[Option<Array>], want: &[bool]) -> Vec<Option<Array>> {
        let Some(d) = &dy[0] else { return vec![None; x.len()] };
        let (data, d) = (&x[0].data, &d.data);
        let w = self.weights(&x[1].data, want[0] && self.transposed, want[0] && !self.transposed);
        let mut dx = vec![0.0; if want[0] { data.len() } else { 0 }];
        let mut dw = vec![0.0; if want[1] { x[1].data.len() } else { 0 }];
        let scratch = &mut Vec::new();
        self.groups(|[wide, narrow, group]| {
            let (own, other) = if self.transposed { (narrow, wide) } else { (wide, narrow) };
            if want[0] {
                let to = &mut dx[own.clone()];
                match self.transposed {
                    false => self.widen(&w, group.clone(), &d[other.clone()], to, scratch),
                    true => self.down.gather(&w.down[group.clone()], &d[other.clone()], to, scratch),
                }
            }
            if want[1] {
                let (a, b) = if self.transposed { (&d[other], &data[own]) } else { (&data[own], &d[other]) };
                self.down.outer(a, b, &mut dw[group], scratch);
            }
        });
        let dw = want[1].then(|| {
            let mut out = vec![0.0; dw.len()];
            let n = self.down.windows.x.taps;
            for (to, from) in out.chunks_exact_mut(self.size()).zip(dw.chunks_exact(self.size())) {
                self.down
                    .lines(false, |own, theirs| to[theirs..theirs + n].copy_from_slice(&from[own..own + n]));
            }
            Array::new(&x[1].shape, out)
        });
        let mut out = vec![want[0].then(|| Array::new(&x[0].shape, dx)), dw];
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
        && wide[0] == narrow[0]
        && !weight.contains(&0);
    if !fits || (cx.has(2) && cx.shape(2)? != [out[1]]) {
        return None;
    }
    let windows = Windows::of(cx, &weight[2..], wide, narrow)?;
    let (wide, narrow) = (weight[1], weight[0] / groups);
    let up = windows.turned().map(|w| Map::new(w, narrow, wide));
    let bias = cx.has(2);
    let op = Conv { down: Map::new(windows, wide, narrow), up, groups, transposed, bias, out: out.to_vec() };
    Made::new(op, if bias { &[0, 1, 2] } else { &[0, 1] })
}

pub(super) const OPS: &[(&str, Make)] =
    &[("Conv", |cx| conv(cx, false)), ("ConvTranspose", |cx| conv(cx, true))];
