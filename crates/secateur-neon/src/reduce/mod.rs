//! Sums, products and extrema over any axes: ReduceMean and its kin, global pooling.

mod emit;

use crate::counted::{Made, digest};
use crate::program::Program;
use crate::strided::Strided;
use crate::{Code, Core, Estimate, Family, Unsupported};

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
/// The order of the additions is the code's: partial sums of four lanes and up to four vectors. A mean is a sum whose
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

impl Reduce {
    fn made(&self, core: Core) -> Result<Made, Unsupported> {
        for program in [&self.before, &self.after] {
            program.check(1).map_err(Unsupported::new)?;
        }
        self.output.check(&self.kept)?;
        self.input.check(&[self.kept.clone(), self.reduced.clone()].concat())?;
        emit::emit(self, self.symbol(core))
    }
}

impl Family for Reduce {
    fn symbol(&self, _: Core) -> String {
        let shape = |extents: &[usize]| extents.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
        format!("reduce_{}_over_{}_{}", shape(&self.kept), shape(&self.reduced), digest(self))
    }

    fn generate(&self, core: Core) -> Result<Code, Unsupported> {
        Ok(self.made(core)?.code)
    }

    fn estimate(&self, core: Core) -> Estimate {
        self.made(core).map_or(Estimate::default(), |made| made.estimate(core))
    }
}
