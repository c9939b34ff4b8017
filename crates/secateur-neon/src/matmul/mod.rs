//! Matrix products of any layout, in batches: MatMul, Gemm of few rows, attention.

mod emit;

pub(crate) use emit::Tiles;

use crate::counted::{Generated, Made, shape};
use crate::program::Program;
use crate::strided::{Element, Strided};
use crate::{Core, Unsupported};

/// `output[i, r, c] = after(add[i, r, c] + Σ over j of a[i, r, j] * b[i, j, c])`, f32.
///
/// Columns of `b` side by side give the fastest code, columns of `b` each in a run (a transposed `b`) the next. The sum
/// begins with `add` and goes through `j` in order in the first case; in the second it is of four partial sums.
#[derive(Clone, Debug, PartialEq)]
pub struct MatMul {
    /// Turns of the loops over products.
    pub batch: Vec<usize>,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// What is summed over.
    pub inner: usize,
    /// A step for each batch loop, for rows, and for what is summed over.
    pub a: Strided,
    /// A step for each batch loop, for what is summed over, and for columns.
    pub b: Strided,
    /// A step for each batch loop, for rows, and for columns.
    pub output: Strided,
    /// The same: a bias, a mask, a residual.
    pub add: Option<Strided>,
    /// Of each sum, its only input.
    pub after: Program,
}

impl Generated for MatMul {
    fn name(&self) -> String {
        format!("matmul_{}_{}x{}x{}", shape(&self.batch), self.rows, self.inner, self.columns)
    }

    fn made(&self, _: Core, symbol: String) -> Result<Made, Unsupported> {
        let extents = |last: [usize; 2]| [self.batch.clone(), last.to_vec()].concat();
        self.a.check(&extents([self.rows, self.inner]))?;
        self.b.check(&extents([self.inner, self.columns]))?;
        for array in self.add.iter().chain([&self.output]) {
            array.check(&extents([self.rows, self.columns]))?;
        }
        self.after.check(1).map_err(Unsupported::new)?;
        let arrays = [&self.a, &self.b, &self.output].into_iter().chain(&self.add);
        if arrays.into_iter().any(|a| a.element != Element::F32) {
            return Err(Unsupported::new("matrix products of anything but f32"));
        }
        emit::emit(self, symbol)
    }
}
