//! Small integer tensors that are known become initializers, and targets of Reshape and Expand constants.
//!
//! ```text
//! %s: i64[4] = Shape(%a)
//! %n: i64[] = Gather(%s, @zero[])
//! %u: i64[1] = Unsqueeze(%n, @axes[1])
//! %t: i64[2] = Concat(%u, @minus[1]) {axis=0}
//! %y: f32[N,512] = Reshape(%a, %t)            =>  %y: f32[N,512] = Reshape(%a, @t_1[2])   t_1 = [0, -1]
//! ```
//!
//! A symbolic entry of a Reshape target becomes `0` where it is the input's size at the same place, and else
//! `-1`, once. An entry of an Expand target that is the input's own size becomes `1`.

use secateur_diag::Result;
use secateur_ir::{Dim, Edit, ElemType, Graph, Node, Tensor, ValueId};

use crate::Pass;
use crate::util::{const_ints, ints};

/// The row of this pass.
pub const PASS: Pass = Pass { name: "shape", doc: "known shape arithmetic becomes constants", run };

fn run(graph: &mut Graph) -> Result<usize> {
    let mut edit = Edit::new(graph);
    let mut changes = 0;
    for n in 0..graph.nodes.len() {
        if let Some(results) = known(graph, &edit, &graph.nodes[n]) {
            for (v, tensor) in results {
                graph.set_init(v, tensor);
            }
            edit.remove(n);
            changes += 1;
        } else if let Some(target) = constant_target(graph, &graph.nodes[n]) {
            let Some(old) = graph.nodes[n].input(1) else { continue };
            let base = graph.value(old).name.clone();
            let fresh = graph.add_init(&base, Tensor::vec_i64(&target));
            let node = &mut graph.nodes[n];
            node.inputs[1] = Some(fresh);
            node.remove_attr("allowzero");
            changes += 1;
        }
    }
    edit.apply(graph);
    Ok(changes)
}

/// The node's outputs, where all are known integers.
fn known(graph: &Graph, edit: &Edit, node: &Node) -> Option<Vec<(ValueId, Tensor)>> {
    let outputs: Vec<ValueId> = node.outputs.iter().flatten().copied().collect();
    if outputs.is_empty() || !node.captures.is_empty() || outputs.iter().any(|&v| edit.is_output(v)) {
        return None;
    }
    outputs.into_iter().map(|v| Some((v, tensor(graph, v)?))).collect()
}

/// The integers of `v` as a tensor of its type.
fn tensor(graph: &Graph, v: ValueId) -> Option<Tensor> {
    let scalar = graph.value(v).ints.as_ref()?.scalar;
    let values = const_ints(graph, v)?;
    let elem = graph.value(v).ty.as_ref()?.elem;
    let whole = matches!(
        elem,
        ElemType::I64 | ElemType::I32 | ElemType::I16 | ElemType::I8 | ElemType::U8 | ElemType::Bool
    );
    let dims = if scalar { vec![] } else { vec![values.len()] };
    let bytes: Vec<u8> =
        values.iter().flat_map(|v| v.to_le_bytes().into_iter().take(elem.bits() / 8)).collect();
    let t = Tensor::from_bytes(elem, dims, bytes);
    // Values that the type cannot hold would wrap around.
    (whole && (!scalar || values.len() == 1) && t.to_i64()? == values).then_some(t)
}

/// The constant that can stand for operand 1 of a Reshape or Expand, where it is none yet.
fn constant_target(graph: &Graph, node: &Node) -> Option<Vec<i64>> {
    let (x, target) = (node.input(0)?, node.input(1)?);
    if graph.init(target).is_some() || !(node.is("Reshape") || node.is("Expand")) {
        return None;
    }
    let (from, want) = (graph.shape(x)?, ints(graph, target)?.elems);
    if node.is("Expand") { expand(from, &want) } else { reshape(node, from, &want) }
}

fn expand(from: &[Dim], want: &[Dim]) -> Option<Vec<i64>> {
    let lead = want.len().checked_sub(from.len())?;
    let own = |i: usize| i.checked_sub(lead).map(|i| &from[i]);
    want.iter().enumerate().map(|(i, d)| if own(i) == Some(d) { Some(1) } else { d.constant() }).collect()
}

fn reshape(node: &Node, from: &[Dim], want: &[Dim]) -> Option<Vec<i64>> {
    let keeps_zero = node.int_or("allowzero", 0).ok()? != 0;
    if keeps_zero && want.iter().any(|d| d.is(0)) {
        return None;
    }
    let mut wild = None;
    let mut target = Vec::with_capacity(want.len());
    let mut sizes = Vec::with_capacity(want.len());
    for (i, d) in want.iter().enumerate() {
        let same = from.get(i).filter(|f| *f == d || d.is(0));
        target.push(match (d.constant(), same) {
            (Some(n), _) if n >= -1 => n,
            (None, Some(_)) => 0,
            (None, None) => -1,
            _ => return None,
        });
        if target[i] == -1 && wild.replace((i, d)).is_some() {
            return None;
        }
        sizes.push(same.unwrap_or(d).clone());
    }
    // What -1 will stand for must be what the symbol said.
    if let Some((i, d)) = wild.filter(|(_, d)| !d.is(-1)) {
        sizes.remove(i);
        let rest = Dim::product(&sizes)?;
        if Dim::product(from)?.div(&rest).as_ref() != Some(d) {
            return None;
        }
    }
    Some(target)
}
