//! Tensors of every element type of ONNX.
//!
//! - [`Tensor`]: element type, sizes, packed little-endian bytes that are shared until written.
//! - [`Lane`]: Rust's numbers as elements; [`dispatch!`] chooses one by the element type.
//! - [`Broadcast`]: several tensors stepped through under one shape, in long runs.
//! - [`Walk`], [`view`], [`map_ints`], ...: element by element, for small constants.

mod broadcast;
mod tensor;
mod typed;
mod walk;

pub use broadcast::Broadcast;
pub use half::{bf16, f16};
pub use secateur_onnx::ElemType;
pub use tensor::{Data, Tensor};
pub use typed::{Lane, count};
pub use walk::*;
