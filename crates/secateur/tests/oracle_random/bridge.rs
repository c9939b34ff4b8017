//! From images to sequences to vectors and back, and the ends of the graph.

use secateur_ir::ValueId;

use crate::build::{A, Builder};
use crate::image::Conv;

type Block = fn(&mut Builder, ValueId) -> Option<ValueId>;

/// By rank of the value that they start from.
pub const FROM_IMAGE: &[(&str, Block)] =
    &[("image_pooled", pooled), ("image_pooled", pooled), ("image_flat", flat), ("image_steps", steps)];
/// From sequences.
pub const FROM_SEQUENCE: &[(&str, Block)] =
    &[("seq_pooled", seq_pooled), ("seq_first", first), ("seq_flat", seq_flat), ("seq_image", image)];
/// From vectors.
pub const FROM_VECTOR: &[(&str, Block)] =
    &[("vec_image", vec_image), ("vec_steps", vec_steps), ("vec_places", vec_places)];

fn pooled(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    Some(match b.rng.below(5) {
        0 => {
            let y = b.op("GlobalAveragePool", &[x]);
            b.node("Flatten", &[y], &[])
        }
        1 => {
            let y = b.op("GlobalMaxPool", &[x]);
            b.squeeze(y, &[2, 3])
        }
        2 => {
            let op = b.rng.pick(&["ReduceMean", "ReduceSum", "ReduceMax"]);
            b.reduce(op, x, &[2, 3], false)
        }
        3 => {
            let y = b.op("GlobalAveragePool", &[x]);
            b.reshape(y, &[d[0] as i64, -1])
        }
        _ => {
            let y = b.reduce("ReduceMean", x, &[-1], false);
            b.reduce("ReduceMean", y, &[2], false)
        }
    })
}

/// Every channel becomes as many features as there are places.
fn flat(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    if d[1] * d[2] * d[3] > 400 {
        return None;
    }
    let y = match b.rng.below(3) {
        0 => b.node("Flatten", &[x], &[("axis", A::I(1))]),
        1 => b.reshape(x, &[d[0] as i64, -1]),
        _ => {
            let y = b.transpose(x, &[0, 2, 3, 1]);
            b.reshape(y, &[d[0] as i64, (d[1] * d[2] * d[3]) as i64])
        }
    };
    let width = b.width();
    Some(b.linear(y, width))
}

fn steps(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    if d[2] * d[3] > 36 {
        return None;
    }
    let y = b.reshape(x, &[d[0] as i64, d[1] as i64, -1]);
    let y = b.transpose(y, &[0, 2, 1]);
    if b.rng.chance(50) {
        return Some(y);
    }
    let t = b.noise(&[1, d[2] * d[3], d[1]], 0.0, 0.5);
    Some(b.op("Add", &[y, t]))
}

fn seq_pooled(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let op = b.rng.pick(&["ReduceMean", "ReduceSum", "ReduceMax"]);
    Some(b.reduce(op, x, &[1], false))
}

fn first(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    if b.rng.chance(50) {
        let k = b.g.add_init("i", secateur_ir::Tensor::i64(&[], &[0]));
        return Some(b.node("Gather", &[x, k], &[("axis", A::I(1))]));
    }
    let y = b.slice(x, -1, i64::MAX, 1, 1);
    Some(b.squeeze(y, &[1]))
}

fn seq_flat(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    if d[1] * d[2] > 300 {
        return None;
    }
    let y = if b.rng.chance(50) { b.node("Flatten", &[x], &[]) } else { b.reshape(x, &[d[0] as i64, -1]) };
    let width = b.width();
    Some(b.linear(y, width))
}

fn image(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let side = (2..=6).find(|s| s * s == d[1])?;
    let y = b.transpose(x, &[0, 2, 1]);
    Some(b.reshape(y, &[d[0] as i64, d[2] as i64, side as i64, side as i64]))
}

fn vec_image(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let y = b.unsqueeze(x, &[2, 3]);
    let k = b.ints(&[1, 1, 4, 4]);
    Some(b.op("Expand", &[y, k]))
}

fn vec_steps(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let (n, t, width) = (b.dims(x)[0], b.rng.range(2, 4), b.rng.range(3, 6));
    let y = b.linear(x, t * width);
    Some(b.reshape(y, &[n as i64, t as i64, width as i64]))
}

fn vec_places(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let (n, c) = (b.dims(x)[0], b.rng.range(3, 6));
    let y = b.linear(x, c * 9);
    Some(b.reshape(y, &[n as i64, c as i64, 3, 3]))
}

/// What a value ends in.
pub fn head(b: &mut Builder, x: ValueId) -> ValueId {
    let out = b.rng.range(2, 5);
    match b.rank(x) {
        4 if b.rng.chance(50) => b.conv_with(x, Conv::to(out)),
        4 => {
            let y = pooled(b, x).unwrap_or(x);
            b.linear(y, out)
        }
        _ => {
            let y = b.linear(x, out);
            if b.rng.chance(20) { b.node("Softmax", &[y], &[("axis", A::I(-1))]) } else { y }
        }
    }
}
