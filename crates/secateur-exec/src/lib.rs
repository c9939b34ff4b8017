//! Running ONNX models on data, and comparing two models.
//!
//! The crate knows the model only as bytes: it takes an ONNX file or buffer, prepares `.npy` samples the
//! way the model was trained ([`Preparation`]), runs them ([`Executor`]) and says how far two models are
//! apart ([`compare`]). The engine behind it is [tract](https://github.com/sonos/tract); none of its
//! types appear here.
//!
//! ```no_run
//! # use secateur_exec::*;
//! # fn main() -> secateur_diag::Result<()> {
//! let original = Executor::from_path("m.onnx")?;
//! let smaller = Executor::from_path("m.pruned.onnx")?;
//! let recipe = Recipe::from(Preparation::parse("1/255", "0.286", "0.353")?);
//! let data = InputSet::open(&parse_data_args(&["test_x.npy"])?, original.inputs(), &recipe)?;
//! let result = compare(&original, &smaller, &data, None, &CompareOptions::default(), &mut |_, _| {})?;
//! println!("{:.1} dB", result.outputs[0].sqnr());
//! # Ok(())
//! # }
//! ```

mod args;
mod compare;
mod declared;
mod executor;
mod fit;
mod guard;
mod inputs;
mod labels;
mod moments;
mod npy;
mod number;
mod plain;
mod plain_tensor;
mod plan;
mod pool;
mod prep;
mod ranges;
mod recipe;
mod screen;
mod tally;
mod tensor;
mod unfold;

pub use args::{DataArg, parse_data_args};
pub use compare::{CompareOptions, Comparison, compare};
pub use declared::{Dim, ValueInfo};
pub use executor::Executor;
pub use inputs::{InputData, InputSet, InputSummary};
pub use labels::Labels;
pub use moments::{Moments, fold_in_order};
pub use npy::NpyFile;
pub use plan::Level;
pub use pool::in_order;
pub use prep::Preparation;
pub use ranges::{Histogram, ranges};
pub use recipe::Recipe;
pub use tally::{Accuracy, OutputComparison, Top1};
pub use tensor::{DType, Data, Tensor};
pub use unfold::{Slide, Unfold};
