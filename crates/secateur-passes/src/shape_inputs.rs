//! Shape arithmetic on inner values is rebuilt from the shapes of the graph's inputs.
//!
//! ```text
//! %s: i64[4] = Shape(%inner)                      %s: i64[4] = Shape(%input)
//! %n: i64[] = Gather(%s, @zero[])             =>  %n: i64[] = Gather(%s, @zero[])
//! %y: .. = ConstantOfShape(%t)                    %y: .. = ConstantOfShape(%t)
//! ```
//!
//! An integer tensor is rebuilt where each element is a constant, or a product of a constant and sizes of
//! inputs, and where it came from the Shape of an inner value. Inner values are then read for their
//! contents alone, and may lose channels.

use rustc_hash::{FxHashMap, FxHashSet};
use secateur_diag::Result;
use secateur_ir::{Dim, Edit, ElemType, Graph, Ints, Node, Tensor, ValueId};

use crate::Pass;

/// The row of this pass.
pub const PASS: Pass =
    Pass { name: "shape_inputs", doc: "shapes of inner values are read from the inputs instead", run };

fn run(graph: &mut Graph) -> Result<usize> {
    let mut edit = Edit::new(graph);
    let mut build = Build::new(graph);
    // By value: it hangs on the Shape of an inner value, and can be rebuilt.
    let mut inner = vec![false; graph.value_count()];
    let mut rebuilt: FxHashMap<ValueId, ValueId> = FxHashMap::default();
    let inputs: FxHashSet<ValueId> = graph.inputs.iter().copied().collect();
    let mut changes = 0;
    for n in 0..graph.nodes.len() {
        let node = &graph.nodes[n];
        let reads_inner = match node.input(0) {
            Some(x) if node.is("Shape") || node.is("Size") => !inputs.contains(&x),
            _ => node.inputs.iter().flatten().any(|v| inner[v.index()]),
        };
        if !reads_inner {
            continue;
        }
        let mut goes_on = true;
        for &v in node.outputs.iter().flatten() {
            inner[v.index()] = graph.value(v).ints.is_some();
            goes_on &= build.covers(graph, v) && !edit.is_fixed(v);
        }
        if goes_on {
            continue;
        }
        for i in 0..graph.nodes[n].inputs.len() {
            let Some(v) = graph.nodes[n].input(i).filter(|v| inner[v.index()]) else { continue };
            if !build.covers(graph, v) {
                continue;
            }
            let new = match rebuilt.get(&v) {
                Some(&new) => new,
                None => {
                    let Some(new) = build.value(graph, &mut edit, v) else { continue };
                    rebuilt.insert(v, new);
                    new
                }
            };
            graph.nodes[n].inputs[i] = Some(new);
            changes += 1;
        }
    }
    edit.apply(graph);
    Ok(changes)
}

/// Makes the new nodes, each size once.
struct Build {
    /// Where a symbol can be read: input and axis.
    sources: FxHashMap<std::sync::Arc<str>, (ValueId, usize)>,
    shapes: FxHashMap<ValueId, ValueId>,
    sizes: FxHashMap<(Dim, bool), ValueId>,
}

impl Build {
    fn new(graph: &Graph) -> Self {
        let mut sources = FxHashMap::default();
        for v in graph.data_inputs() {
            for (axis, d) in graph.shape(v).unwrap_or(&[]).iter().enumerate() {
                if let ([s], 1) = (d.symbols(), d.coefficient()) {
                    sources.entry(s.clone()).or_insert((v, axis));
                }
            }
        }
        Self { sources, shapes: FxHashMap::default(), sizes: FxHashMap::default() }
    }

    /// Whether `v` is an integer tensor, not constant, whose every element can be read from the inputs.
    fn covers(&self, graph: &Graph, v: ValueId) -> bool {
        let value = graph.value(v);
        let elem = value.ty.as_ref().map(|t| t.elem);
        let whole = matches!(elem, Some(ElemType::I64 | ElemType::I32));
        whole
            && value.init.is_none()
            && value.ints.as_ref().is_some_and(|ints| {
                (!ints.scalar || ints.elems.len() == 1)
                    && ints.elems.iter().any(|d| !d.symbols().is_empty())
                    && ints.elems.iter().flat_map(Dim::symbols).all(|s| self.sources.contains_key(s))
            })
    }

    fn value(&mut self, graph: &mut Graph, edit: &mut Edit, v: ValueId) -> Option<ValueId> {
        let Ints { scalar, elems } = graph.value(v).ints.clone()?;
        let base = graph.value(v).name.clone();
        let mut parts: Vec<ValueId> = Vec::new();
        let mut constants: Vec<i64> = Vec::new();
        for d in &elems {
            if let Some(c) = d.constant() {
                constants.push(c);
                continue;
            }
            if !constants.is_empty() {
                parts.push(graph.add_init(&base, Tensor::vec_i64(&std::mem::take(&mut constants))));
            }
            parts.push(self.size(graph, edit, d, scalar)?);
        }
        if !constants.is_empty() {
            parts.push(graph.add_init(&base, Tensor::vec_i64(&constants)));
        }
        let mut out = match parts.as_slice() {
            [one] => *one,
            _ => {
                let all = parts.iter().copied().map(Some).collect();
                emit(graph, edit, "Concat", &base, all, |n| n.set_int("axis", 0))
            }
        };
        let elem = graph.value(v).ty.as_ref()?.elem;
        if elem != ElemType::I64 {
            out =
                emit(graph, edit, "Cast", &base, vec![Some(out)], |n| n.set_int("to", elem.to_i32().into()));
        }
        Some(out)
    }

    /// One size, as a scalar or with one element.
    fn size(&mut self, graph: &mut Graph, edit: &mut Edit, d: &Dim, scalar: bool) -> Option<ValueId> {
        if let Some(&v) = self.sizes.get(&(d.clone(), scalar)) {
            return Some(v);
        }
        let dims: &[usize] = if scalar { &[] } else { &[1] };
        let v = match (d.symbols(), d.coefficient()) {
            ([s], 1) => {
                let (input, axis) = *self.sources.get(s)?;
                let base = format!("{}.shape", graph.value(input).name);
                let shape = *self
                    .shapes
                    .entry(input)
                    .or_insert_with(|| emit(graph, edit, "Shape", &base, vec![Some(input)], |_| {}));
                let index = graph.add_init(&format!("{base}.axis"), Tensor::i64(dims, &[axis as i64]));
                let base = format!("{base}.{axis}");
                emit(graph, edit, "Gather", &base, vec![Some(shape), Some(index)], |n| n.set_int("axis", 0))
            }
            ([s, ..], c) => {
                // One factor is taken off: the coefficient first, then symbol by symbol.
                let first = if c == 1 { Dim::symbol(s) } else { Dim::fixed(c) };
                let rest = self.size(graph, edit, &d.div(&first)?, scalar)?;
                let factor = match first.constant() {
                    Some(c) => graph.add_init("factor", Tensor::i64(dims, &[c])),
                    None => self.size(graph, edit, &first, scalar)?,
                };
                emit(graph, edit, "Mul", "size", vec![Some(rest), Some(factor)], |_| {})
            }
            _ => return None,
        };
        self.sizes.insert((d.clone(), scalar), v);
        Some(v)
    }
}

/// A node with one output, before all others.
fn emit(
    graph: &mut Graph,
    edit: &mut Edit,
    op: &str,
    base: &str,
    inputs: Vec<Option<ValueId>>,
    set: impl FnOnce(&mut Node),
) -> ValueId {
    let out = graph.add_fresh(base, None);
    let mut node = Node::new("", op, "", inputs, vec![Some(out)]);
    set(&mut node);
    edit.insert(0, node);
    out
}
