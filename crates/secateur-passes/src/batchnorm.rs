//! BatchNormalization goes into the weight and bias of the Conv, ConvTranspose, Gemm or MatMul before it.
//!
//! ```text
//! %a: .. = Conv(%x, @w[8,3,3,3])
//! %y: .. = BatchNormalization(%a, @g[8], @b[8], @m[8], @v[8])
//!     =>
//! %y: .. = Conv(%x, @w[8,3,3,3], @w_bias[8])
//! ```
//!
//! Only where nothing else reads what lies between. Computed in `f64`; weights that are read elsewhere as
//! well are copied. After a MatMul the shift is left as an Add.

use secateur_diag::Result;
use secateur_ir::{Edit, Graph, Links, Node, ValueId};

use crate::Pass;
use crate::util::{from_f64, to_f64, write};

/// The row of this pass.
pub const PASS: Pass =
    Pass { name: "batchnorm", doc: "BatchNormalization goes into the weights before it", run };

fn run(graph: &mut Graph) -> Result<usize> {
    let links = graph.links();
    let mut edit = Edit::new(graph);
    let mut changes = 0;
    for n in 0..graph.nodes.len() {
        changes += usize::from(fold(graph, &links, &mut edit, n).is_some());
    }
    edit.apply(graph);
    Ok(changes)
}

/// Folds node `n` where it is a BatchNormalization for which that is possible.
fn fold(graph: &mut Graph, links: &Links, edit: &mut Edit, n: usize) -> Option<()> {
    let bn = &graph.nodes[n];
    let (scale, shift) = affine(graph, bn)?;
    let (x, y) = (bn.input(0)?, bn.output(0)?);
    let p = links.def(x)?;
    if links.uses(x).len() != 1 || edit.is_fixed(x) || edit.is_removed(p) {
        return None;
    }
    let node = &graph.nodes[p];
    let w = node.input(1)?;
    let weight = graph.init(w)?;
    let (elem, dims) = (weight.elem, weight.dims.clone());
    let channel = channels(graph, node, &dims, scale.len())?;
    let mut values = to_f64(weight)?;
    for (i, v) in values.iter_mut().enumerate() {
        *v *= scale[channel(i)];
    }
    let weight = from_f64(elem, &dims, &values)?;
    if node.is("MatMul") {
        let shift = from_f64(elem, &[scale.len()], &shift)?;
        let shift = graph.add_init(&bias_name(graph, w), shift);
        write(graph, links, edit, p, 1, weight);
        let name = graph.nodes[n].name().to_owned();
        graph.nodes[n] = Node::new("", "Add", &name, vec![Some(x), Some(shift)], vec![Some(y)]);
        return Some(());
    }
    let is_gemm = node.is("Gemm");
    let mut bias = shift;
    let old = node.input(2);
    if let Some(b) = old {
        let b = to_f64(graph.init(b)?).filter(|b| b.len() == scale.len() || (is_gemm && b.len() == 1))?;
        let beta = if is_gemm { f64::from(node.float("beta").ok()?.unwrap_or(1.0)) } else { 1.0 };
        for (c, v) in bias.iter_mut().enumerate() {
            *v += beta * scale[c] * b[if b.len() == 1 { 0 } else { c }];
        }
    }
    let bias = from_f64(elem, &[scale.len()], &bias)?;
    write(graph, links, edit, p, 1, weight);
    match old {
        Some(_) => write(graph, links, edit, p, 2, bias),
        None => {
            let b = graph.add_init(&bias_name(graph, w), bias);
            let inputs = &mut graph.nodes[p].inputs;
            inputs.resize(2, None);
            inputs.push(Some(b));
        }
    }
    if is_gemm {
        graph.nodes[p].remove_attr("beta");
    }
    graph.nodes[p].outputs[0] = Some(y);
    edit.remove(n);
    Some(())
}

/// Factor and addend of each channel, where the node is an inference BatchNormalization of constants.
fn affine(graph: &Graph, bn: &Node) -> Option<(Vec<f64>, Vec<f64>)> {
    let ok = bn.is("BatchNormalization")
        && graph.opset("") >= 7
        && bn.outputs.iter().skip(1).all(Option::is_none)
        && bn.int_or("training_mode", 0).ok()? == 0
        && bn.int_or("spatial", 1).ok()? != 0;
    let epsilon = f64::from(bn.float("epsilon").ok()?.unwrap_or(1e-5));
    let param = |i| to_f64(graph.init(bn.input(i)?)?);
    let (gamma, beta, mean, var) = (param(1)?, param(2)?, param(3)?, param(4)?);
    if !ok || [&beta, &mean, &var].iter().any(|p| p.len() != gamma.len()) {
        return None;
    }
    let scale: Vec<f64> = gamma.iter().zip(&var).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
    let shift: Vec<f64> = (0..gamma.len()).map(|c| beta[c] - mean[c] * scale[c]).collect();
    scale.iter().chain(&shift).all(|v| v.is_finite()).then_some((scale, shift))
}

/// Which of `count` output channels an element of the weight belongs to.
fn channels(graph: &Graph, node: &Node, dims: &[usize], count: usize) -> Option<Box<dyn Fn(usize) -> usize>> {
    // Sizes of an empty tensor may overflow.
    let inner = |from: usize| dims[from..].iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1)));
    match (node.op(), dims) {
        _ if !node.domain().is_empty() => None,
        ("Conv", [o, _, ..]) if *o == count => {
            let run = inner(1)?;
            Some(Box::new(move |i| i / run))
        }
        ("ConvTranspose", &[from, per, ..]) => {
            let group = usize::try_from(node.int_or("group", 1).ok()?).ok().filter(|&g| g > 0)?;
            let (run, each) = (inner(2)?, from / group);
            let fits = from.is_multiple_of(group) && each > 0 && per.checked_mul(group) == Some(count);
            fits.then(|| -> Box<dyn Fn(usize) -> usize> {
                Box::new(move |i| i / run / per / each * per + i / run % per)
            })
        }
        ("Gemm", &[k, n]) => {
            let transposed = node.int_or("transB", 0).ok()? != 0;
            let (features, run) = if transposed { (k, n.max(1)) } else { (n, 1) };
            (features == count)
                .then(|| -> Box<dyn Fn(usize) -> usize> { Box::new(move |i| i / run % features) })
        }
        // Axis 1 is the channel of a BatchNormalization: the product must be a matrix.
        ("MatMul", &[_, n]) if n == count && graph.shape(node.input(0)?)?.len() == 2 => {
            Some(Box::new(move |i| i % n))
        }
        _ => None,
    }
}

fn bias_name(graph: &Graph, weight: ValueId) -> String {
    let name = &graph.value(weight).name;
    name.strip_suffix("weight").map_or_else(|| format!("{name}_bias"), |stem| format!("{stem}bias"))
}
