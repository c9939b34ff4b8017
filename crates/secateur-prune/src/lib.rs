//! Structured pruning: which classes go, and how they are cut out.
//!
//! [`score`] rates every class, [`allocate()`] decides how many of each group go for a [`Budget`], and
//! [`surgery::apply`] cuts them out. The result of the first two is a [`Plan`]: plain data, printable. The
//! same plan gives [`mask::masked`], the original graph with the removed classes zeroed where they are
//! summed away, which must compute what the pruned graph computes.

mod allocate;
mod budget;
pub mod calib;
mod cost;
mod criterion;
pub mod mask;
mod plan;
mod select;
pub mod surgery;

pub use allocate::{Scope, allocate, unreachable};
pub use budget::{Amount, Budget, Limit};
pub use cost::{CostModel, Costs};
pub use criterion::{Criterion, score};
pub use plan::Plan;
pub use select::Selection;
