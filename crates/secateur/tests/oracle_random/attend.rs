//! Attention in its spellings, and recurrent cells.

use secateur_ir::ValueId;

use crate::build::{A, Builder};

/// Query, key and value as `[N, heads, T, d]`, whichever way they come about.
fn query_key_value(b: &mut Builder, x: ValueId, heads: usize, each: usize) -> [ValueId; 3] {
    let d = b.dims(x);
    let (n, t) = (d[0] as i64, d[1] as i64);
    let (h, e) = (heads as i64, each as i64);
    let fan = |b: &mut Builder, y: ValueId, h: i64| {
        let y = b.reshape(y, &[n, t, h, e]);
        b.transpose(y, &[0, 2, 1, 3])
    };
    match b.rng.below(5) {
        0 => {
            let all = b.linear(x, 3 * heads * each);
            let parts = b.split(all, &[heads * each; 3], 2);
            [fan(b, parts[0], h), fan(b, parts[1], h), fan(b, parts[2], h)]
        }
        1 => {
            let all = b.linear(x, 3 * heads * each);
            let y = b.reshape(all, &[n, t, 3, h, e]);
            let y = b.transpose(y, &[2, 0, 3, 1, 4]);
            if b.rng.chance(50) {
                [0, 1, 2].map(|i| {
                    let k = b.g.add_init("i", secateur_ir::Tensor::i64(&[], &[i]));
                    b.node("Gather", &[y, k], &[("axis", A::I(0))])
                })
            } else {
                let parts = b.split(y, &[1, 1, 1], 0);
                [b.squeeze(parts[0], &[0]), b.squeeze(parts[1], &[0]), b.squeeze(parts[2], &[0])]
            }
        }
        2 if heads.is_multiple_of(2) => {
            // Two heads of the query share one of key and value.
            let kv = h / 2;
            let q = b.linear(x, heads * each);
            let q = fan(b, q, h);
            let mut shared = || {
                let y = b.linear(x, heads * each / 2);
                let y = fan(b, y, kv);
                let y = b.unsqueeze(y, &[2]);
                let k = b.ints(&[1, 1, 2, 1, 1]);
                let y = b.op("Expand", &[y, k]);
                b.reshape(y, &[n, h, t, e])
            };
            let (k, v) = (shared(), shared());
            [q, k, v]
        }
        _ => [0; 3].map(|_| {
            let y = b.linear(x, heads * each);
            fan(b, y, h)
        }),
    }
}

pub fn heads(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let (heads, each) = (b.rng.pick(&[1, 2, 3, 4]), b.rng.range(2, 4));
    let source = if b.rng.chance(15) { b.layer_norm(x) } else { x };
    let [q, k, v] = query_key_value(b, source, heads, each);
    let k = b.transpose(k, &[0, 1, 3, 2]);
    let scale = b.scalar(0.6);
    let a = if b.rng.chance(50) {
        let q = b.op("Mul", &[q, scale]);
        b.op("MatMul", &[q, k])
    } else {
        let a = b.op("MatMul", &[q, k]);
        b.op("Mul", &[a, scale])
    };
    let a = match b.rng.below(3) {
        0 => {
            let mask = b.noise(&[1, 1, d[1], d[1]], 0.0, 1.0);
            b.op("Add", &[a, mask])
        }
        1 => {
            // Positions weigh otherwise in each head.
            let mask = b.noise(&[1, heads, d[1], d[1]], 0.0, 1.0);
            b.op("Add", &[a, mask])
        }
        _ => a,
    };
    let a = b.node("Softmax", &[a], &[("axis", A::I(-1))]);
    let y = b.op("MatMul", &[a, v]);
    let y = b.transpose(y, &[0, 2, 1, 3]);
    let last = if b.rng.chance(50) { -1 } else { (heads * each) as i64 };
    let y = b.reshape(y, &[d[0] as i64, d[1] as i64, last]);
    let y = b.linear(y, d[2]);
    Some(b.op("Add", &[x, y]))
}

/// Attention without transposes.
pub fn einsum(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    if b.opset < 12 {
        return None;
    }
    let d = b.dims(x);
    let (heads, each) = (b.rng.range(2, 3), b.rng.range(2, 4));
    let shape = [d[0] as i64, d[1] as i64, heads as i64, each as i64];
    let [q, k, v] = [0; 3].map(|_| {
        if b.rng.chance(50) {
            let w = b.weight(&[d[2], heads, each], d[2]);
            return b.node("Einsum", &[x, w], &[("equation", A::S("ntd,dhe->nthe"))]);
        }
        let y = b.linear(x, heads * each);
        b.reshape(y, &shape)
    });
    let a = b.node("Einsum", &[q, k], &[("equation", A::S("nqhe,nkhe->nhqk"))]);
    let a = b.node("Softmax", &[a], &[("axis", A::I(-1))]);
    let y = b.node("Einsum", &[a, v], &[("equation", A::S("nhqk,nkhe->nqhe"))]);
    let y = if b.rng.chance(50) {
        let w = b.weight(&[heads, each, d[2]], heads * each);
        b.node("Einsum", &[y, w], &[("equation", A::S("nqhe,hed->nqd"))])
    } else {
        let y = b.reshape(y, &[d[0] as i64, d[1] as i64, (heads * each) as i64]);
        b.linear(y, d[2])
    };
    Some(b.op("Add", &[x, y]))
}

/// A recurrent cell over the steps, one way or both.
pub fn recurrent(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let (op, gates) = b.rng.pick(&[("GRU", 3), ("LSTM", 4), ("GRU", 3)]);
    let (ways, hidden) = (b.rng.pick(&[1, 1, 2]), b.rng.range(3, 7));
    let y = b.transpose(x, &[1, 0, 2]);
    let w = b.noise(&[ways, gates * hidden, d[2]], 0.0, 0.6);
    let r = b.noise(&[ways, gates * hidden, hidden], 0.0, 0.6);
    let mut inputs = vec![Some(y), Some(w), Some(r)];
    if b.rng.chance(80) {
        inputs.push(Some(b.noise(&[ways, 2 * gates * hidden], 0.0, 0.4)));
    }
    let way = if ways == 2 { "bidirectional" } else { b.rng.pick(&["forward", "reverse"]) };
    let mut attrs = vec![("hidden_size", A::I(hidden as i64)), ("direction", A::S(way))];
    if op == "GRU" {
        attrs.push(("linear_before_reset", A::I(b.rng.below(2) as i64)));
    }
    let y = b.nodes(op, &inputs, &attrs, 1)[0];
    if ways == 1 {
        let y = b.squeeze(y, &[1]);
        return Some(b.transpose(y, &[1, 0, 2]));
    }
    let y = b.transpose(y, &[2, 0, 1, 3]);
    Some(b.reshape(y, &[d[0] as i64, d[1] as i64, (2 * hidden) as i64]))
}
