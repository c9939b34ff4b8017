//! How the values of a graph are spread on the samples.

use rustc_hash::FxHashMap;
use secateur_calib::Samples;
use secateur_calib::engine::Engine;
use secateur_calib::walk::Batches;
use secateur_calib::{Histogram, ranges};
use secateur_diag::Result;
use secateur_ir::{Graph, Module, ValueId};
use secateur_oracle::Oracle as Executor;
use secateur_run::fold_in_order;
use secateur_tensor::Tensor;

use crate::quantize::Calibration;

/// A histogram for each of these values.
///
/// # Errors
/// `D004` where a value is NaN or infinite, naming it; `D002` where data do not fit; those of the engine.
pub fn seen(graph: &Graph, values: &[ValueId], c: &Calibration) -> Result<FxHashMap<ValueId, Histogram>> {
    let (outer, inner): (Vec<ValueId>, Vec<ValueId>) =
        values.iter().copied().partition(|v| graph.inputs.contains(v));
    let mut out = FxHashMap::default();
    if !inner.is_empty() {
        let graph = probe(graph, &inner);
        let found = match fast(&graph, &inner, c)? {
            Some(found) => found,
            None => {
                let executor = Executor::from_bytes(&Module::from_graph(graph).export().0.encode())?;
                let found = ranges(&executor, c.data, c.batch, c.threads, &mut |_| ())?;
                found.into_iter().map(|(_, h)| h).collect()
            }
        };
        out.extend(inner.into_iter().zip(found));
    }
    if !outer.is_empty() {
        out.extend(outer.iter().map(|v| (*v, Histogram::default())));
        for start in (0..c.data.samples()).step_by(c.batch.max(1)) {
            for (name, t) in c.data.batch(start..start + c.batch.max(1))? {
                for v in outer.iter().filter(|v| graph.value(**v).name == name) {
                    out.entry(*v).or_default().add(t.slice::<f32>().unwrap_or(&[]));
                }
            }
        }
    }
    Ok(out)
}

/// The same by the operators that have derivatives, which are faster on convolutions; `None` where these do not suffice.
fn fast(graph: &Graph, values: &[ValueId], c: &Calibration) -> Result<Option<Vec<Histogram>>> {
    let samples = Samples::new(c.data, c.batch, false, c.threads)?;
    let mut inputs: Vec<(&str, Batches)> = Vec::new();
    for v in graph.data_inputs() {
        let name = graph.value(v).name.as_str();
        let fed =
            |b: &Vec<(String, _)>| b.iter().find(|(n, _)| n == name).map(|(_, t)| std::sync::Arc::clone(t));
        match samples.batches.iter().map(fed).collect() {
            Some(batches) => inputs.push((name, batches)),
            None => return Ok(None),
        }
    }
    let inputs: Vec<(&str, &Batches)> = inputs.iter().map(|(n, b)| (*n, b)).collect();
    let Some(engine) = Engine::own(graph, &inputs) else { return Ok(None) };
    let mut sum = vec![Histogram::default(); values.len()];
    let one = |(v, t): (&ValueId, &Tensor)| Histogram::of(&graph.value(*v).name, t);
    let work = |b: usize| -> Result<Vec<Histogram>> {
        let fed: Vec<(&str, &Tensor)> = inputs.iter().map(|(n, t)| (*n, &*t[b])).collect();
        values.iter().zip(&engine.run(&fed)?).map(one).collect()
    };
    fold_in_order(samples.batches.len(), samples.threads, work, &mut |_, found| {
        sum.iter_mut().zip(&found).for_each(|(a, b)| a.merge(b));
        Ok(())
    })?;
    Ok(Some(sum))
}

/// The graph with other outputs.
fn probe(graph: &Graph, values: &[ValueId]) -> Graph {
    let mut g = graph.clone();
    g.outputs = values.to_vec();
    for v in values {
        if let Some(t) = &mut g.value_mut(*v).ty {
            t.shape = None;
        }
    }
    for v in g.value_ids() {
        // Without the message that it came from, which may point to another file.
        if let Some(t) = g.init(v).cloned() {
            g.set_init(v, t);
        }
    }
    g
}
