//! Sparse convolution: only weights that are not zero are multiplied.
//!
//! The weights are a table: for each block of one, two or four outputs, the taps (channel, row and column of the kernel)
//! at which any of them has a weight, as weights and as the way to the next tap's pixels. The code walks through the
//! table once for each tile of pixels: list loads bring a tap's pixels, up to 32 at a time, and move the pointers on by a
//! register, so that a weight costs its multiply-adds, two loads, and a share of two more. Any pattern and density will do;
//! the code is small and the same for all.

use crate::asm::{Asm, Cond, Then, V, X};
use crate::conv::{Conv, tiles};
use crate::counted::{Counted, Generated, Made};
use crate::gemm::{Block, Deltas, Ends, Finish, Finished, Group};
use crate::{Core, Unsupported};

const OUTPUT: X = X(0);
const INPUT: X = X(1);
const RESIDUAL: X = X(2);
const TABLE: X = X(3);
const COUNT: X = X(6);
const BLOCKS: X = X(7);
const ACROSS: X = X(8);
const DOWN: X = X(9);
const POOL: X = X(10);
/// Bytes to the next taps.
const NEXT: [X; 4] = [X(11), X(12), X(13), X(14)];
const STEPS: [X; 1] = [X(15)];
const PIXELS: [X; 4] = [X(19), X(20), X(21), X(22)];
const RESULTS: [X; 4] = [X(23), X(24), X(25), X(26)];
const MORE: [X; 4] = [X(27), X(28), X(5), X(17)];

/// A convolution with stride 1 by a table of its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseConv {
    /// The convolution; its strides are 1.
    pub conv: Conv,
    /// Outputs of a block: 1, 2 or 4.
    pub block: usize,
    /// Taps of each block of outputs that have a weight: [`SparseConv::new`] counts them.
    pub taps: Vec<u32>,
}

/// A tap of a block of outputs: where it is, in floats from the first, and the weights of the outputs.
struct Tap {
    at: usize,
    weights: [f32; 4],
}

impl SparseConv {
    /// For these weights, `[outputs, channels / groups, kernel]`.
    pub fn new(conv: Conv, block: usize, weights: &[f32]) -> Self {
        let mut sparse = SparseConv { conv, block, taps: Vec::new() };
        sparse.taps = sparse.table(weights).iter().map(|t| t.len() as u32).collect();
        sparse
    }

    /// The taps of each block, in memory's order.
    fn table(&self, weights: &[f32]) -> Vec<Vec<Tap>> {
        let conv = &self.conv;
        let (i, [rows, columns]) = (&conv.input, conv.kernel);
        let groups = conv.groups.max(1);
        let (inputs, outputs) = (i.channels / groups, (conv.output.channels / groups).max(1));
        let weight = |output: usize, c: usize, y: usize, x: usize| {
            let own = c.checked_sub(output / outputs * inputs).filter(|c| *c < inputs)?;
            weights.get(((output * inputs + own) * rows + y) * columns + x).copied()
        };
        let taps =
            (0..i.channels).flat_map(|c| (0..rows).flat_map(move |y| (0..columns).map(move |x| (c, y, x))));
        let block = |first: usize| {
            let tap = |(c, y, x): (usize, usize, usize)| {
                let mut own = [0.0; 4];
                for (lane, w) in own.iter_mut().enumerate().take(self.block) {
                    let output = first + lane;
                    *w = if output < conv.output.channels {
                        weight(output, c, y, x).unwrap_or(0.0)
                    } else {
                        0.0
                    };
                }
                let at = c * i.plane + y * conv.dilation[0] * i.row + x * conv.dilation[1];
                own.iter().any(|w| *w != 0.0).then_some(Tap { at, weights: own })
            };
            taps.clone().filter_map(tap).collect()
        };
        (0..conv.output.channels).step_by(self.block.max(1)).map(block).collect()
    }

    /// Multiply-adds with weights that are in the table.
    pub fn multiply_adds(&self) -> u64 {
        let taps: u64 = self.taps.iter().map(|t| u64::from(*t)).sum();
        taps * (self.block * self.conv.output.height * self.conv.output.width) as u64
    }

    /// Taps at a time: as many as cost least with what must be filled up.
    fn unroll(&self) -> usize {
        let cost = |unroll: usize| -> usize {
            let vectors = if self.block == 4 { 4 } else { 8 };
            let loads = if unroll == 1 { 2 } else { unroll / 2 + self.block * unroll / 4 };
            let turn = unroll * (2 + self.block * vectors) + loads + 2;
            self.taps.iter().map(|t| (*t as usize).div_ceil(unroll) * turn).sum()
        };
        [4, 2, 1].into_iter().min_by_key(|u| cost(*u)).unwrap_or(4)
    }

    fn check(&self) -> Result<(), Unsupported> {
        if self.conv.stride != [1, 1] {
            return Err(Unsupported::new("a sparse convolution with a stride"));
        }
        self.conv.check()?;
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

    /// The code for tiles of `vectors`.
    fn with(&self, vectors: usize, symbol: &str) -> Result<Made, Unsupported> {
        let conv = self.conv.flat();
        let mut all = tiles::cut(conv.output.height, conv.output.width, vectors);
        for tile in &mut all {
            tile.groups = tile.groups.iter().flat_map(four_at_most).collect();
            let n: usize = tile.groups.iter().map(|g| g.vectors).sum();
            // Two sets of pixels, or one, and weights of four taps.
            if tile.groups.len() > PIXELS.len() || self.block * n + n + self.block > 32 {
                return Err(Unsupported::new("more registers than there are"));
            }
        }
        let recorder = Deltas::new(&STEPS);
        self.kernel(&conv, &all, &recorder)?.finish(String::new())?;
        self.kernel(&conv, &all, &recorder.settled())?.finish(symbol.to_owned())
    }

    fn kernel(&self, conv: &Conv, all: &[tiles::Tiles], deltas: &Deltas) -> Result<Counted, Unsupported> {
        let finish = Finish {
            activation: conv.epilogue.activation,
            output: conv.output,
            residual: conv.epilogue.residual,
        };
        let mut c = Counted::new();
        deltas.prologue(&mut c);
        let i = &conv.input;
        let first = conv.pad[0] * i.row + conv.pad[1];
        c.add_imm(OUTPUT, OUTPUT, 4 * conv.output.origin as i64);
        c.add_imm(INPUT, INPUT, 4 * (i.origin - first) as i64);
        if let Some(r) = conv.epilogue.residual {
            c.add_imm(RESIDUAL, RESIDUAL, 4 * r.origin as i64);
        }
        let mut code =
            Code { sparse: self, conv, deltas, finished: Finished::new(finish, POOL), pools: Vec::new() };
        for tiles in all {
            code.tiles(&mut c, tiles)?;
        }
        if code.pools.iter().any(|p| p.has_literals()) {
            c.data_behind(|a| code.pools.iter().for_each(|p| p.literals(a)));
        }
        Ok(c)
    }
}

/// List loads bring four vectors.
fn four_at_most(group: &Group) -> Vec<Group> {
    (0..group.vectors)
        .step_by(4)
        .map(|v| Group { x: group.x + 4 * v, vectors: (group.vectors - v).min(4), ..*group })
        .collect()
}

impl Generated for SparseConv {
    fn name(&self) -> String {
        let (i, [rows, columns]) = (&self.conv.input, self.conv.kernel);
        let taps: u64 = self.taps.iter().map(|t| u64::from(*t)).sum();
        let (h, w, outputs) = (i.height, i.width, self.conv.output.channels);
        format!("sparse{}_{rows}x{columns}_{}x{h}x{w}_{outputs}_{taps}", self.block, i.channels)
    }

    fn made(&self, _: Core, symbol: String) -> Result<Made, Unsupported> {
        self.check()?;
        let sizes: &[usize] = if self.block == 4 { &[5, 4, 3, 2, 1] } else { &[8, 6, 4, 3, 2, 1] };
        let mut best: Option<Made> = None;
        for vectors in sizes {
            if let Ok(made) = self.with(*vectors, &symbol)
                && best.as_ref().is_none_or(|b| made.executed() < b.executed())
            {
                best = Some(made);
            }
        }
        best.ok_or_else(|| Unsupported::new("no tile that fits"))
    }

    /// The way to the first tap; then for each block of outputs the number of its turns, its biases, and for each turn the
    /// weights of its taps and the ways to the next ones. The last turn of a block is filled up with weights of zero.
    fn packed(&self, constants: &[&[f32]]) -> Vec<u8> {
        let unroll = self.unroll();
        let mut all = self.table(constants[0]);
        for taps in &mut all {
            if let Some(last) = taps.last().map(|t| t.at) {
                let size = taps.len().next_multiple_of(unroll);
                taps.resize_with(size, || Tap { at: last, weights: [0.0; 4] });
            }
        }
        let places: Vec<usize> = all.iter().flatten().map(|t| t.at).collect();
        let mut bytes = Vec::new();
        bytes.extend((4 * places.first().copied().unwrap_or(0) as u32).to_le_bytes());
        let mut place = 0;
        for (b, taps) in all.iter().enumerate() {
            bytes.extend((taps.len().div_ceil(unroll) as u32).to_le_bytes());
            if self.conv.epilogue.bias {
                for o in b * self.block..(b + 1) * self.block {
                    bytes.extend(constants[1].get(o).copied().unwrap_or(0.0).to_le_bytes());
                }
            }
            for turn in taps.chunks(unroll) {
                for tap in turn {
                    tap.weights[..self.block].iter().for_each(|w| bytes.extend(w.to_le_bytes()));
                }
                for tap in turn {
                    let next = places.get(place + 1).copied().unwrap_or(tap.at);
                    bytes.extend((4 * (next as i64 - tap.at as i64) as i32).to_le_bytes());
                    place += 1;
                }
            }
        }
        bytes
    }
}

struct Code<'a> {
    sparse: &'a SparseConv,
    conv: &'a Conv,
    deltas: &'a Deltas,
    finished: Finished,
    pools: Vec<crate::block::Plan>,
}

impl Code<'_> {
    /// Moves output, input and residual by rows and columns.
    fn shift(&self, c: &mut Counted, y: i64, x: i64) {
        let conv = self.conv;
        c.add_imm(OUTPUT, OUTPUT, 4 * (y * conv.output.row as i64 + x));
        c.add_imm(INPUT, INPUT, 4 * (y * conv.input.row as i64 + x));
        if let Some(r) = &conv.epilogue.residual {
            c.add_imm(RESIDUAL, RESIDUAL, 4 * (y * r.row as i64 + x));
        }
    }

    /// All tiles of one kind; the pointers are as before afterwards.
    fn tiles(&mut self, c: &mut Counted, t: &tiles::Tiles) -> Result<(), Unsupported> {
        let ([y0, down, high], [x0, across, wide]) = (t.y.map(|n| n as i64), t.x.map(|n| n as i64));
        let mut result = Ok(());
        self.shift(c, y0, x0);
        c.repeat(DOWN, t.y[1], |c| {
            c.repeat(ACROSS, t.x[1], |c| {
                result = self.tile(c, &t.groups);
                if across > 1 {
                    self.shift(c, 0, wide);
                }
            });
            let back = if across > 1 { across * wide } else { 0 };
            self.shift(c, if down > 1 { high } else { 0 }, -back);
        });
        self.shift(c, -(y0 + if down > 1 { down * high } else { 0 }), -x0);
        result
    }

    /// All outputs of one tile.
    fn tile(&mut self, c: &mut Counted, groups: &[Group]) -> Result<(), Unsupported> {
        let (conv, size) = (self.conv, self.sparse.block);
        let outputs = conv.output.channels;
        c.mov(TABLE, X(4));
        c.ldr_w_post(COUNT, TABLE, 4);
        for (group, pixels) in groups.iter().zip(PIXELS) {
            c.add_imm(pixels, INPUT, 4 * (group.y * conv.input.row + group.x) as i64);
            c.add(pixels, pixels, COUNT);
        }
        let mut results = [Ok(()), Ok(())];
        let step = |c: &mut Counted, outputs: i64| {
            c.add_imm(OUTPUT, OUTPUT, 4 * outputs * conv.output.plane as i64);
            if let Some(r) = &conv.epilogue.residual {
                c.add_imm(RESIDUAL, RESIDUAL, 4 * outputs * r.plane as i64);
            }
        };
        let whole = outputs / size;
        let unroll = self.sparse.unroll() as u32;
        let turns: Vec<u64> = self.sparse.taps.iter().map(|t| u64::from(t.div_ceil(unroll))).collect();
        let (first, last) = turns.split_at(whole);
        c.repeat(BLOCKS, whole, |c| {
            results[0] = self.block(c, groups, size, (first.iter().sum(), whole as u64));
            step(c, size as i64);
        });
        if let [turns] = last {
            results[1] = self.block(c, groups, outputs % size, (*turns, 1));
        }
        step(c, -((whole * size) as i64));
        results.into_iter().collect()
    }

    /// The results of `outputs` of a block. `turns` are those of as many such blocks.
    fn block(
        &mut self,
        c: &mut Counted,
        groups: &[Group],
        outputs: usize,
        turns: (u64, u64),
    ) -> Result<(), Unsupported> {
        let bias = self.conv.epilogue.bias;
        let block = Block { m: outputs, groups, pointers: &PIXELS, weights: TABLE, counter: COUNT, bias };
        c.ldr_w_post(COUNT, TABLE, 4);
        for o in 0..outputs {
            if bias {
                c.ld1r_post(block.acc(o, 0), TABLE);
                (1..block.n()).for_each(|v| c.mov_v(block.acc(o, v), block.acc(o, 0)));
            } else {
                (0..block.n()).for_each(|v| c.zero(block.acc(o, v)));
            }
        }
        if bias && outputs < self.sparse.block {
            c.add_imm(TABLE, TABLE, 4 * (self.sparse.block - outputs) as i64);
        }
        let (top, end) = (c.label(), c.label());
        c.cbz(COUNT, end);
        c.share(turns, |c| {
            c.bind(top);
            self.turn(c, &block);
            c.subs_i(COUNT, COUNT, 1);
            c.b_if(Cond::Ne, top);
        });
        c.bind(end);
        let ends = Ends { output: OUTPUT, residual: RESIDUAL, pointers: &RESULTS, more: &MORE };
        self.finished.store(c, &block, &ends, self.deltas, &mut self.pools)
    }

    /// Some taps.
    fn turn(&self, c: &mut Counted, block: &Block) {
        let (size, unroll) = (self.sparse.block, self.sparse.unroll());
        let n = block.n();
        let weights = (size * unroll).div_ceil(4);
        let first = |set: usize| weights + set * n;
        let sets = if first(2) <= block.free() { 2 } else { 1 };
        load_weights(c, size * unroll);
        for pair in NEXT[..unroll].chunks(2) {
            match *pair {
                [a, b] => c.ldpsw_post(a, b, TABLE, 8),
                _ => c.ldrsw_post(pair[0], TABLE, 4),
            }
        }
        let fetch = |a: &mut Asm, tap: usize| {
            let mut v = first(tap % sets);
            for (group, pixels) in block.groups.iter().zip(PIXELS) {
                pixels_of(a, group, V(v as u8), pixels, NEXT[tap]);
                v += group.vectors;
            }
        };
        fetch(c, 0);
        for tap in 0..unroll {
            if sets == 2 && tap + 1 < unroll {
                fetch(c, tap + 1);
            }
            for o in 0..block.m {
                let weight = tap * size + o;
                for v in 0..n {
                    let pixels = V((first(tap % sets) + v) as u8);
                    c.fmla_e(block.acc(o, v), pixels, V((weight / 4) as u8), (weight % 4) as u32);
                }
            }
            if sets == 1 && tap + 1 < unroll {
                fetch(c, tap + 1);
            }
        }
    }
}

/// So many weights from the table into the first registers.
fn load_weights(a: &mut Asm, count: usize) {
    match count {
        1 => a.ldr_s_post(V(0), TABLE, 4),
        2 => a.ldr_d_post(V(0), TABLE, 8),
        _ => (0..count / 4).step_by(4).for_each(|v| {
            a.ld1_list(V(v as u8), (count / 4 - v).min(4), TABLE, Then::Pass);
        }),
    }
}

/// The pixels of one tap, and on to the next.
fn pixels_of(a: &mut Asm, group: &Group, first: V, pixels: X, next: X) {
    if group.lanes == 4 {
        return a.ld1_list(first, group.vectors, pixels, Then::By(next));
    }
    for lane in 0..group.lanes as u32 {
        match (lane + 1 == group.lanes as u32, group.lanes) {
            (true, 1) => a.ld1_e_by(first, lane, pixels, next),
            (true, _) => {
                a.ld1_e(first, lane, pixels);
                a.add_imm(pixels, pixels, -4 * i64::from(lane));
                a.add(pixels, pixels, next);
            }
            (false, _) => a.ld1_e_post(first, lane, pixels),
        }
    }
}
