//! Blocks of images, `[N,C,H,W]` to `[N,C,H,W]`.

use secateur_ir::ValueId;

use crate::build::{A, Builder};

/// Settings of a convolution.
#[derive(Clone, Copy)]
pub struct Conv {
    pub out: usize,
    pub kernel: usize,
    pub stride: usize,
    pub groups: usize,
    pub bias: bool,
}

impl Conv {
    pub fn to(out: usize) -> Self {
        Self { out, kernel: 1, stride: 1, groups: 1, bias: true }
    }
}

impl Builder {
    pub fn conv_with(&mut self, x: ValueId, c: Conv) -> ValueId {
        let input = self.channels(x);
        let dil = if c.kernel == 3 && self.rng.chance(15) { 2 } else { 1 };
        let per = input / c.groups;
        let w = self.weight(&[c.out, per, c.kernel, c.kernel], per * c.kernel * c.kernel);
        let mut inputs = vec![x, w];
        if c.bias {
            inputs.push(self.noise(&[c.out], 0.1, 0.4));
        }
        let (k, s, d) = (c.kernel as i64, c.stride as i64, dil as i64);
        let p = d * (k - 1) / 2;
        let pads = [p; 4];
        let (strides, dilations, kernel) = ([s, s], [d, d], [k, k]);
        let mut attrs = vec![("strides", A::Is(&strides)), ("pads", A::Is(&pads))];
        if self.rng.chance(50) {
            attrs.push(("kernel_shape", A::Is(&kernel)));
        }
        if d > 1 {
            attrs.push(("dilations", A::Is(&dilations)));
        }
        if c.groups > 1 || self.rng.chance(30) {
            attrs.push(("group", A::I(c.groups as i64)));
        }
        self.node("Conv", &inputs, &attrs)
    }

    /// A dense convolution that keeps the places, with any kernel.
    pub fn conv(&mut self, x: ValueId, out: usize) -> ValueId {
        let (kernel, bias) = (self.rng.pick(&[1, 1, 3]), self.rng.chance(70));
        self.conv_with(x, Conv { kernel, bias, ..Conv::to(out) })
    }

    pub fn depthwise(&mut self, x: ValueId, times: usize) -> ValueId {
        let (c, bias) = (self.channels(x), self.rng.chance(60));
        self.conv_with(x, Conv { out: c * times, kernel: 3, stride: 1, groups: c, bias })
    }

    pub fn batch_norm(&mut self, x: ValueId) -> ValueId {
        let c = [self.channels(x)];
        let args = [
            self.noise(&c, 1.0, 0.4),
            self.noise(&c, 0.0, 0.5),
            self.noise(&c, 0.0, 0.3),
            self.noise(&c, 1.0, 0.5),
        ];
        self.node("BatchNormalization", &[x, args[0], args[1], args[2], args[3]], &[("epsilon", A::F(1e-3))])
    }

    /// A number of channels.
    pub fn width(&mut self) -> usize {
        self.rng.pick(&[4, 4, 6, 8, 8, 8, 9, 12, 12, 16])
    }

    pub fn is_small(&self, x: ValueId) -> bool {
        let d = self.dims(x);
        d[2] * d[3] <= 16
    }
}

type Block = fn(&mut Builder, ValueId) -> Option<ValueId>;

/// Name and block; `None` where the block cannot be applied.
pub const BLOCKS: &[(&str, Block)] = &[
    ("conv", conv),
    ("conv", conv),
    ("conv_strided", conv_strided),
    ("conv_grouped", conv_grouped),
    ("conv_grouped", conv_grouped),
    ("depthwise", depthwise),
    ("batch_norm", |b, x| Some(b.batch_norm(x))),
    ("act", |b, x| Some(b.act(x))),
    ("residual", residual),
    ("residual", residual),
    ("mobile", mobile),
    ("dense", dense),
    ("dense", dense),
    ("split", split),
    ("glu", glu),
    ("slice", slice),
    ("gather", gather),
    ("shuffle", shuffle),
    ("shuffle", shuffle),
    ("shuffle_unit", shuffle_unit),
    ("option_a", option_a),
    ("squeeze_excite", squeeze_excite),
    ("pool", pool),
    ("constant", constant),
    ("prelu", prelu),
    ("where", select),
];

fn conv(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let width = b.width();
    let y = b.conv(x, width);
    let y = if b.rng.chance(50) { b.batch_norm(y) } else { y };
    Some(if b.rng.chance(70) { b.act(y) } else { y })
}

fn conv_strided(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    if b.is_small(x) {
        return None;
    }
    let (out, bias) = (b.width(), b.rng.chance(50));
    let y = b.conv_with(x, Conv { kernel: 3, stride: 2, bias, ..Conv::to(out) });
    Some(b.act(y))
}

fn conv_grouped(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let c = b.channels(x);
    let groups = b.rng.pick(&[2, 3, 4]);
    if !c.is_multiple_of(groups) {
        return None;
    }
    let (per, kernel, bias) = (b.rng.range(1, 4), b.rng.pick(&[1, 3]), b.rng.chance(60));
    Some(b.conv_with(x, Conv { out: groups * per, kernel, stride: 1, groups, bias }))
}

fn depthwise(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    if b.channels(x) > 12 {
        return None;
    }
    let times = b.rng.pick(&[1, 1, 2]);
    Some(b.depthwise(x, times))
}

fn residual(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let c = b.channels(x);
    let width = b.width();
    let y = b.conv(x, width);
    let y = b.act(y);
    let y = b.conv(y, c);
    let y = if b.rng.chance(40) { b.batch_norm(y) } else { y };
    let both = if b.rng.chance(50) { [x, y] } else { [y, x] };
    let z = b.op("Add", &both);
    Some(if b.rng.chance(60) { b.act(z) } else { z })
}

fn mobile(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let c = b.channels(x);
    if c > 8 {
        return None;
    }
    let y = b.conv_with(x, Conv::to(2 * c));
    let y = b.act(y);
    let y = b.depthwise(y, 1);
    let y = b.act(y);
    let y = b.conv_with(y, Conv::to(c));
    Some(b.op("Add", &[x, y]))
}

fn dense(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let (m, n) = (b.rng.range(2, 6), b.rng.range(2, 6));
    let mut parts = vec![b.conv(x, m)];
    if b.rng.chance(60) {
        let y = b.conv(x, n);
        parts.push(b.act(y));
    }
    if b.rng.chance(50) {
        parts.push(x);
    }
    if b.rng.chance(25) {
        let again = b.rng.pick(&parts);
        parts.push(again);
    }
    let order = b.rng.permutation(parts.len());
    let parts: Vec<ValueId> = order.iter().map(|&i| parts[i]).collect();
    if parts.iter().map(|&p| b.channels(p)).sum::<usize>() > 28 {
        return None;
    }
    Some(b.concat(&parts, 1))
}

fn split(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let c = b.channels(x);
    if c < 6 {
        return None;
    }
    let first = b.rng.range(2, c - 3);
    let sizes = if b.rng.chance(50) && c.is_multiple_of(3) { vec![c / 3; 3] } else { vec![first, c - first] };
    let mut parts = b.split(x, &sizes, 1);
    for p in &mut parts {
        if b.rng.chance(50) {
            *p = b.act(*p);
        }
    }
    let order = b.rng.permutation(parts.len());
    let mut parts: Vec<ValueId> = order.iter().map(|&i| parts[i]).collect();
    if b.rng.chance(30) {
        parts.pop();
    }
    Some(if parts.len() == 1 { parts[0] } else { b.concat(&parts, 1) })
}

fn glu(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let width = b.width();
    let y = b.conv(x, 2 * width);
    let parts = b.split(y, &[width, width], 1);
    let gate = b.op("Sigmoid", &[parts[1]]);
    Some(b.op("Mul", &[parts[0], gate]))
}

fn slice(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let c = b.channels(x) as i64;
    if c < 6 {
        return None;
    }
    let start = b.rng.range(0, 2) as i64;
    Some(match b.rng.below(4) {
        0 => b.slice(x, start, c - 1, 1, 1),
        1 => b.slice(x, start, i64::MAX, 1, 2),
        2 => b.slice(x, -(c - 1), -1, 1, 1),
        _ => b.slice(x, c - 1, i64::MIN, 1, -1),
    })
}

fn gather(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let c = b.channels(x);
    let mut index = b.rng.permutation(c);
    match b.rng.below(3) {
        0 => index.truncate((c / 2).max(2)),
        1 => index.push(b.rng.below(c)),
        _ => {}
    }
    Some(b.gather(x, &index, 1))
}

fn shuffle(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let g = b.rng.pick(&[2, 3, 4]);
    if !d[1].is_multiple_of(g) || d[1] == g {
        return None;
    }
    let [c, h, w] = [d[1] as i64, d[2] as i64, d[3] as i64];
    let first = if b.rng.chance(50) { -1 } else { d[0] as i64 };
    let y = b.reshape(x, &[first, g as i64, c / g as i64, h, w]);
    let y = b.transpose(y, &[0, 2, 1, 3, 4]);
    Some(b.reshape(y, &[d[0] as i64, -1, h, w]))
}

fn shuffle_unit(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let c = b.channels(x);
    if !c.is_multiple_of(2) {
        return None;
    }
    let parts = b.split(x, &[c / 2, c / 2], 1);
    let y = b.conv(parts[1], c / 2);
    let y = b.depthwise(y, 1);
    let y = b.act(y);
    let y = b.concat(&[parts[0], y], 1);
    shuffle(b, y)
}

/// A shortcut without weights: fewer places, zero channels around.
fn option_a(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    if b.is_small(x) || d[1] > 12 {
        return None;
    }
    let (before, after) = (b.rng.below(4), b.rng.range(1, 4));
    let axes = if b.rng.chance(50) { [2, 3] } else { [-2, -1] };
    let args = [vec![0, 0], vec![i64::MAX; 2], axes.to_vec(), vec![2, 2]].map(|k| b.ints(&k));
    let short = b.op("Slice", &[x, args[0], args[1], args[2], args[3]]);
    let pads = b.ints(&[0, before as i64, 0, 0, 0, after as i64, 0, 0]);
    let short = if b.rng.chance(30) {
        let fill = b.scalar(0.3);
        b.op("Pad", &[short, pads, fill])
    } else {
        b.op("Pad", &[short, pads])
    };
    let out = d[1] + before + after;
    let y = b.conv_with(x, Conv { kernel: 3, stride: 2, ..Conv::to(out) });
    let y = b.act(y);
    Some(b.op("Add", &[short, y]))
}

fn squeeze_excite(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let (c, hidden) = (d[1], b.rng.range(2, 6));
    let s = match b.rng.below(2) {
        0 => b.op("GlobalAveragePool", &[x]),
        _ => b.reduce("ReduceMean", x, &[2, 3], true),
    };
    let gate = if b.rng.chance(50) {
        let y = b.conv_with(s, Conv::to(hidden));
        let y = b.op("Relu", &[y]);
        b.conv_with(y, Conv::to(c))
    } else {
        let y = if b.rng.chance(50) {
            b.node("Flatten", &[s], &[("axis", A::I(1))])
        } else {
            b.reshape(s, &[d[0] as i64, c as i64])
        };
        let y = b.linear(y, hidden);
        let y = b.op("Relu", &[y]);
        let y = b.linear(y, c);
        if b.rng.chance(50) { b.unsqueeze(y, &[2, 3]) } else { b.reshape(y, &[d[0] as i64, c as i64, 1, 1]) }
    };
    let gate = match b.rng.below(2) {
        0 => b.op("Sigmoid", &[gate]),
        _ => b.op("HardSigmoid", &[gate]),
    };
    Some(b.op("Mul", &[x, gate]))
}

fn pool(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    if b.is_small(x) {
        return None;
    }
    let s = b.rng.pick(&[1, 2]);
    let attrs = |p: &'static [i64], s: &'static [i64]| {
        vec![("kernel_shape", A::Is(&[3, 3])), ("pads", A::Is(p)), ("strides", A::Is(s))]
    };
    let mut attrs = attrs(&[1, 1, 1, 1], if s == 1 { &[1, 1] } else { &[2, 2] });
    if b.rng.chance(50) {
        return Some(b.node("MaxPool", &[x], &attrs));
    }
    attrs.push(("count_include_pad", A::I(1)));
    Some(b.node("AveragePool", &[x], &attrs))
}

fn constant(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let dims = match b.rng.below(6) {
        0 => vec![1, d[1], 1, 1],
        1 => vec![d[1], 1, 1],
        2 => vec![],
        3 => vec![1, 1, d[2], d[3]],
        4 => vec![1, d[1], d[2], d[3]],
        _ => vec![1],
    };
    let op = b.rng.pick(&["Add", "Mul", "Sub", "Max", "Min", "Div"]);
    let center = if op == "Div" { 2.0 } else { 0.5 };
    let c = b.noise(&dims, center, 0.5);
    Some(if b.rng.chance(70) || op == "Div" { b.op(op, &[x, c]) } else { b.op(op, &[c, x]) })
}

fn prelu(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let slope = b.noise(&[b.channels(x), 1, 1], 0.2, 0.3);
    Some(b.op("PRelu", &[x, slope]))
}

/// Where with a constant mask, between two values or a value and a constant.
fn select(b: &mut Builder, x: ValueId) -> Option<ValueId> {
    let d = b.dims(x);
    let dims = if b.rng.chance(60) { vec![1, d[1], 1, 1] } else { vec![1, 1, d[2], d[3]] };
    let n: usize = dims.iter().product();
    let bytes: Vec<u8> = (0..n).map(|_| u8::from(b.rng.chance(60))).collect();
    let mask = secateur_ir::Tensor::from_bytes(secateur_ir::ElemType::Bool, dims, bytes);
    let mask = b.g.add_init("m", mask);
    let other = match b.rng.below(3) {
        0 => b.scalar(0.3),
        1 => b.noise(&[1, d[1], 1, 1], 0.0, 1.0),
        _ => b.conv(x, d[1]),
    };
    let both = if b.rng.chance(50) { [mask, x, other] } else { [mask, other, x] };
    Some(b.op("Where", &both))
}
