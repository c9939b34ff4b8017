//! Sums, products and extrema over any axes: ReduceMean and its kin, global pooling.

mod emit;

pub(crate) use emit::{combine, horizontal};

use crate::counted::{Generated, Made, shape};
use crate::program::Program;
use crate::strided::Strided;
use crate::{Core, Unsupported};

/// How elements are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// Their product.
    Product,
    /// The largest; NaN if any is.
    Max,
    /// The smallest; NaN if any is.
    Min,
}

impl Reduction {
    /// What leaves everything as it is.
    pub fn identity(self) -> f32 {
        match self {
            Reduction::Sum => 0.0,
            Reduction::Product => 1.0,
            Reduction::Max => f32::NEG_INFINITY,
            Reduction::Min => f32::INFINITY,
        }
    }
}

/// `output[i] = after(reduction over j of before(input[i, j]))`.
///
/// The order of the additions is the code's: partial sums of four lanes and up to four vectors, or of stretches where results
/// are lanes, so that errors do not grow with their number. A mean is a sum whose
/// `after` multiplies by a number; an L2 norm squares before and takes the root after.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduce {
    /// Turns of the loops over results.
    pub kept: Vec<usize>,
    /// Turns of the loops over what is put together.
    pub reduced: Vec<usize>,
    /// f32; a step for each of the kept loops.
    pub output: Strided,
    /// A step for each of the kept loops, then for each of the others.
    pub input: Strided,
    /// How.
    pub reduction: Reduction,
    /// Of each element, its only input.
    pub before: Program,
    /// Of each result, its only input.
    pub after: Program,
}

impl Generated for Reduce {
    fn name(&self) -> String {
        format!("reduce_{}_over_{}", shape(&self.kept), shape(&self.reduced))
    }

    fn made(&self, _: Core, symbol: String) -> Result<Made, Unsupported> {
        for program in [&self.before, &self.after] {
            program.check(1).map_err(Unsupported::new)?;
        }
        self.output.check(&self.kept)?;
        self.input.check(&[self.kept.clone(), self.reduced.clone()].concat())?;
        emit::emit(self, symbol)
    }
}
