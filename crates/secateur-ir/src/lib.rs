//! The graph, its printed form and the operator table.
//!
//! - [`Module`] is a model: its main [`Graph`] and everything around it that stays as it was.
//! - [`infer()`] finds types, shapes and the contents of small integer tensors.
//! - [`ops`] says, one file an operator, what passes and coupling need to know.
//! - [`print`] and [`parse`] are the printed form, the contract of the tests.
//!
//! # Invariants
//!
//! - After every rewrite [`verify::verify`] holds.
//! - Nothing here knows of pruning or quantization.

mod attr;
pub mod constant;
pub mod dim;
pub mod edit;
pub mod graph;
pub mod infer;
mod inline;
pub mod module;
pub mod ops;
pub mod parse;
pub mod print;
pub mod tensor;
pub mod text;
pub mod verify;

pub use attr::norm_axis;
pub use dim::{Dim, Shape};
pub use edit::Edit;
pub use graph::{Graph, Init, Ints, Links, Node, TensorType, Use, Value, ValueId};
pub use infer::infer;
pub use inline::inline;
pub use module::Module;
pub use secateur_onnx::ElemType;
pub use tensor::{Data, Tensor};
