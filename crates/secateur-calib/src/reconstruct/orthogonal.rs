//! Orthogonal matrices near a given one.

use faer::linalg::matmul::{matmul, triangular};
use faer::{Accum, Mat, MatRef, Par};

/// Coefficients of the odd polynomial that drives all singular values near 1 (Jordan et al. 2024, Muon).
const POLYNOMIAL: [f32; 3] = [3.4445, -4.775, 2.0315];
/// How often it is applied.
const ROUNDS: usize = 5;

/// The matrix with the singular vectors of `m` (`rows x columns`, by rows) and singular values near 1; its elements
/// have mean square near 1 when multiplied by the root of the longer side. All zeros stay zeros.
pub fn orthogonal(m: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let norm = m.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm.is_nan() || norm <= f32::MIN_POSITIVE {
        return vec![0.0; m.len()];
    }
    let given = MatRef::from_row_major_slice(m, rows, columns);
    // The products are of the shorter side.
    let given = if rows > columns { given.transpose() } else { given };
    let mut x = Mat::from_fn(given.nrows(), given.ncols(), |i, j| given[(i, j)] / norm);
    let n = x.nrows();
    let [a, b, c] = POLYNOMIAL;
    let (mut square, mut inner) = (Mat::zeros(n, n), Mat::zeros(n, n));
    for _ in 0..ROUNDS {
        half_product(&mut square, Accum::Replace, x.as_ref(), x.transpose(), 1.0);
        inner.copy_from(&square);
        half_product(&mut inner, Accum::Add, square.as_ref(), square.as_ref(), c / b);
        let mut next = Mat::from_fn(n, x.ncols(), |i, j| a * x[(i, j)]);
        matmul(&mut next, Accum::Add, &inner, &x, b, Par::Seq);
        x = next;
    }
    let mut out = vec![0.0; m.len()];
    for i in 0..rows {
        for j in 0..columns {
            out[i * columns + j] = if rows > columns { x[(j, i)] } else { x[(i, j)] };
        }
    }
    out
}

/// A product that is known to be symmetric: half of it is computed.
fn half_product(out: &mut Mat<f32>, to: Accum, a: MatRef<f32>, b: MatRef<f32>, factor: f32) {
    use triangular::BlockStructure::{Rectangular, TriangularLower};
    triangular::matmul(out.as_mut(), TriangularLower, to, a, Rectangular, b, Rectangular, factor, Par::Seq);
    for j in 1..out.ncols() {
        for i in 0..j {
            out[(i, j)] = out[(j, i)];
        }
    }
}

/// Multiply-adds of [`orthogonal`].
pub fn work(rows: usize, columns: usize) -> f64 {
    let (n, m) = (rows.min(columns) as f64, rows.max(columns) as f64);
    ROUNDS as f64 * (1.5 * n * n * m + 0.5 * n * n * n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn singular_values_are_near_one_and_vectors_stay() {
        let mut rng = fastrand::Rng::with_seed(5);
        for (rows, columns) in [(3, 7), (7, 3), (12, 12), (1, 5)] {
            let m: Vec<f32> = (0..rows * columns).map(|_| rng.f32() - 0.5).collect();
            let o = orthogonal(&m, rows, columns);
            let o = Mat::from_fn(rows, columns, |i, j| f64::from(o[i * columns + j]));
            let m = Mat::from_fn(rows, columns, |i, j| f64::from(m[i * columns + j]));
            for s in o.singular_values().unwrap() {
                // The polynomial's fixed band, and what very small values have not reached yet.
                assert!((0.3..1.3).contains(&s), "{rows} x {columns}: {s}");
            }
            // With common singular vectors this product is symmetric.
            let p = m.transpose() * &o;
            let wrong = (&p - p.transpose()).norm_l2() / p.norm_l2();
            assert!(wrong < 1e-4, "{rows} x {columns}: {wrong}");
        }
        assert_eq!(orthogonal(&[0.0; 6], 2, 3), [0.0; 6]);
    }
}
