//! What calibration samples say of a network: its values and their spread, the second moments of the inputs of its linear
//! operators, and how weights are fitted so that less computes the same.
//!
//! # Invariants
//!
//! - Sums are taken over fixed batches and merged in their order, so that no result depends on the number of threads.
//! - Nothing here knows budgets, plans or quantized types.

pub mod engine;
pub mod linear;
pub mod measure;
mod moments;
pub mod norm;
pub mod obs;
pub mod pattern;
pub mod products;
mod ranges;
pub mod readers;
pub mod reconstruct;
pub mod refit;
pub mod share;
pub mod solve;
pub mod sparse;
pub mod statistics;
pub mod store;
pub mod targets;
mod unfold;
pub mod walk;
pub mod wanda;

use std::sync::Arc;

use secateur_data::InputSet;
use secateur_diag::Result;
use secateur_tensor::Tensor;

pub use moments::Moments;
pub use ranges::{Histogram, ranges};
pub use unfold::{Slide, Unfold};

/// Prepared calibration samples, in batches of a fixed size.
#[derive(Debug, Clone)]
pub struct Samples {
    /// By batch: name and tensor of every input.
    pub batches: Vec<Vec<(String, Arc<Tensor>)>>,
    /// Threads that run batches; results do not depend on it.
    pub threads: usize,
}

impl Samples {
    /// Prepares all samples of a set, `batch` at a time; a last batch that is smaller is left out where the
    /// model insists on its size.
    ///
    /// # Errors
    /// `D002` and `D004`, naming the sample.
    pub fn new(set: &InputSet, batch: usize, fixed: bool, threads: usize) -> Result<Self> {
        let n = set.samples();
        let ranges = (0..n).step_by(batch.max(1)).map(|s| s..(s + batch.max(1)).min(n));
        let batches = ranges
            .filter(|r| !fixed || r.len() == batch)
            .map(|r| Ok(set.batch(r)?.into_iter().map(|(name, t)| (name, Arc::new(t))).collect()))
            .collect::<Result<_>>()?;
        Ok(Self { batches, threads })
    }

    /// Those that are not held out.
    pub fn fitted(&self) -> Self {
        let kept = |(b, t): (usize, &Vec<_>)| (!self.held_out(b)).then(|| t.clone());
        Self { batches: self.batches.iter().enumerate().filter_map(kept).collect(), threads: self.threads }
    }

    /// Number of samples in a batch.
    pub fn len_of(&self, batch: usize) -> usize {
        self.batches[batch].first().and_then(|(_, t)| t.dims.first()).copied().unwrap_or(0)
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        (0..self.batches.len()).map(|b| self.len_of(b)).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Batches with together about `samples` samples, evenly spread.
    pub fn spread(&self, samples: usize) -> Vec<usize> {
        let n = self.batches.len();
        let want = samples.div_ceil(self.len_of(0).max(1)).clamp(1, n.max(1));
        (0..want).map(|i| i * n / want).collect()
    }

    /// Whether a batch is held out: every fourth is, where there are at least four.
    pub fn held_out(&self, batch: usize) -> bool {
        self.batches.len() >= 4 && batch % 4 == 3
    }
}
