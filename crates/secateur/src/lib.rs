//! The pipeline: from a model file to a smaller one, and what was done to it.
//!
//! Data goes one way: load, simplify, couple, score, allocate, shrink, tidy, export. Each step is one call
//! below; [`cli`] is the command around them.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cache;
mod calibrated;
pub mod cli;
mod latency;
mod layers;
mod output;
mod prune;
mod quantize;
mod report;

pub use calibrated::{
    Calibrated, Calibration, CurveReport, Progress, Rating, Without, default_cache,
    prune as prune_calibrated, samples, sensitivity,
};
pub use latency::{Clock, Latency};
pub use layers::Layer;
pub use prune::{Analyzed, Pruned, Request, analyze, open, prune};
pub use quantize::quantize;
pub use report::{Footprint, PruneReport};
