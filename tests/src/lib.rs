//! The bench of the tests of the whole pipeline: stored models and values, and what is asked of each.
//!
//! - [`Case`] is a model with inputs and outputs that somebody else has computed.
//! - [`stage`] holds what is asked of a case, one file a question; the answer is an [`Outcome`].
//! - [`Expected`] is the committed list of the cases that do not pass, with the reason.
//! - [`report`] prints a table and compares with that list.

mod case;
mod compare;
mod emulate;
mod expected;
mod outcome;
pub mod python;
pub mod report;
pub mod stage;
mod value;
mod work;

pub use case::{Case, Loaded, Set, node_tests};
pub use compare::{Allowed, compare};
pub use expected::Expected;
pub use outcome::Outcome;
pub use value::Value;
pub use work::in_parallel;
