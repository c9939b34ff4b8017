//! Dense convolution over planar images: a matrix product whose columns are pixels and whose rows are outputs. A tap of
//! the kernel is an offset of the input pointer; padding is the border of the input planes.
//!
//! The weights of a block of outputs lie in the order in which they are used: channel, row, column of the kernel, as
//! in ONNX, each for the whole block. Which block is best for a shape is tried out: the code that executes the fewest
//! instructions is taken.

mod emit;
mod steps;
pub(crate) mod tiles;

pub(crate) use emit::{GROUP_WEIGHTS, GROUPS, Product};
pub(crate) use steps::{reads_on, row_loads};

use crate::counted::{Generated, Made};
use crate::gemm;
use crate::{Core, Epilogue, Planes, Unsupported};

/// A convolution. Weights are `[outputs, channels / groups, kernel]`, then the bias, if any.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv {
    /// The input, with the border that padding needs.
    pub input: Planes,
    /// The output. It must not overlap the input. It may be the residual's memory if no row is shorter than a multiple
    /// of four pixels ([`Conv::in_place`]).
    pub output: Planes,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Input pixels from output to output, down and right.
    pub stride: [usize; 2],
    /// Input pixels from tap to tap, down and right.
    pub dilation: [usize; 2],
    /// Input pixels before the first row and column that the first output looks at.
    pub pad: [usize; 2],
    /// Groups of channels.
    pub groups: usize,
    /// What follows.
    pub epilogue: Epilogue,
}

impl Conv {
    /// Whether the residual may lie where the output goes: no pixel is computed twice.
    pub fn in_place(&self) -> bool {
        let plan = self.flat();
        plan.output.width < 4 || plan.output.width.is_multiple_of(4)
    }

    /// Multiply-adds of one call.
    pub fn multiply_adds(&self) -> u64 {
        let k = self.input.channels / self.groups.max(1) * self.kernel[0] * self.kernel[1];
        (k * self.output.channels * self.output.height * self.output.width) as u64
    }

    /// The same convolution over one long row, if it may be looked at that way.
    pub(crate) fn flat(&self) -> Conv {
        let plain = |p: &Planes| p.contiguous();
        let pointwise = self.kernel == [1, 1] && self.stride == [1, 1] && self.pad == [0, 0];
        let residual = self.epilogue.residual;
        if !(pointwise && plain(&self.input) && plain(&self.output) && residual.is_none_or(|r| plain(&r))) {
            return *self;
        }
        let long = |p: Planes| Planes { height: 1, width: p.height * p.width, row: p.height * p.width, ..p };
        let epilogue = Epilogue { residual: residual.map(long), ..self.epilogue };
        Conv { input: long(self.input), output: long(self.output), epilogue, ..*self }
    }

    pub(crate) fn check(&self) -> Result<(), Unsupported> {
        let refuse = |why: &str| Err(Unsupported::new(why));
        let (i, o) = (&self.input, &self.output);
        let g = self.groups;
        if g == 0 || !i.channels.is_multiple_of(g) || !o.channels.is_multiple_of(g) {
            return refuse("channels that do not divide into the groups");
        }
        if [self.kernel, self.stride, self.dilation].iter().flatten().any(|&n| n == 0) {
            return refuse("a kernel, stride or dilation of zero");
        }
        if o.height * o.width * o.channels * i.channels == 0 {
            return refuse("an empty image");
        }
        let reach = |axis: usize, out: usize| {
            (out - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis]
        };
        let (first, last) =
            (self.pad[0] * i.row + self.pad[1], reach(0, o.height) * i.row + reach(1, o.width));
        if first > i.origin || i.origin - first + last >= i.plane {
            return refuse("padding that is wider than the border of the input");
        }
        if let Some(r) = self.epilogue.residual
            && (r.channels, r.height, r.width) != (o.channels, o.height, o.width)
        {
            return refuse("a residual of another shape");
        }
        Ok(())
    }

    /// Outputs of a block and vectors of a tile that serve this shape best, and the code.
    fn best(&self, core: Core, symbol: &str) -> Result<(usize, Made), Unsupported> {
        self.check()?;
        let flat = self.flat();
        let outputs = self.output.channels / self.groups;
        let mut best: Option<(usize, Made)> = None;
        let mut reason = Unsupported::new("no block that fits");
        for (m, n) in
            [(12, 2), (8, 3), (8, 2), (4, 4), (6, 4), (24, 1), (20, 1), (16, 1), (12, 1), (8, 1), (4, 1)]
        {
            if m >= outputs + 4 && m > 4 {
                continue;
            }
            match emit::emit(&flat, core, m, n, symbol.to_owned()) {
                Ok(made) if best.as_ref().is_none_or(|b| made.executed() < b.1.executed()) => {
                    best = Some((m, made))
                }
                Ok(_) => {}
                Err(e) => reason = e,
            }
        }
        best.ok_or(reason)
    }
}

impl Generated for Conv {
    fn name(&self) -> String {
        let [kh, kw] = self.kernel;
        let (i, o) = (&self.input, &self.output);
        format!("conv_{kh}x{kw}_{}x{}x{}_{}", i.channels, i.height, i.width, o.channels)
    }

    fn made(&self, core: Core, symbol: String) -> Result<Made, Unsupported> {
        Ok(self.best(core, &symbol)?.1)
    }

    fn packed(&self, constants: &[&[f32]]) -> Vec<u8> {
        let Ok((m, _)) = self.best(Core::A72, "") else { return Vec::new() };
        let k = self.input.channels / self.groups * self.kernel[0] * self.kernel[1];
        let outputs = self.output.channels / self.groups;
        let mut packed = Vec::new();
        for g in 0..self.groups {
            for first in (0..outputs).step_by(m) {
                let rows = first..(first + m).min(outputs);
                let bias = constants.get(1).filter(|_| self.epilogue.bias);
                gemm_rows(&mut packed, constants[0], bias.copied(), k, g * outputs, rows);
            }
        }
        packed.iter().flat_map(|f| f.to_le_bytes()).collect()
    }
}

/// Weights of a block of outputs, padded to whole vectors: bias, then one run a step.
pub(crate) fn gemm_rows(
    packed: &mut Vec<f32>,
    weights: &[f32],
    bias: Option<&[f32]>,
    k: usize,
    base: usize,
    rows: std::ops::Range<usize>,
) {
    let width = 4 * gemm::vectors(rows.len());
    let mut run = |value: &dyn Fn(usize) -> f32| {
        packed.extend((0..width).map(|i| if i < rows.len() { value(base + rows.start + i) } else { 0.0 }));
    };
    if let Some(bias) = bias {
        run(&|o| bias[o]);
    }
    for step in 0..k {
        run(&|o| weights[o * k + step]);
    }
}
