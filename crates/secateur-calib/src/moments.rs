//! Second moments of two sets of variables, streamed: the Gram matrix of a linear operator's input and its
//! products with what the operator should give.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

/// Rows that are multiplied in f32 before the sum goes on in f64.
const BLOCK: usize = 2048;

/// Sums over observations of `x` (p variables) and `y` (q variables) and of their products.
///
/// Products are taken in f32 over blocks of a fixed number of rows and summed up in f64 in the order of the
/// chunks, so that the result does not depend on the number of threads.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Number of observations.
    pub count: f64,
    /// `p x p`: sums of `x[i] * x[j]`, full and symmetric.
    pub xx: Mat<f64>,
    /// `p x q`: sums of `x[i] * y[j]`.
    pub xy: Mat<f64>,
    /// `q`: sums of `y[j]^2`.
    pub yy: Vec<f64>,
    /// `p`: sums of `x[i]`.
    pub x: Vec<f64>,
    /// `q`: sums of `y[j]`.
    pub y: Vec<f64>,
}

impl Moments {
    /// No observation yet.
    pub fn zero(p: usize, q: usize) -> Self {
        Self {
            count: 0.0,
            xx: Mat::zeros(p, p),
            xy: Mat::zeros(p, q),
            yy: vec![0.0; q],
            x: vec![0.0; p],
            y: vec![0.0; q],
        }
    }

    /// Adds observations, one a row of both matrices.
    pub fn add(&mut self, x: MatRef<f32>, y: MatRef<f32>) {
        self.add_x(x);
        self.add_y(x, y);
    }

    fn add_x(&mut self, x: MatRef<f32>) {
        let (m, p) = (x.nrows(), self.x.len());
        self.count += m as f64;
        let mut block = Mat::<f32>::zeros(p, p);
        for rows in (0..m).step_by(BLOCK) {
            let x = x.subrows(rows, BLOCK.min(m - rows));
            lower(&mut block, x);
            for j in 0..p {
                let (to, from) = (self.xx.col_as_slice_mut(j), block.col_as_slice(j));
                to[j..].iter_mut().zip(&from[j..]).for_each(|(a, b)| *a += f64::from(*b));
            }
        }
        for (i, s) in self.x.iter_mut().enumerate() {
            *s += sum(x, i);
        }
    }

    /// Adds to the products with `y` alone; for other targets on the same observations.
    pub fn add_y(&mut self, x: MatRef<f32>, y: MatRef<f32>) {
        let (m, p, q) = (x.nrows(), self.x.len(), self.y.len());
        let mut block = Mat::<f32>::zeros(p, q);
        for rows in (0..m).step_by(BLOCK) {
            let n = BLOCK.min(m - rows);
            let (x, y) = (x.subrows(rows, n), y.subrows(rows, n));
            matmul(&mut block, Accum::Replace, x.transpose(), y, 1.0, Par::Seq);
            for j in 0..q {
                let (to, from) = (self.xy.col_as_slice_mut(j), block.col_as_slice(j));
                to.iter_mut().zip(from).for_each(|(a, b)| *a += f64::from(*b));
            }
        }
        for j in 0..q {
            self.y[j] += sum(y, j);
            self.yy[j] += summed(y, j, |v| v * v);
        }
    }

    /// Forgets `y`.
    pub fn clear_y(&mut self) {
        self.xy.fill(0.0);
        self.y.fill(0.0);
        self.yy.fill(0.0);
    }

    /// Adds another's sums.
    pub fn merge(&mut self, other: &Moments) {
        self.count += other.count;
        self.xx += &other.xx;
        self.x.iter_mut().zip(&other.x).for_each(|(a, b)| *a += b);
        self.merge_y(other);
    }

    /// Adds another's sums of `y` and of products with it.
    pub fn merge_y(&mut self, other: &Moments) {
        self.xy += &other.xy;
        for (to, from) in [(&mut self.y, &other.y), (&mut self.yy, &other.yy)] {
            to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
        }
    }

    /// Fills in the upper half of `xx` once all is added.
    pub fn mirror(&mut self) {
        for j in 0..self.x.len() {
            for i in 0..j {
                self.xx[(i, j)] = self.xx[(j, i)];
            }
        }
    }

    /// `p x p`: `xx` about the mean where `centred`, else as it is.
    pub fn gram(&self, centred: bool) -> Mat<f64> {
        let mut out = self.xx.clone();
        if centred && self.count > 0.0 {
            for j in 0..self.x.len() {
                let mean = self.x[j] / self.count;
                out.col_as_slice_mut(j).iter_mut().zip(&self.x).for_each(|(a, x)| *a -= x * mean);
            }
        }
        out
    }

    /// `p x q`: `xy` about the means where `centred`, else as it is.
    pub fn cross(&self, centred: bool) -> Mat<f64> {
        let mut out = self.xy.clone();
        if centred && self.count > 0.0 {
            for j in 0..self.y.len() {
                let mean = self.y[j] / self.count;
                out.col_as_slice_mut(j).iter_mut().zip(&self.x).for_each(|(a, x)| *a -= x * mean);
            }
        }
        out
    }

    /// `q`: sums of squares of `y` about the mean where `centred`, else as they are.
    pub fn power(&self, centred: bool) -> Vec<f64> {
        let off = |s: f64| if centred && self.count > 0.0 { s * s / self.count } else { 0.0 };
        self.yy.iter().zip(&self.y).map(|(p, s)| (p - off(*s)).max(0.0)).collect()
    }
}

/// The lower half of `xᵀx`, by column blocks, so that the upper half costs nothing.
fn lower(out: &mut Mat<f32>, x: MatRef<f32>) {
    const WIDTH: usize = 96;
    let p = x.ncols();
    for j in (0..p).step_by(WIDTH) {
        let w = WIDTH.min(p - j);
        let to = out.as_mut().submatrix_mut(j, j, p - j, w);
        let (left, right) = (x.subcols(j, p - j), x.subcols(j, w));
        matmul(to, Accum::Replace, left.transpose(), right, 1.0, Par::Seq);
    }
}

fn sum(x: MatRef<f32>, column: usize) -> f64 {
    summed(x, column, |v| v)
}

/// The sum of a function of a column's elements, in partial sums that do not wait for each other.
fn summed(x: MatRef<f32>, column: usize, f: impl Fn(f64) -> f64) -> f64 {
    const LANES: usize = 16;
    let Some(x) = x.col(column).try_as_col_major() else {
        return x.col(column).iter().map(|v| f(f64::from(*v))).sum();
    };
    let (parts, rest) = x.as_slice().as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(s, v)| *s += f(f64::from(*v)));
    }
    sums.iter().sum::<f64>() + rest.iter().map(|v| f(f64::from(*v))).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_definition() {
        let (m, p, q) = (BLOCK + 300, 101, 3);
        let x = Mat::from_fn(m, p, |i, j| ((i * 7 + j * 13) % 11) as f32 - 4.0);
        let y = Mat::from_fn(m, q, |i, j| ((i * 5 + j * 3) % 7) as f32);
        let mut a = Moments::zero(p, q);
        a.add(x.subrows(0, 1000), y.subrows(0, 1000));
        let mut b = Moments::zero(p, q);
        b.add(x.subrows(1000, m - 1000), y.subrows(1000, m - 1000));
        a.merge(&b);
        a.mirror();
        let get = |m: &Mat<f32>, i: usize, j: usize| f64::from(m[(i, j)]);
        for (i, j) in [(0, 0), (3, 99), (99, 3), (100, 100)] {
            let want: f64 = (0..m).map(|r| get(&x, r, i) * get(&x, r, j)).sum();
            assert_eq!(a.xx[(i, j)], want);
            let mean = |c| (0..m).map(|r| get(&x, r, c)).sum::<f64>() / m as f64;
            let want: f64 = (0..m).map(|r| (get(&x, r, i) - mean(i)) * (get(&x, r, j) - mean(j))).sum();
            assert!((a.gram(true)[(i, j)] - want).abs() < 1e-6 * (1.0 + want.abs()));
        }
        let want: f64 = (0..m).map(|r| get(&x, r, 50) * get(&y, r, 2)).sum();
        assert_eq!(a.xy[(50, 2)], want);
        assert_eq!(a.count, m as f64);
    }
}
