//! Adds nodes to a graph whose shapes are known at every step.

use secateur_ir::{Dim, ElemType, Graph, Node, Tensor, TensorType, ValueId};
use secateur_ops::infer;

use crate::rng::Rng;

/// An attribute.
pub enum A<'a> {
    I(i64),
    F(f32),
    Is(&'a [i64]),
    S(&'a str),
}

/// A graph that grows.
pub struct Builder {
    pub g: Graph,
    pub rng: Rng,
    pub opset: i64,
    /// Weights that may be used once more.
    weights: Vec<ValueId>,
}

impl Builder {
    pub fn new(rng: Rng, opset: i64) -> Self {
        let mut g = Graph::default();
        g.name = "random".into();
        g.opsets.push((String::new(), opset));
        Self { g, rng, opset, weights: Vec::new() }
    }

    /// An input; its first axis is the batch.
    pub fn input(&mut self, batch: Option<usize>, rest: &[usize]) -> ValueId {
        let first = batch.map_or_else(|| Dim::symbol("N"), Dim::fixed);
        let shape = std::iter::once(first).chain(rest.iter().map(|&d| Dim::fixed(d))).collect();
        let v = self.g.add_fresh("x", Some(TensorType { elem: ElemType::F32, shape: Some(shape) }));
        self.g.inputs.push(v);
        v
    }

    /// Takes back what was added after there were `nodes` nodes.
    pub fn undo(&mut self, nodes: usize) {
        let gone: Vec<ValueId> =
            self.g.nodes[nodes..].iter().flat_map(|n| &n.outputs).flatten().copied().collect();
        self.weights.retain(|w| !gone.contains(w));
        self.g.nodes.truncate(nodes);
    }

    /// Sizes; 0 for the batch where it is a symbol, as Reshape wants it.
    pub fn dims(&self, v: ValueId) -> Vec<usize> {
        let shape = self.g.shape(v).unwrap_or_else(|| panic!("no shape:\n{}", self.text()));
        shape.iter().map(|d| d.size().unwrap_or(0)).collect()
    }

    pub fn rank(&self, v: ValueId) -> usize {
        self.g.shape(v).map_or(0, <[_]>::len)
    }

    /// The channel axis of the layouts in use: `[N,C,H,W]`, `[N,T,D]`, `[N,F]`.
    pub fn channel_axis(&self, v: ValueId) -> usize {
        if self.rank(v) == 3 { 2 } else { 1 }
    }

    pub fn channels(&self, v: ValueId) -> usize {
        self.dims(v)[self.channel_axis(v)]
    }

    pub fn text(&self) -> String {
        secateur_ir::print::graph(&self.g)
    }

    /// A node with several outputs.
    pub fn nodes(
        &mut self,
        op: &str,
        inputs: &[Option<ValueId>],
        attrs: &[(&str, A)],
        n: usize,
    ) -> Vec<ValueId> {
        let outputs: Vec<ValueId> = (0..n).map(|_| self.g.add_fresh(&op.to_lowercase(), None)).collect();
        let mut node = Node::new("", op, "", inputs.to_vec(), outputs.iter().copied().map(Some).collect());
        for (name, a) in attrs {
            match *a {
                A::I(i) => node.set_int(name, i),
                A::F(f) => node.set_float(name, f),
                A::Is(is) => node.set_ints(name, is.to_vec()),
                A::S(s) => node.set_string(name, s),
            }
        }
        self.g.nodes.push(node);
        infer(&mut self.g).unwrap_or_else(|e| panic!("{e}\n{}", self.text()));
        outputs
    }

    /// A node with one output.
    pub fn node(&mut self, op: &str, inputs: &[ValueId], attrs: &[(&str, A)]) -> ValueId {
        let inputs: Vec<_> = inputs.iter().copied().map(Some).collect();
        self.nodes(op, &inputs, attrs, 1)[0]
    }

    /// A node without attributes.
    pub fn op(&mut self, op: &str, inputs: &[ValueId]) -> ValueId {
        self.node(op, inputs, &[])
    }

    pub fn ints(&mut self, values: &[i64]) -> ValueId {
        self.g.add_init("k", Tensor::vec_i64(values))
    }

    pub fn constant(&mut self, dims: &[usize], values: &[f32]) -> ValueId {
        self.g.add_init("c", Tensor::f32(dims, values))
    }

    pub fn scalar(&mut self, value: f32) -> ValueId {
        self.constant(&[], &[value])
    }

    /// Random numbers around `center`.
    pub fn noise(&mut self, dims: &[usize], center: f32, spread: f32) -> ValueId {
        let n = dims.iter().product();
        let values: Vec<f32> = self.rng.units(n).iter().map(|u| center + spread * u).collect();
        self.constant(dims, &values)
    }

    /// A weight; now and then one that is in use already, or one that is computed from a constant.
    pub fn weight(&mut self, dims: &[usize], fan: usize) -> ValueId {
        let again: Vec<ValueId> = self.weights.iter().copied().filter(|&w| self.dims(w) == dims).collect();
        if !again.is_empty() && self.rng.chance(35) {
            return self.rng.pick(&again);
        }
        let spread = (3.0 / fan.max(1) as f32).sqrt();
        let w = self.noise(dims, 0.0, spread);
        let w = match self.rng.below(24) {
            0 => self.op("Identity", &[w]),
            1 => {
                let mut scale = vec![1; dims.len()];
                scale[0] = dims[0];
                let scale = self.noise(&scale, 1.0, 0.3);
                self.op("Mul", &[w, scale])
            }
            2 if dims.len() == 2 => {
                let w = self.noise(&[dims[1], dims[0]], 0.0, spread);
                self.node("Transpose", &[w], &[("perm", A::Is(&[1, 0]))])
            }
            _ => w,
        };
        self.weights.push(w);
        w
    }

    /// An operator whose axes were an attribute before opset `since`.
    pub fn with_axes(
        &mut self,
        op: &str,
        x: ValueId,
        axes: &[i64],
        since: i64,
        attrs: &[(&str, A)],
    ) -> ValueId {
        if self.opset >= since {
            let axes = self.ints(axes);
            return self.node(op, &[x, axes], attrs);
        }
        let mut all = vec![("axes", A::Is(axes))];
        all.extend(attrs.iter().map(|(n, a)| match *a {
            A::I(i) => (*n, A::I(i)),
            A::F(f) => (*n, A::F(f)),
            A::Is(i) => (*n, A::Is(i)),
            A::S(s) => (*n, A::S(s)),
        }));
        self.node(op, &[x], &all)
    }

    pub fn squeeze(&mut self, x: ValueId, axes: &[i64]) -> ValueId {
        self.with_axes("Squeeze", x, axes, 13, &[])
    }

    pub fn unsqueeze(&mut self, x: ValueId, axes: &[i64]) -> ValueId {
        self.with_axes("Unsqueeze", x, axes, 13, &[])
    }

    pub fn reduce(&mut self, op: &str, x: ValueId, axes: &[i64], keep: bool) -> ValueId {
        let since = if op == "ReduceSum" { 13 } else { 18 };
        self.with_axes(op, x, axes, since, &[("keepdims", A::I(i64::from(keep)))])
    }

    pub fn reshape(&mut self, x: ValueId, shape: &[i64]) -> ValueId {
        let shape = self.ints(shape);
        self.op("Reshape", &[x, shape])
    }

    pub fn transpose(&mut self, x: ValueId, perm: &[i64]) -> ValueId {
        self.node("Transpose", &[x], &[("perm", A::Is(perm))])
    }

    pub fn concat(&mut self, xs: &[ValueId], axis: usize) -> ValueId {
        let axis = if self.rng.chance(20) { axis as i64 - self.rank(xs[0]) as i64 } else { axis as i64 };
        self.node("Concat", xs, &[("axis", A::I(axis))])
    }

    pub fn split(&mut self, x: ValueId, sizes: &[usize], axis: usize) -> Vec<ValueId> {
        let sizes: Vec<i64> = sizes.iter().map(|&s| s as i64).collect();
        let axis = ("axis", A::I(axis as i64));
        if self.opset < 13 {
            return self.nodes("Split", &[Some(x)], &[axis, ("split", A::Is(&sizes))], sizes.len());
        }
        let equal = sizes.iter().all(|&s| s == sizes[0]);
        if equal && self.rng.chance(40) {
            let count = ("num_outputs", A::I(sizes.len() as i64));
            let attrs = if self.opset >= 18 { vec![axis, count] } else { vec![axis] };
            return self.nodes("Split", &[Some(x)], &attrs, sizes.len());
        }
        let k = self.ints(&sizes);
        self.nodes("Split", &[Some(x), Some(k)], &[axis], sizes.len())
    }

    pub fn slice(&mut self, x: ValueId, start: i64, end: i64, axis: usize, step: i64) -> ValueId {
        let args = [start, end, axis as i64, step].map(|i| self.ints(&[i]));
        let n = if step == 1 && self.rng.chance(50) { 4 } else { 5 };
        let inputs: Vec<ValueId> = std::iter::once(x).chain(args).collect();
        self.op("Slice", &inputs[..n])
    }

    pub fn gather(&mut self, x: ValueId, index: &[usize], axis: usize) -> ValueId {
        let index: Vec<i64> = index.iter().map(|&i| i as i64).collect();
        let k = self.ints(&index);
        self.node("Gather", &[x, k], &[("axis", A::I(axis as i64))])
    }

    /// Constant dims that broadcast along the channel axis of `x`.
    pub fn along_channels(&self, x: ValueId) -> Vec<usize> {
        match self.rank(x) {
            4 => vec![self.channels(x), 1, 1],
            2 | 3 => vec![self.channels(x)],
            _ => vec![1],
        }
    }

    /// A pointwise function; several have f(0) other than 0.
    pub fn act(&mut self, x: ValueId) -> ValueId {
        match self.rng.below(22) {
            0..=5 => self.op("Relu", &[x]),
            6 => self.op("Sigmoid", &[x]),
            7 => self.node("HardSigmoid", &[x], &[("alpha", A::F(0.2)), ("beta", A::F(0.4))]),
            8 => self.op("Softplus", &[x]),
            9 => self.op("Tanh", &[x]),
            10 => {
                let t = self.op("Tanh", &[x]);
                self.op("Exp", &[t])
            }
            11 => self.node("LeakyRelu", &[x], &[("alpha", A::F(0.1))]),
            12 => self.node("Elu", &[x], &[("alpha", A::F(0.8))]),
            13 => {
                let s = self.op("Sigmoid", &[x]);
                self.op("Mul", &[x, s])
            }
            14 => {
                let (low, high) = (self.scalar(-0.5), self.scalar(1.5));
                self.op("Clip", &[x, low, high])
            }
            15 => {
                let dims = match self.rng.below(2) {
                    0 => vec![1],
                    _ => self.along_channels(x),
                };
                let slope = self.noise(&dims, 0.25, 0.2);
                self.op("PRelu", &[x, slope])
            }
            16 if self.opset >= 14 => self.op("HardSwish", &[x]),
            17 => {
                let e = self.op("Erf", &[x]);
                let one = self.scalar(1.0);
                let f = self.op("Add", &[e, one]);
                self.op("Mul", &[x, f])
            }
            18 => {
                let c = self.op("Cos", &[x]);
                self.op("Neg", &[c])
            }
            19 => self.op("Softsign", &[x]),
            20 => {
                let three = self.scalar(0.7);
                self.op("Add", &[x, three])
            }
            _ => self.op("Abs", &[x]),
        }
    }
}
