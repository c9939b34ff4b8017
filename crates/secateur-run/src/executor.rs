//! A model by the names of its inputs and outputs.

use std::path::Path;

use bytes::Bytes;
use secateur_data::ValueInfo;
use secateur_diag::{Code, Diagnostic, Result};
use secateur_ir::{Graph, Module, ValueId};
use secateur_onnx::Model;
use secateur_tensor::Tensor;

use crate::{Engine, Runner};

/// A model ready to run, on any thread; open axes take the lengths of the tensors fed.
pub struct Executor {
    runner: Runner,
    inputs: Vec<ValueInfo>,
    ids: Vec<ValueId>,
    outputs: Vec<ValueInfo>,
}

impl Executor {
    /// A model file, with its external data.
    ///
    /// # Errors
    /// Those of [`Model::load`], [`Module::import`] and [`Runner::new`].
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let place = |d: Box<Diagnostic>| d.at("file", path.display().to_string());
        Self::from_graph(Module::import(Model::load(path)?).map_err(place)?.graph).map_err(place)
    }

    /// A model in memory. External data cannot be reached this way.
    ///
    /// # Errors
    /// As [`Executor::from_path`].
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<Self> {
        Self::from_graph(Module::import(Model::from_bytes(bytes.into(), None)?)?.graph)
    }

    /// A graph.
    ///
    /// # Errors
    /// Those of [`Runner::new`].
    pub fn from_graph(graph: Graph) -> Result<Self> {
        let ids: Vec<ValueId> = graph.data_inputs().collect();
        let inputs = ids.iter().map(|&v| ValueInfo::of(&graph, v)).collect();
        let outputs = graph.outputs.iter().map(|&v| ValueInfo::of(&graph, v)).collect();
        Ok(Self { runner: Runner::new(graph)?, inputs, ids, outputs })
    }

    /// The graph made ready.
    pub fn runner(&self) -> &Runner {
        &self.runner
    }

    /// Inputs as the runner takes them, from those by name.
    ///
    /// # Errors
    /// `D002` when one is missing or of another type than declared.
    pub fn ordered<S: AsRef<str>>(&self, given: &[(S, Tensor)]) -> Result<Vec<(ValueId, Tensor)>> {
        let find = |(info, &v): (&ValueInfo, &ValueId)| {
            let place = |title: String| Diagnostic::new(Code::D002, title).at("input", info.to_string());
            let found = given.iter().find(|(name, _)| name.as_ref() == info.name);
            let (_, tensor) = found.ok_or_else(|| place(format!("no tensor is given for %{}", info.name)))?;
            if info.dtype.is_some_and(|d| d != tensor.elem) {
                return Err(place(format!("the tensor given is {}", tensor.elem)));
            }
            Ok((v, tensor.clone()))
        };
        self.inputs.iter().zip(&self.ids).map(find).collect()
    }

    /// Runs the model; as [`Engine::run`].
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub fn run<S: AsRef<str>>(&self, inputs: &[(S, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        let results = self.runner.run(&self.ordered(inputs)?)?;
        Ok(self.outputs.iter().map(|o| o.name.clone()).zip(results).collect())
    }
}

impl Engine for Executor {
    fn inputs(&self) -> &[ValueInfo] {
        &self.inputs
    }

    fn outputs(&self) -> &[ValueInfo] {
        &self.outputs
    }

    fn run(&self, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        Executor::run(self, inputs)
    }
}
