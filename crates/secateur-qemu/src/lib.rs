//! AArch64 code under QEMU's user-mode emulator: [`Runner`] calls single functions with guard pages around their buffers
//! and checks that they keep what the procedure call standard says; [`plugin`] counts what they execute.
//!
//! For tests and measurements only; no part of the compiler. Needs the C cross compiler and the emulator, which
//! `cargo xtask setup --cross` installs.

mod counts;
mod failure;
mod runner;
mod tools;

pub use counts::{CacheModel, Counts};
pub use failure::Failure;
pub use runner::{Argument, Case, Placement, Returned, Runner};
pub use tools::{CORES, plugin};
