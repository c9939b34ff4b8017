//! The answer to one question about one case.

use secateur_diag::Diagnostic;

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All as stored.
    Agrees,
    /// Nothing was computed, and the reason was given.
    Refused {
        /// The reason in short: the same for all cases that have it.
        reason: String,
        /// The whole message.
        detail: String,
    },
    /// Something else than is stored.
    Differs {
        /// What kind of difference.
        reason: String,
        /// Where, and how large.
        detail: String,
    },
    /// The program gave up instead of answering.
    Panics {
        /// The message.
        reason: String,
    },
}

impl Outcome {
    /// A refusal without more to say.
    pub fn refused(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Outcome::Refused { detail: reason.clone(), reason }
    }

    /// A difference.
    pub fn differs(reason: impl Into<String>, detail: impl Into<String>) -> Self {
        Outcome::Differs { reason: reason.into(), detail: detail.into() }
    }

    /// What is listed of a case that does not pass.
    pub fn reason(&self) -> Option<String> {
        match self {
            Outcome::Agrees => None,
            Outcome::Refused { reason, .. } => Some(format!("refused: {reason}")),
            Outcome::Differs { reason, .. } => Some(format!("WRONG: {reason}")),
            Outcome::Panics { reason } => Some(format!("PANIC: {reason}")),
        }
    }

    /// The whole message of a case that does not pass.
    pub fn detail(&self) -> &str {
        match self {
            Outcome::Agrees => "",
            Outcome::Refused { detail, .. } | Outcome::Differs { detail, .. } => detail,
            Outcome::Panics { reason } => reason,
        }
    }
}

impl From<Box<Diagnostic>> for Outcome {
    fn from(d: Box<Diagnostic>) -> Self {
        // Titles may name values; what is in quotes or behind a percent sign differs from case to case.
        Outcome::Refused { reason: format!("{} {}", d.code, d.title), detail: d.to_string() }
    }
}
