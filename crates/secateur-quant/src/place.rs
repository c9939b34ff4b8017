//! Where a graph is quantized: which values get a pair of QuantizeLinear and DequantizeLinear, and which share a scale.
//!
//! Elementwise operators join the operator before them into a *region*: one kernel that ends with one rounding. A
//! value inside a region gets no pair. Operators that only move elements pass what they get on as it is. So a pair
//! goes where a region's, a pool's or the graph's own value is handed to an operator that computes on integers, once,
//! before whatever moves it about.

use rustc_hash::{FxHashMap, FxHashSet};
use secateur_ir::{Graph, Links, ValueId};

use crate::kind::{Kind, kind};

/// Where pairs go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// Values with a pair, in the graph's order, and the number of the scale that each uses.
    pub pairs: Vec<(ValueId, usize)>,
    /// How many scales there are.
    pub scales: usize,
    /// Nodes whose weights become integers.
    pub layers: FxHashSet<usize>,
    /// The region of each node, where it is in one.
    pub region: Vec<Option<usize>>,
}

struct Placer<'a> {
    graph: &'a Graph,
    links: Links,
    kinds: Vec<Kind>,
    region: Vec<Option<usize>>,
    wanted: FxHashSet<ValueId>,
}

/// Decides for a graph whose shapes are inferred. `layers` are the nodes with constant weights that may be quantized,
/// `float` the nodes that must stay as they are.
pub fn place(graph: &Graph, layers: &FxHashSet<usize>, float: &FxHashSet<usize>) -> Placement {
    let of = |n: usize| if float.contains(&n) { Kind::Float } else { kind(graph, n, layers) };
    let kinds: Vec<Kind> = (0..graph.nodes.len()).map(of).collect();
    let region = vec![None; kinds.len()];
    let mut p = Placer { graph, links: graph.links(), kinds, region, wanted: FxHashSet::default() };
    (0..p.kinds.len()).for_each(|n| p.region[n] = p.joins(n));
    while p.sweep() {}
    p.finish(layers)
}

impl Placer<'_> {
    /// Inputs of a node that are computed, not constant.
    fn data(&self, n: usize) -> impl Iterator<Item = ValueId> + '_ {
        self.graph.nodes[n].inputs.iter().flatten().copied().filter(|v| self.graph.init(*v).is_none())
    }

    /// The inputs that carry what a node computes on: those of a layer but its weight, of a move what is moved.
    fn operands(&self, n: usize) -> Vec<ValueId> {
        let data = self.data(n);
        match self.kinds[n] {
            Kind::Move if !self.graph.nodes[n].is("Concat") => data.take(1).collect(),
            Kind::Pool { .. } => data.take(1).collect(),
            _ => data.collect(),
        }
    }

    fn region_of(&self, v: ValueId) -> Option<usize> {
        self.region[self.links.def(v)?]
    }

    /// The region of a node, whose inputs' regions are known: its number is that of the first node in it.
    fn joins(&self, n: usize) -> Option<usize> {
        match self.kinds[n] {
            Kind::Layer | Kind::Product => return Some(n),
            Kind::Pointwise { .. } => {}
            _ => return None,
        }
        let out = self.graph.nodes[n].output(0)?;
        let shape = self.graph.shape(out);
        let mut open: Vec<usize> = self
            .data(n)
            .filter(|v| shape.is_some() && self.graph.shape(*v) == shape && !self.graph.is_output(*v))
            .filter_map(|v| self.region_of(v))
            .collect();
        open.sort_unstable_by(|a, b| b.cmp(a));
        // Nothing else that the node reads may need what the region has computed: one kernel must come before it.
        let free = |r: &usize| self.data(n).all(|v| self.region_of(v) == Some(*r) || !self.descends(v, *r));
        Some(open.into_iter().find(free).unwrap_or(n))
    }

    /// Whether a value is computed, at any distance, from region `r`.
    fn descends(&self, v: ValueId, r: usize) -> bool {
        let mut stack: Vec<usize> = self.links.def(v).into_iter().collect();
        let mut seen = FxHashSet::default();
        while let Some(n) = stack.pop() {
            if self.region[n] == Some(r) {
                return true;
            }
            // Nodes are in topological order and the region's first one is node `r`.
            if n > r && seen.insert(n) {
                let node = &self.graph.nodes[n];
                let read = node.inputs.iter().flatten().chain(&node.captures);
                stack.extend(read.filter_map(|v| self.links.def(*v)));
            }
        }
        false
    }

    /// Whether some value that leaves region `r` is wanted as integers.
    fn leaves_wanted(&self, r: usize) -> bool {
        let members = (r..self.kinds.len()).filter(|n| self.region[*n] == Some(r));
        members.flat_map(|n| self.graph.nodes[n].outputs.iter().flatten()).any(|v| self.wanted.contains(v))
    }

    /// Whether an operator that does not compute on integers is in region `r`, or feeds it what it made.
    fn is_float(&self, r: usize) -> bool {
        let members = (r..self.kinds.len()).filter(|n| self.region[*n] == Some(r));
        let float = |k: &Kind| matches!(k, Kind::Pointwise { float: true } | Kind::Float);
        let mut externals = FxHashSet::default();
        for n in members {
            if float(&self.kinds[n]) {
                return true;
            }
            externals.extend(self.data(n).filter(|v| self.region_of(*v) != Some(r)));
        }
        // A single input may be quantized wherever it comes from; several must all be integers already.
        externals.len() > 1
            && externals.iter().any(|v| self.links.def(*v).is_some_and(|d| float(&self.kinds[d])))
    }

    /// One round from the end to the start; says whether anything new is wanted.
    fn sweep(&mut self) -> bool {
        let before = self.wanted.len();
        for n in (0..self.kinds.len()).rev() {
            let out_wanted = || self.graph.nodes[n].outputs.iter().flatten().any(|v| self.wanted.contains(v));
            let wants = match self.kinds[n] {
                Kind::Layer | Kind::Product => true,
                Kind::Move | Kind::Pool { .. } => out_wanted(),
                Kind::Pointwise { .. } => {
                    self.region[n].is_some_and(|r| self.leaves_wanted(r) && !self.is_float(r))
                }
                Kind::Float => false,
            };
            if wants {
                let own = self.region[n];
                let operands = self.operands(n);
                let outside = |v: &ValueId| own.is_none() || self.region_of(*v) != own;
                let new: Vec<ValueId> = operands.into_iter().filter(outside).collect();
                self.wanted.extend(new);
            }
        }
        self.wanted.len() > before
    }

    /// The values that a value's elements were moved from.
    fn sources(&self, v: ValueId, out: &mut Vec<ValueId>) {
        let mut stack = vec![v];
        while let Some(v) = stack.pop() {
            match self.links.def(v).filter(|n| self.kinds[*n] == Kind::Move) {
                Some(n) => stack.extend(self.operands(n).into_iter().rev()),
                None => out.push(v),
            }
        }
    }

    fn finish(self, layers: &FxHashSet<usize>) -> Placement {
        let mut union = Union::default();
        let mut at: Vec<ValueId> = Vec::new();
        for v in self.graph.value_ids().filter(|v| self.wanted.contains(v)) {
            let mut sources = Vec::new();
            self.sources(v, &mut sources);
            for s in &sources {
                at.push(*s);
                union.join(sources[0], *s);
            }
        }
        // An average lies within the range of what it is taken of.
        for (n, kind) in self.kinds.iter().enumerate() {
            if let (Kind::Pool { tied: true }, Some(out)) = (kind, self.graph.nodes[n].output(0))
                && self.wanted.contains(&out)
            {
                let mut sources = Vec::new();
                self.operands(n).into_iter().for_each(|v| self.sources(v, &mut sources));
                sources.iter().for_each(|s| union.join(out, *s));
            }
        }
        at.sort_unstable_by_key(|v| (self.links.def(*v), v.index()));
        at.dedup();
        let mut numbers: FxHashMap<ValueId, usize> = FxHashMap::default();
        let mut pairs = Vec::new();
        for v in at {
            let next = numbers.len();
            let scale = *numbers.entry(union.root(v)).or_insert(next);
            pairs.push((v, scale));
        }
        let layers = layers.iter().copied().filter(|n| self.kinds[*n] == Kind::Layer).collect();
        Placement { pairs, scales: numbers.len(), layers, region: self.region }
    }
}

#[derive(Default)]
struct Union(FxHashMap<ValueId, ValueId>);

impl Union {
    fn root(&self, mut v: ValueId) -> ValueId {
        while let Some(&up) = self.0.get(&v) {
            v = up;
        }
        v
    }

    fn join(&mut self, a: ValueId, b: ValueId) {
        let (a, b) = (self.root(a), self.root(b));
        if a != b {
            self.0.insert(a.max(b), a.min(b));
        }
    }
}
