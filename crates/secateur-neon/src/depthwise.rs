//! Convolution of every channel by itself. A tile is a few rows of a few vectors; every input row is loaded once for all
//! output rows of the tile that it adds to, and the weights of a channel stay in registers.

use crate::asm::{Asm, Then, V, X};
use crate::conv::{Conv, row_loads};
use crate::counted::{Counted, Generated, Made};
use crate::gemm::{Block, Deltas, Ends, Fetch, Finish, Finished, Group, Load, Pass};
use crate::{Core, Planes, Unsupported};

/// A convolution with as many groups as channels, each with one or more outputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Depthwise(Conv);

const OUTPUT: X = X(0);
const INPUT: X = X(1);
const RESIDUAL: X = X(2);
const WEIGHTS: X = X(3);
const CHANNELS: X = X(6);
const MANY: X = X(7);
const DOWN: X = X(8);
const ACROSS: X = X(9);
const POOL: X = X(10);
const POINTER: [X; 1] = [X(11)];
const MORE: [X; 1] = [X(12)];
const STEPS: [X; 6] = [X(13), X(14), X(15), X(19), X(20), X(21)];

/// Columns or rows cut alike: first, how many tiles, size of a tile.
type Cut = (usize, usize, usize);

impl Depthwise {
    /// The same as a convolution that has a channel in each group.
    pub fn of(conv: &Conv) -> Option<Depthwise> {
        (conv.groups == conv.input.channels && conv.kernel[0] * conv.kernel[1] <= 31)
            .then_some(Depthwise(*conv))
    }

    /// Whether the residual may lie where the output goes: no pixel is computed twice.
    pub fn in_place(&self) -> bool {
        self.0.output.width < 4 || self.0.output.width.is_multiple_of(4)
    }

    fn taps(&self) -> usize {
        self.0.kernel[0] * self.0.kernel[1]
    }

    /// Registers for the weights and the bias.
    fn weight_registers(&self) -> usize {
        (self.taps() + usize::from(self.0.epilogue.bias)).div_ceil(4)
    }

    fn best(&self, symbol: &str) -> Result<Made, Unsupported> {
        self.0.check()?;
        let mut best: Option<Made> = None;
        let mut reason = Unsupported::new("no tile that fits");
        for rows in [1, 2, 3, 4, 5, 6, 7, 8] {
            for vectors in [1, 2, 3, 4] {
                if (rows > 1 && rows > self.0.output.height)
                    || (vectors > 1 && 4 * vectors > self.0.output.width)
                {
                    continue;
                }
                match self.emit(rows, vectors, symbol.to_owned()) {
                    Ok(made) if best.as_ref().is_none_or(|b| made.executed() < b.executed()) => {
                        best = Some(made)
                    }
                    Ok(_) => {}
                    Err(e) => reason = e,
                }
            }
        }
        best.ok_or(reason)
    }

    /// Loads for a tile of so many rows, with the tap row and output row of each product of the load's rows.
    fn pass(&self, rows: usize, vectors: usize) -> (Pass, Vec<usize>) {
        let conv = &self.0;
        let across = row_loads(conv);
        let high = (rows - 1) * conv.stride[0] + (conv.kernel[0] - 1) * conv.dilation[0] + 1;
        let used = (0..high).filter(|y| (0..rows).any(|r| self.tap(*y, r).is_some()));
        let (mut loads, mut ys) = (Vec::new(), Vec::new());
        for y in used {
            for l in &across {
                loads.push(Load { offset: l.offset + (y * conv.input.row) as i64, ..l.clone() });
                ys.push(y);
            }
        }
        // After the last load the pointer may be anywhere: just behind it costs nothing.
        let behind = 4 * vectors as i64 * if loads.iter().any(|l| l.fetch == Fetch::Pair) { 2 } else { 1 };
        let advance = loads[loads.len() - 1].offset - loads[0].offset + behind;
        (Pass { loads, times: 1, advance, outer: (1, 0) }, ys)
    }

    /// The row of the kernel with which input row `y` of a tile adds to its output row `r`.
    fn tap(&self, y: usize, r: usize) -> Option<usize> {
        let from = y.checked_sub(r * self.0.stride[0])?;
        let d = self.0.dilation[0];
        (from.is_multiple_of(d) && from / d < self.0.kernel[0]).then_some(from / d)
    }

    fn emit(&self, rows: usize, vectors: usize, symbol: String) -> Result<Made, Unsupported> {
        let recorder = Deltas::new(&STEPS);
        self.kernel(rows, vectors, &recorder)?.finish(String::new())?;
        self.kernel(rows, vectors, &recorder.settled())?.finish(symbol)
    }

    fn kernel(&self, rows: usize, vectors: usize, deltas: &Deltas) -> Result<Counted, Unsupported> {
        let conv = &self.0;
        let (i, o) = (&conv.input, &conv.output);
        let mut c = Counted::new();
        deltas.prologue(&mut c);
        let first = (conv.pad[0] * i.row + conv.pad[1]) as i64;
        c.add_imm(OUTPUT, OUTPUT, 4 * o.origin as i64);
        c.add_imm(INPUT, INPUT, 4 * (i.origin as i64 - first));
        if let Some(r) = conv.epilogue.residual {
            c.add_imm(RESIDUAL, RESIDUAL, 4 * r.origin as i64);
        }
        c.mov(WEIGHTS, X(4));
        // To the end of a block an output is a row: the step from one to the next is a row's.
        let down = |p: Planes| Planes { plane: p.row, ..p };
        let finish = Finish {
            activation: conv.epilogue.activation,
            output: down(*o),
            residual: conv.epilogue.residual.map(down),
        };
        let finished = Finished::new(finish, POOL);
        let mut pools = Vec::new();
        let mut failed = Ok(());
        c.repeat(CHANNELS, i.channels, |c| {
            c.repeat(MANY, o.channels / i.channels, |c| {
                let mut left = self.weight_registers();
                while left > 0 {
                    let some = left.min(4);
                    let at = V((self.weight_registers() - left) as u8);
                    c.ld1_list(at, some, WEIGHTS, Then::Pass);
                    left -= some;
                }
                for (x, wide) in columns(o.width, vectors) {
                    for (y, high) in [
                        ((0, o.height / rows, rows), rows),
                        (
                            (o.height / rows * rows, usize::from(!o.height.is_multiple_of(rows)), 0),
                            o.height % rows,
                        ),
                    ] {
                        let group = Group { y: 0, x: 0, vectors: wide, lanes: o.width.min(4) };
                        let done = self.tiles(c, [y, x], &mut |c| {
                            self.tile(c, high, group, deltas, &finished, &mut pools)
                        });
                        if done.is_err() {
                            failed = done;
                        }
                    }
                }
                self.shift(c, [o.plane as i64, 0], |r| r.plane as i64);
            });
            c.add_imm(INPUT, INPUT, 4 * i.plane as i64);
        });
        failed?;
        let pools: Vec<_> = pools.iter().filter(|p: &&crate::block::Plan| p.has_literals()).collect();
        if !pools.is_empty() {
            c.data_behind(|a| pools.iter().for_each(|p| p.literals(a)));
        }
        Ok(c)
    }

    fn shift(&self, a: &mut Asm, [output, input]: [i64; 2], residual: impl Fn(&Planes) -> i64) {
        a.add_imm(OUTPUT, OUTPUT, 4 * output);
        a.add_imm(INPUT, INPUT, 4 * input);
        if let Some(r) = &self.0.epilogue.residual {
            a.add_imm(RESIDUAL, RESIDUAL, 4 * residual(r));
        }
    }

    /// Moves all pointers by rows and columns of the output.
    fn go(&self, a: &mut Asm, y: i64, x: i64) {
        let (i, s) = (self.0.input.row, self.0.stride);
        let output = y * self.0.output.row as i64 + x;
        self.shift(a, [output, y * (s[0] * i) as i64 + x * s[1] as i64], |r| y * r.row as i64 + x);
    }

    /// Equal tiles; the pointers are as before afterwards.
    fn tiles(
        &self,
        c: &mut Counted,
        [(y, down, high), (x, across, wide)]: [Cut; 2],
        tile: &mut dyn FnMut(&mut Counted) -> Result<(), Unsupported>,
    ) -> Result<(), Unsupported> {
        if down * across == 0 {
            return Ok(());
        }
        let mut result = Ok(());
        let step = |n: usize, size: usize| if n > 1 { size as i64 } else { 0 };
        let (high, wide) = (step(down, high), step(across, wide));
        self.go(c, y as i64, x as i64);
        c.repeat(DOWN, down, |c| {
            c.repeat(ACROSS, across, |c| {
                result = tile(c);
                self.go(c, 0, wide);
            });
            self.go(c, high, -(wide * across as i64));
        });
        self.go(c, -(y as i64) - high * down as i64, -(x as i64));
        result
    }

    fn tile(
        &self,
        c: &mut Counted,
        rows: usize,
        group: Group,
        deltas: &Deltas,
        finished: &Finished,
        pools: &mut Vec<crate::block::Plan>,
    ) -> Result<(), Unsupported> {
        let (pass, ys) = self.pass(rows, group.vectors);
        let wide = if pass.loads.iter().any(|l| l.fetch == Fetch::Pair) { 2 } else { 1 };
        let size = group.vectors * wide;
        let above = self.weight_registers();
        if rows * group.vectors + above + size.max(group.vectors + 1).max(2) > 32 {
            return Err(Unsupported::new("a tile that needs more registers"));
        }
        let groups = [group];
        let block = Block {
            m: rows,
            groups: &groups,
            pointers: &POINTER,
            weights: WEIGHTS,
            counter: DOWN,
            bias: self.0.epilogue.bias,
        };
        let buffers = if block.free() >= above + 2 * size { 2 } else { 1 };
        let buffer = |load: usize| V((above + load % buffers * size) as u8);
        let mut fresh = vec![!self.0.epilogue.bias; rows];
        if self.0.epilogue.bias {
            let taps = self.taps();
            for r in 0..rows {
                for v in 0..group.vectors {
                    c.dup_e(block.acc(r, v), V((taps / 4) as u8), (taps % 4) as u32);
                }
            }
        }
        c.mov(POINTER[0], INPUT);
        block.fetch(c, &pass, deltas, 0, buffer(0));
        let mut column = 0;
        for (l, load) in pass.loads.iter().enumerate() {
            if l + 1 < pass.loads.len() && buffers == 2 {
                block.fetch(c, &pass, deltas, l + 1, buffer(l + 1));
            }
            for phase in &load.phases {
                for (r, fresh) in fresh.iter_mut().enumerate() {
                    let Some(ky) = self.tap(ys[l], r) else { continue };
                    let tap = ky * self.0.kernel[1] + column;
                    let (weight, lane) = (V((tap / 4) as u8), (tap % 4) as u32);
                    for v in 0..group.vectors {
                        let input = V(buffer(l).0 + (v * wide + phase) as u8);
                        if *fresh {
                            c.fmul_e(block.acc(r, v), input, weight, lane);
                        } else {
                            c.fmla_e(block.acc(r, v), input, weight, lane);
                        }
                    }
                    *fresh = false;
                }
                column = (column + 1) % self.0.kernel[1];
            }
            if l + 1 < pass.loads.len() && buffers == 1 {
                block.fetch(c, &pass, deltas, l + 1, buffer(l + 1));
            }
        }
        let ends = Ends { output: OUTPUT, residual: RESIDUAL, pointers: &POINTER, more: &MORE, spare: above };
        finished.store(c, &block, &ends, deltas, pools)
    }
}

/// Runs of at most `vectors` vectors; the last vector of a row that is no multiple of four overlaps.
fn columns(width: usize, vectors: usize) -> Vec<(Cut, usize)> {
    if width < 4 {
        return vec![((0, 1, 0), 1)];
    }
    let whole = width / 4;
    let mut runs = vec![((0, whole / vectors, 4 * vectors), vectors)];
    if !whole.is_multiple_of(vectors) {
        runs.push(((whole / vectors * vectors * 4, 1, 0), whole % vectors));
    }
    if !width.is_multiple_of(4) {
        runs.push(((width - 4, 1, 0), 1));
    }
    runs
}

impl Generated for Depthwise {
    fn name(&self) -> String {
        let [kh, kw] = self.0.kernel;
        let i = &self.0.input;
        format!("depthwise_{kh}x{kw}_{}x{}x{}", i.channels, i.height, i.width)
    }

    fn made(&self, _: Core, symbol: String) -> Result<Made, Unsupported> {
        self.best(&symbol)
    }

    /// For each output its weights and its bias, padded to whole vectors.
    fn packed(&self, constants: &[&[f32]]) -> Vec<u8> {
        let mut packed = Vec::new();
        for (o, weights) in constants[0].chunks_exact(self.taps()).enumerate() {
            packed.extend(weights);
            packed.extend(constants.get(1).filter(|_| self.0.epilogue.bias).map(|bias| bias[o]));
            packed.resize(4 * self.weight_registers() * (o + 1), 0.0);
        }
        packed.iter().flat_map(|f| f.to_le_bytes()).collect()
    }
}
