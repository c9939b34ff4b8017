//! The whole way from a float graph to a quantized one.

use rustc_hash::FxHashSet;
use secateur_calib::Samples;
use secateur_calib::reconstruct::Reconstructed;
use secateur_data::InputSet;
use secateur_diag::{Code, Result, diag};
use secateur_ir::{ElemType, Globs, Graph, TensorType};
use serde::Serialize;

use crate::dequantize::refusal;
use crate::equalize::{self, Equalized};
use crate::range::{Activations, Method};
use crate::reconstruct::Target;
use crate::sensitive::sensitive;
use crate::weight::Grid;
use crate::work::Work;

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
    pub(crate) fn grid(self) -> Grid {
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
    /// Channels between layers are brought to like ranges first, where that lowers the error.
    pub equalize: bool,
    /// Layers are fitted again and rounded with error feedback, one after the other.
    pub feedback: bool,
    /// Then all weights are moved together, rounded as they go, towards what [`quantize`] is told to be like.
    pub reconstruct: bool,
    /// Passes over the samples of that; `None` for what suits their number.
    pub epochs: Option<usize>,
    /// Globs of nodes, or of values that they make, that stay float.
    pub keep_float: Vec<String>,
    /// Layers whose rounding makes a large part of the error stay float as well.
    pub keep_float_auto: bool,
}

impl Default for Options {
    /// 8 bits, rounded to nearest.
    fn default() -> Self {
        Self {
            weights: Weights::Int8,
            method: Method::Mse,
            activations: None,
            power_of_two: false,
            equalize: false,
            feedback: false,
            reconstruct: false,
            epochs: None,
            keep_float: Vec::new(),
            keep_float_auto: false,
        }
    }
}

impl Options {
    /// How often every layer is gone through.
    pub fn rounds(&self) -> usize {
        1 + usize::from(self.reconstruct) + usize::from(self.keep_float_auto) + usize::from(self.equalize)
    }
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

/// A layer that stays float because that measures better.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spared {
    /// The weight's name.
    pub weight: String,
    /// Squared error of the outputs on up to 64 samples, a share of their variance, with this layer rounded like all
    /// others but those before it.
    pub before: f64,
    /// And with this layer float.
    pub after: f64,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Layers with integer weights.
    pub layers: Vec<LayerReport>,
    /// Layers that stayed float.
    pub float: Vec<String>,
    /// Of these, those that were left so because that measures better.
    pub auto: Vec<Spared>,
    /// Pairs of QuantizeLinear and DequantizeLinear on activations.
    pub pairs: usize,
    /// Scales of activations; pairs that share one count once.
    pub scales: usize,
    /// What equalizing channels did.
    pub equalized: Option<Equalized>,
    /// What moving all weights together did.
    pub reconstruction: Option<Reconstructed>,
    /// Why it was not done or not kept.
    pub reconstruction_left: Option<String>,
}

/// Quantizes a graph that [`secateur_passes::prepare`] has been run on. Returns the new graph and what was done.
///
/// Where all weights are moved together, `target` is what they are moved towards; the graph itself where `None`. `done`
/// is called once for each layer where channels are equalized, once for each that might stay float where that is asked
/// for, once for ranges, once for each layer, and as often again where weights are moved together.
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
    let needs = [options.weights.activations(), options.feedback, options.keep_float_auto, options.equalize];
    if needs.contains(&true) && calibration.is_none() {
        return Err(diag(
            Code::Q003,
            "integers for activations, error feedback, --equalize and --keep-float auto need calibration data",
        )
        .help("give --calib X.npy"));
    }
    let mut float = kept(graph, &options.keep_float)?;
    let (mut own, mut theirs, mut equalized) = (None, None, None);
    if let Some(c) = calibration.filter(|_| options.equalize) {
        let (steps, did) = equalize::worthwhile(graph, options, c, &float, done)?;
        equalized = Some(did);
        if let Some(steps) = steps {
            own = Some(equalize::applied(graph, &steps, &|_, _| None));
            theirs = target.map(|t| equalize::applied(t.original, &steps, t.kept));
        }
    }
    let graph = own.as_ref().unwrap_or(graph);
    let theirs = theirs.as_ref().zip(target).map(|(original, t)| Target { original, ..*t });
    let target = theirs.as_ref().or(target);
    let work = Work::new(graph, options, calibration);
    let mut auto = Vec::new();
    if let Some(c) = calibration.filter(|_| options.keep_float_auto) {
        (float, auto) = sensitive(&work, c, float, done)?;
    }
    let samples = match calibration.filter(|_| options.feedback) {
        Some(c) => Some(Samples::new(c.data, c.batch, false, c.threads)?),
        None => None,
    };
    let (graph, mut report) = work.build(&float, samples.as_ref(), target, done)?;
    report.auto = auto;
    report.equalized = equalized;
    Ok((graph, report))
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

/// Nodes that a pattern names, by their own name or that of what they make or of their weight.
fn kept(graph: &Graph, patterns: &[String]) -> Result<FxHashSet<usize>> {
    Globs::new("--keep-float", patterns)?.nodes(graph)
}
