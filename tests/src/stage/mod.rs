//! What is asked of a case, one file a question.

use anyhow::{Result, bail};

use crate::work::guard;
use crate::{Case, Loaded, Outcome};

pub mod compile;
pub mod own;
pub mod run;
pub mod save;
pub mod shape;
#[cfg(feature = "tract")]
pub mod tract;

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Loaded and saved, the file is the same byte for byte.
    Save,
    /// The shapes found are those of the stored outputs.
    Shape,
    /// Running gives the stored outputs.
    Run,
    /// Compiled and run under the emulator it gives the stored outputs.
    Compile,
}

impl Stage {
    /// All of them.
    pub const ALL: [Stage; 4] = [Stage::Save, Stage::Shape, Stage::Run, Stage::Compile];

    /// As it is called on the command line and in names of files.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Save => "save",
            Stage::Shape => "shape",
            Stage::Run => "run",
            Stage::Compile => "compile",
        }
    }

    /// The stage of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn from_name(name: &str) -> Result<Stage> {
        match Self::ALL.into_iter().find(|s| s.name() == name) {
            Some(stage) => Ok(stage),
            None => bail!("the stages are {}", Self::ALL.map(Stage::name).join(", ")),
        }
    }
}

/// Loads a case and asks; a panic is an answer.
pub(crate) fn ask(case: &Case, one: impl FnOnce(&Loaded) -> Outcome) -> Outcome {
    guard(|| match case.load() {
        Ok(loaded) => one(&loaded),
        Err(e) => Outcome::Refused {
            reason: format!("not read: {}", format!("{e:#}").lines().next().unwrap_or_default()),
            detail: format!("{e:#}"),
        },
    })
}
