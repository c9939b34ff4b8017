//! More blocks of images: those that move elements between axes, look across channels, or use weights twice.

use secateur_ir::ValueId;

use crate::build::{A, Builder};
use crate::image::Conv;

type Block = fn(&mut Builder, ValueId) -> Option<ValueId>;

/// Name and block; `None` where the block cannot be applied.
pub const BLOCKS: &[(&str, Block)] = &[
    ("instance_norm", instance_norm),
    ("group_norm", group_norm),
    ("group_norm", group_norm),
    ("conv_transpose", conv_transpose),
    ("depth_to_space", depth_to_space),
    ("pixel_shuffle", pixel_shuffle),
    ("space_to_depth", space_to_depth),
    ("resize", resize),
    ("nhwc", nhwc),
    ("across_channels", across_channels),
    ("across_channels", across_channels),
    ("tile", tile),
    ("einsum", einsum),
    ("attention", attention),
    ("grouped_view", grouped_view),
    ("grouped_sum", grouped_sum),
    ("flat_view", flat_view),
    ("transposed_view", transposed_view),
    ("multi_scale", multi_scale),
    ("siamese", siamese),
    ("two_ways", two_ways),
];

fn instance_norm(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    if d[2] * d[3] < 4 {
        return None;
    }
    let (s, t) = (b.noise(&[d[1]], 1.0, 0.3), b.noise(&[d[1]], 0.0, 0.3));
    Some(b.node("InstanceNormalization", &[x, s, t], &[("epsilon", A::F(1e-2))]))
}

fn group_norm(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let g = b.rng.pick(&[2, 3, 4]);
    if !d[1].is_multiple_of(g) || d[2] * d[3] < 4 {
        return None;
    }
    let y = b.reshape(x, &[d[0] as i64, g as i64, -1]);
    let (one, zero) = (b.constant(&[g], &vec![1.0; g]), b.constant(&[g], &vec![0.0; g]));
    let y = b.node("InstanceNormalization", &[y, one, zero], &[("epsilon", A::F(1e-2))]);
    let y = if b.rng.chance(50) || d[0] > 0 {
        b.reshape(y, &[d[0] as i64, d[1] as i64, d[2] as i64, d[3] as i64])
    } else {
        let shape = b.op("Shape", &[x]);
        b.op("Reshape", &[y, shape])
    };
    let (s, t) = (b.noise(&[d[1], 1, 1], 1.0, 0.3), b.noise(&[d[1], 1, 1], 0.0, 0.3));
    let y = b.op("Mul", &[y, s]);
    Some(b.op("Add", &[y, t]))
}

fn conv_transpose(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    if d[2] > 5 {
        return None;
    }
    let groups = b.rng.pick(&[1, 1, 2, 3, d[1]]);
    if !d[1].is_multiple_of(groups) {
        return None;
    }
    let per = b.rng.range(1, 4);
    let out = per * groups;
    let w = b.weight(&[d[1], per, 2, 2], d[1] / groups);
    let mut inputs = vec![x, w];
    if b.rng.chance(60) {
        inputs.push(b.noise(&[out], 0.0, 0.5));
    }
    Some(b.node("ConvTranspose", &inputs, &[("strides", A::Is(&[2, 2])), ("group", A::I(groups as i64))]))
}

fn depth_to_space(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    if b.dims(x)[2] > 5 {
        return None;
    }
    let c = b.rng.range(2, 5);
    let y = b.conv(x, 4 * c);
    let mode = b.rng.pick(&["DCR", "CRD"]);
    let y = b.node("DepthToSpace", &[y], &[("blocksize", A::I(2)), ("mode", A::S(mode))]);
    Some(b.act(y))
}

fn pixel_shuffle(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    if d[2] > 5 {
        return None;
    }
    let c = b.rng.range(2, 5) as i64;
    let y = b.conv(x, 4 * c as usize);
    let (n, h, w) = (d[0] as i64, d[2] as i64, d[3] as i64);
    let y = if b.rng.chance(60) {
        let y = b.reshape(y, &[n, c, 2, 2, h, w]);
        b.transpose(y, &[0, 1, 4, 2, 5, 3])
    } else {
        let y = b.reshape(y, &[n, 2, 2, c, h, w]);
        b.transpose(y, &[0, 3, 4, 1, 5, 2])
    };
    Some(b.reshape(y, &[n, c, 2 * h, 2 * w]))
}

fn space_to_depth(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    if !d[2].is_multiple_of(2) || !d[3].is_multiple_of(2) || d[1] > 6 || b.is_small(x) {
        return None;
    }
    if b.rng.chance(50) {
        return Some(b.node("SpaceToDepth", &[x], &[("blocksize", A::I(2))]));
    }
    // Focus: four strided views side by side.
    let mut parts = Vec::new();
    for (i, j) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
        let y = b.slice(x, i, i64::MAX, 2, 2);
        parts.push(b.slice(y, j, i64::MAX, 3, 2));
    }
    Some(b.concat(&parts, 1))
}

fn resize(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    if b.dims(x)[2] > 5 {
        return None;
    }
    let scales = b.constant(&[4], &[1.0, 1.0, 2.0, 2.0]);
    let attrs = [
        ("mode", A::S("nearest")),
        ("coordinate_transformation_mode", A::S("asymmetric")),
        ("nearest_mode", A::S("floor")),
    ];
    // Optional since opset 13.
    let roi = if b.opset < 13 { Some(b.constant(&[0], &[])) } else { None };
    Some(b.nodes("Resize", &[Some(x), roi, Some(scales)], &attrs, 1)[0])
}

/// To channels last and back, with something in between.
fn nhwc(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let c = b.channels(x);
    let mut y = b.transpose(x, &[0, 2, 3, 1]);
    for _ in 0..b.rng.range(1, 2) {
        let c = *b.dims(y).last().unwrap_or(&c);
        y = match b.rng.below(5) {
            0 => {
                let s = b.noise(&[c], 1.0, 0.5);
                b.op("Mul", &[y, s])
            }
            1 | 2 => {
                let out = b.width();
                let w = b.weight(&[c, out], c);
                let y = b.op("MatMul", &[y, w]);
                let t = b.noise(&[out], 0.0, 0.5);
                b.op("Add", &[y, t])
            }
            3 if b.rng.chance(30) => b.layer_norm(y),
            _ => b.act(y),
        };
    }
    Some(b.transpose(y, &[0, 3, 1, 2]))
}

/// Something summed over the channels that then meets them all.
fn across_channels(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let op = b.rng.pick(&[
        "ReduceSum",
        "ReduceSum",
        "ReduceSumSquare",
        "ReduceL1",
        "ReduceL2",
        "ReduceMean",
        "ReduceMax",
    ]);
    let s = b.reduce(op, x, &[1], true);
    let small = b.scalar(0.2);
    let s = b.op("Mul", &[s, small]);
    match b.rng.below(4) {
        0 => Some(b.conv_with(s, Conv::to(5))),
        1 => Some(b.op("Add", &[x, s])),
        2 => {
            // Spatial attention.
            let gate = b.conv_with(s, Conv { kernel: 3, ..Conv::to(1) });
            let gate = b.op("Sigmoid", &[gate]);
            Some(b.op("Mul", &[x, gate]))
        }
        _ => {
            // The sum as one more channel.
            Some(b.concat(&[x, s], 1))
        }
    }
}

fn tile(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    if d[1] > 8 {
        return None;
    }
    if b.rng.chance(50) {
        let k = b.ints(&[1, 2, 1, 1]);
        return Some(b.op("Tile", &[x, k]));
    }
    let s = b.op("GlobalAveragePool", &[x]);
    let k = b.ints(&[1, 1, d[2] as i64, d[3] as i64]);
    let s = b.op("Expand", &[s, k]);
    Some(b.concat(&[x, s], 1))
}

fn einsum(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    if b.opset < 12 {
        return None;
    }
    let (c, out) = (b.channels(x), b.width());
    let w = b.weight(&[out, c], c);
    Some(match b.rng.below(2) {
        0 => b.node("Einsum", &[x, w], &[("equation", A::S("nchw,oc->nohw"))]),
        _ => b.node("Einsum", &[w, x], &[("equation", A::S("oc,nchw->nohw"))]),
    })
}

/// Places attend to each other, channels first.
fn attention(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let (heads, each, places) = (b.rng.pick(&[1, 2, 3]), b.rng.range(2, 4), (d[2] * d[3]) as i64);
    if places > 25 {
        return None;
    }
    let n = d[0] as i64;
    let shape = [n, heads as i64, each as i64, places];
    let parts: Vec<ValueId> = if b.rng.chance(50) {
        let all = b.conv_with(x, Conv::to(3 * heads * each));
        match b.rng.below(2) {
            0 => b.split(all, &[heads * each; 3], 1),
            _ => {
                let y = b.reshape(all, &[n, heads as i64, 3 * each as i64, places]);
                b.split(y, &[each; 3], 2)
            }
        }
    } else {
        (0..3).map(|_| b.conv_with(x, Conv::to(heads * each))).collect()
    };
    let parts: Vec<ValueId> = parts.into_iter().map(|p| b.reshape(p, &shape)).collect();
    let q = b.transpose(parts[0], &[0, 1, 3, 2]);
    let scale = b.scalar(0.6);
    let q = b.op("Mul", &[q, scale]);
    let a = b.op("MatMul", &[q, parts[1]]);
    let a = b.node("Softmax", &[a], &[("axis", A::I(-1))]);
    let y = if b.rng.chance(50) {
        let a = b.transpose(a, &[0, 1, 3, 2]);
        b.op("MatMul", &[parts[2], a])
    } else {
        let v = b.transpose(parts[2], &[0, 1, 3, 2]);
        let y = b.op("MatMul", &[a, v]);
        b.transpose(y, &[0, 1, 3, 2])
    };
    let y = b.reshape(y, &[n, (heads * each) as i64, d[2] as i64, d[3] as i64]);
    let y = b.conv_with(y, Conv::to(d[1]));
    Some(b.op("Add", &[x, y]))
}

/// A factor of the channels with weights of its own.
fn grouped_view(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let g = b.rng.pick(&[2, 3, 4]);
    if !d[1].is_multiple_of(g) || d[1] == g {
        return None;
    }
    let per = d[1] / g;
    let (n, h, w) = (d[0] as i64, d[2] as i64, d[3] as i64);
    let y = b.reshape(x, &[n, g as i64, per as i64, h, w]);
    let dims = if b.rng.chance(50) { [g, 1, 1, 1] } else { [1, per, 1, 1] };
    let s = b.noise(&dims, 1.0, 0.5);
    let y = b.op("Mul", &[y, s]);
    let y = b.act(y);
    Some(b.reshape(y, &[n, d[1] as i64, h, w]))
}

/// A factor of the channels is summed away.
fn grouped_sum(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let g = b.rng.pick(&[2, 3, 4]);
    if !d[1].is_multiple_of(g) || d[1] / g < 2 || g < 2 {
        return None;
    }
    let y = b.reshape(x, &[d[0] as i64, g as i64, (d[1] / g) as i64, d[2] as i64, d[3] as i64]);
    let y = if b.rng.chance(40) {
        // Selective kernels: the branches compete.
        let s = b.node("Softmax", &[y], &[("axis", A::I(1))]);
        b.op("Mul", &[y, s])
    } else {
        y
    };
    let axis = b.rng.range(1, 2) as i64;
    Some(b.reduce("ReduceSum", y, &[axis], false))
}

/// All places in one axis, mixed there, and back.
fn flat_view(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let places = d[2] * d[3];
    if places > 25 {
        return None;
    }
    let y = b.reshape(x, &[d[0] as i64, d[1] as i64, -1]);
    let y = match b.rng.below(3) {
        0 => {
            let w = b.weight(&[places, places], places);
            b.op("MatMul", &[y, w])
        }
        1 => b.act(y),
        _ => {
            // Weighted by the channels: [N,C,P] with [O,C] gives [N,O,P].
            let out = b.rng.range(3, 8);
            let w = b.weight(&[out, d[1]], d[1]);
            b.op("MatMul", &[w, y])
        }
    };
    let c = b.dims(y)[1] as i64;
    Some(b.reshape(y, &[d[0] as i64, c, d[2] as i64, d[3] as i64]))
}

/// Channels and rows change places.
fn transposed_view(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let y = b.transpose(x, &[0, 2, 1, 3]);
    let s = b.noise(&[1, 1, d[1], 1], 1.0, 0.4);
    let y = b.op("Mul", &[y, s]);
    let y = b.act(y);
    Some(b.transpose(y, &[0, 2, 1, 3]))
}

fn multi_scale(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    if b.is_small(x) || !d[2].is_multiple_of(2) || !d[3].is_multiple_of(2) {
        return None;
    }
    let width = b.width();
    let y = b.conv_with(x, Conv { kernel: 3, stride: 2, ..Conv::to(width) });
    let y = b.act(y);
    let y = resize(b, y)?;
    Some(b.concat(&[x, y], 1)).filter(|&y| b.channels(y) <= 28)
}

fn siamese(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let c = b.channels(x);
    let width = b.rng.range(3, 8);
    let other = b.conv(x, c);
    let other = b.act(other);
    let w = b.noise(&[width, c, 1, 1], 0.0, (3.0 / c as f32).sqrt());
    let bias = b.noise(&[width], 0.0, 0.5);
    let (p, q) = (b.op("Conv", &[x, w, bias]), b.op("Conv", &[other, w, bias]));
    let (p, q) = (b.op("Relu", &[p]), b.op("Relu", &[q]));
    Some(match b.rng.below(3) {
        0 => b.op("Sub", &[p, q]),
        1 => b.concat(&[p, q], 1),
        _ => b.op("Mul", &[p, q]),
    })
}

fn two_ways(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let width = b.width();
    let (p, q) = (b.conv(x, width), b.conv(x, width));
    let (p, q) = (b.act(p), b.act(q));
    let op = b.rng.pick(&["Add", "Mul", "Max", "Sub", "Min"]);
    Some(b.op(op, &[p, q]))
}
