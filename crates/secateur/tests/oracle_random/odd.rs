//! Blocks that networks seldom have and that rules must survive.

use secateur_ir::{Tensor, ValueId};

use crate::build::{A, Builder};
use crate::image::Conv;

type Block = fn(&mut Builder, ValueId) -> Option<ValueId>;

/// Of images.
pub const IMAGE: &[(&str, Block)] = &[
    ("odd_shape_arithmetic", shape_arithmetic),
    ("odd_built_weight", built_weight),
    ("odd_rows_side_by_side", rows_side_by_side),
    ("odd_crop", crop),
    ("odd_compare", compare),
    ("odd_variadic", variadic),
    ("odd_gram", gram),
    ("odd_channel_attention", channel_attention),
    ("odd_batch_merged", batch_merged),
    ("odd_half_merged", half_merged),
    ("odd_bilinear", bilinear),
    ("odd_over_channels", over_channels),
    ("odd_one_group", one_group),
    ("odd_there_and_back", there_and_back),
    ("odd_copies", copies),
    ("odd_weights_of_data", weights_of_data),
    ("odd_blocks_of_blocks", blocks_of_blocks),
];

/// Of sequences and vectors.
pub const FLAT: &[(&str, Block)] = &[
    ("odd_compare", compare),
    ("odd_variadic", variadic),
    ("odd_copies", copies),
    ("odd_regrouped", regrouped),
    ("odd_outer_product", outer_product),
    ("odd_token", token),
    ("odd_tied", tied),
    ("odd_last_state", last_state),
    ("odd_factors", factors),
    ("odd_arg_max", arg_max),
];

/// The target of a Reshape computed from the shape of its input.
fn shape_arithmetic(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let shape = b.op("Shape", &[x]);
    let zero = b.g.add_init("i", Tensor::i64(&[], &[0]));
    let n = b.node("Gather", &[shape, zero], &[("axis", A::I(0))]);
    let n = b.unsqueeze(n, &[0]);
    let rest = if b.rng.chance(50) { b.slice(shape, 1, 2, 0, 1) } else { b.ints(&[d[1] as i64]) };
    let flat = b.ints(&[-1]);
    let target = b.concat(&[n, rest, flat], 0);
    let y = b.op("Reshape", &[x, target]);
    let y = b.act(y);
    Some(b.op("Reshape", &[y, shape]))
}

/// The weight of a convolution put together from pieces.
fn built_weight(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let (c, out) = (b.channels(x), b.rng.range(4, 8));
    let spread = (3.0 / c as f32).sqrt();
    let w = match b.rng.below(4) {
        0 => {
            let parts = [b.noise(&[2, c, 1, 1], 0.0, spread), b.noise(&[out - 2, c, 1, 1], 0.0, spread)];
            b.concat(&parts, 0)
        }
        1 => {
            let w = b.noise(&[out, c], 0.0, spread);
            b.reshape(w, &[out as i64, c as i64, 1, 1])
        }
        2 => {
            let w = b.noise(&[out + 1, c, 1, 1], 0.0, spread);
            let index = b.rng.permutation(out + 1);
            b.gather(w, &index[..out], 0)
        }
        _ => {
            let w = b.noise(&[c, out, 1, 1], 0.0, spread);
            b.transpose(w, &[1, 0, 2, 3])
        }
    };
    let t = b.noise(&[out], 0.0, 0.5);
    Some(b.op("Conv", &[x, w, t]))
}

fn rows_side_by_side(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    if d[2] > 5 {
        return None;
    }
    let y = b.conv(x, d[1]);
    let axis = b.rng.range(2, 3);
    Some(b.concat(&[x, y], axis))
}

/// Channels and places padded, then fewer of both. (The engine has no pads below zero.)
fn crop(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    if d[1] > 10 || b.is_small(x) {
        return None;
    }
    let k = b.ints(&[0, 2, 1, 0, 0, 1, 0, 1]);
    let y = b.op("Pad", &[x, k]);
    let (starts, ends, axes) = (b.ints(&[1, 1]), b.ints(&[-2, i64::MAX]), b.ints(&[1, 2]));
    Some(b.op("Slice", &[y, starts, ends, axes]))
}

/// A choice made by the values themselves.
fn compare(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let dims = if b.rng.chance(50) { vec![] } else { b.along_channels(x) };
    let limit = b.noise(&dims, 0.1, 0.3);
    let mask = b.op("Greater", &[x, limit]);
    if b.rng.chance(40) {
        let f = b.node("Cast", &[mask], &[("to", A::I(1))]);
        return Some(b.op("Mul", &[x, f]));
    }
    let other = b.act(x);
    Some(b.op("Where", &[mask, other, limit]))
}

fn variadic(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let (p, q) = (b.act(x), b.act(x));
    let op = b.rng.pick(&["Sum", "Mean", "Max", "Min"]);
    Some(b.op(op, &[x, p, q]))
}

/// Channels against channels, then back onto the places.
fn gram(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let y = b.reshape(x, &[d[0] as i64, d[1] as i64, -1]);
    let y = b.op("Tanh", &[y]);
    let z = b.transpose(y, &[0, 2, 1]);
    let g = b.op("MatMul", &[y, z]);
    let small = b.scalar(0.05);
    let g = b.op("Mul", &[g, small]);
    let y = b.op("MatMul", &[g, y]);
    Some(b.reshape(y, &[d[0] as i64, d[1] as i64, d[2] as i64, d[3] as i64]))
}

/// Attention between channels of query and key, which the Softmax keeps whole on one side.
fn channel_attention(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let (m, n) = (b.rng.range(3, 6), b.rng.range(3, 6));
    let [q, k, v] = [m, n, n].map(|c| {
        let y = b.conv_with(x, Conv::to(c));
        b.reshape(y, &[d[0] as i64, c as i64, -1])
    });
    let k = b.transpose(k, &[0, 2, 1]);
    let a = b.op("MatMul", &[q, k]);
    let a = b.node("Softmax", &[a], &[("axis", A::I(-1))]);
    let y = b.op("MatMul", &[a, v]);
    Some(b.reshape(y, &[d[0] as i64, m as i64, d[2] as i64, d[3] as i64]))
}

/// Samples and channels in one axis.
fn batch_merged(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let places = d[2] * d[3];
    if places > 36 {
        return None;
    }
    let y = b.reshape(x, &[-1, places as i64]);
    let w = b.weight(&[places, places], places);
    let y = b.op("MatMul", &[y, w]);
    Some(b.reshape(y, &[-1, d[1] as i64, d[2] as i64, d[3] as i64]))
}

/// The inner half of the channels becomes rows.
fn half_merged(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    if !d[1].is_multiple_of(2) || d[1] < 6 || d[2] > 6 {
        return None;
    }
    Some(b.reshape(x, &[d[0] as i64, (d[1] / 2) as i64, 2 * d[2] as i64, d[3] as i64]))
}

fn bilinear(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    if b.opset < 12 {
        return None;
    }
    let d = b.dims(x);
    let (m, n) = (b.rng.range(3, 5), b.rng.range(2, 4));
    let (p, q) = (b.conv(x, m), b.conv(x, n));
    let (p, q) = (b.op("Tanh", &[p]), b.op("Tanh", &[q]));
    let y = b.node("Einsum", &[p, q], &[("equation", A::S("nchw,ndhw->ncd"))]);
    if b.rng.chance(50) {
        let y = b.node("Einsum", &[y, q], &[("equation", A::S("ncd,ndhw->nchw"))]);
        return Some(y);
    }
    let y = b.reshape(y, &[d[0] as i64, (m * n) as i64, 1, 1]);
    Some(b.conv_with(y, Conv::to(4)))
}

/// Operators that look at all channels at once.
fn over_channels(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    Some(match b.rng.below(4) {
        0 => b.node("Softmax", &[x], &[("axis", A::I(1))]),
        1 => b.node("LpNormalization", &[x], &[("axis", A::I(1)), ("p", A::I(2))]),
        2 => b.node("LRN", &[x], &[("size", A::I(3)), ("alpha", A::F(0.3))]),
        _ => {
            let s = b.reduce("ReduceMax", x, &[1], true);
            b.op("Sub", &[x, s])
        }
    })
}

/// One group: a normalization of everything.
fn one_group(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let y = b.reshape(x, &[d[0] as i64, 1, -1]);
    let (one, zero) = (b.constant(&[1], &[1.0]), b.constant(&[1], &[0.0]));
    let y = b.node("InstanceNormalization", &[y, one, zero], &[("epsilon", A::F(1e-2))]);
    Some(b.reshape(y, &[d[0] as i64, d[1] as i64, d[2] as i64, d[3] as i64]))
}

/// Blocks of two times two out of the places and into them again, in the other order.
fn there_and_back(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    if !d[2].is_multiple_of(2) || !d[3].is_multiple_of(2) || d[1] > 6 {
        return None;
    }
    let y = b.node("SpaceToDepth", &[x], &[("blocksize", A::I(2))]);
    let c = b.channels(y);
    let y =
        if b.rng.chance(60) { b.depthwise(y, 1) } else { b.conv_with(y, Conv { groups: 4, ..Conv::to(c) }) };
    let mode = b.rng.pick(&["DCR", "CRD"]);
    Some(b.node("DepthToSpace", &[y], &[("blocksize", A::I(2)), ("mode", A::S(mode))]))
}

/// Nodes that do nothing, and a value that meets itself.
fn copies(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let y = b.op("Identity", &[x]);
    let y = match b.rng.below(3) {
        0 => b.node("Cast", &[y], &[("to", A::I(1))]),
        1 => b.op("Dropout", &[y]),
        _ => y,
    };
    let op = b.rng.pick(&["Add", "Mul", "Max"]);
    Some(b.op(op, &[x, y]))
}

/// A value of the batch weighs the channels of another.
fn weights_of_data(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let (c, out) = (d[1], b.rng.range(3, 5));
    let s = b.op("GlobalAveragePool", &[x]);
    let w = b.conv_with(s, Conv::to(out * c));
    let w = b.op("Tanh", &[w]);
    let w = b.reshape(w, &[d[0] as i64, out as i64, c as i64]);
    let y = b.reshape(x, &[d[0] as i64, c as i64, -1]);
    let y = b.op("MatMul", &[w, y]);
    Some(b.reshape(y, &[d[0] as i64, out as i64, d[2] as i64, d[3] as i64]))
}

/// Groups within groups.
fn blocks_of_blocks(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    if d[1] > 8 {
        return None;
    }
    let y = b.conv_with(x, Conv::to(12));
    let (n, h, w) = (d[0] as i64, d[2] as i64, d[3] as i64);
    let y = b.reshape(y, &[n, 3, 2, 2, h, w]);
    let perm = b.rng.pick(&[[0, 2, 1, 3, 4, 5], [0, 1, 3, 2, 4, 5], [0, 3, 1, 2, 4, 5]]);
    let y = b.transpose(y, &perm);
    let y = b.reshape(y, &[n, 12, h, w]);
    let groups = b.rng.pick(&[2, 3, 4, 6]);
    Some(b.conv_with(y, Conv { groups, ..Conv::to(12) }))
}

/// One factoring right after another.
fn regrouped(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let mut lead: Vec<i64> = b.dims(x).iter().map(|&d| d as i64).collect();
    let y = b.linear(x, 12);
    lead.pop();
    let shape = |rest: &[i64]| [lead.as_slice(), rest].concat();
    let views: [&[i64]; 4] = [&[3, 4], &[4, 3], &[2, 6], &[2, 3, 2]];
    let mut y = b.reshape(y, &shape(b.rng.clone().pick(&views)));
    for _ in 0..b.rng.range(1, 2) {
        let rank = b.rank(y);
        if b.rng.chance(50) {
            let mut perm: Vec<i64> = (0..rank as i64).collect();
            perm.swap(rank - 1, rank - 2);
            y = b.transpose(y, &perm);
        }
        y = b.act(y);
        let view = b.rng.pick(&views);
        y = b.reshape(y, &shape(view));
    }
    Some(b.reshape(y, &shape(&[12])))
}

fn outer_product(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    if b.rank(x) != 2 {
        return None;
    }
    let n = b.dims(x)[0] as i64;
    let (p, q) = (b.rng.range(3, 5), b.rng.range(2, 4));
    let (u, v) = (b.linear(x, p), b.linear(x, q));
    let (u, v) = (b.unsqueeze(u, &[2]), b.unsqueeze(v, &[1]));
    let op = b.rng.pick(&["Mul", "Add", "MatMul"]);
    let y = b.op(op, &[u, v]);
    if b.rng.chance(40) {
        return Some(b.reduce("ReduceSum", y, &[1], false));
    }
    Some(b.reshape(y, &[n, (p * q) as i64]))
}

/// A learnt first step.
fn token(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    if d.len() != 3 || d[1] > 8 {
        return None;
    }
    let first = b.slice(x, 0, 1, 1, 1);
    let zero = b.scalar(0.0);
    let first = b.op("Mul", &[first, zero]);
    let t = b.noise(&[1, 1, d[2]], 0.0, 1.0);
    let first = b.op("Add", &[first, t]);
    Some(b.concat(&[first, x], 1))
}

/// The same matrix forth and, transposed, back.
fn tied(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let (c, hidden) = (b.channels(x), b.rng.range(3, 8));
    let w = b.noise(&[c, hidden], 0.0, (3.0 / c as f32).sqrt());
    let y = b.op("MatMul", &[x, w]);
    let y = b.act(y);
    let back = b.transpose(w, &[1, 0]);
    Some(b.op("MatMul", &[y, back]))
}

/// Only the state after the last step is read, or both it and the sequence.
fn last_state(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    if d.len() != 3 {
        return None;
    }
    let hidden = b.rng.range(3, 6);
    let y = b.transpose(x, &[1, 0, 2]);
    let w = b.noise(&[1, 4 * hidden, d[2]], 0.0, 0.6);
    let r = b.noise(&[1, 4 * hidden, hidden], 0.0, 0.6);
    let outs = b.nodes("LSTM", &[Some(y), Some(w), Some(r)], &[("hidden_size", A::I(hidden as i64))], 3);
    let h = b.squeeze(outs[1], &[0]);
    let c = b.squeeze(outs[2], &[0]);
    Some(match b.rng.below(3) {
        0 => b.op("Mul", &[h, c]),
        1 => b.concat(&[h, c], 1),
        _ => {
            let y = b.squeeze(outs[0], &[1]);
            let y = b.op("Add", &[y, c]);
            b.transpose(y, &[1, 0, 2])
        }
    })
}

/// A factor of the features is summed away, weighed or pooled.
fn factors(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let mut lead: Vec<i64> = b.dims(x).iter().map(|&d| d as i64).collect();
    let (m, n) = (b.rng.range(2, 4), b.rng.range(2, 5));
    let y = b.linear(x, m * n);
    lead.pop();
    let y = b.reshape(y, &[lead.as_slice(), &[m as i64, n as i64]].concat());
    Some(match b.rng.below(4) {
        0 => b.reduce("ReduceSum", y, &[-1], false),
        1 => b.reduce("ReduceSum", y, &[-2], false),
        2 => b.reduce("ReduceMax", y, &[-2], false),
        _ => {
            let w = b.weight(&[n, 3], n);
            let y = b.op("MatMul", &[y, w]);
            b.reshape(y, &[lead.as_slice(), &[(m * 3) as i64]].concat())
        }
    })
}

fn arg_max(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let y = b.node("ArgMax", &[x], &[("axis", A::I(-1)), ("keepdims", A::I(1))]);
    let y = b.node("Cast", &[y], &[("to", A::I(1))]);
    let axis = b.channel_axis(x);
    let small = b.scalar(0.1);
    let y = b.op("Mul", &[y, small]);
    Some(b.concat(&[x, y], axis))
}
