//! Cross-layer equalization: Nagel, van Baalen, Blankevoort and Welling, "Data-free quantization through weight
//! equalization and bias correction", 2019, section 4.1, with the ranges of activations in the place of the first
//! layer's weights (Xiao et al., "SmoothQuant", 2023, equation 4 at one half), since there are data.
//!
//! Between two layers with nothing but positively homogeneous operators, a channel may be divided by any positive
//! number behind the first and multiplied by it before the second. Factors are powers of two: the float network then
//! computes the same bits.

use rustc_hash::{FxHashMap, FxHashSet};
use secateur_calib::Samples;
use secateur_calib::Unfold;
use secateur_calib::linear::{Kind, Linear, linears};
use secateur_calib::measure::Reference;
use secateur_calib::walk::{Batches, Walk};
use secateur_diag::Result;
use secateur_ir::{Graph, Links, ValueId};
use serde::Serialize;

use crate::quantize::{Calibration, Options};
use crate::work::Work;

/// Channels are brought up by at most this power of two: one that is smaller still is all but dead.
const MOST: f64 = 6.0;

/// By what the channels between two layers are divided.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The weight that makes them.
    pub first: ValueId,
    /// The weight that reads them.
    pub second: ValueId,
    /// By channel.
    pub factor: Vec<f32>,
}

/// What equalizing did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Equalized {
    /// Pairs of layers with channels of unlike ranges between them.
    pub pairs: usize,
    /// Squared error of the outputs on up to 64 samples, a share of their variance, all rounded to nearest, before.
    pub before: f64,
    /// And after; where that is not less, channels stay as they were.
    pub after: f64,
}

/// Samples on which that is measured.
const SAMPLES: usize = 64;

/// The factors, where they lower the error of a graph of which the nodes `float` stay float, and what they do.
///
/// # Errors
/// Those of the engine.
pub fn worthwhile(
    graph: &Graph,
    options: &Options,
    c: &Calibration,
    float: &FxHashSet<usize>,
    done: &mut dyn FnMut(),
) -> Result<(Option<Vec<Step>>, Equalized)> {
    let samples = Samples::new(c.data, c.batch, false, c.threads)?;
    let steps = factors(graph, &samples, done)?;
    let reference = Reference::new(graph, &samples, samples.spread(SAMPLES))?;
    let error = |graph: &Graph| -> Result<f64> {
        let work = Work::new(graph, options, Some(c));
        reference.error(&work.build(float, None, None, &mut || ())?.0)
    };
    let before = error(graph)?;
    let after = match steps.is_empty() {
        true => before,
        false => error(&applied(graph, &steps, &|_, _| None))?,
    };
    let did = Equalized { pairs: steps.len(), before, after };
    Ok(((after < before).then_some(steps), did))
}

/// Whether an operator gives `s f(x)` for `s x`, for every positive `s` of each place along `axis`.
fn homogeneous(graph: &Graph, n: usize, axis: usize) -> bool {
    let node = &graph.nodes[n];
    if !node.domain().is_empty() {
        return false;
    }
    let flat = || {
        let shape = node.input(0).and_then(|v| graph.shape(v));
        shape.is_some_and(|s| s.len() > 2 && s[2..].iter().all(|d| d.size() == Some(1)))
    };
    match node.op() {
        "Relu" | "LeakyRelu" | "Identity" | "Dropout" => true,
        "MaxPool" | "AveragePool" | "GlobalMaxPool" | "GlobalAveragePool" => axis == 1,
        "Flatten" => node.int_or("axis", 1).is_ok_and(|a| a == 1) && axis == 1 && flat(),
        _ => false,
    }
}

/// The layer that alone reads what `l` makes, through homogeneous operators, and along the same channels.
fn reader<'a>(
    graph: &Graph,
    links: &Links,
    by_node: &'a FxHashMap<usize, Linear>,
    l: &Linear,
) -> Option<&'a Linear> {
    let mut v = l.out;
    loop {
        let [only] = links.uses(v) else { return None };
        if graph.is_output(v) || graph.is_captured(v) || only.input != Some(0) {
            return None;
        }
        let rank = graph.shape(v)?.len();
        if let Some(second) = by_node.get(&only.node).filter(|s| s.data == v) {
            let axis = match second.kind {
                Kind::Conv { .. } | Kind::ConvTranspose { .. } => 1,
                _ => rank - 1,
            };
            return (axis == l.axis).then_some(second);
        }
        if !homogeneous(graph, only.node, l.axis) {
            return None;
        }
        let node = &graph.nodes[only.node];
        if node.outputs.len() > 1 && node.outputs[1..].iter().flatten().next().is_some() {
            return None;
        }
        v = node.output(0)?;
    }
}

/// Factors for all pairs of layers, from the samples. `done` is called once for each layer.
///
/// # Errors
/// Those of the engine.
pub fn factors(graph: &Graph, samples: &Samples, done: &mut dyn FnMut()) -> Result<Vec<Step>> {
    let links = graph.links();
    let all = linears(graph);
    let by_node: FxHashMap<usize, Linear> = all.iter().map(|l| (l.node, l.clone())).collect();
    let mut first: FxHashMap<ValueId, &Linear> = FxHashMap::default();
    for l in &all {
        if let Some(second) = reader(graph, &links, &by_node, l) {
            first.insert(second.weight, l);
        }
    }
    let mut walk = Walk::new(graph, samples, (0..samples.batches.len()).collect())?;
    let mut out = Vec::new();
    for second in &all {
        if let Some(first) = first.get(&second.weight) {
            walk.advance(graph, second.node, &[second.data])?;
            if let Some(batches) = walk.get(second.data)
                && let Some(factor) = balance(graph, second, batches)?
            {
                out.push(Step { first: first.weight, second: second.weight, factor });
            }
        }
        done();
    }
    Ok(out)
}

/// What brings the ranges of the channels before a layer, and of its weights on each of them, together.
fn balance(graph: &Graph, l: &Linear, batches: &Batches) -> Result<Option<Vec<f32>>> {
    let Some(matrices) = graph.init(l.weight).and_then(|w| l.matrices(w)) else { return Ok(None) };
    let Some((channels, taps, outputs)) = graph.init(l.weight).map(|w| l.sizes(w)) else { return Ok(None) };
    let count = channels * matrices.len();
    let mut data = vec![0.0f64; count];
    let axis = match l.kind {
        Kind::Conv { .. } | Kind::ConvTranspose { .. } => 1,
        _ => batches.first().map_or(1, |t| t.dims.len()) - 1,
    };
    for t in batches {
        if t.dims.get(axis) != Some(&count) {
            return Ok(None);
        }
        let rows = Unfold::Axis(axis).rows(t, 0..count)?;
        for (c, d) in data.iter_mut().enumerate() {
            *d = rows.col_as_slice(c).iter().fold(*d, |m, x| m.max(f64::from(x.abs())));
        }
    }
    let weight: Vec<f64> = (0..count)
        .map(|c| {
            let m = &matrices[c / channels];
            let rows = (c % channels) * taps..(c % channels + 1) * taps;
            rows.flat_map(|i| (0..outputs).map(move |j| m[(i, j)].abs())).fold(0.0, f64::max)
        })
        .collect();
    // A layer of one input an output has a scale for each: its weights lose nothing, whatever the factor.
    let alone = channels == 1;
    let log = |c: usize| {
        let ratio = if alone { data[c] } else { (data[c] / weight[c]).sqrt() };
        (ratio.is_normal()).then(|| ratio.log2())
    };
    let known: Vec<f64> = (0..count).filter_map(log).collect();
    if known.is_empty() {
        return Ok(None);
    }
    // The largest range is kept, the others are brought up to it.
    let largest = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let factor = |c: usize| log(c).map_or(1.0, |e| (e - largest).round().max(-MOST).exp2() as f32);
    let factor: Vec<f32> = (0..count).map(factor).collect();
    Ok(factor.iter().any(|f| *f != 1.0).then_some(factor))
}

/// Divides and multiplies. `kept` says which channels of the output of a layer of `graph` the factors are for, `None`
/// where for all; the others stay as they are.
pub fn applied(graph: &Graph, steps: &[Step], kept: &dyn Fn(ValueId, usize) -> Option<Vec<usize>>) -> Graph {
    let mut out = graph.clone();
    let graph = &mut out;
    let all: FxHashMap<ValueId, Linear> = linears(graph).into_iter().map(|l| (l.weight, l)).collect();
    for step in steps {
        let (Some(a), Some(b)) = (all.get(&step.first), all.get(&step.second)) else { continue };
        let (Some(wa), Some(wb)) = (graph.init(a.weight).cloned(), graph.init(b.weight).cloned()) else {
            continue;
        };
        let (Some(mut ma), Some(mut mb)) = (a.matrices(&wa), b.matrices(&wb)) else { continue };
        let (_, _, outputs) = a.sizes(&wa);
        let mut factor = vec![1.0; outputs * ma.len()];
        match kept(a.out, a.axis) {
            Some(k) => k.iter().zip(&step.factor).for_each(|(i, f)| factor[*i] = f64::from(*f)),
            None => factor.iter_mut().zip(&step.factor).for_each(|(to, f)| *to = f64::from(*f)),
        }
        for (c, f) in factor.iter().enumerate() {
            ma[c / outputs].col_as_slice_mut(c % outputs).iter_mut().for_each(|w| *w /= f);
        }
        let (channels, taps, q) = b.sizes(&wb);
        for (c, f) in factor.iter().enumerate().take(channels * mb.len()) {
            for i in (c % channels) * taps..(c % channels + 1) * taps {
                (0..q).for_each(|j| mb[c / channels][(i, j)] *= f);
            }
        }
        let bias = a.bias.and_then(|v| Some((v, graph.init(v)?.clone())));
        let bias = bias.and_then(|(v, t)| {
            let b: Vec<f32> =
                t.to_f32()?.iter().zip(&factor).map(|(b, f)| (f64::from(*b) / f) as f32).collect();
            Some((v, t.with_f32(t.dims.clone(), &b)?))
        });
        let (Some(wa), Some(wb)) = (a.with_matrices(&wa, &ma), b.with_matrices(&wb, &mb)) else { continue };
        graph.set_init(a.weight, wa);
        graph.set_init(b.weight, wb);
        if let Some((v, t)) = bias {
            graph.set_init(v, t);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the first layer has a reader across which channels may be scaled.
    fn paired(text: &str) -> bool {
        let mut graph = secateur_ir::parse::graph(text).unwrap();
        secateur_ops::infer(&mut graph).unwrap();
        let all = linears(&graph);
        assert_eq!(all.len(), 2);
        let by_node = all.iter().map(|l| (l.node, l.clone())).collect();
        reader(&graph, &graph.links(), &by_node, &all[0]).is_some()
    }

    #[test]
    fn only_operators_that_keep_channels_apart_lie_between() {
        let images = |between: &str| {
            format!(
                r#"graph g opset(""=17) (%x: f32[N,3,8,8]) -> (%y) {{
                @a: f32[4,3,3,3] = rand(1)
                @b: f32[2,4,1,1] = rand(2)
                %c: ? = Conv(%x, @a)
                %r: ? = {between}
                %y: ? = Conv(%r, @b)
            }}"#
            )
        };
        assert!(paired(&images("Relu(%c)")));
        assert!(paired(&images("MaxPool(%c) {kernel_shape=[2, 2]}")));
        assert!(!paired(&images("Sigmoid(%c)")));
        assert!(!paired(&images("Add(%c, %c)")));
        // Here the windows run along the channels.
        let rows = |between: &str| {
            format!(
                r#"graph g opset(""=17) (%x: f32[N,5,6]) -> (%y) {{
                @a: f32[6,8] = rand(1)
                @b: f32[8,3] = rand(2)
                %c: ? = MatMul(%x, @a)
                %r: ? = {between}
                %y: ? = MatMul(%r, @b)
            }}"#
            )
        };
        assert!(paired(&rows("Relu(%c)")));
        assert!(!paired(&rows("MaxPool(%c) {kernel_shape=[3], pads=[1, 1]}")));
    }
}
