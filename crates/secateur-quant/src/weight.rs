//! Weights as small integers.

use faer::Mat;

use crate::feedback::Inverse;

/// How weights are rounded: bits, and how many of them share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// 4 or 8; the least integer is not used, so that the grid is symmetric.
    pub bits: u32,
    /// Inputs that share a scale; `None` for one scale an output.
    pub block: Option<usize>,
}

/// One matrix of weights, `p x q` (inputs, outputs), as integers.
#[derive(Debug, Clone, PartialEq)]
pub struct Rounded {
    /// `p x q`.
    pub q: Mat<i8>,
    /// By block of inputs and output: `ceil(p / block) x q`, or `1 x q`.
    pub scale: Mat<f32>,
    /// `p x q`: what was rounded, the errors of inputs before it made up for.
    pub before: Mat<f64>,
    block: usize,
}

impl Rounded {
    /// What the integers stand for, `p x q`.
    pub fn values(&self) -> Mat<f64> {
        Mat::from_fn(self.q.nrows(), self.q.ncols(), |i, j| {
            f64::from(self.q[(i, j)]) * f64::from(self.scale[(i / self.block, j)])
        })
    }

    /// The scale of every element, `p x q`.
    pub fn scales(&self) -> Mat<f64> {
        Mat::from_fn(self.q.nrows(), self.q.ncols(), |i, j| f64::from(self.scale[(i / self.block, j)]))
    }

    /// Takes other weights, `p x q`, to the grid's nearest numbers.
    pub fn set(&mut self, w: &Mat<f64>, bits: u32) {
        let scales = self.scales();
        let one = |i: usize, j: usize| (w[(i, j)] / scales[(i, j)]).round_ties_even();
        self.q = Mat::from_fn(w.nrows(), w.ncols(), |i, j| one(i, j).clamp(-most(bits), most(bits)) as i8);
    }
}

/// The largest integer of a grid.
pub fn most(bits: u32) -> f64 {
    f64::from((1i32 << (bits - 1)) - 1)
}

/// The scale for some weights: at 8 bits what holds them all, below what gives the least square error, each square
/// weighted by the input's power.
fn scale(w: &mut dyn Iterator<Item = (f64, f64)>, bits: u32, least: f64) -> f32 {
    let w: Vec<(f64, f64)> = w.collect();
    let largest = w.iter().fold(0.0f64, |m, (v, _)| m.max(v.abs()));
    let whole = (largest / most(bits)).max(least).max(f64::from(f32::MIN_POSITIVE));
    if bits >= 8 || largest == 0.0 {
        return whole as f32;
    }
    let cost = |s: f64| -> f64 {
        w.iter()
            .map(|(v, h)| (v - (v / s).round_ties_even().clamp(-most(bits), most(bits)) * s).powi(2) * h)
            .sum()
    };
    let tried =
        (0..40).map(|i| (whole * (1.0 - f64::from(i) / 55.0)).max(least).max(f64::from(f32::MIN_POSITIVE)));
    let best = tried.map(|s| (cost(s), s)).fold((f64::INFINITY, whole), |a, b| if b.0 < a.0 { b } else { a });
    best.1 as f32
}

/// Rounds a matrix. `least` is the least scale of each output (a bias must fit its own grid); `power` the mean square
/// of each input, where known; with `inverse` the error of each input is made up for by those after it.
///
/// Entries that are zero stay zero.
pub fn round(
    w: &Mat<f64>,
    grid: Grid,
    least: &[f64],
    power: Option<&[f64]>,
    inverse: Option<&Inverse>,
) -> Rounded {
    let (p, q) = (w.nrows(), w.ncols());
    let block = grid.block.unwrap_or(p).max(1);
    let of = |b: usize, j: usize| {
        let rows = b * block..((b + 1) * block).min(p);
        let mut each = rows.map(|i| (w[(i, j)], power.map_or(1.0, |h| h[i])));
        scale(&mut each, grid.bits, least[j])
    };
    let scales = Mat::from_fn(p.div_ceil(block).max(1), q, of);
    let nearest = |v: f64, i: usize, j: usize| {
        let s = f64::from(scales[(i / block, j)]);
        (v / s).round_ties_even().clamp(-most(grid.bits), most(grid.bits))
    };
    let mut out = Mat::<i8>::from_fn(p, q, |_, _| 0);
    let mut before = w.clone();
    match inverse {
        None => (0..q).for_each(|j| (0..p).for_each(|i| out[(i, j)] = nearest(w[(i, j)], i, j) as i8)),
        Some(inverse) => {
            for j in 0..q {
                let zero: Vec<bool> = (0..p).map(|i| w[(i, j)] == 0.0).collect();
                let mut column: Vec<f64> = w.col(j).iter().copied().collect();
                inverse.walk(&mut column, &zero, &mut |v, i| {
                    let r = nearest(v, i, j);
                    before[(i, j)] = v;
                    out[(i, j)] = r as i8;
                    r * f64::from(scales[(i / block, j)])
                });
            }
        }
    }
    Rounded { q: out, scale: scales, before, block }
}
