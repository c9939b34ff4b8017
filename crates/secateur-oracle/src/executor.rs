//! Loads a model and runs it on batches.

use crate::plan::{Plan, engine, explain};
use crate::{Level, declared, plain, screen};
use secateur_data::ValueInfo;
use secateur_diag::{Code, Diagnostic, Result};
use secateur_run::Engine;
use secateur_tensor::{ElemType, Tensor, count};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tract_onnx::prelude::{Framework, InferenceModel};
use tract_onnx::{Onnx, pb};

/// Prepared plans kept at once. A stream of batches needs two: whole ones and the last, smaller one.
const KEPT_PLANS: usize = 8;

type Shapes = Vec<(ElemType, Vec<usize>)>;

/// A model ready to run, on any thread.
///
/// Open axes (a dynamic batch, a free image size) take the lengths of the tensors fed; the model is
/// prepared once for each set of lengths and the last few are kept.
pub struct Oracle {
    model: InferenceModel,
    inputs: Vec<ValueInfo>,
    outputs: Vec<ValueInfo>,
    level: Level,
    plans: Mutex<Vec<(Shapes, Arc<Plan>)>>,
}

impl fmt::Debug for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (inputs, outputs) = (&self.inputs, &self.outputs);
        f.debug_struct("Oracle").field("inputs", inputs).field("outputs", outputs).finish_non_exhaustive()
    }
}

impl Oracle {
    /// Loads a model held in memory. External data cannot be reached this way.
    ///
    /// # Errors
    /// `L002` when the bytes are not an ONNX model, `X001` when the engine lacks an operator or cannot
    /// read the graph.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::load(bytes, None)
    }

    /// Loads a model file. External data are read from the model's own folder.
    ///
    /// # Errors
    /// `L001` when the file cannot be read, and as [`Oracle::from_bytes`].
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let place = |d: Box<Diagnostic>| d.at("file", path.display().to_string());
        let bytes = std::fs::read(path)
            .map_err(|e| place(Diagnostic::new(Code::L001, format!("the model cannot be read: {e}"))))?;
        let folder = path.parent().and_then(Path::to_str).unwrap_or_default();
        Self::load(&bytes, Some(folder)).map_err(place)
    }

    fn load(mut bytes: &[u8], folder: Option<&str>) -> Result<Self> {
        // Value infos and output shapes may name the batch or be stale after a rewrite; everything is
        // inferred from the inputs instead.
        let onnx: Onnx = tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_types(true);
        let mut proto = engine(|| onnx.proto_model_for_read(&mut bytes))
            .map_err(|reason| explain(Code::L002, "the bytes are not an ONNX model", &reason))?;
        let quantized = plain::spell_out(&mut proto)?;
        screen::operators(&onnx, &proto)?;
        let parsed = engine(|| onnx.parse(&proto, folder))
            .map_err(|reason| explain(Code::X001, "the model cannot be executed", &reason))?;
        if let Some(name) = parsed.unresolved_inputs.first() {
            let title = format!("the model reads %{name}, which nothing defines");
            return Err(Diagnostic::new(Code::X001, title));
        }
        let inputs = inputs_of(&proto, &parsed.model);
        let outputs = proto.graph.iter().flat_map(|g| &g.output).map(declared::value).collect();
        let level = if quantized { Level::Typed } else { Level::Optimized };
        Ok(Self { model: parsed.model, inputs, outputs, level, plans: Mutex::default() })
    }

    /// The same model, rewritten no further than `level` before it runs. The default is
    /// [`Level::Optimized`], but [`Level::Typed`] for models with operators that compute on integers
    /// (`QLinearConv`, `MatMulInteger`, ...), whose rewriting the engine can get wrong. Pairs of QuantizeLinear
    /// and DequantizeLinear are spelled out as float arithmetic and run at any level.
    pub fn with_level(mut self, level: Level) -> Self {
        self.level = level;
        self.plans = Mutex::default();
        self
    }

    /// Runs the model. `inputs` are matched by name, in any order; outputs come in the model's order.
    ///
    /// # Errors
    /// `D002` when an input is missing or of another type than declared, `X001` when the model cannot be
    /// prepared for these shapes, `X002` when it fails while running. The engine's own message is in it.
    pub fn run<S: AsRef<str>>(&self, inputs: &[(S, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        let ordered = self.ordered(inputs)?;
        let place = |d: Box<Diagnostic>| {
            ordered
                .iter()
                .zip(&self.inputs)
                .fold(d, |d, (t, i)| d.at("input", format!("%{}: {}", i.name, t.describe())))
        };
        let shapes: Shapes = ordered.iter().map(|t| (t.elem, t.dims.clone())).collect();
        let mut plan = self.plan(shapes.clone()).map_err(place)?;
        let results = loop {
            let error = match plan.run(ordered.clone(), &self.outputs) {
                Ok(results) => break results,
                Err(error) => error,
            };
            // Some of what the engine's rewriting gets wrong shows only when the model runs.
            let lower = plan.level.lower().and_then(|level| self.replace(&shapes, level).ok());
            plan = lower.ok_or_else(|| place(error))?;
        };
        Ok(self.outputs.iter().map(|o| o.name.clone()).zip(results).collect())
    }

    /// Prepares the model for tensors like these ahead of time, and says how far it could be rewritten.
    ///
    /// # Errors
    /// As [`Oracle::run`], but for `X002`.
    pub fn prepare<S: AsRef<str>>(&self, inputs: &[(S, Tensor)]) -> Result<Level> {
        let shapes = self.ordered(inputs)?.iter().map(|t| (t.elem, t.dims.clone())).collect();
        Ok(self.plan(shapes)?.level)
    }

    fn ordered<'a, S: AsRef<str>>(&self, given: &'a [(S, Tensor)]) -> Result<Vec<&'a Tensor>> {
        let find = |info: &ValueInfo| {
            let place = |title: String| Diagnostic::new(Code::D002, title).at("input", info.to_string());
            let (_, tensor) = given
                .iter()
                .find(|(name, _)| name.as_ref() == info.name)
                .ok_or_else(|| place(format!("no tensor is given for %{}", info.name)))?;
            let fits = |n: usize| tensor.bytes().is_some_and(|b| b.len() == n * tensor.elem.bits() / 8);
            if !count(&tensor.dims).is_ok_and(fits) {
                return Err(place(format!("the elements do not make a tensor {}", tensor.describe())));
            }
            if info.dtype.is_some_and(|d| d != tensor.elem) {
                return Err(place(format!("the tensor given is {}", tensor.elem)));
            }
            Ok(tensor)
        };
        self.inputs.iter().map(find).collect()
    }

    /// Another plan for these shapes, at `level` or below, in place of the one that failed.
    fn replace(&self, shapes: &Shapes, level: Level) -> Result<Arc<Plan>> {
        let plan = Arc::new(Plan::build(&self.model, shapes, level)?);
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.retain(|(have, _)| have != shapes);
        plans.push((shapes.clone(), Arc::clone(&plan)));
        Ok(plan)
    }

    /// The plan for these shapes. Built under the lock, so that threads asking at once share one.
    fn plan(&self, shapes: Shapes) -> Result<Arc<Plan>> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = plans.iter().position(|(have, _)| *have == shapes) {
            let recent = plans.remove(at);
            plans.push(recent);
        } else {
            let plan = Plan::build(&self.model, &shapes, self.level)?;
            if plans.len() == KEPT_PLANS {
                plans.remove(0);
            }
            plans.push((shapes, Arc::new(plan)));
        }
        let (_, plan) = &plans[plans.len() - 1];
        Ok(Arc::clone(plan))
    }
}

impl Engine for Oracle {
    fn inputs(&self) -> &[ValueInfo] {
        &self.inputs
    }

    fn outputs(&self) -> &[ValueInfo] {
        &self.outputs
    }

    fn run(&self, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        Oracle::run(self, inputs)
    }
}

/// Declared inputs, in the parsed model's order.
fn inputs_of(proto: &pb::ModelProto, model: &InferenceModel) -> Vec<ValueInfo> {
    let Some(graph) = &proto.graph else { return Default::default() };
    let inputs = model.inputs.iter().map(|outlet| {
        let name = &model.nodes[outlet.node].name;
        let info = graph.input.iter().find(|i| i.name == *name).map(declared::value);
        info.unwrap_or_else(|| ValueInfo { name: name.clone(), dtype: None, shape: None })
    });
    inputs.collect()
}
