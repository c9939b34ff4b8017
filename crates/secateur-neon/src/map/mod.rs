//! Elementwise kernels: maps, binary operators with broadcasting, copies of any strided region, casts, selections.

mod emit;

use crate::counted::{Made, digest};
use crate::strided::Strided;
use crate::{Code, Core, Estimate, Family, Unsupported, program::Program};

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

impl Map {
    fn made(&self, core: Core) -> Result<Made, Unsupported> {
        self.program.check(self.inputs.len()).map_err(Unsupported::new)?;
        for array in self.inputs.iter().chain([&self.output]) {
            array.check(&self.extents)?;
        }
        emit::emit(self, self.symbol(core))
    }
}

impl Family for Map {
    fn symbol(&self, _: Core) -> String {
        let shape = self.extents.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
        format!("map_{shape}_{}", digest(self))
    }

    fn generate(&self, core: Core) -> Result<Code, Unsupported> {
        Ok(self.made(core)?.code)
    }

    fn estimate(&self, core: Core) -> Estimate {
        self.made(core).map_or(Estimate::default(), |made| made.estimate(core))
    }
}
