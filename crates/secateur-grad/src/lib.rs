//! Derivatives of a graph's outputs by its weights, backwards through the graph.
//!
//! A [`Program`] is made of a graph for inputs of fixed shapes, which a run of any engine has told ([`Facts`]).
//! Integer values must not depend on data: they are shape arithmetic, and their contents are constants here.

mod array;
mod ops;
mod program;

pub use array::Array;
pub use program::{Facts, Program, Refused, Run};
