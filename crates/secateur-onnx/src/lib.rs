//! The ONNX file: protobuf types, external data, limits, lossless load and save.
//!
//! - [`Model`] is a file in memory: [`Model::load`] maps it and decodes it without copying tensors,
//!   [`Model::save`] writes it through a temporary name.
//! - [`Outputs`] are the files of a command, which appear all or none.
//! - [`proto`] holds the types that are generated from `proto/onnx-ml.proto`; [`field`] the numbers of
//!   their fields.
//! - [`Extras`] keeps the fields that those types do not know, so that a file written by a newer
//!   exporter loses nothing. Whoever moves a node about moves its extras with it.
//! - [`ExternalFiles`] reads the tensors that live in files beside the model; [`ExternalOut`] says
//!   which tensors go there when the model is saved.
//! - [`ElemType`] names the element types, [`ExternalFiles::tensor_bytes`] gives any tensor's elements
//!   as packed little-endian bytes, whichever of the nine ways of storing them the file uses.
//!
//! # Invariants
//!
//! - Loading and saving a model that was not changed gives the same bytes.
//! - No input makes this crate panic. Memory is bounded by a small multiple of the file's size.
//! - Nothing outside the model's own folder is read, and nothing is written but the named files and models'
//!   `.data` companions.
//! - This crate knows files, not graphs: it does not look at what a node computes.

mod check;
mod elem;
mod external;
mod extras;
mod model;
mod outputs;
pub mod proto;
mod rope;
mod save;
mod schema;
mod splice;
mod tensor;
mod visit;
mod wire;

pub use check::{MAX_IR_VERSION, MAX_OPSET};
pub use elem::ElemType;
pub use external::ExternalFiles;
pub use extras::Extras;
pub use model::Model;
pub use outputs::{Outputs, same_file};
pub use save::{DATA_ALIGNMENT, ExternalOut};
pub use schema::field;
pub use splice::encode_with_extras;
pub use tensor::{byte_count, element_count, is_external};
pub use visit::{for_each_tensor, for_each_tensor_mut};
