//! Rewrites that keep the function.
//!
//! One pass is one file, and one row of [`PASSES`]. [`simplify`] runs them to a fixpoint; [`prepare`] is
//! what comes before coupling, [`finish`] what comes after surgery.
//!
//! # Invariants
//!
//! - The names of graph inputs and outputs, and of values that subgraphs read, stay.
//! - After a pass that changed something the graph is verified and its shapes are inferred again; an error
//!   then names the pass.
//! - No pass looks at what weights are worth.

use secateur_diag::Result;
use secateur_ir::Graph;

mod batchnorm;
mod compose;
mod constants;
mod dead;
mod driver;
mod fold;
mod gemm_factors;
mod identity;
mod if_constant;
mod resize_scales;
mod shape;
mod shape_inputs;
mod shared;
mod shuffle;
mod util;
mod zero_state;

pub use driver::{After, Options, PassReport, Report, finish, prepare, run, simplify};

/// A rewrite that keeps the function.
pub struct Pass {
    /// The name on the command line and in messages.
    pub name: &'static str,
    /// One line for the list of passes.
    pub doc: &'static str,
    /// Rewrites the graph, whose shapes are inferred, and says how many places it changed.
    pub run: fn(&mut Graph) -> Result<usize>,
}

/// The passes of [`simplify`], in order, then those that only [`prepare`] and [`finish`] run.
#[rustfmt::skip] // one row a pass
pub const PASSES: &[Pass] = &[
    constants::PASS,
    fold::PASS,
    shape::PASS,
    if_constant::PASS,
    shape_inputs::PASS,
    identity::PASS,
    compose::PASS,
    gemm_factors::PASS,
    batchnorm::PASS,
    shuffle::PASS,
    zero_state::PASS,
    resize_scales::PASS,
    dead::PASS,
    shared::EQUAL,
    shared::SPLIT,
    shared::MERGE,
];

/// By name.
pub fn find(name: &str) -> Option<&'static Pass> {
    PASSES.iter().find(|p| p.name == name)
}
