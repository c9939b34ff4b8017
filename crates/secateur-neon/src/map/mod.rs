//! Elementwise kernels: maps, binary operators with broadcasting, copies of any strided region, casts, selections.

mod emit;

use crate::counted::{Generated, Made, shape};
use crate::strided::Strided;
use crate::{Core, Unsupported, program::Program};

/// `output[i] = program(inputs[i]...)` for every point `i` of a loop nest.
///
/// An input whose steps are zero along a loop is broadcast; steps that are no multiples of each other walk through padded
/// planes, slices, transposes and expansions; an input may be a constant. The output may be the same array as an input
/// with equal steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// Turns of each loop, outermost first.
    pub extents: Vec<usize>,
    /// Where results go; no two points may share an element.
    pub output: Strided,
    /// At most six.
    pub inputs: Vec<Strided>,
    /// What is computed.
    pub program: Program,
}

impl Generated for Map {
    fn name(&self) -> String {
        format!("map_{}", shape(&self.extents))
    }

    fn made(&self, _: Core, symbol: String) -> Result<Made, Unsupported> {
        self.program.check(self.inputs.len()).map_err(Unsupported::new)?;
        for array in self.inputs.iter().chain([&self.output]) {
            array.check(&self.extents)?;
        }
        emit::emit(self, symbol)
    }
}
