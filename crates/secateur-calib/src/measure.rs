//! How far a changed graph's outputs are from the original's.

use secateur_diag::Result;
use secateur_ir::Graph;
use secateur_tensor::Tensor;

use crate::Samples;
use crate::walk::Walk;

/// The original's outputs on some batches.
pub struct Reference<'a> {
    samples: &'a Samples,
    which: Vec<usize>,
    /// By batch, the outputs.
    outputs: Vec<Vec<Tensor>>,
    /// By output: sum of squares about each element's mean over samples.
    power: Vec<f64>,
}

impl<'a> Reference<'a> {
    /// Runs the original.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn new(graph: &Graph, samples: &'a Samples, which: Vec<usize>) -> Result<Self> {
        let mut outputs = Vec::new();
        Walk::new(graph, samples, which.clone())?.outputs(graph, &mut |_, o| outputs.push(o))?;
        let count = outputs.first().map_or(0, Vec::len);
        let power = (0..count).map(|k| power(outputs.iter().map(|o| &o[k]))).collect();
        Ok(Self { samples, which, outputs, power })
    }

    /// Squared error of a graph's outputs, a share of the original's variance, averaged over outputs.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn error(&self, graph: &Graph) -> Result<f64> {
        self.error_from(graph, &self.walk(graph)?)
    }

    /// A walk over the batches of this reference.
    ///
    /// # Errors
    /// `D002` where an input has no data.
    pub fn walk(&self, graph: &Graph) -> Result<Walk<'a>> {
        Walk::new(graph, self.samples, self.which.clone())
    }

    /// [`Reference::error`] of a graph that is the same up to where `walk` stands.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn error_from(&self, graph: &Graph, walk: &Walk) -> Result<f64> {
        let mut sums = vec![0.0; self.power.len()];
        walk.outputs(graph, &mut |b, outputs| {
            for ((s, o), r) in sums.iter_mut().zip(&outputs).zip(&self.outputs[b]) {
                let (o, r) = (o.to_f64().unwrap_or_default(), r.to_f64().unwrap_or_default());
                *s += o.iter().zip(&r).map(|(o, r)| (o - r).powi(2)).sum::<f64>();
            }
        })?;
        let known: Vec<f64> =
            sums.iter().zip(&self.power).filter(|p| *p.1 > 0.0).map(|(s, p)| s / p).collect();
        // Not-a-number stays one: such a graph is worse than any other.
        Ok(known.iter().sum::<f64>() / known.len().max(1) as f64)
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.which.iter().map(|&b| self.samples.len_of(b)).sum()
    }
}

/// Sum of squares about the mean over samples, element by element.
fn power<'t>(batches: impl Iterator<Item = &'t Tensor>) -> f64 {
    let (mut n, mut sum, mut square): (f64, Vec<f64>, Vec<f64>) = (0.0, Vec::new(), Vec::new());
    for t in batches {
        let rows = t.dims.first().copied().unwrap_or(1).max(1);
        let v = t.to_f64().unwrap_or_default();
        let width = v.len() / rows;
        sum.resize(width.max(sum.len()), 0.0);
        square.resize(width.max(square.len()), 0.0);
        for row in v.chunks(width.max(1)) {
            n += 1.0;
            for (i, x) in row.iter().enumerate() {
                sum[i] += x;
                square[i] += x * x;
            }
        }
    }
    sum.iter().zip(&square).map(|(s, q)| (q - s * s / n.max(1.0)).max(0.0)).sum()
}
