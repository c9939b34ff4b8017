//! The loops around the blocks: groups, rows of tiles, tiles, blocks of outputs.

use super::tiles::{Tiles, cut};
use super::{Conv, steps};
use crate::asm::X;
use crate::counted::{Counted, Made};
use crate::gemm::{Block, Deltas, Ends, Finish, Finished, Group, Pass};
use crate::{Core, Unsupported};

const OUTPUT: X = X(0);
const INPUT: X = X(1);
const RESIDUAL: X = X(2);
const WEIGHTS: X = X(3);
const K: X = X(6);
const BLOCKS: X = X(7);
const ACROSS: X = X(8);
const DOWN: X = X(9);
pub(crate) const GROUPS: X = X(10);
const POOL: X = X(11);
/// Where the weights of the current group begin.
pub(crate) const GROUP_WEIGHTS: X = X(12);
const STEPS: [X; 6] = [X(13), X(14), X(15), X(19), X(20), X(17)];
const POINTERS: [X; 4] = [X(21), X(22), X(23), X(24)];
const MORE: [X; 4] = [X(25), X(26), X(27), X(28)];

/// A convolution with blocks of `m` outputs by `n` vectors.
pub(super) fn emit(conv: &Conv, _: Core, m: usize, n: usize, symbol: String) -> Result<Made, Unsupported> {
    let passes = steps::passes(conv);
    let all = cut(conv.output.height, conv.output.width, n);
    for tiles in &all {
        if !Block::fits(m, &tiles.groups, &passes) || tiles.groups.len() > POINTERS.len() {
            return Err(Unsupported::new("more registers than there are"));
        }
    }
    let recorder = Deltas::new(&STEPS);
    kernel(conv, &passes, &all, m, &recorder)?.finish(String::new())?;
    kernel(conv, &passes, &all, m, &recorder.settled())?.finish(symbol)
}

fn kernel(
    conv: &Conv,
    passes: &[Pass],
    all: &[Tiles],
    m: usize,
    deltas: &Deltas,
) -> Result<Counted, Unsupported> {
    let mut c = Counted::new();
    let finish = Finish {
        activation: conv.epilogue.activation,
        output: conv.output,
        residual: conv.epilogue.residual,
    };
    let mut k = Kernel {
        conv,
        passes,
        m,
        deltas,
        finished: Finished::new(finish, POOL),
        pools: Vec::new(),
        failed: None,
    };
    deltas.prologue(&mut c);
    let (i, o) = (&conv.input, &conv.output);
    c.add_imm(OUTPUT, OUTPUT, 4 * o.origin as i64);
    let first = conv.pad[0] * i.row + conv.pad[1];
    c.add_imm(INPUT, INPUT, 4 * (i.origin as i64 - first as i64));
    if let Some(r) = conv.epilogue.residual {
        c.add_imm(RESIDUAL, RESIDUAL, 4 * r.origin as i64);
    }
    c.mov(GROUP_WEIGHTS, X(4));
    c.repeat(GROUPS, conv.groups, |c| {
        for tiles in all {
            k.tiles(c, tiles);
        }
        if conv.groups > 1 {
            c.mov(GROUP_WEIGHTS, WEIGHTS);
            let outputs = conv.output.channels / conv.groups;
            k.advance(c, [outputs * conv.output.plane, i.channels / conv.groups * i.plane], |r| {
                outputs * r.plane
            });
        }
    });
    if let Some(e) = k.failed {
        return Err(e);
    }
    let pools: Vec<_> = k.pools.iter().filter(|p| p.has_literals()).collect();
    if !pools.is_empty() {
        c.data_behind(|a| pools.iter().for_each(|p| p.literals(a)));
    }
    Ok(c)
}

/// The product of a matrix and pixels in one long row, from x1 to x0, both of which are as before afterwards; the
/// weights are read at [`GROUP_WEIGHTS`], which then points behind them. No bias, nothing follows. All other registers
/// are used, but not those of the wrapper's.
pub(crate) struct Product {
    conv: Conv,
    passes: Vec<Pass>,
    all: Vec<Tiles>,
    m: usize,
    deltas: Deltas,
}

impl Product {
    /// `conv` is pointwise, over one row.
    pub(crate) fn new(conv: Conv, m: usize, n: usize) -> Result<Product, Unsupported> {
        let passes = steps::passes(&conv);
        let all = cut(1, conv.output.width, n);
        if all.iter().any(|t| !Block::fits(m, &t.groups, &passes)) {
            return Err(Unsupported::new("more registers than there are"));
        }
        let recorder = Deltas::new(&STEPS);
        let mut product = Product { conv, passes, all, m, deltas: recorder };
        product.emit(&mut Counted::new())?;
        product.deltas = product.deltas.settled();
        Ok(product)
    }

    /// Loads steps into registers; before [`Product::emit`].
    pub(crate) fn prologue(&self, c: &mut Counted) {
        self.deltas.prologue(c);
    }

    pub(crate) fn emit(&self, c: &mut Counted) -> Result<(), Unsupported> {
        let finish = Finish { activation: crate::Activation::None, output: self.conv.output, residual: None };
        let mut k = Kernel {
            conv: &self.conv,
            passes: &self.passes,
            m: self.m,
            deltas: &self.deltas,
            finished: Finished::new(finish, POOL),
            pools: Vec::new(),
            failed: None,
        };
        for tiles in &self.all {
            k.tiles(c, tiles);
        }
        c.mov(GROUP_WEIGHTS, WEIGHTS);
        k.failed.map_or(Ok(()), Err)
    }
}

struct Kernel<'a> {
    conv: &'a Conv,
    passes: &'a [Pass],
    m: usize,
    deltas: &'a Deltas,
    finished: Finished,
    pools: Vec<crate::block::Plan>,
    failed: Option<Unsupported>,
}

impl Kernel<'_> {
    /// Moves output, input and residual by floats; `residual` says how many from its planes.
    fn advance(
        &self,
        c: &mut Counted,
        [output, input]: [usize; 2],
        residual: impl Fn(&crate::Planes) -> usize,
    ) {
        self.shift(c, [output as i64, input as i64], |r| residual(r) as i64);
    }

    fn shift(&self, c: &mut Counted, [output, input]: [i64; 2], residual: impl Fn(&crate::Planes) -> i64) {
        c.add_imm(OUTPUT, OUTPUT, 4 * output);
        c.add_imm(INPUT, INPUT, 4 * input);
        if let Some(r) = &self.conv.epilogue.residual {
            c.add_imm(RESIDUAL, RESIDUAL, 4 * residual(r));
        }
    }

    /// All tiles of one kind; the pointers are as before afterwards.
    fn tiles(&mut self, c: &mut Counted, t: &Tiles) {
        let (i, o, s) = (self.conv.input, self.conv.output, self.conv.stride);
        let place = |y: i64, x: i64| [y * o.row as i64 + x, y * (s[0] * i.row) as i64 + x * s[1] as i64];
        let moves = |k: &Self, c: &mut Counted, y: i64, x: i64| {
            k.shift(c, place(y, x), |r| y * r.row as i64 + x);
        };
        let ([y0, down, high], [x0, across, wide]) = (t.y, t.x);
        moves(self, c, y0 as i64, x0 as i64);
        c.repeat(DOWN, down, |c| {
            c.repeat(ACROSS, across, |c| {
                self.tile(c, &t.groups);
                if across > 1 {
                    moves(self, c, 0, wide as i64);
                }
            });
            let back = if across > 1 { across * wide } else { 0 };
            moves(self, c, if down > 1 { high as i64 } else { 0 }, -(back as i64));
        });
        let done = if down > 1 { down * high } else { 0 };
        moves(self, c, -((y0 + done) as i64), -(x0 as i64));
    }

    /// All outputs of the group for one tile.
    fn tile(&mut self, c: &mut Counted, groups: &[Group]) {
        let outputs = self.conv.output.channels / self.conv.groups;
        c.mov(WEIGHTS, GROUP_WEIGHTS);
        let whole = outputs / self.m;
        let many = whole > 1 || !outputs.is_multiple_of(self.m) && whole > 0;
        c.repeat(BLOCKS, whole, |c| {
            self.block(c, groups, self.m);
            if many {
                self.advance(c, [self.m * self.conv.output.plane, 0], |r| self.m * r.plane);
            }
        });
        if !outputs.is_multiple_of(self.m) {
            self.block(c, groups, outputs % self.m);
        }
        if many {
            let done = (whole * self.m) as i64;
            self.shift(c, [-done * self.conv.output.plane as i64, 0], |r| -done * r.plane as i64);
        }
    }

    fn block(&mut self, c: &mut Counted, groups: &[Group], m: usize) {
        let conv = self.conv;
        for (group, &pointer) in groups.iter().zip(&POINTERS) {
            let floats = group.y * conv.stride[0] * conv.input.row + group.x * conv.stride[1];
            c.add_imm(pointer, INPUT, 4 * floats as i64);
        }
        let block =
            Block { m, groups, pointers: &POINTERS, weights: WEIGHTS, counter: K, bias: conv.epilogue.bias };
        block.sums(c, self.passes, self.deltas);
        let ends = Ends { output: OUTPUT, residual: RESIDUAL, pointers: &POINTERS, more: &MORE, spare: 0 };
        if let Err(e) = self.finished.store(c, &block, &ends, self.deltas, &mut self.pools) {
            self.failed = Some(e);
        }
    }
}
