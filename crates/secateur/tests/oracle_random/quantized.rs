//! What must hold of every random graph that is quantized.

use secateur_data::{InputSet, NpyFile, Recipe};
use secateur_diag::Code;
use secateur_ir::{ElemType, Module, ValueId, print, verify};
use secateur_oracle::{Level, Oracle as Executor};
use secateur_quant::{Calibration, Options, Report, Weights};
use secateur_run::Engine;

use crate::common::{bytes_of, npy};
use crate::graphs;
use crate::rng::Rng;

const SAMPLES: usize = 8;

/// What one graph had to show.
pub struct Quantized {
    pub pairs: usize,
    pub layers: usize,
    /// Squared error of the outputs, a share of their power.
    pub error: f64,
}

/// Quantizes the graph of a seed; `None` where it cannot be run on samples at all.
pub fn quantized(seed: u64) -> Result<Option<Quantized>, String> {
    let mut rng = Rng::new(seed ^ 0x9a47);
    let mut module = Module::from_graph(graphs::random(seed).graph);
    let passes = &mut secateur_passes::Options::default();
    secateur_passes::prepare(&mut module.graph, passes).map_err(|e| format!("prepare: {e}"))?;
    let bytes = module.export().0.encode();
    let executor = Executor::from_bytes(&bytes).map_err(|e| e.to_string())?.with_level(Level::Typed);
    let mut files = Vec::new();
    for i in executor.inputs() {
        let shape = module.graph.find(&i.name).and_then(|v| module.graph.shape(v)).unwrap_or_default();
        let shape: Vec<usize> = shape.iter().map(|d| d.size().unwrap_or(SAMPLES)).collect();
        if shape.first() != Some(&SAMPLES) {
            return Ok(None);
        }
        let values = rng.units(shape.iter().product());
        let file =
            NpyFile::from_bytes("x", npy("<f4", &shape, &bytes_of(&values))).map_err(|e| e.to_string())?;
        files.push((Some(i.name.clone()), file));
    }
    let data = InputSet::new(files, executor.inputs(), &Recipe::default()).map_err(|e| e.to_string())?;
    let batch = data.batch(0..SAMPLES).map_err(|e| e.to_string())?;
    let Ok(float) = executor.run(&batch) else { return Ok(None) };
    let weights = rng.pick(&[Weights::Int8, Weights::Int4, Weights::W8, Weights::W4]);
    let options = Options {
        weights,
        power_of_two: rng.chance(25),
        equalize: rng.chance(50),
        feedback: rng.chance(50),
        ..Options::default()
    };
    let run = |threads: usize| {
        let calibration = Calibration { data: &data, batch: 4, threads };
        let done = secateur::quantize(module.clone(), &options, false, Some(&calibration), &mut || ());
        done.map(|(model, _, report)| (model, report))
    };
    let (model, report) = match run(1) {
        Ok(out) => out,
        // Random graphs divide by zero now and then.
        Err(e) if e.code == Code::D004 || e.code == Code::Q001 => return Ok(None),
        Err(e) => return Err(format!("{options:?}: {e}\n{}", print::graph(&module.graph))),
    };
    let bytes = model.encode();
    if run(2).map_err(|e| e.to_string())?.0.encode() != bytes {
        return Err(format!("{options:?}: the bytes depend on the number of threads"));
    }
    let again = Module::import(model).map_err(|e| format!("import: {e}"))?;
    verify::verify(&again.graph).map_err(|e| format!("verify: {e}"))?;
    integers(&again, &report, &options)?;
    let small = Executor::from_bytes(&bytes).map_err(|e| format!("engine: {e}"))?.with_level(Level::Typed);
    let outputs = small.run(&batch).map_err(|e| format!("run: {e}\n{}", print::graph(&again.graph)))?;
    let (mut wrong, mut power) = (0.0, 0.0);
    for ((name, a), (other, b)) in float.iter().zip(&outputs) {
        if name != other || a.dims != b.dims {
            return Err(format!("{name} {:?} has become {other} {:?}", a.dims, b.dims));
        }
        let (a, b) = (a.to_f64().unwrap_or_default(), b.to_f64().unwrap_or_default());
        if b.iter().any(|x| !x.is_finite()) {
            return Err(format!("{options:?}: {name} is not finite"));
        }
        wrong += a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        power += a.iter().map(|a| a * a).sum::<f64>();
    }
    let error = wrong / power.max(1e-30);
    Ok(Some(Quantized { pairs: report.pairs, layers: report.layers.len(), error }))
}

/// Layers that the report names have integers, of the right type, and zeros where they had zeros; pairs are as many as
/// it says.
fn integers(small: &Module, report: &Report, options: &Options) -> Result<(), String> {
    let graph = &small.graph;
    let of = |op: &str| graph.nodes.iter().filter(|n| n.is(op)).count();
    if of("QuantizeLinear") != report.pairs {
        return Err(format!("{} pairs, {} reported", of("QuantizeLinear"), report.pairs));
    }
    let bits = if matches!(options.weights, Weights::Int4 | Weights::W4) { 4 } else { 8 };
    let elem = if bits == 4 { ElemType::I4 } else { ElemType::I8 };
    let data = |v: &ValueId| graph.init(*v).is_some_and(|t| t.elem == elem);
    let stored =
        graph.nodes.iter().filter(|n| n.is("DequantizeLinear") && n.input(0).as_ref().is_some_and(data));
    if stored.count() != report.layers.len() {
        return Err(format!("layers reported: {}\n{}", report.layers.len(), print::graph(graph)));
    }
    let mut names: Vec<&str> = report.layers.iter().map(|l| l.weight.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() != report.layers.len() {
        return Err(format!("a layer is reported twice: {:?}", report.layers));
    }
    Ok(())
}
