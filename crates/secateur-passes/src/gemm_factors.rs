//! The factors of a Gemm go into its constant weight and bias, and a constant bias becomes a row.
//!
//! ```text
//! %y: f32[N,2] = Gemm(%x, @w[4,2], @c[1,2]) {alpha=0.5, beta=2.0}     w = [..], c = [1, 2]
//!     =>
//! %y: f32[N,2] = Gemm(%x, @w[4,2], @c[2])                             w / 2, c = [2, 4]
//! ```
//!
//! What is computed stays a Gemm with the factor that belongs to it. Weights that are read elsewhere as well are copied.

use secateur_diag::Result;
use secateur_ir::{Edit, Graph, Links, Tensor};

use crate::Pass;
use crate::util::{from_f64, to_f64, write};

/// The row of this pass.
pub const PASS: Pass =
    Pass { name: "gemm_factors", doc: "factors of a Gemm go into its weight and bias", run };

fn run(graph: &mut Graph) -> Result<usize> {
    let links = graph.links();
    let edit = Edit::new(graph);
    let mut changes = 0;
    for n in 0..graph.nodes.len() {
        if !graph.nodes[n].is("Gemm") {
            continue;
        }
        let weight = factor(graph, &links, &edit, n, (1, "alpha"));
        let bias = factor(graph, &links, &edit, n, (2, "beta"));
        let row = row(graph, n).map(|t| write(graph, &links, &edit, n, 2, t));
        changes += usize::from(weight.is_some() || bias.is_some() || row.is_some());
    }
    Ok(changes)
}

/// A factor other than 1 goes into the constant at input `i`.
fn factor(graph: &mut Graph, links: &Links, edit: &Edit, n: usize, (i, name): (usize, &str)) -> Option<()> {
    let node = &graph.nodes[n];
    let by = node.float(name).ok()?.map(f64::from).filter(|by| *by != 1.0)?;
    if let Some(v) = node.input(i) {
        let t = graph.init(v)?;
        let values: Vec<f64> = to_f64(t)?.iter().map(|x| x * by).collect();
        let t = from_f64(t.elem, &t.dims.clone(), &values)?;
        write(graph, links, edit, n, i, t);
    }
    graph.nodes[n].remove_attr(name);
    Some(())
}

/// The constant bias as one number for each output, where it is something else that means the same.
fn row(graph: &Graph, n: usize) -> Option<Tensor> {
    let node = &graph.nodes[n];
    let (b, c) = (graph.init(node.input(1)?)?, graph.init(node.input(2)?)?);
    let [k, m] = b.dims[..] else { return None };
    let len = if node.int_or("transB", 0).ok()? != 0 { k } else { m };
    if c.dims == [len] || c.dims.len() > 2 || c.is_empty() {
        return None;
    }
    let values = to_f64(c)?;
    match (c.dims.last().copied().unwrap_or(1), values.len()) {
        (1, 1) => from_f64(c.elem, &[len], &vec![values[0]; len]),
        (last, all) if last == len && all == len => from_f64(c.elem, &[len], &values),
        _ => None,
    }
}
