//! Ridge least squares from second moments.

use crate::Moments;
use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

use crate::sparse::Problem;

/// A linear map: `p x q` weights and `q` offsets.
#[derive(Debug, Clone)]
pub struct Map {
    /// Weights.
    pub w: Mat<f64>,
    /// Offsets; zeros where the map has none.
    pub b: Vec<f64>,
}

/// Damping tried, as shares of the mean variance of the variables.
pub const DAMPING: [f64; 6] = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];

/// Mean of the diagonal; at least a tiny positive number.
pub fn mean_diagonal(h: &Mat<f64>) -> f64 {
    let n = h.nrows().max(1) as f64;
    ((0..h.nrows()).map(|i| h[(i, i)]).sum::<f64>() / n).max(1e-30)
}

/// `h` with `damping` times its mean diagonal added to the diagonal.
pub fn damped(h: &Mat<f64>, damping: f64) -> Mat<f64> {
    let mut out = h.clone();
    let add = mean_diagonal(h) * damping;
    (0..h.nrows()).for_each(|i| out[(i, i)] += add);
    out
}

/// The normal form of the map nearest to `prior` that explains `m`: `|x w + b - y|^2 + lambda |w - prior|^2`,
/// with `lambda` the damping times the mean variance of `x`. Where `offset` is given, that is `b`, else it is free.
pub fn problem(m: &Moments, prior: &Mat<f64>, offset: Option<&[f64]>, damping: f64) -> Problem {
    let centred = offset.is_none();
    let h = m.gram(centred);
    let mut c = m.cross(centred);
    let add = mean_diagonal(&h) * damping;
    if let Some(b) = offset {
        // A given offset is taken off the targets.
        for (j, b) in b.iter().enumerate() {
            c.col_as_slice_mut(j).iter_mut().zip(&m.x).for_each(|(c, x)| *c -= x * b);
        }
    }
    for j in 0..c.ncols() {
        for i in 0..c.nrows() {
            c[(i, j)] += add * prior[(i, j)];
        }
    }
    Problem { h: damped(&h, damping), c }
}

/// The solution of [`problem`]; `None` where it is singular.
pub fn ridge(m: &Moments, prior: &Mat<f64>, offset: Option<&[f64]>, damping: f64) -> Option<Map> {
    let p = problem(m, prior, offset, damping);
    let map = with_offsets(m, p.h.llt(Side::Lower).ok()?.solve(&p.c), offset);
    let finite = |w: &Mat<f64>| w.col_iter().all(|c| c.iter().all(|x| x.is_finite()));
    (map.b.iter().all(|b| b.is_finite()) && finite(&map.w)).then_some(map)
}

/// Weights with their offsets: those given, or those that make the means agree.
pub fn with_offsets(m: &Moments, w: Mat<f64>, offset: Option<&[f64]>) -> Map {
    let b = offset.map_or_else(|| offsets(m, &w), <[f64]>::to_vec);
    Map { w, b }
}

/// Offsets that make the means agree.
pub fn offsets(m: &Moments, w: &Mat<f64>) -> Vec<f64> {
    let n = m.count.max(1.0);
    (0..w.ncols())
        .map(|j| (m.y[j] - w.col(j).iter().zip(&m.x).map(|(w, x)| w * x).sum::<f64>()) / n)
        .collect()
}

/// By output: the sum of squared errors of a map on the observations of `m`.
pub fn errors(m: &Moments, map: &Map) -> Vec<f64> {
    let hw = &m.xx * &map.w;
    (0..map.w.ncols())
        .map(|j| {
            let dot =
                |a: &Mat<f64>| map.w.col(j).iter().zip(a.col(j).iter()).map(|(w, a)| w * a).sum::<f64>();
            let wx: f64 = map.w.col(j).iter().zip(&m.x).map(|(w, x)| w * x).sum();
            let b = map.b[j];
            let e = dot(&hw) - 2.0 * dot(&m.xy) + m.yy[j] + 2.0 * b * (wx - m.y[j]) + m.count * b * b;
            e.max(0.0)
        })
        .collect()
}

/// The damping with the least error on `held_out` of those fitted on `fit`.
pub fn best_damping(fit: &Moments, held_out: &Moments, prior: &Mat<f64>, offset: Option<&[f64]>) -> f64 {
    let tried = DAMPING.into_iter().filter_map(|d| {
        let map = ridge(fit, prior, offset, d)?;
        Some((errors(held_out, &map).iter().sum::<f64>(), d))
    });
    tried.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(1.0, |t| t.1)
}
