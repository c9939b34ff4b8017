//! Runs a graph on tensors: the one executor, for constant folding aside.
//!
//! A [`Runner`] is a graph made ready, an [`Executor`] one that is fed by names; [`compare`] runs two [`Engine`]s on the same
//! samples. Every node is evaluated by its row of the operator table (`secateur_ops`), `If`,
//! `Loop` and `Scan` here. Shapes need not be known before: sizes are those of the tensors that come in.
//!
//! # Invariants
//!
//! - Nothing here knows what an operator means; `control` alone runs bodies.
//! - A value is dropped after its last reader, so that memory is that of the live values.
//! - No input makes it panic.

mod compare;
mod control;
mod engine;
mod executor;
mod pool;
mod runner;
mod tally;

pub use compare::{CompareOptions, Comparison, compare};
pub use engine::Engine;
pub use executor::Executor;
pub use pool::{fold_in_order, in_order};
pub use runner::{ROOM, Runner, unsupported};
pub use tally::{Accuracy, OutputComparison, Top1};
