//! The whole way from a float graph to a quantized one.

use globset::{Glob, GlobSetBuilder};
use rustc_hash::{FxHashMap, FxHashSet};
use secateur_diag::{Code, Result, diag};
use secateur_exec::{Executor, Histogram, InputSet, ranges};
use secateur_ir::{ElemType, Graph, Module, TensorType, ValueId, infer, verify};
use secateur_prune::calib::Samples;
use secateur_prune::calib::linear::linears;
use secateur_prune::calib::reconstruct::Reconstructed;
use serde::Serialize;

use crate::dequantize::refusal;
use crate::layers::{Rounding, layers};
use crate::place::{Placement, place};
use crate::range::{Activations, Method, Scale, choose};
use crate::reconstruct::{Target, moved};
use crate::weight::Grid;
use crate::{emit, opset};

/// How many bits weights have and whether activations are integers too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weights {
    /// 8 bits an element, one scale an output; activations of 8 bits.
    Int8,
    /// 4 bits an element, one scale an output; activations of 8 bits.
    Int4,
    /// 8 bits, one scale an output; activations stay float.
    W8,
    /// 4 bits, one scale for 32 inputs of an output; activations stay float.
    W4,
}

impl Weights {
    fn grid(self) -> Grid {
        match self {
            Self::Int8 | Self::W8 => Grid { bits: 8, block: None },
            Self::Int4 => Grid { bits: 4, block: None },
            Self::W4 => Grid { bits: 4, block: Some(32) },
        }
    }

    /// Whether activations are integers.
    pub fn activations(self) -> bool {
        matches!(self, Self::Int8 | Self::Int4)
    }
}

/// What [`quantize`] is to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bits of weights.
    pub weights: Weights,
    /// How ranges of activations are found.
    pub method: Method,
    /// The integers of activations; `None` takes those with a sign, but from operator set 21 on those without: there
    /// onnxruntime 1.32 makes signed ones unsigned and then refuses its own graph, where a Slice follows a pair.
    pub activations: Option<Activations>,
    /// Scales of activations are powers of two.
    pub power_of_two: bool,
    /// Weights are rounded with error feedback and biases corrected.
    pub feedback: bool,
    /// Then all weights are moved together, rounded as they go, towards what [`quantize`] is told to be like.
    pub reconstruct: bool,
    /// Passes over the samples of that; `None` for what suits their number.
    pub epochs: Option<usize>,
    /// Globs of nodes, or of values that they make, that stay float.
    pub keep_float: Vec<String>,
}

/// Samples and how to run them.
#[derive(Debug)]
pub struct Calibration<'a> {
    /// Prepared samples.
    pub data: &'a InputSet,
    /// Samples a batch.
    pub batch: usize,
    /// Threads; results do not depend on them.
    pub threads: usize,
}

/// One layer of a [`Report`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerReport {
    /// The weight's name.
    pub weight: String,
    /// Bits of an element.
    pub bits: u32,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Layers with integer weights.
    pub layers: Vec<LayerReport>,
    /// Layers that stayed float.
    pub float: Vec<String>,
    /// Pairs of QuantizeLinear and DequantizeLinear on activations.
    pub pairs: usize,
    /// Scales of activations; pairs that share one count once.
    pub scales: usize,
    /// What moving all weights together did.
    pub reconstruction: Option<Reconstructed>,
    /// Why it was not done or not kept.
    pub reconstruction_left: Option<String>,
}

/// Quantizes a graph that [`secateur_passes::prepare`] has been run on. Returns the new graph and what was done.
///
/// Where all weights are moved together, `target` is what they are moved towards; the graph itself where `None`. `done`
/// is called once for ranges, once for each layer, and as often again where weights are moved together.
///
/// # Errors
/// `Q002` for a model that is quantized already, `Q003` where its type or operator set does not allow for it, `Q001`
/// and `D004` for ranges, `P003` for a pattern that matches nothing, those of the engine.
pub fn quantize(
    graph: &Graph,
    options: &Options,
    calibration: Option<&Calibration>,
    target: Option<&Target>,
    done: &mut dyn FnMut(),
) -> Result<(Graph, Report)> {
    quantizable(graph)?;
    let grid = options.weights.grid();
    let float = kept(graph, &options.keep_float)?;
    let fits =
        |l: &secateur_prune::calib::linear::Linear| emit::storable(l, grid.block) && finite(graph, l.weight);
    let all = linears(graph);
    let chosen: FxHashSet<usize> =
        all.iter().filter(|l| fits(l) && !float.contains(&l.node)).map(|l| l.node).collect();
    let placement = match options.weights.activations() {
        true => place(graph, &chosen, &float),
        false => Placement {
            layers: chosen.clone(),
            region: vec![None; graph.nodes.len()],
            ..Placement::default()
        },
    };
    let needs = options.weights.activations() || options.feedback;
    if needs && calibration.is_none() {
        return Err(diag(Code::Q003, "integers for activations and error feedback need calibration data")
            .help("give --calib X.npy"));
    }
    let opset = if grid.bits == 4 { 21 } else { 13 };
    let to = options.activations.unwrap_or(match graph.opset("").max(opset) {
        ..21 => Activations::Int8,
        _ => Activations::Uint8,
    });
    let scales = match calibration.filter(|_| options.weights.activations()) {
        Some(c) => scales(graph, &placement, options, to, c)?,
        None => Vec::new(),
    };
    done();
    let number: FxHashMap<ValueId, usize> = placement.pairs.iter().copied().collect();
    let links = graph.links();
    let data_scale: FxHashMap<usize, f32> = all
        .iter()
        .filter(|l| placement.layers.contains(&l.node))
        .filter_map(|l| Some((l.node, scales.get(source(graph, &links, &number, l.data)?)?.scale)))
        .collect();
    let samples = match calibration.filter(|_| options.feedback) {
        Some(c) => Some(Samples::new(c.data, c.batch, false, c.threads)?),
        None => None,
    };
    let rounding = Rounding { grid, data_scale: data_scale.clone(), samples: samples.as_ref() };
    let mut rounded = layers(graph, &placement.layers, &rounding, done)?;
    let mut out = graph.clone();
    let mut front = Vec::new();
    let mut report = Report {
        layers: Vec::new(),
        float: Vec::new(),
        pairs: placement.pairs.len(),
        scales: placement.scales,
        reconstruction: None,
        reconstruction_left: None,
    };
    if let (true, Some(samples)) = (options.reconstruct, &samples) {
        let own = Target { original: graph, kept: &|_, _| None };
        let target = target.unwrap_or(&own);
        let (steps, mut way) = (rounded.len() as f64, 0.0);
        let told = &mut |share: f64| {
            let before = way as usize;
            way = (way + steps * share).min(steps);
            (before..way as usize).for_each(|_| done());
        };
        match moved(&mut out, &mut rounded, (grid.bits, options.epochs), target, samples, told)? {
            Ok(did) => report.reconstruction = Some(did),
            Err(left) => report.reconstruction_left = Some(left.to_string()),
        }
    }
    for layer in &rounded {
        report
            .layers
            .push(LayerReport { weight: graph.value(layer.linear.weight).name.clone(), bits: grid.bits });
        let data = data_scale.get(&layer.linear.node).copied();
        emit::weights(&mut out, layer, grid.bits, grid.block, data, &mut front);
    }
    let stays =
        |l: &&secateur_prune::calib::linear::Linear| rounded.iter().all(|r| r.linear.weight != l.weight);
    report.float = all.iter().filter(stays).map(|l| graph.value(l.weight).name.clone()).collect();
    emit::pairs(&mut out, &placement, &scales, to);
    out.nodes.splice(0..0, front);
    emit::unused(&mut out);
    infer(&mut out)?;
    opset::raise(&mut out, opset)?;
    verify::verify(&out)?;
    Ok((out, report))
}

/// Whether a graph can be quantized at all.
///
/// # Errors
/// `Q002` for one that is quantized already, `Q003` for one of half precision.
pub fn quantizable(graph: &Graph) -> Result<()> {
    if let Some(e) = refusal(graph) {
        return Err(e);
    }
    let half = |t: &TensorType| matches!(t.elem, ElemType::F16 | ElemType::Bf16);
    let weight =
        graph.value_ids().find(|v| graph.init(*v).is_some() && graph.value(*v).ty.as_ref().is_some_and(half));
    if let Some(v) = weight {
        return Err(diag(Code::Q003, "a model of half precision cannot be quantized")
            .at("tensor", graph.value(v).name.clone())
            .help("export it in f32"));
    }
    Ok(())
}

fn finite(graph: &Graph, v: ValueId) -> bool {
    graph.init(v).and_then(secateur_ir::Tensor::to_f32).is_some_and(|w| w.iter().all(|x| x.is_finite()))
}

/// Nodes that a pattern names, by their own name or that of what they make or of their weight.
fn kept(graph: &Graph, patterns: &[String]) -> Result<FxHashSet<usize>> {
    let mut set = FxHashSet::default();
    for text in patterns {
        let bad = |e: globset::Error| {
            diag(Code::P003, format!("{text:?} is not a pattern")).at("reason", e.to_string())
        };
        let globs = GlobSetBuilder::new().add(Glob::new(text).map_err(bad)?).build().map_err(bad)?;
        let before = set.len();
        for (n, node) in graph.nodes.iter().enumerate() {
            let values = node.inputs.iter().skip(1).chain(&node.outputs).flatten();
            let mut names = values.map(|v| graph.value(*v).name.as_str());
            if globs.is_match(node.name()) || names.any(|name| globs.is_match(name)) {
                set.insert(n);
            }
        }
        if set.len() == before {
            return Err(diag(Code::P003, format!("--keep-float {text:?} matches no node")));
        }
    }
    Ok(set)
}

/// The number of the scale on which a value's elements are.
fn source(
    graph: &Graph,
    links: &secateur_ir::Links,
    number: &FxHashMap<ValueId, usize>,
    mut v: ValueId,
) -> Option<usize> {
    loop {
        if let Some(&n) = number.get(&v) {
            return Some(n);
        }
        let node = &graph.nodes[links.def(v)?];
        v = node.inputs.iter().flatten().copied().find(|i| graph.init(*i).is_none())?;
    }
}

/// A scale for every number of a placement.
fn scales(
    graph: &Graph,
    placement: &Placement,
    o: &Options,
    to: Activations,
    c: &Calibration,
) -> Result<Vec<Scale>> {
    let mut sums = vec![Histogram::default(); placement.scales];
    let inputs: Vec<(ValueId, usize)> =
        placement.pairs.iter().copied().filter(|(v, _)| graph.inputs.contains(v)).collect();
    let inner: Vec<(ValueId, usize)> =
        placement.pairs.iter().copied().filter(|(v, _)| !graph.inputs.contains(v)).collect();
    if !inner.is_empty() {
        let bytes = probe(graph, &inner.iter().map(|(v, _)| *v).collect::<Vec<_>>());
        let executor = Executor::from_bytes(&bytes)?;
        let found = ranges(&executor, c.data, c.batch, c.threads, &mut |_| ())?;
        inner.iter().zip(&found).for_each(|((_, n), (_, h))| sums[*n].merge(h));
    }
    for start in (0..c.data.samples()).step_by(c.batch.max(1)) {
        for (name, t) in c.data.batch(start..start + c.batch.max(1))? {
            for (v, n) in &inputs {
                if graph.value(*v).name == name {
                    sums[*n].add(t.as_f32().unwrap_or(&[]));
                }
            }
        }
    }
    let name = |k: usize| placement.pairs.iter().find(|p| p.1 == k).map_or("", |p| &graph.value(p.0).name);
    let one = |(k, h): (usize, &Histogram)| {
        choose(h, o.method, to, o.power_of_two).map_err(|e| e.at("value", format!("%{}", name(k))))
    };
    sums.iter().enumerate().map(one).collect()
}

/// The graph with other outputs, as a file.
fn probe(graph: &Graph, values: &[ValueId]) -> Vec<u8> {
    let mut g = graph.clone();
    g.outputs = values.to_vec();
    for v in values {
        if let Some(t) = &mut g.value_mut(*v).ty {
            t.shape = None;
        }
    }
    for v in g.value_ids() {
        // Without the message that it came from, which may point to another file.
        if let Some(t) = g.init(v).cloned() {
            g.set_init(v, t);
        }
    }
    Module::from_graph(g).export().0.encode().to_vec()
}
