//! Blocks of sequences, `[N,T,D]` to `[N,T,D]`, and of vectors, `[N,F]` to `[N,F]`.

use secateur_ir::ValueId;

use crate::build::{A, Builder};

impl Builder {
    /// A matrix product with the last axis, in one of its many spellings.
    pub fn linear(&mut self, x: ValueId, out: usize) -> ValueId {
        let rank = self.rank(x);
        let Some(&d) = self.dims(x).last() else { return x };
        let y = match self.rng.below(4) {
            0 | 1 if rank == 2 => {
                let across = self.rng.chance(50);
                let dims = if across { [out, d] } else { [d, out] };
                let w = self.weight(&dims, d);
                let mut inputs = vec![x, w];
                if self.rng.chance(70) {
                    inputs.push(self.noise(&[out], 0.0, 0.4));
                }
                let mut attrs = vec![("transB", A::I(i64::from(across)))];
                if self.rng.chance(20) {
                    attrs.push(("alpha", A::F(0.8)));
                }
                return self.node("Gemm", &inputs, &attrs);
            }
            2 if rank == 3 && self.opset >= 12 => {
                let w = self.weight(&[out, d], d);
                self.node("Einsum", &[x, w], &[("equation", A::S("ntd,ed->nte"))])
            }
            _ => {
                let w = self.weight(&[d, out], d);
                self.op("MatMul", &[x, w])
            }
        };
        if self.rng.chance(30) {
            return y;
        }
        let t = self.noise(&[out], 0.0, 0.4);
        self.op("Add", &[y, t])
    }

    /// Over the last axis: removal from it is not exact.
    pub fn layer_norm(&mut self, x: ValueId) -> ValueId {
        let Some(&d) = self.dims(x).last() else { return x };
        let (s, t) = (self.noise(&[d], 1.0, 0.3), self.noise(&[d], 0.0, 0.3));
        if self.opset >= 17 && self.rng.chance(50) {
            return self.node(
                "LayerNormalization",
                &[x, s, t],
                &[("axis", A::I(-1)), ("epsilon", A::F(1e-2))],
            );
        }
        let mean = self.reduce("ReduceMean", x, &[-1], true);
        let y = self.op("Sub", &[x, mean]);
        let two = self.scalar(2.0);
        let v = self.op("Pow", &[y, two]);
        let v = self.reduce("ReduceMean", v, &[-1], true);
        let eps = self.scalar(1e-2);
        let v = self.op("Add", &[v, eps]);
        let v = self.op("Sqrt", &[v]);
        let y = self.op("Div", &[y, v]);
        let y = self.op("Mul", &[y, s]);
        self.op("Add", &[y, t])
    }
}

type Block = fn(&mut Builder, ValueId) -> Option<ValueId>;

/// Blocks of sequences.
pub const SEQUENCE: &[(&str, Block)] = &[
    ("seq_linear", linear),
    ("seq_linear", linear),
    ("seq_act", |b, x| Some(b.act(x))),
    ("seq_mlp", mlp),
    ("seq_mlp", mlp),
    ("seq_norm", |b, x| if b.rng.chance(40) { Some(b.layer_norm(x)) } else { None }),
    ("seq_glu", glu),
    ("seq_concat", concat),
    ("seq_slice", slice),
    ("seq_pad", pad),
    ("seq_conv1d", conv1d),
    ("seq_mix", mix),
    ("seq_sum", sum),
    ("seq_rotary", rotary),
    ("seq_batch_mul", batch_mul),
    ("seq_constant", constant),
    ("recurrent", crate::attend::recurrent),
    ("recurrent", crate::attend::recurrent),
    ("attention_heads", crate::attend::heads),
    ("attention_heads", crate::attend::heads),
    ("attention_heads", crate::attend::heads),
    ("attention_einsum", crate::attend::einsum),
];

/// Blocks of vectors.
pub const VECTOR: &[(&str, Block)] = &[
    ("vec_linear", linear),
    ("vec_linear", linear),
    ("vec_act", |b, x| Some(b.act(x))),
    ("vec_norm", |b, x| Some(b.batch_norm(x))),
    ("vec_mlp", mlp),
    ("vec_glu", glu),
    ("vec_concat", concat),
    ("vec_slice", slice),
    ("vec_pad", pad),
    ("vec_sum", sum),
    ("vec_constant", constant),
    ("vec_gemm", gemm),
];

fn linear(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let width = b.width();
    let y = b.linear(x, width);
    Some(if b.rng.chance(60) { b.act(y) } else { y })
}

fn mlp(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let (c, width) = (b.channels(x), b.width());
    let y = if b.rng.chance(15) { b.layer_norm(x) } else { x };
    let y = b.linear(y, width);
    let y = b.act(y);
    let y = b.linear(y, c);
    Some(b.op("Add", &[x, y]))
}

fn glu(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let (width, axis) = (b.width(), b.channel_axis(x));
    let y = b.linear(x, 2 * width);
    let parts = if b.rng.chance(50) {
        b.split(y, &[width, width], axis)
    } else {
        vec![b.slice(y, 0, width as i64, axis, 1), b.slice(y, width as i64, i64::MAX, axis, 1)]
    };
    let gate = b.act(parts[1]);
    Some(b.op("Mul", &[parts[0], gate]))
}

fn concat(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let (width, axis) = (b.rng.range(2, 8), b.channel_axis(x));
    let y = b.linear(x, width);
    let y = b.act(y);
    let parts = match b.rng.below(4) {
        0 => vec![x, y],
        1 => vec![y, x],
        2 => vec![y, y],
        _ => {
            let z = b.linear(x, 3);
            vec![z, y]
        }
    };
    Some(b.concat(&parts, axis)).filter(|&y| b.channels(y) <= 28)
}

fn slice(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let (c, axis) = (b.channels(x), b.channel_axis(x));
    if c < 6 {
        return None;
    }
    if b.rng.chance(30) {
        let mut index = b.rng.permutation(c);
        index.truncate(c - 1);
        return Some(b.gather(x, &index, axis));
    }
    let start = b.rng.range(0, 2) as i64;
    Some(b.slice(x, start, -1, axis, 1))
}

fn pad(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let (rank, axis) = (b.rank(x), b.channel_axis(x));
    let mut pads = vec![0; 2 * rank];
    pads[axis] = b.rng.range(0, 3) as i64;
    pads[rank + axis] = b.rng.range(1, 2) as i64;
    let k = b.ints(&pads);
    Some(b.op("Pad", &[x, k]))
}

fn conv1d(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let (c, width) = (b.channels(x), b.width());
    let y = b.transpose(x, &[0, 2, 1]);
    let groups = if b.rng.chance(40) { c } else { 1 };
    let out = if groups > 1 { c } else { width };
    let w = b.weight(&[out, c / groups, 3], 3 * c / groups);
    let t = b.noise(&[out], 0.0, 0.4);
    let y = b.node("Conv", &[y, w, t], &[("pads", A::Is(&[1, 1])), ("group", A::I(groups as i64))]);
    let y = b.act(y);
    Some(b.transpose(y, &[0, 2, 1]))
}

/// Steps are mixed, not features.
fn mix(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let (steps, hidden) = (b.dims(x)[1], b.rng.range(2, 6));
    let y = b.transpose(x, &[0, 2, 1]);
    let (v, w) = (b.weight(&[steps, hidden], steps), b.weight(&[hidden, steps], hidden));
    let y = b.op("MatMul", &[y, v]);
    let y = b.act(y);
    let y = b.op("MatMul", &[y, w]);
    let y = b.transpose(y, &[0, 2, 1]);
    Some(b.op("Add", &[x, y]))
}

fn sum(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let op = b.rng.pick(&["ReduceSum", "ReduceL2", "ReduceMean", "ReduceSumSquare"]);
    let s = b.reduce(op, x, &[-1], true);
    let one = b.scalar(1.0);
    let s = b.op("Abs", &[s]);
    let s = b.op("Add", &[s, one]);
    Some(b.op("Div", &[x, s]))
}

/// Halves change places, one with its sign turned.
fn rotary(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    if !d[2].is_multiple_of(2) {
        return None;
    }
    let half = d[2] / 2;
    let parts = b.split(x, &[half, half], 2);
    let minus = b.op("Neg", &[parts[1]]);
    let turned = b.concat(&[minus, parts[0]], 2);
    let (p, q) = (b.noise(&[1, d[1], d[2]], 0.0, 1.0), b.noise(&[1, d[1], d[2]], 0.0, 1.0));
    let (p, q) = (b.op("Mul", &[x, p]), b.op("Mul", &[turned, q]));
    Some(b.op("Add", &[p, q]))
}

/// The same number of steps and features by a product of two values.
fn batch_mul(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let (m, n) = (b.rng.range(3, 6), b.rng.range(3, 6));
    let (p, q) = (b.linear(x, m), b.linear(x, n));
    let p = b.transpose(p, &[0, 2, 1]);
    // [N,m,T] times [N,T,n]: features against features, summed over the steps.
    let y = b.op("MatMul", &[p, q]);
    let y = b.op("Tanh", &[y]);
    let z = b.linear(x, m);
    Some(b.op("MatMul", &[z, y]))
}

fn constant(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let last = *d.last()?;
    let dims = match b.rng.below(3) {
        0 => vec![last],
        1 if d.len() == 3 => vec![1, d[1], last],
        1 => vec![1, last],
        _ => vec![],
    };
    let op = b.rng.pick(&["Add", "Mul", "Sub", "Max"]);
    let c = b.noise(&dims, 0.5, 0.7);
    Some(if b.rng.chance(60) { b.op(op, &[x, c]) } else { b.op(op, &[c, x]) })
}

/// Gemm that adds a value, or reads its data sideways.
fn gemm(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let (c, width) = (b.channels(x), b.width());
    if b.rng.chance(50) {
        let side = b.transpose(x, &[1, 0]);
        let w = b.weight(&[c, width], c);
        return Some(b.node("Gemm", &[side, w], &[("transA", A::I(1))]));
    }
    let other = b.linear(x, width);
    let w = b.weight(&[width, c], c);
    let attrs = [("transB", A::I(1)), ("beta", A::F(0.5))];
    Some(b.node("Gemm", &[x, w, other], &attrs))
}
