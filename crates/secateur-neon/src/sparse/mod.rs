//! Sparse convolution: only weights that are not zero are multiplied.
//!
//! The weights are a table: for each block of one, two or four outputs, the taps (channel, row and column of the kernel)
//! at which any of them has a weight, as weights and as the way to the next tap's pixels. The code walks through the
//! table once for each tile of pixels: list loads bring a tap's pixels, 16 at a time, and move the pointers on by a
//! register, so that 16 pixels and a weight cost four multiply-adds, a load, and little more. Any pattern and density will
//! do; the code is small and the same for all.

mod emit;
mod table;

use crate::conv::{Conv, reads_on};
use crate::counted::{Generated, Made};
use crate::{Core, Unsupported};

/// Taps that the code takes at a time; those that are left over it takes one by one.
const UNROLL: usize = 4;

/// A convolution by a table of its weights. Columns may have a stride of 1 or 2.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseConv {
    /// The convolution.
    pub conv: Conv,
    /// Outputs of a block: 1, 2 or 4.
    pub block: usize,
    /// Taps of each block of outputs that have a weight: [`SparseConv::new`] counts them.
    pub taps: Vec<u32>,
}

impl SparseConv {
    /// For these weights, `[outputs, channels / groups, kernel]`.
    pub fn new(conv: Conv, block: usize, weights: &[f32]) -> Self {
        let mut sparse = SparseConv { conv, block, taps: Vec::new() };
        sparse.taps = table::taps(&sparse, weights).iter().map(|t| t.len() as u32).collect();
        sparse
    }

    /// Multiply-adds with weights that are in the table.
    pub fn multiply_adds(&self) -> u64 {
        let taps: u64 = self.taps.iter().map(|t| u64::from(*t)).sum();
        taps * (self.block * self.conv.output.height * self.conv.output.width) as u64
    }

    fn check(&self) -> Result<(), Unsupported> {
        self.conv.check()?;
        if !matches!(self.conv.stride[1], 1 | 2) || self.conv.stride[1] == 2 && !reads_on(&self.conv) {
            return Err(Unsupported::new("a sparse convolution with this stride"));
        }
        if !matches!(self.block, 1 | 2 | 4) {
            return Err(Unsupported::new("blocks of another size than 1, 2 or 4"));
        }
        if self.taps.len() != self.conv.output.channels.div_ceil(self.block) {
            return Err(Unsupported::new("a table of weights for another number of outputs"));
        }
        if self.conv.input.channels * self.conv.input.plane > i32::MAX as usize / 4 {
            return Err(Unsupported::new("an input of more than 2 GiB"));
        }
        Ok(())
    }
}

impl Generated for SparseConv {
    fn name(&self) -> String {
        let (i, [rows, columns]) = (&self.conv.input, self.conv.kernel);
        let taps: u64 = self.taps.iter().map(|t| u64::from(*t)).sum();
        let (h, w, outputs) = (i.height, i.width, self.conv.output.channels);
        format!("sparse{}_{rows}x{columns}_{}x{h}x{w}_{outputs}_{taps}", self.block, i.channels)
    }

    fn made(&self, core: Core, symbol: String) -> Result<Made, Unsupported> {
        self.check()?;
        let mut best: Option<Made> = None;
        for vectors in [16, 12, 10, 8, 6, 5, 4, 3, 2, 1] {
            // All outputs look at the pixels of a tile: they should stay in the first level of the cache. Below 32 pixels
            // the table, which is read for each tile, would be in its way instead.
            let cached = if core == Core::A76 { 64 * 1024 } else { 32 * 1024 };
            if vectors > 8 && self.conv.input.channels * vectors * 16 > cached {
                continue;
            }
            if let Ok(made) = emit::emit(self, core, vectors, &symbol)
                && best.as_ref().is_none_or(|b| made.executed() < b.executed())
            {
                best = Some(made);
            }
        }
        best.ok_or_else(|| Unsupported::new("no tile that fits"))
    }

    fn packed(&self, constants: &[&[f32]]) -> Vec<u8> {
        table::packed(self, constants)
    }
}
