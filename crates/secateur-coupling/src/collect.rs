//! Asks every node's rule for its relations and turns ports into axes.

use std::borrow::Cow;

use rustc_hash::{FxHashMap, FxHashSet};
use secateur_diag::Result;
use secateur_ir::{Graph, ValueId};
use secateur_ops::{CoupleCx, Port, Relation, Relations};

use crate::{Axis, Contraction, Pin, Tamper};

/// Part of an axis: `start`, `start + step`, ...
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    pub axis: Axis,
    pub start: usize,
    pub step: isize,
}

/// A relation between axes.
#[derive(Debug, Clone)]
pub enum Fact {
    /// The axes are the same from end to end.
    Same(Axis, Axis),
    /// `len` pairs.
    Pairs(Run, Run, usize),
    /// `index[i]` of the first is `i` of the second.
    Listed(Axis, Vec<usize>, Axis),
    /// Axis, factor's size, product inside it.
    Atoms(Vec<(Axis, usize, usize)>),
    Pin(Axis, Pin),
    Inexact(Axis, Pin),
}

/// A choice and the node that offers it.
#[derive(Debug, Clone)]
pub struct Choice {
    pub node: usize,
    pub ways: Vec<Way>,
    /// Axes that some way speaks of and that are pinned where the chosen one does not.
    pub covered: Vec<Axis>,
}

#[derive(Debug, Clone)]
pub struct Way {
    pub label: Cow<'static, str>,
    pub facts: Vec<Fact>,
    pub covers: FxHashSet<Axis>,
    pub contractions: Vec<Contraction>,
}

/// Everything the rules said.
#[derive(Debug, Default)]
pub struct Collected {
    pub facts: Vec<Fact>,
    pub choices: Vec<Choice>,
    pub contractions: Vec<Contraction>,
    /// Fixed axes in order of first sight.
    pub axes: Vec<(Axis, usize)>,
}

/// Axes that one relation speaks of, its facts and its contraction.
type Said = (FxHashSet<Axis>, Vec<Fact>, Vec<Contraction>);

struct Ctx<'a> {
    graph: &'a Graph,
    node: usize,
}

impl Ctx<'_> {
    fn axis(&self, (port, axis): (Port, usize)) -> Option<Axis> {
        let node = &self.graph.nodes[self.node];
        let v = match port {
            Port::In(i) => node.input(i),
            Port::Out(i) => node.output(i),
        }?;
        // Only axes of fixed length are rows.
        self.graph.shape(v)?.get(axis)?.size()?;
        Some((v, axis))
    }

    fn len(&self, axis: Axis) -> usize {
        self.graph.shape(axis.0).and_then(|s| s[axis.1].size()).unwrap_or(0)
    }

    fn pin(&self, axis: Axis, why: Cow<'static, str>) -> Pin {
        Pin { node: Some(self.node), axis, why }
    }

    fn lower(&self, r: &Relation, said: &mut Said) {
        let (covers, facts, contractions) = said;
        match r {
            Relation::Run { a, b, len } => {
                let (Some(x), Some(y)) = (self.axis((a.port, a.axis)), self.axis((b.port, b.axis))) else {
                    return;
                };
                covers.extend([x, y]);
                let whole =
                    |s: &secateur_ops::Span, axis| s.start == 0 && s.step == 1 && *len == self.len(axis);
                facts.push(if whole(a, x) && whole(b, y) {
                    Fact::Same(x, y)
                } else {
                    let run = |s: &secateur_ops::Span, axis| Run { axis, start: s.start, step: s.step };
                    Fact::Pairs(run(a, x), run(b, y), *len)
                });
            }
            Relation::List { a, index, b } => {
                let (Some(x), Some(y)) = (self.axis(*a), self.axis(*b)) else { return };
                covers.extend([x, y]);
                facts.push(Fact::Listed(x, index.clone(), y));
            }
            Relation::Atoms(atoms) => {
                let sides: Vec<_> = atoms
                    .iter()
                    .filter_map(|t| Some((self.axis((t.port, t.axis))?, t.size, t.inner)))
                    .collect();
                covers.extend(sides.iter().map(|s| s.0));
                facts.push(match *sides {
                    [(x, n, 1), (y, m, 1)] if n == m && self.len(x) == n && self.len(y) == n => {
                        Fact::Same(x, y)
                    }
                    _ => Fact::Atoms(sides),
                });
            }
            Relation::Pin { at, why } => {
                if let Some(x) = self.axis(*at) {
                    covers.insert(x);
                    facts.push(Fact::Pin(x, self.pin(x, why.clone())));
                }
            }
            Relation::Inexact { at, why } => {
                if let Some(x) = self.axis(*at) {
                    facts.push(Fact::Inexact(x, self.pin(x, why.clone())));
                }
            }
            Relation::Contract { data, weight } => {
                if let (Some(x), Port::In(input)) = (self.axis(*data), data.0) {
                    let weight = weight.and_then(|w| self.axis(w));
                    contractions.push(Contraction { node: self.node, input, data: x, weight });
                    covers.insert(x);
                }
            }
            Relation::Free { at } => covers.extend(self.axis(*at)),
            // A choice inside a choice has no meaning; its axes stay uncovered, hence pinned.
            Relation::Choose(_) => {}
        }
    }
}

/// Collects the relations of all nodes; an axis that a rule does not speak of is pinned.
pub fn collect(graph: &Graph, pins: &[Axis], tamper: &mut Tamper) -> Result<Collected> {
    let mut out = Collected::default();
    let mut seen: FxHashMap<ValueId, ()> = FxHashMap::default();
    let mut see = |v: ValueId, out: &mut Collected| {
        if seen.insert(v, ()).is_none() {
            for (axis, d) in graph.shape(v).unwrap_or(&[]).iter().enumerate() {
                if let Some(len) = d.size() {
                    out.axes.push(((v, axis), len));
                }
            }
        }
    };
    for &v in graph.inputs.iter().chain(&graph.outputs) {
        see(v, &mut out);
    }
    for node in &graph.nodes {
        for &v in node.inputs.iter().chain(&node.outputs).flatten().chain(&node.captures) {
            see(v, &mut out);
        }
    }
    pin_ends(graph, pins, &mut out);
    for n in 0..graph.nodes.len() {
        one(graph, n, tamper, &mut out)?;
    }
    Ok(out)
}

fn pin_ends(graph: &Graph, pins: &[Axis], out: &mut Collected) {
    let links = graph.links();
    let mut reasons: FxHashMap<ValueId, &'static str> = FxHashMap::default();
    for v in graph.data_inputs() {
        reasons.insert(v, "an input of the graph");
    }
    for &v in &graph.outputs {
        reasons.insert(v, "an output of the graph");
    }
    for v in graph.nodes.iter().flat_map(|n| &n.captures) {
        reasons.insert(*v, "read by a subgraph");
    }
    let pinned: FxHashSet<Axis> = pins.iter().copied().collect();
    for &(axis, len) in &out.axes {
        let why = match reasons.get(&axis.0) {
            Some(why) => why,
            None if pinned.contains(&axis) => "pinned by request",
            None if len <= 1 => "has only one element",
            None if graph.init(axis.0).is_none() && links.def(axis.0).is_none() => {
                "its source is not understood"
            }
            None => continue,
        };
        out.facts.push(Fact::Pin(axis, Pin { node: None, axis, why: why.into() }));
    }
}

fn one(graph: &Graph, n: usize, tamper: &mut Tamper, out: &mut Collected) -> Result<()> {
    let node = &graph.nodes[n];
    let ctx = Ctx { graph, node: n };
    let mut relations = Relations::default();
    let unknown = node
        .inputs
        .iter()
        .chain(&node.outputs)
        .flatten()
        .find(|v| graph.shape(**v).is_none())
        .map(|v| graph.value(*v).name.clone());
    let why: Cow<'static, str> = match (secateur_ops::find(node.domain(), node.op()), unknown) {
        (None, _) => format!("{} has no rule", node.op()).into(),
        (Some(_), Some(v)) => format!("the shape of {v} is unknown").into(),
        (Some(op), None) => {
            let cx = CoupleCx { graph, node };
            (op.couple)(&cx, &mut relations).map_err(|e| secateur_ir::place(e, graph, node))?;
            tamper(graph, n, &mut relations);
            format!("{} does not let it be cut", node.op()).into()
        }
    };
    let mut said: Said = Default::default();
    let mut choices = Vec::new();
    for r in &relations.list {
        match r {
            Relation::Choose(ways) => choices.push(ways),
            r => ctx.lower(r, &mut said),
        }
    }
    let (mut covers, facts, contractions) = said;
    for ways in choices {
        let ways: Vec<Way> = ways
            .iter()
            .map(|w| {
                let mut said: Said = Default::default();
                w.relations.iter().for_each(|r| ctx.lower(r, &mut said));
                Way { label: w.label.clone(), facts: said.1, covers: said.0, contractions: said.2 }
            })
            .collect();
        let mut covered: Vec<Axis> = ways.iter().flat_map(|w| &w.covers).copied().collect();
        covered.sort_unstable();
        covered.dedup();
        covered.retain(|a| !covers.contains(a));
        out.choices.push(Choice { node: n, ways, covered });
    }
    for c in out.choices.iter().rev().take_while(|c| c.node == n) {
        covers.extend(&c.covered);
    }
    out.facts.extend(facts);
    out.contractions.extend(contractions);
    let ports = (0..node.inputs.len()).map(Port::In).chain((0..node.outputs.len()).map(Port::Out));
    for port in ports {
        let rank = match port {
            Port::In(i) => node.input(i),
            Port::Out(i) => node.output(i),
        }
        .and_then(|v| graph.shape(v))
        .map_or(0, <[_]>::len);
        for axis in (0..rank).filter_map(|a| ctx.axis((port, a))) {
            if !covers.contains(&axis) {
                out.facts.push(Fact::Pin(axis, ctx.pin(axis, why.clone())));
            }
        }
    }
    Ok(())
}
