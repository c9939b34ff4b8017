//! Models with inputs and outputs that somebody else has computed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use secateur_onnx::Model;
use secateur_onnx::proto::{GraphProto, ModelProto, ValueInfoProto};

use crate::{Value, python};

/// A folder with `model.onnx` and `test_data_set_N/{input,output}_M.pb`.
#[derive(Clone, Debug)]
pub struct Case {
    /// `KIND/NAME`.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
}

/// Inputs and the outputs that belong to them.
#[derive(Clone, Debug)]
pub struct Set {
    /// Values of the inputs without an initializer, in order, with their names.
    pub inputs: Vec<(String, Value)>,
    /// Values of the outputs, in order.
    pub outputs: Vec<Value>,
}

/// A case in memory.
#[derive(Debug)]
pub struct Loaded {
    /// The file's bytes.
    pub bytes: Bytes,
    /// What they say.
    pub proto: ModelProto,
    /// The stored values.
    pub sets: Vec<Set>,
}

/// The tests that the onnx package holds, sorted by name: written by its own code to a folder below `target`, once.
///
/// # Errors
/// There is no Python with onnx to ask.
pub fn node_tests() -> Result<Vec<Case>> {
    let folder = match std::env::var_os("SECATEUR_NODE_TESTS") {
        Some(folder) => folder.into(),
        None => python::filled("onnx-tests", "tests/py/node_tests.py", &[])?,
    };
    let cases = below(&folder)?;
    // As many as the package held when this was written, less some that may go.
    ensure!(cases.len() > 1900, "{} holds {} tests only", folder.display(), cases.len());
    Ok(cases)
}

/// All cases in the folders of a folder.
pub(crate) fn below(folder: &Path) -> Result<Vec<Case>> {
    let entries = |path: &Path| -> Result<Vec<PathBuf>> {
        let list = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
        Ok(list.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_dir()).collect())
    };
    let text = |p: &Path| p.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut cases = Vec::new();
    for kind in entries(folder)? {
        for case in entries(&kind)? {
            cases.push(Case { name: format!("{}/{}", text(&kind), text(&case)), folder: case });
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

impl Case {
    /// Reads model and values.
    ///
    /// # Errors
    /// A file is missing, or holds what its declared type does not say.
    pub fn load(&self) -> Result<Loaded> {
        let bytes = Bytes::from(std::fs::read(self.folder.join("model.onnx"))?);
        let model =
            Model::from_bytes(bytes.clone(), Some(&self.folder)).map_err(|e| anyhow::anyhow!("{e}"))?;
        let proto = model.proto().clone();
        let graph = proto.graph.as_ref().context("a model without a graph")?;
        let stored = |x: &&ValueInfoProto| {
            let sparse = graph.sparse_initializer.iter().filter_map(|t| t.values.as_ref());
            !graph.initializer.iter().chain(sparse).any(|t| t.name() == x.name())
        };
        let inputs: Vec<&ValueInfoProto> = graph.input.iter().filter(stored).collect();
        let outputs: Vec<&ValueInfoProto> = graph.output.iter().collect();
        let mut sets = Vec::new();
        for n in 0.. {
            let folder = self.folder.join(format!("test_data_set_{n}"));
            if !folder.is_dir() {
                break;
            }
            let inputs = values(&folder, "input", &inputs)?;
            let outputs = values(&folder, "output", &outputs)?.into_iter().map(|(_, v)| v).collect();
            sets.push(Set { inputs, outputs });
        }
        ensure!(!sets.is_empty(), "no stored values");
        Ok(Loaded { bytes, proto, sets })
    }

    /// The operators of the model's main graph.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn operators(&self) -> Result<Vec<String>> {
        let bytes = Bytes::from(std::fs::read(self.folder.join("model.onnx"))?);
        let model = <ModelProto as prost::Message>::decode(bytes)?;
        let mut names: Vec<String> = model.graph.iter().flat_map(operators).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }
}

fn operators(graph: &GraphProto) -> Vec<String> {
    graph.node.iter().map(|n| n.op_type().to_owned()).collect()
}

fn values(folder: &Path, what: &str, declared: &[&ValueInfoProto]) -> Result<Vec<(String, Value)>> {
    let mut out = Vec::new();
    for (i, info) in declared.iter().enumerate() {
        let path = folder.join(format!("{what}_{i}.pb"));
        if !path.exists() {
            break;
        }
        let bytes = Bytes::from(std::fs::read(&path)?);
        let value = Value::decode(bytes, info.r#type.as_ref())
            .with_context(|| format!("{what} {:?}", info.name()))?;
        out.push((info.name().to_owned(), value));
    }
    Ok(out)
}
