//! How far a changed graph's outputs are from the original's.

use std::sync::Arc;

use secateur_diag::Result;
use secateur_exec::{Executor, Tensor, fold_in_order};
use secateur_ir::{Graph, Module};

use super::Samples;

/// The original's outputs on some batches.
pub struct Reference<'a> {
    samples: &'a Samples,
    which: Vec<usize>,
    /// By batch, the outputs.
    outputs: Vec<Vec<Tensor>>,
    /// By output: sum of squares about each element's mean over samples.
    power: Vec<f64>,
}

/// Runs a graph on batches and hands their outputs over in order.
fn run(
    graph: &Graph,
    samples: &Samples,
    which: &[usize],
    each: &mut dyn FnMut(usize, Vec<Tensor>),
) -> Result<()> {
    let (model, _) = Module::from_graph(inlined(graph)).export();
    let executor = Executor::from_bytes(&model.encode())?;
    let work = |b: usize| {
        let fed: Vec<(&str, Tensor)> = samples.batches[which[b]]
            .iter()
            .map(|(n, t): &(String, Arc<Tensor>)| (n.as_str(), Tensor::clone(t)))
            .collect();
        executor.run(&fed)
    };
    fold_in_order(which.len(), samples.threads, work, &mut |b, outputs| {
        each(b, outputs.into_iter().map(|o| o.1).collect());
        Ok(())
    })
}

/// The graph with every initializer in itself.
fn inlined(graph: &Graph) -> Graph {
    let mut g = graph.clone();
    let links = graph.links();
    for v in graph.value_ids() {
        match graph.init(v) {
            Some(t) if !links.uses(v).is_empty() || graph.is_output(v) => g.set_init(v, t.clone()),
            Some(_) => g.drop_init(v),
            None => {}
        }
    }
    g
}

impl<'a> Reference<'a> {
    /// Runs the original.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn new(graph: &Graph, samples: &'a Samples, which: Vec<usize>) -> Result<Self> {
        let mut outputs = Vec::new();
        run(graph, samples, &which, &mut |_, o| outputs.push(o))?;
        let count = outputs.first().map_or(0, Vec::len);
        let power = (0..count).map(|k| power(outputs.iter().map(|o| &o[k]))).collect();
        Ok(Self { samples, which, outputs, power })
    }

    /// Squared error of a graph's outputs, a share of the original's variance, averaged over outputs.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn error(&self, graph: &Graph) -> Result<f64> {
        let mut sums = vec![0.0; self.power.len()];
        run(graph, self.samples, &self.which, &mut |b, outputs| {
            for ((s, o), r) in sums.iter_mut().zip(&outputs).zip(&self.outputs[b]) {
                let (o, r) = (o.data.to_f64(), r.data.to_f64());
                *s += o.iter().zip(&r).map(|(o, r)| (o - r).powi(2)).sum::<f64>();
            }
        })?;
        let known: Vec<f64> =
            sums.iter().zip(&self.power).filter(|p| *p.1 > 0.0).map(|(s, p)| s / p).collect();
        Ok(known.iter().sum::<f64>() / known.len().max(1) as f64)
    }
}

/// Sum of squares about the mean over samples, element by element.
fn power<'t>(batches: impl Iterator<Item = &'t Tensor>) -> f64 {
    let (mut n, mut sum, mut square): (f64, Vec<f64>, Vec<f64>) = (0.0, Vec::new(), Vec::new());
    for t in batches {
        let rows = t.shape.first().copied().unwrap_or(1).max(1);
        let v = t.data.to_f64();
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
