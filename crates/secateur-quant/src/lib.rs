//! Quantization: ranges, scales, rounding, and where Quantize/Dequantize pairs go in a graph.
//!
//! [`quantize`] turns a float graph into the standard QDQ form: integers are stored, and pairs of QuantizeLinear and
//! DequantizeLinear say where a runtime may compute on integers. [`place()`] decides where, [`choose`] with what scale,
//! [`round`] how the weights are rounded, with error feedback on the Gram matrix of a layer's input if asked
//! ([`Inverse`]).
//!
//! # Invariants
//!
//! - Weights are symmetric, activations have zero on their grid.
//! - A bias is an integer at the product of the scales of data and weight.
//! - A weight that is zero stays zero.

mod dequantize;
mod emit;
mod equalize;
mod feedback;
mod kind;
mod layers;
mod opset;
mod place;
mod quantize;
mod range;
mod reconstruct;
mod seen;
mod sensitive;
mod sweep;
mod weight;
mod work;

pub use dequantize::{dequantized, quantized};
pub use equalize::Equalized;
pub use feedback::Inverse;
pub use kind::{Kind, kind};
pub use opset::raise;
pub use place::{Placement, place};
pub use quantize::{Calibration, LayerReport, Options, Report, Spared, Weights, quantizable, quantize};
pub use range::{Activations, Method, Scale, choose};
pub use reconstruct::Target;
pub use weight::{Grid, Rounded, round};
