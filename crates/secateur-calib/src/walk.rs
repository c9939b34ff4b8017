//! Running a graph on all calibration data a stretch of nodes at a time.
//!
//! Between stretches only the values that later nodes read are kept, for every batch, so that the weights of
//! what has not run yet may still change.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use secateur_diag::{Code, Result, diag};
use secateur_ir::{Graph, TensorType, ValueId};
use secateur_run::fold_in_order;
use secateur_tensor::Tensor;

use crate::Samples;
use crate::engine::Engine;

/// A value's tensors, one a batch.
pub type Batches = Vec<Arc<Tensor>>;

/// How far a graph has run, and what later nodes read.
pub struct Walk<'a> {
    samples: &'a Samples,
    /// Batches of [`Walk::samples`] that run.
    which: Vec<usize>,
    next: usize,
    store: FxHashMap<ValueId, Batches>,
}

impl<'a> Walk<'a> {
    /// At the graph's inputs, with these batches of the samples.
    ///
    /// # Errors
    /// `D002` where an input has no data.
    pub fn new(graph: &Graph, samples: &'a Samples, which: Vec<usize>) -> Result<Self> {
        let mut store = FxHashMap::default();
        for v in graph.data_inputs() {
            let name = &graph.value(v).name;
            let fed = |b: &usize| samples.batches[*b].iter().find(|(n, _)| n == name).map(|(_, t)| t.clone());
            let batches: Option<Batches> = which.iter().map(fed).collect();
            let missing = || diag(Code::D002, format!("no data are given for %{name}"));
            store.insert(v, batches.ok_or_else(missing)?);
        }
        Ok(Self { samples, which, next: 0, store })
    }

    /// The tensors of a value, one a batch, where it is at hand.
    pub fn get(&self, v: ValueId) -> Option<&Batches> {
        self.store.get(&v)
    }

    /// Which batches run.
    pub fn which(&self) -> &[usize] {
        &self.which
    }

    /// Threads that run batches.
    pub fn threads(&self) -> usize {
        self.samples.threads
    }

    /// Bytes of all tensors at hand.
    pub fn bytes(&self) -> usize {
        let size = |t: &Arc<Tensor>| t.byte_len();
        self.store.values().flatten().map(size).sum()
    }

    /// Runs the nodes before node `to`. At hand are then the values that later nodes read, and `wanted`.
    ///
    /// # Errors
    /// Those of the engine, naming the node.
    pub fn advance(&mut self, graph: &Graph, to: usize, wanted: &[ValueId]) -> Result<()> {
        let later = live(graph, to.max(self.next), wanted);
        if to > self.next {
            let nodes = &graph.nodes[self.next..to];
            let made: FxHashSet<ValueId> =
                nodes.iter().flat_map(|n| n.outputs.iter().flatten().copied()).collect();
            let outputs: Vec<ValueId> = {
                let mut o: Vec<_> = made.iter().copied().filter(|v| later.contains(v)).collect();
                o.sort_unstable();
                o
            };
            if !outputs.is_empty() {
                self.run(graph, to, &outputs)?;
            }
            self.next = to;
        }
        self.store.retain(|v, _| later.contains(v));
        Ok(())
    }

    fn run(&mut self, graph: &Graph, to: usize, outputs: &[ValueId]) -> Result<()> {
        let mut made: Vec<Batches> = vec![Vec::new(); outputs.len()];
        self.each(graph, to, outputs, &mut |results| {
            made.iter_mut().zip(results).for_each(|(to, t)| to.push(Arc::new(t)));
        })?;
        self.store.extend(outputs.iter().copied().zip(made));
        Ok(())
    }

    /// Runs a graph that is the same up to here to its end and hands over the outputs of every batch, in order.
    /// Nothing is kept.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn outputs(&self, graph: &Graph, each: &mut dyn FnMut(usize, Vec<Tensor>)) -> Result<()> {
        let mut batch = 0;
        self.each(graph, graph.nodes.len(), &graph.outputs, &mut |results| {
            each(batch, results);
            batch += 1;
        })
    }

    fn each(
        &self,
        graph: &Graph,
        to: usize,
        outputs: &[ValueId],
        each: &mut dyn FnMut(Vec<Tensor>),
    ) -> Result<()> {
        let (piece, inputs) = extract(graph, self.next..to, outputs);
        let inputs: Vec<(&str, &Batches)> =
            inputs.iter().filter_map(|v| Some((graph.value(*v).name.as_str(), self.store.get(v)?))).collect();
        let engine = Engine::new(piece, &inputs)?;
        let work = |b: usize| {
            let fed: Vec<(&str, &Tensor)> = inputs.iter().map(|(n, t)| (*n, &*t[b])).collect();
            engine.run(&fed)
        };
        fold_in_order(self.which.len(), self.samples.threads, work, &mut |_, results| {
            each(results);
            Ok(())
        })
    }
}

/// Values that nodes from `to` on read, the graph's outputs, and `wanted`.
fn live(graph: &Graph, to: usize, wanted: &[ValueId]) -> FxHashSet<ValueId> {
    let read = graph.nodes[to..].iter().flat_map(|n| n.inputs.iter().flatten().chain(&n.captures));
    read.chain(&graph.outputs).chain(wanted).copied().collect()
}

/// A stretch of nodes as a graph of its own, with the values that it reads as inputs.
fn extract(graph: &Graph, nodes: std::ops::Range<usize>, outputs: &[ValueId]) -> (Graph, Vec<ValueId>) {
    let mut out = Graph::default();
    out.opsets.clone_from(&graph.opsets);
    out.name.clone_from(&graph.name);
    let mut map: FxHashMap<ValueId, ValueId> = FxHashMap::default();
    let mut inputs = Vec::new();
    // Names are unique in the whole, so they are in the part.
    let mut add = |out: &mut Graph, v: ValueId| {
        *map.entry(v).or_insert_with(|| out.add_fresh(&graph.value(v).name, None))
    };
    let mut made = FxHashSet::default();
    for node in &graph.nodes[nodes] {
        for &v in node.inputs.iter().flatten().chain(&node.captures) {
            let new = add(&mut out, v);
            if made.contains(&v) || out.inputs.contains(&new) || out.init(new).is_some() {
                continue;
            }
            match &graph.value(v).init {
                // Without the message that it came from, which may point to another file.
                Some(init) => out.set_init(new, init.tensor.clone()),
                None => {
                    // Lengths are those of what is fed.
                    let elem = graph.value(v).ty.as_ref().map(|t| t.elem);
                    out.value_mut(new).ty = elem.map(|elem| TensorType { elem, shape: None });
                    out.inputs.push(new);
                    inputs.push(v);
                }
            }
        }
        made.extend(node.outputs.iter().flatten().copied());
        let mut copy = node.clone();
        for v in copy.inputs.iter_mut().chain(&mut copy.outputs).flatten() {
            *v = add(&mut out, *v);
        }
        copy.captures = copy.captures.iter().map(|v| add(&mut out, *v)).collect();
        out.nodes.push(copy);
    }
    for &v in outputs {
        let new = add(&mut out, v);
        if !made.contains(&v) && !out.inputs.contains(&new) && out.init(new).is_none() {
            out.inputs.push(new);
            inputs.push(v);
        }
        let elem = graph.value(v).ty.as_ref().map(|t| t.elem);
        out.value_mut(new).ty = elem.map(|elem| TensorType { elem, shape: None });
        out.outputs.push(new);
    }
    (out, inputs)
}
