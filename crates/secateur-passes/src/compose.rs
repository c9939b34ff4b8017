//! A Transpose of a Transpose, and a Reshape of a Reshape, read the first one's input.
//!
//! ```text
//! %a: f32[N,8,4] = Reshape(%x, @s[3])
//! %y: f32[N,32] = Reshape(%a, @t[2])      =>  %y: f32[N,32] = Reshape(%x, @t[2])
//! ```
//!
//! Squeeze, Unsqueeze and Flatten in front of a Reshape count as Reshapes. Whatever loses its last reader
//! is left to `dead`.

use secateur_diag::Result;
use secateur_ir::{Graph, Links, Node, Tensor, ValueId};

use crate::Pass;
use crate::util::{const_ints, permutation};

/// The row of this pass.
pub const PASS: Pass =
    Pass { name: "compose", doc: "a Transpose of a Transpose or Reshape of a Reshape becomes one", run };

fn run(graph: &mut Graph) -> Result<usize> {
    let links = graph.links();
    let mut changes = 0;
    for n in 0..graph.nodes.len() {
        let node = &graph.nodes[n];
        let done = if node.is("Transpose") {
            transposes(graph, &links, n)
        } else if node.is("Reshape") {
            reshapes(graph, &links, n)
        } else {
            None
        };
        changes += usize::from(done.is_some());
    }
    Ok(changes)
}

/// The node that writes input 0 of node `n`, and its own input 0.
fn before<'a>(graph: &'a Graph, links: &Links, n: usize) -> Option<(&'a Node, ValueId, ValueId)> {
    let middle = graph.nodes[n].input(0)?;
    let first = &graph.nodes[links.def(middle)?];
    Some((first, first.input(0)?, middle))
}

fn transposes(graph: &mut Graph, links: &Links, n: usize) -> Option<()> {
    let (first, x, middle) = before(graph, links, n).filter(|(f, ..)| f.is("Transpose"))?;
    let rank = graph.shape(middle)?.len();
    let inner = permutation(first, rank)?;
    let outer = permutation(&graph.nodes[n], rank)?;
    let perm = outer.iter().map(|&o| inner[o] as i64).collect();
    let node = &mut graph.nodes[n];
    node.inputs[0] = Some(x);
    node.set_ints("perm", perm);
    Some(())
}

fn reshapes(graph: &mut Graph, links: &Links, n: usize) -> Option<()> {
    let views = ["Reshape", "Flatten", "Squeeze", "Unsqueeze"];
    let (_, x, middle) = before(graph, links, n).filter(|(f, ..)| views.iter().any(|v| f.is(v)))?;
    let (from, via) = (graph.shape(x)?, graph.shape(middle)?);
    let node = &graph.nodes[n];
    let target = node.input(1)?;
    let mut want = const_ints(graph, target)?;
    let keeps_zero = node.int_or("allowzero", 0).ok()? != 0;
    let mut rewritten = false;
    for (i, d) in want.iter_mut().enumerate() {
        // A zero copies the axis at its place, which must then be the same one.
        if *d == 0 && !keeps_zero && from.get(i) != via.get(i) {
            *d = via.get(i)?.size().filter(|&s| s > 0)? as i64;
            rewritten = true;
        }
    }
    if rewritten {
        let base = graph.value(target).name.clone();
        let fresh = graph.add_init(&base, Tensor::vec_i64(&want));
        graph.nodes[n].inputs[1] = Some(fresh);
    }
    graph.nodes[n].inputs[0] = Some(x);
    Some(())
}
