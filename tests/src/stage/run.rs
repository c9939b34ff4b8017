//! A model that is run gives the stored outputs.

use super::ask;
use crate::compare::{Allowed, compare};
use crate::{Case, Loaded, Outcome, Value};

/// Something that runs models.
pub trait Engine: Sync {
    /// Its name, for people.
    fn name(&self) -> &'static str;

    /// Outputs from inputs.
    ///
    /// # Errors
    /// Why it cannot be run.
    fn run(&self, case: &Case, loaded: &Loaded, inputs: &[(String, Value)]) -> Result<Vec<Value>, Outcome>;
}

/// Runs every set of stored values; see [`super::Stage::Run`].
pub fn check(engine: &dyn Engine, case: &Case) -> Outcome {
    ask(case, |loaded| {
        for set in &loaded.sets {
            let outcome = match engine.run(case, loaded, &set.inputs) {
                Ok(found) => compare(&found, &set.outputs, Allowed::default()),
                Err(outcome) => outcome,
            };
            if outcome != Outcome::Agrees {
                return outcome;
            }
        }
        Outcome::Agrees
    })
}
