//! A second opinion: [tract](https://github.com/sonos/tract) as an engine, for `verify --engine tract` and for tests.
//!
//! The crate knows the model as bytes alone; none of tract's types appear here. It is used in no other path: what it
//! computes is compared, not trusted.

mod declared;
mod executor;
mod plain;
mod plain_tensor;
mod plan;
mod screen;

pub use executor::Oracle;
pub use plan::Level;
