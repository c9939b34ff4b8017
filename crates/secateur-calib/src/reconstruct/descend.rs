//! Gradient descent. Weights that are matrices go along the orthogonal matrix nearest to the averaged derivative
//! (Jordan et al. 2024, Muon), all else by Adam (Kingma and Ba 2015, algorithm 1); steps shrink as a cosine
//! (Loshchilov and Hutter 2017, equation 5).

use std::sync::{Mutex, PoisonError};

use secateur_diag::Result;
use secateur_grad::Array;
use secateur_run::{fold_in_order, in_order};

use super::Steps;
use super::orthogonal::{self, orthogonal};
use super::pair::{Pair, rounded};
use super::views::Views;

/// Samples of one step.
pub const STEP: usize = 16;
/// The share of the way to its rounded value that a weight goes at each step at the end of a run.
const PULL: f32 = 0.05;
/// So many steps of a grid count as the size of a tensor that is rounded to it, where that is less.
const GRID_STEPS: f32 = 3.0;
/// Decay of the averages of derivatives and of their squares (Kingma and Ba, section 2).
const DECAY: [f32; 2] = [0.9, 0.999];

/// A tensor on its way.
struct Moving {
    at: Vec<f32>,
    /// Averages of derivatives, and of their squares.
    mean: Vec<f32>,
    square: Vec<f32>,
    /// Size of a step.
    rate: f32,
    /// Where it is made of matrices: their rows and columns.
    matrices: Option<(usize, usize)>,
}

impl Moving {
    fn new(a: &Array, rate: f32, matrices: Option<(usize, usize)>, grid: Option<&Steps>) -> Self {
        // Steps are a share of the tensor's size, so that it does not matter in what units weights are; and of a few
        // steps of its grid, where that is fine.
        let mean = |v: &[f32]| (v.iter().map(|x| x * x).sum::<f32>() / v.len().max(1) as f32).sqrt();
        let size = mean(&a.data).min(grid.map_or(f32::INFINITY, |g| GRID_STEPS * mean(&g.scale)));
        let zero = || vec![0.0; a.len()];
        Self { at: a.data.to_vec(), mean: zero(), square: zero(), rate: rate * size, matrices }
    }

    /// Multiply-adds of a step.
    fn work(&self) -> f64 {
        let elements = self.at.len();
        let one =
            |(rows, columns)| elements as f64 / (rows * columns) as f64 * orthogonal::work(rows, columns);
        elements as f64 + self.matrices.map_or(0.0, one)
    }

    /// Step `t`, counted from 1, its size times `slow`. Zeros stay: they may be wanted.
    fn step(&mut self, d: &[f32], t: i32, slow: f32) {
        match self.matrices {
            Some((rows, columns)) => self.along_matrices(d, rows, columns, slow),
            None => self.by_element(d, t, slow),
        }
    }

    /// Draws weights towards what they are rounded to, the more the further the run is: those near the middle between
    /// two numbers would go to and fro to the end (Nagel et al. 2022, section 4.1).
    fn settle(&mut self, grid: &Steps, way: f32) {
        let near = grid.round(&self.at);
        self.at.iter_mut().zip(near).for_each(|(w, r)| *w += PULL * way * (r - *w));
    }

    fn along_matrices(&mut self, d: &[f32], rows: usize, columns: usize, slow: f32) {
        let size = slow * self.rate * (rows.max(columns) as f32).sqrt();
        let parts = self.at.chunks_mut(rows * columns).zip(self.mean.chunks_mut(rows * columns));
        for ((at, mean), d) in parts.zip(d.chunks(rows * columns)) {
            let mut ahead = Vec::with_capacity(d.len());
            for ((m, d), w) in mean.iter_mut().zip(d).zip(at.iter()) {
                let d = if *w == 0.0 { 0.0 } else { *d };
                *m = DECAY[0] * *m + d;
                // Nesterov's look ahead.
                ahead.push(DECAY[0] * *m + d);
            }
            let way = orthogonal(&ahead, rows, columns);
            for (w, o) in at.iter_mut().zip(way).filter(|(w, _)| **w != 0.0) {
                *w -= size * o;
            }
        }
    }

    fn by_element(&mut self, d: &[f32], t: i32, slow: f32) {
        let [a, b] = DECAY;
        let (ca, cb) = (1.0 - a.powi(t), 1.0 - b.powi(t));
        let state = self.mean.iter_mut().zip(&mut self.square);
        for ((w, (m, q)), d) in self.at.iter_mut().zip(state).zip(d) {
            *m = a * *m + (1.0 - a) * d;
            *q = b * *q + (1.0 - b) * d * d;
            if *w != 0.0 && *q > 0.0 {
                *w -= slow * self.rate * (*m / ca) / (*q / cb).sqrt();
            }
        }
    }
}

impl Pair<'_> {
    /// Runs over `which` samples `epochs` times, in another order each time; the parameters then.
    ///
    /// Derivatives of the runs of one step are summed up in order, so that threads do not matter.
    pub fn descend(
        &self,
        which: &[(usize, usize)],
        rate: f32,
        epochs: usize,
        views: bool,
        done: &mut dyn FnMut(f64),
    ) -> Result<Vec<Array>> {
        let mut now = self.at(|p| self.pruned.param(p).cloned());
        let start =
            self.pruned.params().iter().filter_map(|p| Some((self.pruned.param(*p)?, self.matrices.get(p))));
        let start = start.zip(&self.grids);
        let moving: Vec<Moving> =
            start.map(|((a, m), g)| Moving::new(a, rate, m.copied(), g.as_ref())).collect();
        // The heaviest first, so that threads end together.
        let mut heaviest: Vec<usize> = (0..moving.len()).collect();
        heaviest.sort_by(|&a, &b| moving[b].work().total_cmp(&moving[a].work()));
        let moving: Vec<Mutex<Moving>> = moving.into_iter().map(Mutex::new).collect();
        let chunk = self.rows.chunk;
        let chunks = which.len() / chunk;
        let steps = (chunks / (STEP / chunk).max(1)).max(1);
        let mut rng = fastrand::Rng::with_seed(0);
        let mut order = which.to_vec();
        for epoch in 0..epochs {
            rng.shuffle(&mut order);
            for s in 0..steps {
                let first = s * chunks / steps;
                let count = (s + 1) * chunks / steps - first;
                let seeds: Vec<u64> = (0..count).map(|_| rng.u64(..)).collect();
                let work = |i: usize| {
                    let rows = &order[(first + i) * chunk..][..chunk];
                    let views = views.then(|| Views::new(seeds[i], chunk));
                    Ok(self.derivative(&now, rows, views.as_ref()))
                };
                let mut sum: Option<Vec<Array>> = None;
                fold_in_order(count, self.rows.samples.threads, work, &mut |_, d| {
                    match (&mut sum, d) {
                        (Some(s), Some(d)) => s.iter_mut().zip(&d).for_each(|(a, b)| a.add(b)),
                        (s, d) => *s = s.take().or(d),
                    }
                    Ok(())
                })?;
                done(1.0 / (steps * epochs) as f64);
                let t = epoch * steps + s;
                let way = t as f32 / (steps * epochs) as f32;
                let slow = 0.5 * (1.0 + libm::cosf(std::f32::consts::PI * way));
                let Some(sum) = sum else { continue };
                let t = i32::try_from(t).unwrap_or(i32::MAX - 1) + 1;
                let step = |i: usize| {
                    let i = heaviest[i];
                    let mut m = moving[i].lock().unwrap_or_else(PoisonError::into_inner);
                    m.step(&sum[i].data, t, slow);
                    if let Some(grid) = &self.grids[i] {
                        m.settle(grid, way);
                    }
                    let at = Array::new(&sum[i].shape, m.at.clone());
                    Ok((i, rounded(self.grids[i].as_ref(), at)))
                };
                for (i, a) in in_order(heaviest.len(), self.rows.samples.threads, step, &mut |_| ())? {
                    now[i] = a;
                }
            }
        }
        Ok(now)
    }
}
