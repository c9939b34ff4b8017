//! The graph and its printed form.
//!
//! - [`Module`] is a model: its main [`Graph`] and everything around it that stays as it was.
//! - [`print`] and [`parse`] are the printed form, the contract of the tests.
//!
//! # Invariants
//!
//! - After every rewrite [`verify::verify`] holds.
//! - Nothing here knows what an operator means, of pruning or of quantization.

mod attr;
pub mod check;
pub mod dim;
pub mod edit;
mod globs;
pub mod graph;
mod inline;
pub mod module;
mod names;
pub mod parse;
mod place;
pub mod print;
pub mod text;
pub mod verify;

pub use attr::norm_axis;
pub use check::check;
pub use dim::{Dim, Shape};
pub use edit::Edit;
pub use globs::Globs;
pub use graph::{Graph, Init, Ints, Links, Node, TensorType, Use, Value, ValueId};
pub use inline::inline;
pub use module::Module;
pub use place::{describe, dim_options, input_symbols, place};
pub use secateur_onnx::ElemType;
pub use secateur_tensor::{Data, Tensor};
