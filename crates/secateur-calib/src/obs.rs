//! Structured Optimal Brain Surgeon: in which order the classes of a group go, and the error that each
//! number of removals leaves.
//!
//! With `H` the covariance of a reader's input and `W` its weight (one column an output), removing the rows
//! `c` and letting the others make up for them changes the output by `tr(W_c' ([H^-1]_cc)^-1 W_c)`
//! (Hassibi and Stork 1993, eq. 5, for a block of weights and for every output). `H^-1` and `W` are updated
//! after each removal.

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::{DenseSolveCore, Solve};
use faer::{Accum, Mat, Par, Side};
use serde::{Deserialize, Serialize};

use crate::solve::damped;

/// Damping of the covariance, a share of its mean diagonal, as in SparseGPT (Frantar and Alistarh 2023).
pub const DAMPING: f64 = 0.01;

/// One weight matrix that classes go into.
#[derive(Clone)]
pub struct Block {
    /// `p x p`: inverse of the damped covariance of what is left.
    inverse: Mat<f64>,
    /// `p x q`: the weight, updated; removed rows are zero.
    weight: Mat<f64>,
    /// By class: its rows.
    rows: Vec<Vec<usize>>,
    /// What an error of this block counts.
    scale: f64,
}

impl Block {
    /// A block over `covariance` (`p x p`) and `weight` (`p x q`); errors are relative to the variance of the
    /// output. `None` where nothing varies.
    pub fn new(covariance: &Mat<f64>, weight: &Mat<f64>, rows: Vec<Vec<usize>>) -> Option<Self> {
        let h = damped(covariance, DAMPING);
        let power = power(covariance, weight);
        let inverse = h.llt(Side::Lower).ok()?.inverse();
        let finite = power.is_finite() && inverse.col_iter().all(|c| c.iter().all(|x| x.is_finite()));
        (finite && power > 0.0).then(|| Self { inverse, weight: weight.clone(), rows, scale: 1.0 / power })
    }

    /// The error that removing a class adds.
    fn error(&self, class: usize) -> f64 {
        let rows = &self.rows[class];
        if rows.is_empty() {
            return 0.0;
        }
        let Some(solved) = self.solved(rows) else { return f64::INFINITY };
        let mut sum = 0.0;
        for j in 0..self.weight.ncols() {
            for (i, &r) in rows.iter().enumerate() {
                sum += self.weight[(r, j)] * solved[(i, j)];
            }
        }
        self.scale * sum.max(0.0)
    }

    /// `([H^-1]_cc)^-1 W_c`.
    fn solved(&self, rows: &[usize]) -> Option<Mat<f64>> {
        let n = rows.len();
        let a = Mat::from_fn(n, n, |i, j| self.inverse[(rows[i], rows[j])]);
        let w = Mat::from_fn(n, self.weight.ncols(), |i, j| self.weight[(rows[i], j)]);
        Some(a.llt(Side::Lower).ok()?.solve(&w))
    }

    fn remove(&mut self, class: usize) {
        let rows = std::mem::take(&mut self.rows[class]);
        if rows.is_empty() {
            return;
        }
        let (n, p) = (rows.len(), self.inverse.nrows());
        let a = Mat::from_fn(n, n, |i, j| self.inverse[(rows[i], rows[j])]);
        let across = Mat::from_fn(n, p, |i, j| self.inverse[(rows[i], j)]);
        if let (Ok(l), Some(solved)) = (a.llt(Side::Lower), self.solved(&rows)) {
            let k = l.solve(&across);
            matmul(&mut self.inverse, Accum::Add, across.transpose(), &k, -1.0, Par::Seq);
            matmul(&mut self.weight, Accum::Add, across.transpose(), &solved, -1.0, Par::Seq);
        }
        for &r in &rows {
            for j in 0..self.weight.ncols() {
                self.weight[(r, j)] = 0.0;
            }
            // What is gone neither gives nor takes.
            for i in 0..p {
                self.inverse[(r, i)] = 0.0;
                self.inverse[(i, r)] = 0.0;
            }
        }
    }
}

/// `tr(W' C W)`: variance of all outputs together.
pub fn power(covariance: &Mat<f64>, weight: &Mat<f64>) -> f64 {
    let cw = covariance * weight;
    (0..weight.ncols())
        .map(|j| weight.col(j).iter().zip(cw.col(j).iter()).map(|(a, b)| a * b).sum::<f64>())
        .sum()
}

impl Block {
    /// By class of `gone`, what the error of removing them all is smaller without it; nothing is removed yet.
    ///
    /// With `M = ([H^-1]_RR)^-1` over all rows `R` that go and `V = M W_R`, leaving out the rows `c` takes
    /// `tr(V_c' (M_cc)^-1 V_c)` off.
    fn saved(&self, gone: &[usize]) -> Option<Vec<f64>> {
        let rows: Vec<usize> = gone.iter().flat_map(|&c| self.rows[c].iter().copied()).collect();
        let a = Mat::from_fn(rows.len(), rows.len(), |i, j| self.inverse[(rows[i], rows[j])]);
        let m = a.llt(Side::Lower).ok()?.inverse();
        let w = Mat::from_fn(rows.len(), self.weight.ncols(), |i, j| self.weight[(rows[i], j)]);
        let v = &m * &w;
        let mut from = 0;
        let one = |c: &usize| {
            let (n, at) = (self.rows[*c].len(), from);
            from += n;
            if n == 0 {
                return Some(0.0);
            }
            let (m, v) = (m.submatrix(at, at, n, n), v.subrows(at, n));
            let solved = m.llt(Side::Lower).ok()?.solve(v);
            let dots = (0..v.ncols()).map(|j| (0..n).map(|i| v[(i, j)] * solved[(i, j)]).sum::<f64>());
            Some(self.scale * dots.sum::<f64>())
        };
        gone.iter().map(one).collect()
    }
}

/// Most classes that are exchanged in one group.
const EXCHANGES: usize = 16;
/// Classes whose return is tried, the most promising first.
const RETURNS: usize = 3;

/// Exchanges classes of `gone` for others where that lowers the error left (as in OSSCAR, Meng et al. 2024, local search):
/// the class whose return saves most comes back and the one that costs least then goes. `blocks` are those of the
/// group with nothing removed, `count` is its number of classes, `gone` are removed in this order.
pub fn exchange(blocks: &[Block], count: usize, gone: &[usize]) -> Vec<usize> {
    let mut gone = gone.to_vec();
    let without = |gone: &[usize], but: usize| {
        let mut left = blocks.to_vec();
        let going = gone.iter().filter(|c| **c != but);
        going.for_each(|&c| left.iter_mut().for_each(|b| b.remove(c)));
        left
    };
    'next: for _ in 0..EXCHANGES {
        let Some(parts) = blocks.iter().map(|b| b.saved(&gone)).collect::<Option<Vec<_>>>() else { break };
        let mut saved: Vec<(f64, usize)> =
            (0..gone.len()).map(|i| (parts.iter().map(|p| p[i]).sum(), gone[i])).collect();
        saved.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for &(_, back) in saved.iter().take(RETURNS) {
            let left = without(&gone, back);
            let cost = |c: usize| left.iter().map(|b| b.error(c)).sum::<f64>();
            let free = (0..count).filter(|c| *c == back || !gone.contains(c));
            let Some((least, best)) = free.map(|c| (cost(c), c)).min_by(|a, b| a.0.total_cmp(&b.0)) else {
                continue;
            };
            // Rounding must not keep two classes going back and forth.
            if best != back && least < (1.0 - 1e-6) * cost(back) {
                gone.retain(|c| *c != back);
                gone.push(best);
                continue 'next;
            }
        }
        break;
    }
    gone
}

/// A group's classes from the first to go to the last, and the error after each.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Places of classes in their group.
    pub classes: Vec<usize>,
    /// By number of removed classes, from none: the error left, a share of the readers' variance.
    pub error: Vec<f64>,
}

/// Removes the classes of a group one after the other, each time the one that costs least over all blocks;
/// `extra` is what a class costs elsewhere. All but one of `count` classes go.
pub fn order(mut blocks: Vec<Block>, count: usize, extra: &[f64]) -> Order {
    let mut left: Vec<usize> = (0..count).collect();
    let mut out = Order { classes: Vec::new(), error: vec![0.0] };
    while left.len() > 1 {
        // Large groups lose a few at a time; the updates are what costs.
        let at_once = (left.len() / 96).max(1);
        let cost = |c: usize| blocks.iter().map(|b| b.error(c)).sum::<f64>() + extra[c];
        let mut rated: Vec<(f64, usize)> = left.iter().map(|&c| (cost(c), c)).collect();
        rated.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for &(_, c) in rated.iter().take(at_once.min(left.len() - 1)) {
            let added = blocks.iter().map(|b| b.error(c)).sum::<f64>() + extra[c];
            blocks.iter_mut().for_each(|b| b.remove(c));
            left.retain(|&l| l != c);
            out.classes.push(c);
            out.error.push(out.error[out.error.len() - 1] + added);
        }
    }
    out.classes.extend(left);
    out
}
