//! A quantized graph made float again.

use crate::kind::moves;
use secateur_diag::{Code, Diagnostic, Result, diag};
use secateur_ir::{Dim, ElemType, Graph, Node, Tensor, TensorType, ValueId};
use secateur_ops::infer;

/// Whether a node stores or computes integers of quantization.
pub fn quantized(node: &Node) -> bool {
    pair(node) || integer(node)
}

fn pair(node: &Node) -> bool {
    node.is("QuantizeLinear") || node.is("DequantizeLinear")
}

fn integer(node: &Node) -> bool {
    let op = node.op();
    op.starts_with("QLinear")
        || op.starts_with("QGemm")
        || op.starts_with("QAttention")
        || op.ends_with("Integer")
        || op.starts_with("DynamicQuantize")
        || (op.ends_with("QuantizeLinear") && !pair(node))
}

/// The float graph that a graph in QDQ form stands for: weights are the numbers that their integers mean, and what was
/// rounded to a grid is only kept within its ends, as activations may be left to those. The rounding is gone.
///
/// # Errors
/// `Q003` where there are integer operators, or integers that no QuantizeLinear makes.
pub fn dequantized(graph: &Graph) -> Result<Graph> {
    let mut out = graph.clone();
    // Scales may be products of others.
    secateur_passes::run(&mut out, &["fold"])?;
    let graph = &out.clone();
    let links = graph.links();
    let mut gone = vec![false; graph.nodes.len()];
    for (n, node) in graph.nodes.iter().enumerate() {
        let wrong = |title: &str| secateur_ir::place(diag(Code::Q003, title), graph, node);
        if integer(node) {
            return Err(wrong("operators on integers cannot be made float").help("use a model in QDQ form"));
        }
        if !pair(node) {
            continue;
        }
        let (Some(from), Some(to)) = (node.input(0), node.output(0)) else { continue };
        let plain = || Node::new("", "Identity", node.name(), vec![Some(from)], vec![Some(to)]);
        let constant = graph.init(from);
        if node.is("DequantizeLinear") {
            match constant {
                Some(t) => {
                    let values = numbers(graph, node, t).ok_or_else(|| wrong("numbers that do not fit"))?;
                    out.set_init(to, Tensor::f32(&t.dims, &values));
                    gone[n] = true;
                }
                None if made(graph, &links, from) => out.nodes[n] = plain(),
                None => return Err(wrong("integers that no QuantizeLinear makes")),
            }
        } else if constant.is_some() {
            out.nodes[n] = plain();
        } else {
            let Some([least, most]) = ends(graph, node) else {
                return Err(wrong("activations on more than one scale, or on one that is not known"));
            };
            if graph.is_output(to) {
                return Err(wrong("an output of integers").help("end the model with DequantizeLinear"));
            }
            let [least, most] = [least, most].map(|x| out.add_init("end", Tensor::f32(&[], &[x])));
            let inputs = vec![Some(from), Some(least), Some(most)];
            out.nodes[n] = Node::new("", "Clip", node.name(), inputs, vec![Some(to)]);
        }
    }
    // What only moved integers moves floats now.
    for v in out.value_ids() {
        let computed = links.def(v).is_some() && out.init(v).is_none();
        let small = out.value(v).ty.as_ref().is_some_and(|t| range(t.elem).is_some());
        if computed && small && made(graph, &links, v) {
            let shape: Option<Vec<Dim>> = out.shape(v).map(<[Dim]>::to_vec);
            out.value_mut(v).ty = Some(TensorType { elem: ElemType::F32, shape });
        }
    }
    let mut left = gone.iter();
    out.nodes.retain(|_| !left.next().copied().unwrap_or(false));
    crate::emit::unused(&mut out);
    infer(&mut out)?;
    Ok(out)
}

/// Whether a value holds integers that a QuantizeLinear made and others only moved.
fn made(graph: &Graph, links: &secateur_ir::Links, v: ValueId) -> bool {
    let mut at = v;
    while let Some(n) = links.def(at) {
        let node = &graph.nodes[n];
        if node.is("QuantizeLinear") {
            return true;
        }
        match node.inputs.iter().flatten().copied().find(|i| graph.init(*i).is_none()) {
            Some(v) if moves(node) => at = v,
            _ => return false,
        }
    }
    false
}

/// The least and the greatest integer of a type of quantization.
fn range(elem: ElemType) -> Option<(f64, f64)> {
    let (bits, signed) = match elem {
        ElemType::U8 => (8, false),
        ElemType::I8 => (8, true),
        ElemType::U16 => (16, false),
        ElemType::I16 => (16, true),
        ElemType::U4 => (4, false),
        ElemType::I4 => (4, true),
        _ => return None,
    };
    let span = f64::from(1 << bits);
    let least = if signed { -span / 2.0 } else { 0.0 };
    Some((least, least + span - 1.0))
}

/// What the ends of a QuantizeLinear's grid mean.
fn ends(graph: &Graph, node: &Node) -> Option<[f32; 2]> {
    let scale = graph.init(node.input(1)?)?.to_f32()?;
    let [scale] = scale[..] else { return None };
    let (zero, elem) = match node.input(2) {
        Some(z) => (graph.init(z)?.to_i64()?, graph.init(z)?.elem),
        None => (vec![0], graph.value(node.output(0)?).ty.as_ref().map_or(ElemType::U8, |t| t.elem)),
    };
    let [zero] = zero[..] else { return None };
    let (least, most) = range(elem)?;
    Some([least, most].map(|x| ((x - zero as f64) * f64::from(scale)) as f32))
}

/// What the integers of a DequantizeLinear mean: on one scale, on one for each element of an axis, or on one for each
/// block of it.
fn numbers(graph: &Graph, node: &Node, t: &Tensor) -> Option<Vec<f32>> {
    let q = t.to_i64()?;
    let scales = graph.init(node.input(1)?)?;
    let s = scales.to_f32()?;
    let zeros = match node.input(2) {
        Some(z) => graph.init(z)?.to_i64()?,
        None => vec![0; s.len()],
    };
    let rank = t.dims.len() as i64;
    let block = usize::try_from(node.int("block_size").ok()?.unwrap_or(0)).ok()?;
    let axis = node.int("axis").ok()?.unwrap_or(1);
    let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).ok()?;
    let len = t.dims.get(axis).copied().unwrap_or(1).max(1);
    let inner: usize = t.dims.get(axis + 1..).map_or(1, |d| d.iter().product::<usize>()).max(1);
    let blocks = match block {
        0 => len,
        b => len.div_ceil(b),
    };
    let place = |i: usize| match (s.len(), block) {
        (1, _) => 0,
        (_, 0) => i / inner % len,
        (_, b) => (i / inner / len * blocks + i / inner % len / b) * inner + i % inner,
    };
    let fits = match block {
        _ if s.len() == 1 => true,
        0 => s.len() == len,
        _ => s.len() * len == q.len() * blocks,
    };
    if !fits || zeros.len() != s.len() {
        return None;
    }
    let one = |(i, q): (usize, &i64)| ((*q as f64 - zeros[place(i)] as f64) * f64::from(s[place(i)])) as f32;
    Some(q.iter().enumerate().map(one).collect())
}

/// What is said of a quantized model where a float one is wanted.
pub fn refusal(graph: &Graph) -> Option<Box<Diagnostic>> {
    let n = graph.nodes.iter().find(|n| quantized(n))?;
    Some(
        secateur_ir::place(diag(Code::Q002, "the model is quantized already"), graph, n).help(
            "quantize the float model that it was made from, or take its rounding as it is: --requantize",
        ),
    )
}
