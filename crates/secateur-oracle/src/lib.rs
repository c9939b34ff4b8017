//! [tract](https://github.com/sonos/tract) as an engine: meant as a second opinion, for `verify` and for tests.
//!
//! The crate knows the model as bytes alone; none of tract's types appear here. Until the operator table evaluates whole
//! models it also runs what has no derivative: stretches of calibration, and ranges for quantization.

mod declared;
mod executor;
mod plain;
mod plain_tensor;
mod plan;
mod screen;

pub use executor::Oracle;
pub use plan::Level;
