//! Samples: `.npy` files, prepared as a model was trained, a batch at a time.
//!
//! ```no_run
//! # use secateur_data::*;
//! # fn main() -> secateur_diag::Result<()> {
//! # let inputs: Vec<ValueInfo> = vec![];
//! let recipe = Recipe::from(Preparation::parse("1/255", "0.286", "0.353")?);
//! let data = InputSet::open(&parse_data_args(&["test_x.npy"])?, &inputs, &recipe)?;
//! println!("{} samples", data.samples());
//! # Ok(())
//! # }
//! ```

mod args;
mod declared;
mod examine;
mod fit;
pub mod guard;
mod inputs;
mod labels;
mod npy;
mod number;
mod prep;
mod recipe;

pub use args::{DataArg, parse_data_args};
pub use declared::{Dim, ValueInfo};
pub use inputs::{InputData, InputSet, InputSummary};
pub use labels::Labels;
pub use npy::NpyFile;
pub use prep::Preparation;
pub use recipe::Recipe;

/// `[1,3,32,32]`.
pub(crate) fn describe_shape(shape: &[usize]) -> String {
    let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("[{}]", dims.join(","))
}
