//! 3 x 3 convolution of stride 1 by minimal filtering (Winograd; Lavin and Gray 2015): tiles of the input are transformed,
//! multiplied element by element with transformed weights and summed over channels, which is one matrix product an
//! element, and transformed back.
//!
//! The image is worked on in strips of regions of four tiles, one tile a lane. A strip is transformed straight into the
//! layout that the products read, `[channel, element, tile]`; products go to `[output, element, tile]`; the last transform
//! adds bias and residual and applies the activation. Regions at the right and lower edge overlap their neighbours
//! where the image is no multiple of a region.

mod input;
mod output;
mod regions;
mod transform;

pub use transform::Tile;

use crate::asm::{Asm, Cond, SP, X};
use crate::conv::{Conv, GROUP_WEIGHTS, GROUPS, Product, gemm_rows};
use crate::counted::{Counted, Generated, Made};
use crate::{Activation, Core, Epilogue, Planes, Unsupported};
use regions::Layout;

/// A convolution with 3 x 3 kernels, stride 1, no dilation, one group. Weights and bias as [`Conv`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Winograd {
    /// The input, with the border that padding needs.
    pub input: Planes,
    /// The output; it must not overlap the input. It may be the residual's memory if [`Winograd::in_place`].
    pub output: Planes,
    /// Input rows and columns before the first output's first tap.
    pub pad: [usize; 2],
    /// The transform.
    pub tile: Tile,
    /// What follows; the activation is none, Relu or Clip.
    pub epilogue: Epilogue,
}

/// How the image is cut.
#[derive(Clone, Copy, Debug)]
struct Cut {
    layout: Layout,
    /// Pixels of a region, down and across.
    size: [usize; 2],
    /// Regions down and across.
    count: [usize; 2],
    /// Rows of regions that are one strip, and how many regions of a row.
    strip: [usize; 2],
}

/// Transformed tiles and products of a strip take about this much at most: a part of any second-level cache.
const STRIP_BYTES: usize = 192 << 10;
/// Regions of a strip, at most: enough for any block of the product.
const STRIP_REGIONS: usize = 4;

impl Cut {
    /// Tiles of a strip.
    fn tiles(&self) -> usize {
        4 * self.strip[0] * self.strip[1]
    }

    /// Strips along an axis.
    fn strips(&self, axis: usize) -> usize {
        self.count[axis].div_ceil(self.strip[axis])
    }

    /// Whether a row of a strip, which then is the only one, ends with a region that overlaps the one before.
    fn inner_overlap(&self, width: usize) -> bool {
        self.strips(1) == 1 && self.overlaps(1, width)
    }

    /// Whether the last strip overlaps the one before.
    fn strips_overlap(&self, axis: usize, extent: usize) -> bool {
        self.strips(axis) > 1 && !extent.is_multiple_of(self.strip[axis] * self.size[axis])
    }

    /// Whether the last region, down or across, overlaps the one before.
    fn overlaps(&self, axis: usize, extent: usize) -> bool {
        !extent.is_multiple_of(self.size[axis])
    }
}

/// Where the kernel keeps its pointers while others use the registers, in bytes from `sp`.
#[derive(Clone, Copy)]
struct Slots {
    output: i64,
    input: i64,
    residual: i64,
    strips: i64,
    columns: i64,
    /// Room for one region between its two passes.
    between: i64,
}

impl Winograd {
    /// The same as [`Conv`], if there is an equivalent for this tile.
    pub fn of(conv: &Conv, tile: Tile) -> Option<Winograd> {
        let fits =
            conv.kernel == [3, 3] && conv.stride == [1, 1] && conv.dilation == [1, 1] && conv.groups == 1;
        let Conv { input, output, pad, epilogue, .. } = *conv;
        let spec = Winograd { input, output, pad, tile, epilogue };
        (fits && spec.cut().is_ok()).then_some(spec)
    }

    /// Whether the residual may lie where the output goes: no pixel is computed twice.
    pub fn in_place(&self) -> bool {
        let image = [self.output.height, self.output.width];
        self.cut()
            .is_ok_and(|c| [0, 1].iter().all(|&a| !c.overlaps(a, image[a]) && !c.strips_overlap(a, image[a])))
    }

    /// The convolution that it computes.
    fn conv(&self) -> Conv {
        let Winograd { input, output, pad, epilogue, .. } = *self;
        Conv { input, output, kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pad, groups: 1, epilogue }
    }

    fn cut(&self) -> Result<Cut, Unsupported> {
        self.conv().check()?;
        if !matches!(self.epilogue.activation, Activation::None | Activation::Relu | Activation::Clip { .. })
        {
            return Err(Unsupported::new("an activation other than Relu and Clip"));
        }
        let image = [self.output.height, self.output.width];
        let mut best: Option<Cut> = None;
        for layout in [Layout::Run, Layout::Square] {
            let size = layout.tiles().map(|t| t * self.tile.outputs());
            if image[0] < size[0] || image[1] < size[1] {
                continue;
            }
            let count = [image[0].div_ceil(size[0]), image[1].div_ceil(size[1])];
            let mut cut = Cut { layout, size, count, strip: [1, 1] };
            let each = 16 * self.elements() * (self.input.channels + self.output.channels);
            let most = (STRIP_BYTES / each).clamp(1, STRIP_REGIONS);
            // Fewest regions, counting those that are computed twice; then the largest strip.
            let whole = |axis: usize| image[axis] / size[axis];
            let mut options = Vec::new();
            for rows in 1..=whole(0).min(most) {
                for across in (1..=whole(1).min(most)).chain([count[1]]) {
                    if rows * across <= most {
                        let total = count[0].div_ceil(rows) * rows * count[1].div_ceil(across) * across;
                        options.push((total, most - rows * across, [rows, across]));
                    }
                }
            }
            cut.strip = options.into_iter().min().map_or([1, 1], |o| o.2);
            let fewer = |b: &Cut| count[0] * count[1] < b.count[0] * b.count[1];
            if best.as_ref().is_none_or(fewer) {
                best = Some(cut);
            }
        }
        best.ok_or_else(|| Unsupported::new("an image smaller than four tiles"))
    }

    /// Elements of a tile.
    fn elements(&self) -> usize {
        self.tile.inputs() * self.tile.inputs()
    }

    /// Bytes of the transformed input of a strip.
    fn transformed(&self, cut: &Cut) -> usize {
        4 * self.input.channels * self.elements() * cut.tiles()
    }

    /// Outputs of a block of the product that serve best, and the code.
    fn best(&self, symbol: &str) -> Result<(usize, Made), Unsupported> {
        let cut = self.cut()?;
        let outputs = self.output.channels;
        let mut best: Option<(usize, Made)> = None;
        let mut reason = Unsupported::new("no block that fits");
        for (m, n) in [(12, 2), (8, 3), (8, 2), (4, 4), (24, 1), (20, 1), (16, 1), (12, 1), (8, 1)] {
            if (m >= outputs + 4 && m > 8) || n > cut.tiles() / 4 {
                continue;
            }
            match self.emit(&cut, m, n, symbol.to_owned()) {
                Ok(made) if best.as_ref().is_none_or(|b| made.executed() < b.1.executed()) => {
                    best = Some((m, made))
                }
                Ok(_) => {}
                Err(e) => reason = e,
            }
        }
        best.ok_or(reason)
    }

    fn emit(&self, cut: &Cut, m: usize, n: usize, symbol: String) -> Result<Made, Unsupported> {
        let mut c = Counted::new();
        let (elements, tiles) = (self.elements(), cut.tiles());
        let line = |channels| Planes { plane: elements * tiles, ..Planes::dense(channels, 1, tiles) };
        let product = Conv {
            input: line(self.input.channels),
            output: line(self.output.channels),
            kernel: [1, 1],
            pad: [0, 0],
            epilogue: Epilogue { bias: false, residual: None, activation: Activation::None },
            ..self.conv()
        };
        let product = Product::new(product, m, n)?;

        let slots = {
            // A multiple of 32, so that neighbours pair up behind it.
            let words = i64::from(c.reserve(64));
            let between = i64::from(c.reserve(16 * elements as u32));
            Slots {
                output: words,
                input: words + 8,
                residual: words + 16,
                strips: words + 24,
                columns: words + 32,
                between,
            }
        };
        let (i, o) = (&self.input, &self.output);
        let first = i.origin as i64 - (self.pad[0] * i.row + self.pad[1]) as i64;
        c.add_imm(X(9), X(0), 4 * o.origin as i64);
        c.add_imm(X(10), X(1), 4 * first);
        c.stp_x(X(9), X(10), SP, slots.output);
        if let Some(r) = self.epilogue.residual {
            c.add_imm(X(9), X(2), 4 * r.origin as i64);
            c.str_x(X(9), SP, slots.residual);
        }
        let mut pools = Vec::new();
        let mut failed = Ok(());
        let [down, across] = [0, 1].map(|axis| cut.strips(axis));
        let images: Vec<(i64, usize)> = [(slots.input, i.row), (slots.output, o.row)]
            .into_iter()
            .chain(self.epilogue.residual.map(|r| (slots.residual, r.row)))
            .collect();
        let last_down = o.height - (cut.strip[0] * cut.size[0]).min(o.height);
        let last_across = o.width - (cut.strip[1] * cut.size[1]).min(o.width);
        repeat_in_memory(&mut c, slots.strips, down, |c| {
            repeat_in_memory(c, slots.columns, across, |c| {
                failed = self.strip(c, cut, &slots, &product, &mut pools);
                if across > 1 {
                    next_strip(c, cut, 1, last_across, slots.columns, &images, &|_| 1);
                }
            });
            if across > 1 {
                let moved = (last_across + cut.strip[1] * cut.size[1]) as i64;
                for (slot, _) in &images {
                    c.ldr_x(X(9), SP, *slot);
                    c.add_imm(X(9), X(9), -4 * moved);
                    c.str_x(X(9), SP, *slot);
                }
            }
            if down > 1 {
                next_strip(c, cut, 0, last_down, slots.strips, &images, &|row| row);
            }
        });
        failed?;
        let pools: Vec<_> = pools.iter().filter(|p: &&crate::block::Plan| p.has_literals()).collect();
        if !pools.is_empty() {
            c.data_behind(|a| pools.iter().for_each(|p| p.literals(a)));
        }
        c.finish(symbol)
    }

    fn strip(
        &self,
        c: &mut Counted,
        cut: &Cut,
        slots: &Slots,
        product: &Product,
        pools: &mut Vec<crate::block::Plan>,
    ) -> Result<(), Unsupported> {
        self.input_transform(c, cut, slots, pools)?;
        let tiles = 4 * cut.tiles() as i64;
        product.prologue(c);
        c.mov(GROUP_WEIGHTS, X(4));
        c.mov(X(1), X(5));
        c.add_imm(X(0), X(5), self.transformed(cut) as i64);
        let mut failed = Ok(());
        c.repeat(GROUPS, self.elements(), |c| {
            failed = product.emit(c);
            c.add_imm(X(1), X(1), tiles);
            c.add_imm(X(0), X(0), tiles);
        });
        failed?;
        self.output_transform(c, cut, slots, pools)
    }
}

/// Moves pointers in memory by a strip along an axis, so that the last one begins at pixel `last`; `left` counts the
/// strips down, and `floats` says how many floats a pixel of the axis is for a row of so many.
fn next_strip(
    a: &mut Asm,
    cut: &Cut,
    axis: usize,
    last: usize,
    left: i64,
    images: &[(i64, usize)],
    floats: &dyn Fn(usize) -> usize,
) {
    let step = (cut.strip[axis] * cut.size[axis]) as i64;
    let shorter = last as i64 - step * (cut.strips(axis) as i64 - 2);
    for (slot, row) in images {
        let bytes = 4 * floats(*row) as i64;
        a.ldr_x(X(9), SP, *slot);
        if shorter == step {
            a.add_imm(X(9), X(9), step * bytes);
        } else {
            a.ldr_x(X(12), SP, left);
            a.mov_imm(X(10), step * bytes);
            a.mov_imm(X(11), shorter * bytes);
            a.cmp_i(X(12), 2);
            a.csel(X(10), X(11), X(10), Cond::Eq);
            a.add(X(9), X(9), X(10));
        }
        a.str_x(X(9), SP, *slot);
    }
}

/// A loop whose counter is in memory.
fn repeat_in_memory(c: &mut Counted, slot: i64, times: usize, body: impl FnOnce(&mut Counted)) {
    if times == 1 {
        return body(c);
    }
    c.repeat_by(
        times,
        |a| {
            a.mov_imm(X(9), times as i64);
            a.str_x(X(9), SP, slot);
        },
        body,
        |a| {
            a.ldr_x(X(9), SP, slot);
            a.subs_i(X(9), X(9), 1);
            a.str_x(X(9), SP, slot);
        },
    );
}

impl Generated for Winograd {
    fn name(&self) -> String {
        let m = self.tile.outputs();
        let (i, o) = (&self.input, &self.output);
        format!("winograd{m}_{}x{}x{}_{}", i.channels, i.height, i.width, o.channels)
    }

    fn made(&self, _: Core, symbol: String) -> Result<Made, Unsupported> {
        Ok(self.best(&symbol)?.1)
    }

    fn packed(&self, constants: &[&[f32]]) -> Vec<u8> {
        let Ok((m, _)) = self.best("") else { return Vec::new() };
        let (channels, outputs) = (self.input.channels, self.output.channels);
        let g = self.tile.weights();
        let mut packed = Vec::new();
        for down in &g {
            for across in &g {
                let element: Vec<f32> = constants[0]
                    .chunks_exact(9)
                    .map(|w| {
                        let sum = |y: usize| (0..3).map(|x| across[x] * f64::from(w[3 * y + x])).sum::<f64>();
                        (0..3).map(|y| down[y] * sum(y)).sum::<f64>() as f32
                    })
                    .collect();
                for first in (0..outputs).step_by(m) {
                    gemm_rows(&mut packed, &element, None, channels, 0, first..(first + m).min(outputs));
                }
            }
        }
        if self.epilogue.bias {
            packed.extend(constants[1]);
        }
        packed.iter().flat_map(|f| f.to_le_bytes()).collect()
    }

    fn scratch(&self) -> usize {
        self.cut().map_or(0, |cut| {
            self.transformed(&cut) + 4 * self.output.channels * self.elements() * cut.tiles()
        })
    }
}
