//! Nodes that change nothing are bypassed: Identity, inference Dropout, and whatever shapes prove to be idle.
//!
//! ```text
//! %a: f32[N,8] = Identity(%x)
//! %b: f32[N,8] = Reshape(%a, @s[2])       =>  %y: f32[N,8] = Relu(%x)
//! %y: f32[N,8] = Relu(%b)
//! ```
//!
//! Shapes are compared with their symbols. A node stays where both its ends have names that must stay.

use secateur_diag::Result;
use secateur_ir::{Edit, ElemType, Graph, Node, Tensor, ValueId};

use crate::Pass;
use crate::util::{const_ints, full_type, optional_ints, permutation, same_type};

/// The row of this pass.
pub const PASS: Pass = Pass { name: "identity", doc: "nodes that change nothing are bypassed", run };

fn run(graph: &mut Graph) -> Result<usize> {
    let links = graph.links();
    let mut edit = Edit::new(graph);
    let mut changes = 0;
    for (n, node) in graph.nodes.iter().enumerate() {
        let Some(y) = node.output(0) else { continue };
        let used = |v: ValueId| !links.uses(v).is_empty() || edit.is_output(v);
        // The mask of a Dropout has no other source.
        if !node.domain().is_empty() || node.outputs.iter().skip(1).flatten().any(|&v| used(v)) {
            continue;
        }
        if let Some(x) = passed_on(graph, node, y)
            && edit.bypass(n, y, x)
        {
            changes += 1;
        }
    }
    edit.apply(graph);
    Ok(changes)
}

/// The input that output `y` always equals.
fn passed_on(graph: &Graph, node: &Node, y: ValueId) -> Option<ValueId> {
    let x = node.input(0)?;
    let one_input = node.inputs.len() == 1;
    let idle = match node.op() {
        "Identity" => true,
        "Dropout" => dropout(graph, node)?,
        "Concat" | "Sum" | "Max" | "Min" | "Mean" if one_input => true,
        "Cast" => {
            let to = ElemType::from_i32(i32::try_from(node.int("to").ok()??).ok()?)?;
            graph.value(x).ty.as_ref()?.elem == to
        }
        "Reshape" | "Flatten" | "Expand" | "Squeeze" | "Unsqueeze" | "Tile" => same_type(graph, x, y),
        "Transpose" => transpose(graph, node, x)?,
        "Slice" => same_type(graph, x, y) && optional_ints(graph, node, 4)?.is_none_or(|s| all(&s, 1)),
        "Pad" => {
            let pads = match node.ints("pads").ok()? {
                Some(p) => p.to_vec(),
                None => const_ints(graph, node.input(1)?)?,
            };
            same_type(graph, x, y) && all(&pads, 0)
        }
        "Add" => return neutral(graph, node, y, 0, true),
        "Mul" => return neutral(graph, node, y, 1, true),
        "Sub" => return neutral(graph, node, y, 0, false),
        "Div" | "Pow" => return neutral(graph, node, y, 1, false),
        _ => false,
    };
    idle.then_some(x)
}

fn all(values: &[i64], n: i64) -> bool {
    values.iter().all(|&v| v == n)
}

/// Whether a Dropout is of the inference form.
fn dropout(graph: &Graph, node: &Node) -> Option<bool> {
    Some(match graph.opset("") {
        ..=6 => node.int_or("is_test", 0).ok()? != 0,
        7..=11 => true,
        _ => optional_ints(graph, node, 2)?.is_none_or(|t| all(&t, 0)),
    })
}

/// Whether only axes of size 1 move, and to places of size 1.
fn transpose(graph: &Graph, node: &Node, x: ValueId) -> Option<bool> {
    let (_, shape) = full_type(graph, x)?;
    let perm = permutation(node, shape.len())?;
    let moved: Vec<usize> = perm.iter().copied().filter(|&p| !shape[p].is(1)).collect();
    Some(moved.is_sorted() && perm.iter().enumerate().all(|(i, &p)| shape[i] == shape[p]))
}

/// The operand of a binary operator whose other operand is the scalar `n`.
fn neutral(graph: &Graph, node: &Node, y: ValueId, n: i64, either: bool) -> Option<ValueId> {
    let (a, b) = (node.input(0)?, node.input(1)?);
    let pairs = if either { vec![(a, b), (b, a)] } else { vec![(a, b)] };
    pairs
        .into_iter()
        .find(|&(x, c)| same_type(graph, x, y) && graph.init(c).is_some_and(|t| is_scalar(t, n)))
        .map(|(x, _)| x)
}

fn is_scalar(t: &Tensor, n: i64) -> bool {
    t.len() == 1
        && match t.to_f32() {
            Some(v) if t.elem != ElemType::F64 => v[0] == n as f32,
            Some(_) => t.bytes().is_some_and(|b| b[..] == (n as f64).to_le_bytes()),
            None => t.to_i64().is_some_and(|v| v[0] == n),
        }
}
