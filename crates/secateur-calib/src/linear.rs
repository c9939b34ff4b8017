//! Linear operators with constant weights: convolutions, Gemm, MatMul; their weights as matrices.

use crate::{Slide, Unfold};
use faer::Mat;
use secateur_ir::{Graph, Links, Node, Tensor, ValueId};

/// A node that multiplies its data by a constant weight, and perhaps adds a constant bias.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Index of the node.
    pub node: usize,
    /// What is multiplied.
    pub data: ValueId,
    /// The weight, an initializer.
    pub weight: ValueId,
    /// The bias, an initializer of one element an output.
    pub bias: Option<ValueId>,
    /// The result, bias included.
    pub out: ValueId,
    /// How data meet the weight.
    pub kind: Kind,
    /// The axis of [`Linear::out`] that counts outputs.
    pub axis: usize,
}

/// How the weight is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `[O, I / groups, taps...]`.
    Conv {
        /// Number of groups.
        groups: usize,
    },
    /// `[I, O / groups, taps...]`.
    ConvTranspose {
        /// Number of groups.
        groups: usize,
    },
    /// `[K, N]`.
    Columns,
    /// `[N, K]`.
    Rows,
}

/// All linear operators of a graph whose weight no other node reads, in its order.
pub fn linears(graph: &Graph) -> Vec<Linear> {
    let links = graph.links();
    (0..graph.nodes.len()).filter_map(|n| linear(graph, &links, n)).collect()
}

fn linear(graph: &Graph, links: &Links, n: usize) -> Option<Linear> {
    let node = &graph.nodes[n];
    let (data, weight, out) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let w = graph.init(weight).filter(|w| w.elem == secateur_ir::ElemType::F32 && w.bytes().is_some())?;
    if graph.init(data).is_some() || links.uses(weight).len() != 1 || w.is_empty() {
        return None;
    }
    let groups = |n: &Node| usize::try_from(n.int_or("group", 1).ok()?).ok().filter(|g| *g > 0);
    let vector = |v: Option<ValueId>, len: usize| match v {
        Some(v) => {
            let fits = graph.init(v).is_some_and(|b| b.dims == [len] && b.elem == w.elem);
            (fits && links.uses(v).len() == 1).then_some(Some(v))
        }
        None => Some(None),
    };
    let rank = graph.shape(data)?.len();
    let found = |kind, bias, axis| Some(Linear { node: n, data, weight, bias, out, kind, axis });
    match node.op() {
        _ if !node.domain().is_empty() => None,
        "Conv" if w.dims.len() > 2 && rank == w.dims.len() => {
            let groups = groups(node).filter(|g| w.dims[0].is_multiple_of(*g))?;
            found(Kind::Conv { groups }, vector(node.input(2), w.dims[0])?, 1)
        }
        "ConvTranspose" if w.dims.len() > 2 && rank == w.dims.len() => {
            let groups = groups(node).filter(|g| w.dims[0].is_multiple_of(*g))?;
            found(Kind::ConvTranspose { groups }, vector(node.input(2), w.dims[1] * groups)?, 1)
        }
        "Gemm" if w.dims.len() == 2 => {
            let one = |name| node.float(name).ok().is_some_and(|a| a.unwrap_or(1.0) == 1.0);
            if node.int_or("transA", 0).ok()? != 0 || !one("alpha") || !one("beta") {
                return None;
            }
            let rows = node.int_or("transB", 0).ok()? != 0;
            let kind = if rows { Kind::Rows } else { Kind::Columns };
            found(kind, vector(node.input(2), w.dims[usize::from(!rows)])?, 1)
        }
        "MatMul" if w.dims.len() == 2 && rank >= 2 => {
            let found = found(Kind::Columns, None, rank - 1)?;
            Some(with_addend(graph, links, &found, w.dims[1]).unwrap_or(found))
        }
        _ => None,
    }
}

/// A product whose only reader adds a constant row to it: both together.
fn with_addend(graph: &Graph, links: &Links, l: &Linear, len: usize) -> Option<Linear> {
    let [only] = links.uses(l.out) else { return None };
    let add = &graph.nodes[only.node];
    if !add.is("Add") || graph.is_output(l.out) || graph.is_captured(l.out) {
        return None;
    }
    let bias = add.inputs.iter().flatten().copied().find(|v| *v != l.out)?;
    let fits = graph.init(bias).is_some_and(|b| b.dims == [len]) && links.uses(bias).len() == 1;
    fits.then_some(Linear { bias: Some(bias), out: add.output(0)?, ..l.clone() })
}

impl Linear {
    /// Number of groups: 1 but for grouped convolutions.
    pub fn groups(&self) -> usize {
        match self.kind {
            Kind::Conv { groups } | Kind::ConvTranspose { groups } => groups,
            Kind::Columns | Kind::Rows => 1,
        }
    }

    /// Channels of the data, taps, and outputs of each group.
    pub fn sizes(&self, weight: &Tensor) -> (usize, usize, usize) {
        let d = &weight.dims;
        let taps = || d[2..].iter().product();
        match self.kind {
            Kind::Conv { groups } => (d[1], taps(), d[0] / groups),
            Kind::ConvTranspose { groups } => (d[0] / groups, taps(), d[1]),
            Kind::Columns => (d[0], 1, d[1]),
            Kind::Rows => (d[1], 1, d[0]),
        }
    }

    /// Where in the weight the element of group `g`, channel `i`, tap `t` and output `o` is.
    fn at(&self, sizes: (usize, usize, usize), g: usize, i: usize, t: usize, o: usize) -> usize {
        let (channels, taps, outputs) = sizes;
        match self.kind {
            Kind::Conv { .. } | Kind::Rows => ((g * outputs + o) * channels + i) * taps + t,
            Kind::ConvTranspose { .. } | Kind::Columns => ((g * channels + i) * outputs + o) * taps + t,
        }
    }

    /// The weight as one matrix a group: `channels * taps` rows, one column an output.
    pub fn matrices(&self, weight: &Tensor) -> Option<Vec<Mat<f64>>> {
        let w = weight.to_f32()?;
        let s = self.sizes(weight);
        let get = |g, f: usize, o| f64::from(w[self.at(s, g, f / s.1, f % s.1, o)]);
        Some((0..self.groups()).map(|g| Mat::from_fn(s.0 * s.1, s.2, |f, o| get(g, f, o))).collect())
    }

    /// The weight with the elements of these matrices, laid out as [`Linear::matrices`] gives them.
    pub fn with_matrices(&self, weight: &Tensor, matrices: &[Mat<f64>]) -> Option<Tensor> {
        let s = self.sizes(weight);
        let mut w = vec![0.0; weight.len()];
        for (g, m) in matrices.iter().enumerate() {
            for o in 0..s.2 {
                for f in 0..s.0 * s.1 {
                    w[self.at(s, g, f / s.1, f % s.1, o)] = m[(f, o)] as f32;
                }
            }
        }
        weight.with_f32(weight.dims.clone(), &w)
    }

    /// How data of one shape become rows, for results of another; `None` where the attributes are not
    /// understood.
    pub fn unfold(&self, node: &Node, weight: &Tensor, data: &[usize], out: &[usize]) -> Option<Unfold> {
        let transposed = match self.kind {
            Kind::Columns | Kind::Rows => return Some(Unfold::Axis(data.len() - 1)),
            Kind::Conv { .. } => false,
            Kind::ConvTranspose { .. } => true,
        };
        let n = weight.dims.len() - 2;
        let list = |name: &str, len: usize, default: i64| {
            let v = node.ints(name).ok()?.map_or_else(|| vec![default; len], <[i64]>::to_vec);
            v.iter().map(|x| usize::try_from(*x).ok()).collect::<Option<Vec<_>>>().filter(|v| v.len() == len)
        };
        let (strides, dilations) = (list("strides", n, 1)?, list("dilations", n, 1)?);
        let auto = node.string("auto_pad").ok()?.unwrap_or("NOTSET").to_owned();
        let explicit = if auto == "NOTSET" { list("pads", 2 * n, 0)? } else { vec![0; 2 * n] };
        let slide = |a: usize| {
            let (input, output, taps) = (*data.get(a + 2)?, *out.get(a + 2)?, weight.dims[a + 2]);
            let (stride, dilation) = (strides[a], dilations[a]);
            let reach = (taps - 1) * dilation + 1;
            // The side that is longer steps over the other.
            let (long, short) = if transposed { (output, input) } else { (input, output) };
            let total = ((short.max(1) - 1) * stride + reach).saturating_sub(long);
            let pad = match auto.as_str() {
                "SAME_UPPER" => total / 2,
                "SAME_LOWER" => total.div_ceil(2),
                _ => explicit[a],
            };
            Some(Slide { input, taps, stride, dilation, pad, output })
        };
        let slides = (0..n).map(slide).collect::<Option<Vec<_>>>()?;
        Some(if transposed { Unfold::transposed(&slides) } else { Unfold::convolution(&slides) })
    }
}
