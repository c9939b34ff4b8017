//! Weights with zeros in a pattern that come nearest to given targets.
//!
//! Minimizes `tr((W - W*)' H (W - W*))` over weights of a pattern by the alternating direction method of
//! multipliers with a growing penalty (Meng, Behdin, Wang and Mazumder 2024, ALPS, algorithm 1, on a
//! Gram matrix scaled to a unit diagonal), then solves for the weights on the support that was found.

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};
use secateur_run::fold_in_order;

use crate::pattern::Pattern;

/// Rounds at most; the support has long settled then.
const ROUNDS: usize = 300;

/// A least-squares problem in normal form: `h` is `p x p`, positive definite, `c` is `p x q`; the solution
/// without a pattern is `h^-1 c`.
pub struct Problem {
    /// Gram matrix, damped.
    pub h: Mat<f64>,
    /// Products with the targets, plus the damping times the prior.
    pub c: Mat<f64>,
}

/// The support that a pattern leaves of a problem's solution: at most `keep` weights. `None` where the
/// problem is singular.
///
/// The method may end in a poor support; those of the largest weights of the solution without a pattern are
/// compared with it, and the best is taken.
pub fn support(
    problem: &Problem,
    pattern: Pattern,
    taps: usize,
    keep: usize,
    threads: usize,
) -> Option<Mat<bool>> {
    let dense = problem.h.llt(Side::Lower).ok()?.solve(&problem.c);
    let scaled = Mat::from_fn(dense.nrows(), dense.ncols(), |i, j| dense[(i, j)] * problem.h[(i, i)].sqrt());
    let found = [
        alternating(problem, pattern, taps, keep)?,
        pattern.support(&scaled, taps, keep),
        pattern.support(&dense, taps, keep),
    ];
    let rated = found.map(|s| (objective(problem, &solve_on(problem, &s, threads)), s));
    rated.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).map(|r| r.1)
}

/// `tr(w' h w - 2 w' c)`: the squared error but for a constant.
fn objective(problem: &Problem, w: &Mat<f64>) -> f64 {
    let hw = &problem.h * w;
    let column = |j: usize| {
        let w = w.col(j).iter();
        w.zip(hw.col(j).iter().zip(problem.c.col(j).iter())).map(|(w, (h, c))| w * (h - 2.0 * c)).sum::<f64>()
    };
    (0..w.ncols()).map(column).sum()
}

fn alternating(problem: &Problem, pattern: Pattern, taps: usize, keep: usize) -> Option<Mat<bool>> {
    let (p, q) = (problem.h.nrows(), problem.c.ncols());
    let scale: Vec<f64> = (0..p).map(|i| problem.h[(i, i)].max(1e-300).sqrt()).collect();
    let h = Mat::from_fn(p, p, |i, j| problem.h[(i, j)] / (scale[i] * scale[j]));
    let c = Mat::from_fn(p, q, |i, j| problem.c[(i, j)] / scale[i]);
    let mut rho = 0.1;
    let penalized = |rho: f64| {
        let mut a = h.clone();
        (0..p).for_each(|i| a[(i, i)] += rho);
        a.llt(Side::Lower).ok()
    };
    let mut dense = h.llt(Side::Lower).ok()?.solve(&c);
    let mut found = pattern.support(&dense, taps, keep);
    let mut sparse = on(&dense, &found);
    let mut dual = Mat::<f64>::zeros(p, q);
    let mut factor = penalized(rho)?;
    for round in 0..ROUNDS {
        let right = Mat::from_fn(p, q, |i, j| c[(i, j)] - dual[(i, j)] + rho * sparse[(i, j)]);
        dense = factor.solve(&right);
        let moved = Mat::from_fn(p, q, |i, j| dense[(i, j)] + dual[(i, j)] / rho);
        let next = pattern.support(&moved, taps, keep);
        sparse = on(&moved, &next);
        for j in 0..q {
            for i in 0..p {
                dual[(i, j)] += rho * (dense[(i, j)] - sparse[(i, j)]);
            }
        }
        let changes = differences(&found, &next);
        found = next;
        if round % 3 == 2 {
            let share = changes as f64 / keep.max(1) as f64;
            if changes == 0 && round > 20 {
                break;
            }
            // The faster the support moves, the faster the penalty may grow.
            rho *= if share > 0.1 {
                1.3
            } else if share > 0.005 {
                1.2
            } else {
                1.1
            };
            factor = penalized(rho)?;
        }
    }
    Some(found)
}

fn on(w: &Mat<f64>, support: &Mat<bool>) -> Mat<f64> {
    Mat::from_fn(w.nrows(), w.ncols(), |i, j| if support[(i, j)] { w[(i, j)] } else { 0.0 })
}

fn differences(a: &Mat<bool>, b: &Mat<bool>) -> usize {
    (0..a.ncols()).map(|j| (0..a.nrows()).filter(|&i| a[(i, j)] != b[(i, j)]).count()).sum()
}

/// The best weights on a support, output by output. Where a system is singular that output keeps zeros.
pub fn solve_on(problem: &Problem, support: &Mat<bool>, threads: usize) -> Mat<f64> {
    let (p, q) = (problem.h.nrows(), problem.c.ncols());
    let mut out = Mat::zeros(p, q);
    let work = |j: usize| {
        let kept: Vec<usize> = (0..p).filter(|&i| support[(i, j)]).collect();
        let h = Mat::from_fn(kept.len(), kept.len(), |a, b| problem.h[(kept[a], kept[b])]);
        let c = Mat::from_fn(kept.len(), 1, |a, _| problem.c[(kept[a], j)]);
        Ok((kept, h.llt(Side::Lower).ok().map(|l| l.solve(&c))))
    };
    let merged = fold_in_order(q, threads, work, &mut |j, (kept, w)| {
        if let Some(w) = w.filter(|w| w.col(0).iter().all(|x| x.is_finite())) {
            kept.iter().enumerate().for_each(|(a, &i)| out[(i, j)] = w[(a, 0)]);
        }
        Ok(())
    });
    debug_assert!(merged.is_ok());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_magnitude_and_keeps_to_the_pattern() {
        let (p, q, taps) = (36, 8, 9);
        let x = Mat::from_fn(200, p, |i, j| {
            let noise = (((i * 7919 + j * 104_729) % 1013) as f64 / 1013.0) - 0.5;
            noise + 0.8 * ((i * 31 + j / 4) as f64).sin()
        });
        // No two weights are of the same size.
        let truth = Mat::from_fn(p, q, |i, j| {
            ((i * 53 + j * 17 + i * j * 7) % 293) as f64 / 293.0 - 0.5 + 1e-4 * (i * q + j) as f64
        });
        let mut h = x.transpose() * &x;
        (0..p).for_each(|i| h[(i, i)] += 0.5);
        let c = &h * &truth;
        let problem = Problem { h, c };
        for text in ["unstructured", "4x1", "1x4", "2:4"] {
            let pattern = Pattern::parse(text).unwrap();
            let keep = p * q / 2;
            let s = support(&problem, pattern, taps, keep, 1).unwrap();
            let ours = solve_on(&problem, &s, 2);
            let magnitude = pattern.support(&truth, taps, keep);
            let theirs = solve_on(&problem, &magnitude, 1);
            assert!(objective(&problem, &ours) <= objective(&problem, &theirs) + 1e-9, "{text}");
            if text == "unstructured" {
                assert!(objective(&problem, &ours) < objective(&problem, &theirs) - 1e-6);
            }
            assert_eq!(pattern.support(&ours, taps, keep), s, "{text}: a support of the pattern");
        }
    }
}
