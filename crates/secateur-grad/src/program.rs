//! A graph as a list of operators that can be run forwards and backwards.

use rustc_hash::{FxHashMap, FxHashSet};
use secateur_ir::{Graph, ValueId};

use crate::array::Array;
use crate::ops::{Cx, Made, make};

/// What a run of the graph has told of its values.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Shape of every value that was computed or fed.
    pub shapes: FxHashMap<ValueId, Vec<usize>>,
    /// Contents of integer values.
    pub ints: FxHashMap<ValueId, Vec<i64>>,
}

impl Facts {
    pub(crate) fn shape(&self, v: ValueId) -> Option<&[usize]> {
        self.shapes.get(&v).map(Vec::as_slice)
    }

    pub(crate) fn ints(&self, graph: &Graph, v: ValueId) -> Option<Vec<i64>> {
        self.ints.get(&v).cloned().or_else(|| graph.init(v)?.to_i64())
    }
}

/// Why a graph has no derivative here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Index of the node.
    pub node: usize,
    /// Its operator.
    pub op: String,
    /// Its name.
    pub name: String,
}

struct Step {
    made: Made,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
    /// Which inputs depend on a parameter.
    want: Vec<bool>,
}

/// A graph made ready for inputs of fixed shapes.
pub struct Program {
    steps: Vec<Step>,
    params: Vec<ValueId>,
    constants: FxHashMap<ValueId, Array>,
    outputs: Vec<ValueId>,
}

/// The values of one run.
pub struct Run {
    values: FxHashMap<ValueId, Array>,
}

impl Run {
    /// The value, where it was computed.
    pub fn get(&self, v: ValueId) -> Option<&Array> {
        self.values.get(&v)
    }

    /// The value as [`Run::get`] tells it, which is then no longer there.
    pub fn take(&mut self, v: ValueId) -> Option<Array> {
        self.values.remove(&v)
    }
}

impl Program {
    /// Prepares a graph whose f32 outputs are `outputs` for derivatives by the initializers `params`.
    ///
    /// # Errors
    /// The first node on the way to the outputs that has no derivative here.
    pub fn new(
        graph: &Graph,
        facts: &Facts,
        params: &[ValueId],
        outputs: &[ValueId],
    ) -> Result<Self, Refused> {
        let mut facts = facts.clone();
        for v in graph.value_ids() {
            if let Some(t) = graph.init(v) {
                facts.shapes.insert(v, t.dims.clone());
            }
        }
        let fed = data_dependent(graph);
        let links = graph.links();
        let mut needed: FxHashSet<ValueId> = outputs.iter().copied().collect();
        let mut steps = Vec::new();
        let mut constants = FxHashMap::default();
        for n in (0..graph.nodes.len()).rev() {
            let node = &graph.nodes[n];
            if !node.outputs.iter().flatten().any(|v| needed.contains(v)) {
                continue;
            }
            let refused = || Refused { node: n, op: node.op().to_owned(), name: node.name().to_owned() };
            let made = make(&Cx { graph, node, facts: &facts }).ok_or_else(refused)?;
            // What was taken for a constant must not be an answer to the data.
            let taken = |i: usize| made.inputs.contains(&i);
            let constant = |i: usize, v: ValueId| !taken(i) && links.def(v).is_some() && fed.contains(&v);
            if node.inputs.iter().enumerate().any(|(i, v)| v.is_some_and(|v| constant(i, v))) {
                return Err(refused());
            }
            let inputs: Vec<ValueId> =
                made.inputs.iter().map(|&i| node.input(i).ok_or_else(refused)).collect::<Result<_, _>>()?;
            for &v in &inputs {
                needed.insert(v);
                if let Some(t) = graph.init(v) {
                    let data = t.to_f32().ok_or_else(refused)?;
                    constants.insert(v, Array::new(&t.dims, data));
                }
            }
            let outputs = node.outputs.iter().copied().collect::<Option<Vec<_>>>().ok_or_else(refused)?;
            steps.push(Step { made, inputs, outputs, want: Vec::new() });
        }
        steps.reverse();
        let mut moving: FxHashSet<ValueId> = params.iter().copied().collect();
        for s in &mut steps {
            s.want = s.inputs.iter().map(|v| moving.contains(v)).collect();
            if s.want.contains(&true) {
                moving.extend(&s.outputs);
            }
        }
        let params = params.iter().copied().filter(|p| constants.contains_key(p)).collect();
        Ok(Self { steps, params, constants, outputs: outputs.to_vec() })
    }

    /// The parameters that outputs depend on.
    pub fn params(&self) -> &[ValueId] {
        &self.params
    }

    /// A parameter's value.
    pub fn param(&self, v: ValueId) -> Option<&Array> {
        self.constants.get(&v)
    }

    /// Runs it on f32 inputs of the shapes that it was made for, with `params` in place of its parameters (or with
    /// its own, where there are none); `keep` holds all values for [`Program::backward`]. `None` where an input is
    /// missing.
    pub fn forward(&self, inputs: &[(ValueId, Array)], params: &[Array], keep: bool) -> Option<Run> {
        let mut values: FxHashMap<ValueId, Array> = inputs.iter().cloned().collect();
        values.extend(self.params.iter().copied().zip(params.iter().cloned()));
        let last = if keep { FxHashMap::default() } else { self.last_uses() };
        for (n, s) in self.steps.iter().enumerate() {
            let y = {
                let x: Vec<&Array> =
                    s.inputs.iter().map(|v| self.value(&values, *v)).collect::<Option<_>>()?;
                s.made.op.forward(&x)
            };
            values.extend(s.outputs.iter().copied().zip(y));
            for v in s.inputs.iter().filter(|v| last.get(v) == Some(&n)) {
                values.remove(v);
            }
        }
        Some(Run { values })
    }

    fn last_uses(&self) -> FxHashMap<ValueId, usize> {
        let uses = self.steps.iter().enumerate().flat_map(|(n, s)| s.inputs.iter().map(move |v| (*v, n)));
        let mut last: FxHashMap<ValueId, usize> = uses.collect();
        last.retain(|v, _| !self.outputs.contains(v));
        last
    }

    fn value<'a>(&'a self, values: &'a FxHashMap<ValueId, Array>, v: ValueId) -> Option<&'a Array> {
        values.get(&v).or_else(|| self.constants.get(&v))
    }

    /// Derivatives by the parameters, in their order, from those by the outputs of a run that kept its values.
    pub fn backward(&self, run: Run, by_outputs: Vec<(ValueId, Array)>) -> Option<Vec<Array>> {
        let mut values = run.values;
        let mut grads: FxHashMap<ValueId, Array> = by_outputs.into_iter().collect();
        for s in self.steps.iter().rev() {
            let y: Vec<Array> = s.outputs.iter().map(|v| values.remove(v)).collect::<Option<_>>()?;
            let dy: Vec<Option<Array>> = s.outputs.iter().map(|v| grads.remove(v)).collect();
            if !s.want.contains(&true) || dy.iter().all(Option::is_none) {
                continue;
            }
            let x: Vec<&Array> = s.inputs.iter().map(|v| self.value(&values, *v)).collect::<Option<_>>()?;
            let dx = s.made.op.backward(&x, &y, &dy, &s.want);
            for ((v, d), want) in s.inputs.iter().zip(dx).zip(&s.want) {
                if let Some(d) = d.filter(|_| *want) {
                    match grads.get_mut(v) {
                        Some(sum) => sum.add(&d),
                        None => drop(grads.insert(*v, d)),
                    }
                }
            }
        }
        let zero = |p: &ValueId| {
            let like = &self.constants[p];
            Array::new(&like.shape, vec![0.0; like.len()])
        };
        Some(self.params.iter().map(|p| grads.remove(p).unwrap_or_else(|| zero(p))).collect())
    }
}

/// Values that depend on what is fed, other than on its shape.
fn data_dependent(graph: &Graph) -> FxHashSet<ValueId> {
    let mut out: FxHashSet<ValueId> = graph.data_inputs().collect();
    for node in &graph.nodes {
        let shape = node.is("Shape") || node.is("Size");
        if !shape && node.inputs.iter().flatten().chain(&node.captures).any(|v| out.contains(v)) {
            out.extend(node.outputs.iter().flatten());
        }
    }
    out
}
