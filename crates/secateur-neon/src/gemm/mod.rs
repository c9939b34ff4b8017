//! The register block of dense convolution: `m` outputs by a few vectors of pixels, a multiply-add by element for each
//! weight. The pixels of a step come from a list load that moves its pointer to the next step, the weights of a step
//! from another, so that a step of 12 x 8 is 24 multiply-adds and two loads.

mod deltas;
mod finish;

pub(crate) use deltas::Deltas;
pub(crate) use finish::{Ends, Finish, Finished};

use crate::asm::{Asm, Then, V, X};
use crate::counted::Counted;

/// Neighbouring pixels of one row, as vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Row of the first pixel, from the tile's.
    pub y: usize,
    /// Column of the first pixel, from the tile's.
    pub x: usize,
    /// Vectors, at most four.
    pub vectors: usize,
    /// Pixels of each vector that exist: four, or fewer of the only vector.
    pub lanes: usize,
}

/// How pixels of a row are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fetch {
    /// They follow each other.
    Unit,
    /// Every other float; the ones between are another tap.
    Pair,
    /// One by one, so many floats apart.
    Gather(usize),
}

/// One load of all pixels of a tile, and the steps that use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// Floats from the pointer's place at the start of the body.
    pub offset: i64,
    /// How.
    pub fetch: Fetch,
    /// For each multiply step: which of the registers of a pair.
    pub phases: Vec<usize>,
}

/// A body of loads, run `times` times; each run starts `advance` floats after the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    pub loads: Vec<Load>,
    pub times: usize,
    pub advance: i64,
    /// All of that how often, and how many floats the pointers move between.
    pub outer: (usize, i64),
}

/// Counts passes of passes.
const OUTER: X = X(30);

/// Registers of a block.
#[derive(Clone, Debug)]
pub(crate) struct Block<'a> {
    /// Outputs.
    pub m: usize,
    pub groups: &'a [Group],
    /// One input pointer a group.
    pub pointers: &'a [X],
    /// Where the packed weights are read.
    pub weights: X,
    pub counter: X,
    /// Whether a bias for each output comes before the weights.
    pub bias: bool,
}

/// Packed weights are padded to whole vectors.
pub(crate) fn vectors(m: usize) -> usize {
    m.div_ceil(4)
}

impl Block<'_> {
    pub(crate) fn n(&self) -> usize {
        self.groups.iter().map(|g| g.vectors).sum()
    }

    /// The accumulator of an output and a vector of pixels; those of one output follow each other.
    pub(crate) fn acc(&self, output: usize, vector: usize) -> V {
        V((32 - self.m * self.n() + output * self.n() + vector) as u8)
    }

    /// Registers below the accumulators.
    pub(crate) fn free(&self) -> usize {
        32 - self.m * self.n()
    }

    /// Whether the registers suffice for these passes.
    pub(crate) fn fits(m: usize, groups: &[Group], passes: &[Pass]) -> bool {
        let n: usize = groups.iter().map(|g| g.vectors).sum();
        let wide = passes.iter().flat_map(|p| &p.loads).any(|l| l.fetch == Fetch::Pair);
        m * n + vectors(m) + n * if wide { 2 } else { 1 } <= 32
    }

    /// The sums of all passes, in the accumulators.
    pub(crate) fn sums(&self, c: &mut Counted, passes: &[Pass], deltas: &Deltas) {
        let mut fresh = !self.bias;
        if self.bias {
            let w = self.weight_registers();
            self.load_weights(c, w[0]);
            for o in 0..self.m {
                for v in 0..self.n() {
                    c.dup_e(self.acc(o, v), V(w[0].0 + (o / 4) as u8), (o % 4) as u32);
                }
            }
        }
        for pass in passes.iter().filter(|p| p.times > 0 && !p.loads.is_empty()) {
            let steps: usize = pass.loads.iter().map(|l| l.phases.len()).sum();
            let mut times = pass.times;
            let (outer, between) = pass.outer;
            if fresh && outer == 1 && (times == 1 || steps * self.m * self.n() <= 256) {
                // The first products are the sums so far: no zeros are needed.
                self.body(c, pass, deltas, true);
                times -= 1;
            } else if fresh {
                self.zeros(c);
            }
            fresh = false;
            c.repeat(OUTER, outer, |c| {
                c.repeat(self.counter, times, |c| self.body(c, pass, deltas, false));
                if outer > 1 {
                    self.groups.iter().zip(self.pointers).for_each(|(_, p)| c.add_imm(*p, *p, 4 * between));
                }
            });
        }
        if fresh {
            self.zeros(c);
        }
    }

    fn zeros(&self, a: &mut Asm) {
        for o in 0..self.m {
            for v in 0..self.n() {
                a.zero(self.acc(o, v));
            }
        }
    }

    /// One or two sets of weight registers, the first at v0.
    fn weight_registers(&self) -> Vec<V> {
        let (mw, n) = (vectors(self.m), self.n());
        let sets = if self.free() >= 2 * mw + 2 * n { 2 } else { 1 };
        (0..sets).map(|i| V((i * mw) as u8)).collect()
    }

    fn load_weights(&self, a: &mut Asm, first: V) {
        let mw = vectors(self.m);
        for start in (0..mw).step_by(4) {
            a.ld1_list(V(first.0 + start as u8), (mw - start).min(4), self.weights, Then::Pass);
        }
    }

    fn body(&self, c: &mut Counted, pass: &Pass, deltas: &Deltas, fresh: bool) {
        let w = self.weight_registers();
        let above = w.len() * vectors(self.m);
        let size = self.n() * if pass.loads.iter().any(|l| l.fetch == Fetch::Pair) { 2 } else { 1 };
        let buffers = if self.free() >= above + 2 * size { 2 } else { 1 };
        let buffer = |load: usize| V((above + load % buffers * size) as u8);
        let steps: usize = pass.loads.iter().map(|l| l.phases.len()).sum();

        self.fetch(c, pass, deltas, 0, buffer(0));
        self.load_weights(c, w[0]);
        let mut step = 0;
        for (l, load) in pass.loads.iter().enumerate() {
            let next = l + 1 < pass.loads.len();
            if next && buffers == 2 {
                self.fetch(c, pass, deltas, l + 1, buffer(l + 1));
            }
            let apart = if load.fetch == Fetch::Pair { 2 } else { 1 };
            for phase in &load.phases {
                if w.len() == 2 && step + 1 < steps {
                    self.load_weights(c, w[(step + 1) % 2]);
                }
                for o in 0..self.m {
                    let weight = V(w[step % w.len()].0 + (o / 4) as u8);
                    for v in 0..self.n() {
                        let input = V(buffer(l).0 + (v * apart + phase) as u8);
                        let (acc, lane) = (self.acc(o, v), (o % 4) as u32);
                        if fresh && step == 0 {
                            c.fmul_e(acc, input, weight, lane);
                        } else {
                            c.fmla_e(acc, input, weight, lane);
                        }
                    }
                }
                step += 1;
                if w.len() == 1 && step < steps {
                    self.load_weights(c, w[0]);
                }
            }
            if next && buffers == 1 {
                self.fetch(c, pass, deltas, l + 1, buffer(l + 1));
            }
        }
    }

    /// Loads the pixels of one load into registers from `first` on and moves the pointers to the next load.
    pub(crate) fn fetch(&self, a: &mut Asm, pass: &Pass, deltas: &Deltas, load: usize, first: V) {
        let Load { offset, fetch, .. } = &pass.loads[load];
        let next = pass.loads.get(load + 1).map_or(pass.advance + pass.loads[0].offset, |l| l.offset);
        let delta = 4 * (next - offset);
        let mut at = first.0;
        for (group, &pointer) in self.groups.iter().zip(self.pointers) {
            let n = group.vectors;
            match *fetch {
                Fetch::Unit if group.lanes == 4 => {
                    deltas.then(a, pointer, delta, 16 * n as i64, |a, then| {
                        a.ld1_list(V(at), n, pointer, then);
                    });
                    at += n as u8;
                }
                Fetch::Pair => {
                    for i in 0..n {
                        let rest = if i + 1 < n { 32 } else { delta - 32 * (n as i64 - 1) };
                        deltas.then(a, pointer, rest, 32, |a, then| a.ldn(V(at), 2, pointer, then));
                        at += 2;
                    }
                }
                Fetch::Unit | Fetch::Gather(_) => {
                    let apart = if let Fetch::Gather(floats) = *fetch { 4 * floats as i64 } else { 4 };
                    let all = n * group.lanes;
                    for i in 0..all {
                        let rest = if i + 1 < all { apart } else { delta - apart * (all as i64 - 1) };
                        let (v, lane) = (V(at + (i / group.lanes) as u8), (i % group.lanes) as u32);
                        deltas.then(a, pointer, rest, 4, |a, then| match then {
                            Then::Stay => a.ld1_e(v, lane, pointer),
                            Then::Pass => a.ld1_e_post(v, lane, pointer),
                            Then::By(x) => a.ld1_e_by(v, lane, pointer, x),
                        });
                    }
                    at += n as u8;
                }
            }
        }
    }
}
