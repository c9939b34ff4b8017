//! The code: loops around tiles of pixels, a walk through the table for each.

use super::{SparseConv, UNROLL};
use crate::asm::{Asm, Cond, Then, V, X};
use crate::conv::{Conv, tiles};
use crate::counted::{Counted, Made};
use crate::gemm::{Block, Deltas, Ends, Finish, Finished, Group};
use crate::{Core, Unsupported};

const OUTPUT: X = X(0);
const INPUT: X = X(1);
const RESIDUAL: X = X(2);
const TABLE: X = X(3);
const COUNT: X = X(6);
/// Taps that are left over.
const REST: X = X(30);
const BLOCKS: X = X(7);
const ACROSS: X = X(8);
const DOWN: X = X(9);
const POOL: X = X(10);
/// Bytes to the next taps.
const NEXT: [X; 4] = [X(11), X(12), X(13), X(14)];
const STEPS: [X; 1] = [X(15)];
const PIXELS: [X; 8] = [X(19), X(20), X(21), X(22), X(23), X(24), X(25), X(26)];
/// Of the residual, then of the output; the ways to the next taps are not needed then.
const RESULTS: [X; 8] = [X(5), X(17), X(27), X(28), X(11), X(12), X(13), X(14)];

/// The code for tiles of `vectors`.
pub(super) fn emit(
    sparse: &SparseConv,
    core: Core,
    vectors: usize,
    symbol: &str,
) -> Result<Made, Unsupported> {
    let conv = sparse.conv.flat();
    let mut all = tiles::cut_high(conv.output.height, conv.output.width, vectors, PIXELS.len());
    let most = 4 / conv.stride[1];
    for tile in &mut all {
        tile.groups = tile.groups.iter().flat_map(|g| at_most(g, most)).collect();
        let n: usize = tile.groups.iter().map(|g| g.vectors).sum();
        let code = Registers::of(sparse, &tile.groups);
        // In order, a load must have time: while one set of pixels is used another comes.
        let sets = if core == Core::A53 { 2 } else { 1 };
        // A residual is loaded for all vectors of an output at once.
        let residual = if conv.epilogue.residual.is_some() { n } else { 0 };
        let below = residual.max(code.first + sets * code.size);
        if tile.groups.len() > PIXELS.len() || below + sparse.block * n > 32 {
            return Err(Unsupported::new("more registers than there are"));
        }
    }
    let recorder = Deltas::new(&STEPS);
    kernel(sparse, &conv, &all, &recorder)?.finish(String::new())?;
    kernel(sparse, &conv, &all, &recorder.settled())?.finish(symbol.to_owned())
}

/// Groups that one load can bring.
fn at_most(group: &Group, most: usize) -> Vec<Group> {
    (0..group.vectors)
        .step_by(most)
        .map(|v| Group { x: group.x + 4 * v, vectors: (group.vectors - v).min(most), ..*group })
        .collect()
}

/// Where weights and pixels are.
struct Registers {
    /// The first register behind the weights.
    first: usize,
    /// Registers that a load of pixels fills.
    size: usize,
}

impl Registers {
    fn of(sparse: &SparseConv, groups: &[Group]) -> Registers {
        let first = (sparse.block * UNROLL).div_ceil(4);
        let most = groups.iter().map(|g| g.vectors).max().unwrap_or(1);
        Registers { first, size: most * sparse.conv.stride[1] }
    }
}

fn kernel(
    sparse: &SparseConv,
    conv: &Conv,
    all: &[tiles::Tiles],
    deltas: &Deltas,
) -> Result<Counted, Unsupported> {
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
    let mut code = Code { sparse, conv, deltas, finished: Finished::new(finish, POOL), pools: Vec::new() };
    for tiles in all {
        code.tiles(&mut c, tiles)?;
    }
    if code.pools.iter().any(|p| p.has_literals()) {
        c.data_behind(|a| code.pools.iter().for_each(|p| p.literals(a)));
    }
    Ok(c)
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
        let [down, across] = conv.stride.map(|s| s as i64);
        c.add_imm(INPUT, INPUT, 4 * (y * down * conv.input.row as i64 + x * across));
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
            let [down, across] = conv.stride;
            c.add_imm(pixels, INPUT, 4 * (group.y * down * conv.input.row + group.x * across) as i64);
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
        let (first, last) = self.sparse.taps.split_at(whole);
        c.repeat(BLOCKS, whole, |c| {
            results[0] = self.block(c, groups, size, first);
            step(c, size as i64);
        });
        if !last.is_empty() {
            results[1] = self.block(c, groups, outputs % size, last);
        }
        step(c, -((whole * size) as i64));
        results.into_iter().collect()
    }

    /// The results of `outputs` of a block. `taps` are those of all blocks that this code is for.
    fn block(
        &mut self,
        c: &mut Counted,
        groups: &[Group],
        outputs: usize,
        taps: &[u32],
    ) -> Result<(), Unsupported> {
        let bias = self.conv.epilogue.bias;
        let block = Block { m: outputs, groups, pointers: &PIXELS, weights: TABLE, counter: COUNT, bias };
        c.ldpsw_post(COUNT, REST, TABLE, 8);
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
        let sum = |count: &dyn Fn(u32) -> u32| taps.iter().map(|t| u64::from(count(*t))).sum();
        let fours = sum(&|t| t / UNROLL as u32);
        let rest = sum(&|t| t % UNROLL as u32);
        for (counter, unroll, times) in [(COUNT, UNROLL, fours), (REST, 1, rest)] {
            let (top, end) = (c.label(), c.label());
            c.cbz(counter, end);
            c.share((times, taps.len() as u64), |c| {
                c.bind(top);
                self.turn(c, &block, unroll);
                c.subs_i(counter, counter, 1);
                c.b_if(Cond::Ne, top);
            });
            c.bind(end);
        }
        if self.conv.stride[1] == 2 {
            in_order(c, &block);
        }
        let ends = Ends { output: OUTPUT, residual: RESIDUAL, pointers: &RESULTS, more: &RESULTS, spare: 0 };
        self.finished.store(c, &block, &ends, self.deltas, &mut self.pools)
    }

    /// So many taps.
    fn turn(&self, c: &mut Counted, block: &Block, unroll: usize) {
        let size = self.sparse.block;
        let registers = Registers::of(self.sparse, block.groups);
        load_weights(c, size * unroll);
        for pair in NEXT[..unroll].chunks(2) {
            match *pair {
                [a, b] => c.ldpsw_post(a, b, TABLE, 8),
                _ => c.ldrsw_post(pair[0], TABLE, 4),
            }
        }
        // Each load of pixels, with the vector of results that it begins at.
        let mut loads = Vec::new();
        for tap in 0..unroll {
            let mut vector = 0;
            for (group, pixels) in block.groups.iter().zip(PIXELS) {
                loads.push((tap, group, pixels, vector));
                vector += group.vectors;
            }
        }
        let sets = ((block.free() - registers.first) / registers.size).clamp(1, 4);
        let set = |load: usize| registers.first + load % sets * registers.size;
        let apart = self.conv.stride[1];
        let fetch = |a: &mut Asm, load: usize| {
            if let Some((tap, group, pixels, _)) = loads.get(load) {
                pixels_of(a, group, apart, V(set(load) as u8), *pixels, NEXT[*tap]);
            }
        };
        (0..sets - 1).for_each(|load| fetch(c, load));
        for (load, (tap, group, _, vector)) in loads.iter().enumerate() {
            fetch(c, load + sets - 1);
            for o in 0..block.m {
                let weight = tap * size + o;
                for v in 0..group.vectors {
                    let pixels = V((set(load) + v * apart) as u8);
                    c.fmla_e(block.acc(o, vector + v), pixels, V((weight / 4) as u8), (weight % 4) as u32);
                }
            }
        }
    }
}

/// Puts the results of pairs of vectors, whose pixels come in turns, in order.
fn in_order(a: &mut Asm, block: &Block) {
    for o in 0..block.m {
        let mut vector = 0;
        for group in block.groups {
            if group.vectors == 2 {
                let [even, odd] = [0, 1].map(|v| block.acc(o, vector + v));
                a.zip1(V(0), even, odd);
                a.zip2(odd, even, odd);
                a.mov_v(even, V(0));
            }
            vector += group.vectors;
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
fn pixels_of(a: &mut Asm, group: &Group, stride: usize, first: V, pixels: X, next: X) {
    match (group.lanes, stride) {
        (4, 1) => a.ld1_list(first, group.vectors, pixels, Then::By(next)),
        // Every other pixel: of one vector in one register of two, of two in two registers of four, which share their
        // pixels in turns.
        (4, _) => a.ldn(first, 2 * group.vectors, pixels, Then::By(next)),
        (lanes, _) => {
            for lane in 0..lanes as u32 {
                a.ld1_e(first, lane, pixels);
                if lane + 1 < lanes as u32 {
                    a.add_imm(pixels, pixels, 4 * stride as i64);
                }
            }
            a.add_imm(pixels, pixels, -4 * (stride * (lanes - 1)) as i64);
            a.add(pixels, pixels, next);
        }
    }
}
