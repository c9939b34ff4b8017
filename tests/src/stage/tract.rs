//! tract as an engine, for a baseline.

use secateur_oracle::Oracle;

use super::run::Engine;
use crate::{Case, Loaded, Outcome, Value};

/// The engine behind `secateur-oracle`.
#[derive(Clone, Copy, Debug)]
pub struct Tract;

impl Engine for Tract {
    fn name(&self) -> &'static str {
        "tract"
    }

    fn run(&self, _: &Case, loaded: &Loaded, inputs: &[(String, Value)]) -> Result<Vec<Value>, Outcome> {
        let oracle = Oracle::from_bytes(&loaded.bytes)?;
        let fed = |(name, value): &(String, Value)| {
            let tensor = value.tensor().cloned();
            tensor
                .map(|t| (name.clone(), t))
                .ok_or_else(|| Outcome::refused(format!("an input that is {}", value.describe())))
        };
        let fed = inputs.iter().map(fed).collect::<Result<Vec<_>, _>>()?;
        Ok(oracle.run(&fed)?.into_iter().map(|(_, t)| Value::Tensor(t)).collect())
    }
}
