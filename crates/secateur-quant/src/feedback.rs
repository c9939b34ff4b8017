//! Rounding with error feedback: Frantar, Singh and Alistarh, "Optimal brain compression", 2022, equation 3, in the
//! order and with the factor of Frantar et al., "GPTQ", 2023, algorithm 1; inputs in order of falling power.

use faer::{Mat, Side};

/// The upper Cholesky factor of the inverse of a damped Gram matrix, and the order of its rows.
pub struct Inverse {
    order: Vec<usize>,
    /// `p x p`, upper: row `i` says how the error at `order[i]` spreads over those after it.
    factor: Mat<f64>,
}

impl Inverse {
    /// From the `p x p` Gram matrix of the inputs; `damping` is a share of its mean diagonal.
    ///
    /// `None` where it cannot be factored, as when it holds NaN.
    pub fn new(gram: &Mat<f64>, damping: f64) -> Option<Self> {
        let p = gram.nrows();
        let mean = (0..p).map(|i| gram[(i, i)]).sum::<f64>() / p.max(1) as f64;
        let add = (mean * damping).max(f64::MIN_POSITIVE.sqrt());
        let mut order: Vec<usize> = (0..p).collect();
        order.sort_by(|a, b| gram[(*b, *b)].total_cmp(&gram[(*a, *a)]).then(a.cmp(b)));
        // The factor of the inverse, from last to first: with rows reversed the lower factor L of H gives
        // inverse(H) = inverse(L)ᵀ inverse(L), and inverse(L) reversed again is upper.
        let at = |i: usize| order[p - 1 - i];
        let h = Mat::from_fn(p, p, |i, j| gram[(at(i), at(j))] + if i == j { add } else { 0.0 });
        let l = h.llt(Side::Lower).ok()?;
        let l = l.L();
        let mut inverse = Mat::<f64>::identity(p, p);
        for j in 0..p {
            for i in j..p {
                let sum: f64 = (j..i).map(|k| l[(i, k)] * inverse[(k, j)]).sum();
                let own = if i == j { 1.0 } else { 0.0 };
                inverse[(i, j)] = (own - sum) / l[(i, i)];
            }
        }
        let factor = Mat::from_fn(p, p, |i, j| inverse[(p - 1 - i, p - 1 - j)]);
        let finite = (0..p).all(|i| factor[(i, i)].is_finite() && factor[(i, i)] > 0.0);
        finite.then_some(Self { order, factor })
    }

    /// Replaces each of the `p` weights of one output by what `round` makes of it, in order; what is left of each is
    /// made up for by those that follow. Where `zero` holds nothing is added.
    pub fn walk(&self, w: &mut [f64], zero: &[bool], round: &mut dyn FnMut(f64, usize) -> f64) {
        for (i, &a) in self.order.iter().enumerate() {
            let to = if zero[a] { round(0.0, a) } else { round(w[a], a) };
            let error = (w[a] - to) / self.factor[(i, i)];
            w[a] = to;
            for (k, &b) in self.order.iter().enumerate().skip(i + 1) {
                w[b] -= error * self.factor[(i, k)];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gram(p: usize) -> Mat<f64> {
        // Neighbours are alike, as the taps of a filter are; some inputs are stronger.
        let strength = |i: usize| 1.0 + (i % 3) as f64;
        Mat::from_fn(p, p, |i, j| 0.9f64.powi(i.abs_diff(j) as i32) * strength(i) * strength(j))
    }

    fn loss(h: &Mat<f64>, d: &[f64]) -> f64 {
        (0..d.len())
            .flat_map(|i| (0..d.len()).map(move |j| (i, j)))
            .map(|(i, j)| d[i] * h[(i, j)] * d[j])
            .sum()
    }

    #[test]
    fn feedback_loses_less_than_rounding_to_nearest() {
        let p = 24;
        let h = gram(p);
        let inverse = Inverse::new(&h, 0.01).unwrap();
        let (mut near, mut fed) = (0.0, 0.0);
        for seed in 0..40u32 {
            let w: Vec<f64> =
                (0..p as u32).map(|i| f64::from((i * 37 + seed * 101) % 97) / 97.0 * 4.0 - 2.0).collect();
            let mut v = w.clone();
            inverse.walk(&mut v, &vec![false; p], &mut |x, _| x.round());
            let d = |v: &[f64]| -> Vec<f64> { v.iter().zip(&w).map(|(a, b)| a - b).collect() };
            assert!(v.iter().all(|x| x.fract() == 0.0));
            fed += loss(&h, &d(&v));
            near += loss(&h, &d(&w.iter().map(|x| x.round()).collect::<Vec<_>>()));
        }
        assert!(fed < 0.6 * near, "{fed} {near}");
    }

    #[test]
    fn the_last_weight_makes_up_for_all() {
        // Two inputs that are the same: what the first loses the second takes over.
        let h = Mat::from_fn(2, 2, |i, j| if i == j { 1.0 } else { 0.999_999 });
        let inverse = Inverse::new(&h, 1e-9).unwrap();
        let mut w = [0.3, 0.3];
        inverse.walk(&mut w, &[false, false], &mut |x, i| if i == 0 { x.round() } else { x });
        assert!((w[0] + w[1] - 0.6).abs() < 1e-3, "{w:?}");
        let mut w = [0.0, 0.7];
        inverse.walk(&mut w, &[true, false], &mut |x, _| x.round());
        assert_eq!(w, [0.0, 1.0]);
    }

    #[test]
    fn dead_inputs_and_nan() {
        assert!(Inverse::new(&Mat::zeros(3, 3), 0.01).is_some());
        assert!(Inverse::new(&Mat::from_fn(2, 2, |_, _| f64::NAN), 0.01).is_none());
    }
}
