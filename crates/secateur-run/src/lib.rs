//! Runs a graph on tensors: the one executor, for constant folding aside.
//!
//! A [`Runner`] is a graph made ready. Every node is evaluated by its row of the operator table (`secateur_ops`), `If`,
//! `Loop` and `Scan` here. Shapes need not be known before: sizes are those of the tensors that come in.
//!
//! # Invariants
//!
//! - Nothing here knows what an operator means; `control` alone runs bodies.
//! - A value is dropped after its last reader, so that memory is that of the live values.
//! - No input makes it panic.

mod control;
mod runner;

pub use runner::{ROOM, Runner, unsupported};
