//! The executor, `secateur-run`.

use std::collections::BTreeMap;

use secateur_ir::{Module, Tensor};
use secateur_onnx::Model;
use secateur_run::{Runner, unsupported};

use super::run::Engine;
use crate::expected::UNWRITTEN;
use crate::{Case, Loaded, Outcome, Value};

/// The executor.
#[derive(Clone, Copy, Debug)]
pub struct Own;

/// Bytes that a value may take: no stored one comes near.
const ROOM: usize = 1 << 30;

impl Engine for Own {
    fn name(&self) -> &'static str {
        "secateur"
    }

    fn run(&self, case: &Case, loaded: &Loaded, inputs: &[(String, Value)]) -> Result<Vec<Value>, Outcome> {
        let model = Model::from_bytes(loaded.bytes.clone(), Some(&case.folder))?;
        let graph = Module::import(model)?.graph;
        // In short: the operators, and one reason where it is the same for all.
        let missing = unsupported(&graph);
        let runner = Runner::new(graph).map(|r| r.with_room(ROOM)).map_err(|e| match missing.is_empty() {
            true => e.into(),
            false => Outcome::Refused { reason: short(missing), detail: e.to_string() },
        })?;
        let mut fed: Vec<(_, Tensor)> = Vec::new();
        for (name, value) in inputs {
            let Some(tensor) = value.tensor() else {
                return Err(Outcome::refused(format!("an input that is no tensor: {}", kind(value))));
            };
            fed.extend(runner.graph().find(name).map(|v| (v, tensor.clone())));
        }
        Ok(runner.run(&fed)?.into_iter().map(Value::Tensor).collect())
    }
}

/// `no rule: A, B; random: C`, or just that rows are missing, as long as the table has such.
fn short(missing: Vec<(String, usize, String)>) -> String {
    let mut by: BTreeMap<String, Vec<String>> = BTreeMap::new();
    missing.into_iter().for_each(|(name, _, why)| by.entry(why).or_default().push(name));
    if by.contains_key(UNWRITTEN) {
        return UNWRITTEN.into();
    }
    let list = |(why, mut names): (String, Vec<String>)| {
        names.sort();
        format!("{why}: {}", names.join(", "))
    };
    by.into_iter().map(list).collect::<Vec<_>>().join("; ")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Tensor(_) => "a tensor",
        Value::Sequence(_) => "a sequence",
        Value::Optional(_) => "an optional",
    }
}
