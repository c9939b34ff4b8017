//! Writes what was decided into the graph, in standard ONNX.

use rustc_hash::{FxHashMap, FxHashSet};
use secateur_calib::linear::Kind;
use secateur_ir::{Dim, Edit, ElemType, Graph, Node, Tensor, TensorType, ValueId};

use crate::layers::Layer;
use crate::place::Placement;
use crate::range::{Activations, Scale};

fn scalar(graph: &mut Graph, name: &str, elem: ElemType, bytes: Vec<u8>) -> ValueId {
    graph.add_init(name, Tensor::from_bytes(elem, vec![], bytes))
}

/// Weights from which on the scales of biases are worked out from those of data and weights, not stored: they would be
/// a part of the file that counts. Runtimes fold such products when they load a model.
const FOLDED: usize = 16;

/// Scales and zero points as constants, in the order of their numbers.
pub fn constants(graph: &mut Graph, scales: &[Scale], to: Activations) -> Vec<(ValueId, ValueId)> {
    let elem = if to == Activations::Int8 { ElemType::I8 } else { ElemType::U8 };
    let mut zeros: FxHashMap<u8, ValueId> = FxHashMap::default();
    let one = |(number, s): (usize, &Scale)| {
        let z = if to == Activations::Int8 { (s.zero as i8) as u8 } else { s.zero as u8 };
        let scale = scalar(graph, &format!("s{number}"), ElemType::F32, s.scale.to_le_bytes().to_vec());
        let zero = *zeros.entry(z).or_insert_with(|| scalar(graph, &format!("z{number}"), elem, vec![z]));
        (scale, zero)
    };
    scales.iter().enumerate().map(one).collect()
}

/// Inserts the pairs. Readers of a value inside the region that makes it, and outputs of the graph, keep the float
/// value.
pub fn pairs(graph: &mut Graph, placement: &Placement, constants: &[(ValueId, ValueId)], to: Activations) {
    let elem = if to == Activations::Int8 { ElemType::I8 } else { ElemType::U8 };
    let links = graph.links();
    let mut edit = Edit::new(graph);
    let mut readers: Vec<(usize, usize, ValueId)> = Vec::new();
    // Names are short: in small models they would be a part of the file that counts.
    for (i, &(v, number)) in placement.pairs.iter().enumerate() {
        let (scale, zero) = constants[number];
        let shape = graph.shape(v).map(<[Dim]>::to_vec);
        let typed = |elem| Some(TensorType { elem, shape: shape.clone() });
        let q = graph.add_fresh(&format!("q{i}"), typed(elem));
        let d = graph.add_fresh(&format!("a{i}"), typed(ElemType::F32));
        let node =
            |op, from, to| Node::new("", op, "", vec![Some(from), Some(scale), Some(zero)], vec![Some(to)]);
        let def = links.def(v);
        let at = def.map_or(0, |n| n + 1);
        edit.insert(at, node("QuantizeLinear", v, q));
        edit.insert(at, node("DequantizeLinear", q, d));
        let own = def.and_then(|n| placement.region[n]);
        for u in links.uses(v) {
            if let Some(input) = u.input
                && (own.is_none() || placement.region[u.node] != own)
            {
                readers.push((u.node, input, d));
            }
        }
    }
    for (n, i, d) in readers {
        graph.nodes[n].inputs[i] = Some(d);
    }
    edit.apply(graph);
}

/// Packs integers; 4-bit ones two a byte, the first in the low half.
fn pack(values: &[i8], bits: u32) -> Vec<u8> {
    match bits {
        4 => values
            .chunks(2)
            .map(|c| (c[0] as u8 & 15) | (c.get(1).map_or(0, |v| *v as u8 & 15) << 4))
            .collect(),
        _ => values.iter().map(|v| *v as u8).collect(),
    }
}

/// Replaces a layer's weight by integers behind a DequantizeLinear, and its bias too where `data` is the scale of what
/// the weight meets, as a number and as a constant. Nodes go to the front of `front`.
///
/// Blocked weights are stored `[outputs, inputs]` and brought to the weight's shape by a Reshape.
pub fn weights(
    graph: &mut Graph,
    layer: &Layer,
    bits: u32,
    block: Option<usize>,
    data: Option<(f32, ValueId)>,
    front: &mut Vec<Node>,
) {
    let l = &layer.linear;
    let Some(w) = graph.init(l.weight).cloned() else { return };
    let name = format!("w{}", l.node);
    let elem = if bits == 4 { ElemType::I4 } else { ElemType::I8 };
    let (channels, taps, outputs) = l.sizes(&w);
    let groups = layer.rounded.len();
    let mut integers = vec![0i8; w.len()];
    let (dims, axis, scale_dims, scales) = match block {
        Some(block) => {
            let p = channels * taps;
            for (g, r) in layer.rounded.iter().enumerate() {
                for o in 0..outputs {
                    (0..p).for_each(|f| integers[(g * outputs + o) * p + f] = r.q[(f, o)]);
                }
            }
            let blocks = p.div_ceil(block);
            let mut s = Vec::with_capacity(groups * outputs * blocks);
            for r in &layer.rounded {
                (0..outputs).for_each(|o| (0..blocks).for_each(|b| s.push(r.scale[(b, o)])));
            }
            (vec![groups * outputs, p], 1, vec![groups * outputs, blocks], s)
        }
        None => {
            let whole: Vec<faer::Mat<f64>> = layer
                .rounded
                .iter()
                .map(|r| faer::Mat::from_fn(r.q.nrows(), r.q.ncols(), |i, j| f64::from(r.q[(i, j)])))
                .collect();
            if let Some(t) = l.with_matrices(&w, &whole).and_then(|t| t.to_f32()) {
                integers.iter_mut().zip(t).for_each(|(to, v)| *to = v as i8);
            }
            let axis = match l.kind {
                Kind::Conv { .. } | Kind::Rows => 0,
                Kind::ConvTranspose { .. } | Kind::Columns => 1,
            };
            let s: Vec<f32> = match l.kind {
                // One axis counts the outputs of every group.
                Kind::ConvTranspose { .. } => (0..outputs)
                    .map(|o| layer.rounded.iter().map(|r| r.scale[(0, o)]).fold(0.0, f32::max))
                    .collect(),
                _ => layer.rounded.iter().flat_map(|r| (0..outputs).map(|o| r.scale[(0, o)])).collect(),
            };
            (w.dims.clone(), axis, vec![s.len()], s)
        }
    };
    let q = graph.add_init(&format!("{name}.q"), Tensor::from_bytes(elem, dims, pack(&integers, bits)));
    let s = graph.add_init(&format!("{name}.s"), Tensor::f32(&scale_dims, &scales));
    let mut node = Node::new("", "DequantizeLinear", "", vec![Some(q), Some(s)], vec![]);
    node.set_int("axis", axis);
    let typed = |g: &Graph, v: ValueId| g.value(v).ty.clone();
    let ty = typed(graph, l.weight);
    if let Some(block) = block {
        node.set_int("block_size", block as i64);
        let flat = graph.add_fresh(&format!("{name}.f"), None);
        node.outputs = vec![Some(flat)];
        front.push(node);
        let weight = graph.add_fresh(&name, ty);
        let (from, transposed) = match l.kind {
            Kind::Columns => (flat, true),
            _ => (flat, false),
        };
        let shape: Vec<i64> = w.dims.iter().map(|d| *d as i64).collect();
        let tail = if transposed {
            let mut t = Node::new("", "Transpose", "", vec![Some(from)], vec![Some(weight)]);
            t.set_ints("perm", vec![1, 0]);
            t
        } else {
            let shape = graph.add_init(&format!("{name}.shape"), Tensor::vec_i64(&shape));
            Node::new("", "Reshape", "", vec![Some(from), Some(shape)], vec![Some(weight)])
        };
        front.push(tail);
        graph.replace_uses(l.weight, weight);
    } else {
        let weight = graph.add_fresh(&name, ty);
        node.outputs = vec![Some(weight)];
        front.push(node);
        graph.replace_uses(l.weight, weight);
    }
    graph.drop_init(l.weight);
    let (Some(v), Some(bias)) = (l.bias, &layer.bias) else { return };
    let name = format!("b{}", l.node);
    // A bias that its own Add brings in is added as float.
    let own = graph.nodes[l.node].inputs.get(2).copied().flatten() == Some(v);
    match data.filter(|_| own && scales.len() == bias.len()) {
        None => {
            let b: Vec<f32> = bias.iter().map(|b| *b as f32).collect();
            if let Some(t) = graph.init(v).and_then(|t| t.with_f32(t.dims.clone(), &b)) {
                graph.set_init(v, t);
            }
        }
        Some((data, constant)) => {
            let products: Vec<f32> = scales.iter().map(|s| s * data).collect();
            let one = |(b, s): (&f64, &f32)| {
                (b / f64::from(*s)).round_ties_even().clamp(-2147483648.0, 2147483647.0)
            };
            let bytes: Vec<u8> =
                bias.iter().zip(&products).flat_map(|p| (one(p) as i32).to_le_bytes()).collect();
            let q = graph
                .add_init(&format!("{name}.q"), Tensor::from_bytes(ElemType::I32, vec![bias.len()], bytes));
            let product = (bias.len() >= FOLDED).then(|| {
                let product = graph.add_fresh(&format!("{name}.s"), None);
                front.push(Node::new("", "Mul", "", vec![Some(s), Some(constant)], vec![Some(product)]));
                product
            });
            let s = product.unwrap_or_else(|| {
                graph.add_init(&format!("{name}.s"), Tensor::f32(&[bias.len()], &products))
            });
            let d = graph.add_fresh(&name, typed(graph, v));
            let mut node = Node::new("", "DequantizeLinear", "", vec![Some(q), Some(s)], vec![Some(d)]);
            node.set_int("axis", 0);
            front.push(node);
            graph.replace_uses(v, d);
            graph.drop_init(v);
        }
    }
}

/// Whether a layer's weight can be stored on a grid of one scale an output along one axis.
pub fn storable(layer: &secateur_calib::linear::Linear, block: Option<usize>) -> bool {
    match layer.kind {
        Kind::ConvTranspose { groups } => groups == 1 && block.is_none(),
        _ => true,
    }
}

/// The constants that quantization has made unused.
pub fn unused(graph: &mut Graph) {
    let read: FxHashSet<ValueId> = graph
        .nodes
        .iter()
        .flat_map(|n| n.inputs.iter().flatten().copied().chain(n.captures.iter().copied()))
        .collect();
    let gone: Vec<ValueId> = graph
        .value_ids()
        .filter(|v| {
            graph.init(*v).is_some() && !read.contains(v) && !graph.is_output(*v) && !graph.inputs.contains(v)
        })
        .collect();
    gone.into_iter().for_each(|v| graph.drop_init(v));
}
