//! From sums to results in memory: residual, activation, stores.

use super::{Block, Deltas, Group};
use crate::asm::{Asm, Then, V, X};
use crate::block::{self, Plan, Request, Val};
use crate::counted::Counted;
use crate::program::activation;
use crate::{Activation, Planes, Unsupported};

/// What happens to the sums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finish {
    pub activation: Activation,
    pub output: Planes,
    pub residual: Option<Planes>,
}

/// The same with what is planned once for a kernel.
pub(crate) struct Finished {
    finish: Finish,
    block: block::Block,
    result: Val,
    base: X,
}

/// Registers that a block's end uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends<'a> {
    /// The output's element of the tile's first pixel and the block's first output.
    pub output: X,
    /// The same of the residual.
    pub residual: X,
    /// Free pointers, one a group.
    pub pointers: &'a [X],
    /// More of them.
    pub more: &'a [X],
    /// The first vector register that may be overwritten; those from here to the sums may be.
    pub spare: usize,
}

impl Finished {
    /// `base` is used for constants where registers are short.
    pub(crate) fn new(finish: Finish, base: X) -> Self {
        let mut block = block::Block::default();
        let x = block.input(0);
        let result = activation(&mut block, finish.activation, x);
        Finished { finish, block, result, base }
    }

    /// Finishes and stores a block. What must lie behind the code is left in `pools`.
    pub(crate) fn store(
        &self,
        c: &mut Counted,
        b: &Block,
        ends: &Ends,
        deltas: &Deltas,
        pools: &mut Vec<Plan>,
    ) -> Result<(), Unsupported> {
        let finish = self.finish;
        if let Some(from) = finish.residual {
            self.start(c, b.groups, ends.residual, ends.more, &from);
            for o in 0..b.m {
                let mut v = 0;
                for (group, &pointer) in b.groups.iter().zip(ends.more) {
                    let temporary = V((ends.spare + v) as u8);
                    access(c, group, temporary, pointer, 4 * from.plane as i64, deltas, false);
                    v += group.vectors;
                }
                for v in 0..b.n() {
                    let acc = b.acc(o, v);
                    c.fadd(acc, acc, V((ends.spare + v) as u8));
                }
            }
        }
        self.activate(c, b, ends.spare, pools)?;
        self.start(c, b.groups, ends.output, ends.pointers, &finish.output);
        for o in 0..b.m {
            let mut v = 0;
            for (group, &pointer) in b.groups.iter().zip(ends.pointers) {
                access(c, group, b.acc(o, v), pointer, 4 * finish.output.plane as i64, deltas, true);
                v += group.vectors;
            }
        }
        Ok(())
    }

    fn start(&self, a: &mut Asm, groups: &[Group], base: X, pointers: &[X], planes: &Planes) {
        for (group, &pointer) in groups.iter().zip(pointers) {
            a.add_imm(pointer, base, 4 * (group.y * planes.row + group.x) as i64);
        }
    }

    fn activate(
        &self,
        c: &mut Counted,
        b: &Block,
        spare: usize,
        pools: &mut Vec<Plan>,
    ) -> Result<(), Unsupported> {
        let all: Vec<V> = (0..b.m * b.n()).map(|i| V((b.free() + i) as u8)).collect();
        let (low, high) = (V(spare as u8), V(spare as u8 + 1));
        match self.finish.activation {
            Activation::None => {}
            Activation::Relu => {
                c.zero(low);
                all.iter().for_each(|&v| c.fmax(v, v, low));
            }
            Activation::Clip { min, max } => {
                c.splat(low, min);
                c.splat(high, max);
                for &v in &all {
                    c.fmax(v, v, low);
                    c.fmin(v, v, high);
                }
            }
            _ => {
                let registers: Vec<V> = (spare as u8..b.free() as u8).map(V).collect();
                let request = Request {
                    results: &[self.result],
                    pinned: &[],
                    placed: &[],
                    registers: &registers,
                    copies: 2,
                };
                let mut plan = Plan::new(&self.block, &request, self.base)
                    .ok_or_else(|| Unsupported::new("an activation that needs more registers"))?;
                plan.prologue(c);
                for some in all.chunks(plan.copies) {
                    plan.emit(
                        c,
                        some.len(),
                        &mut |a, _, copy, to| a.mov_v(to, some[copy]),
                        &mut |a, _, copy, from| a.mov_v(some[copy], from),
                    );
                }
                pools.push(plan);
            }
        }
        Ok(())
    }
}

/// Loads or stores the vectors of a group of one plane, and moves the pointer to the next plane.
fn access(a: &mut Asm, group: &Group, first: V, pointer: X, plane: i64, deltas: &Deltas, store: bool) {
    let n = group.vectors;
    if group.lanes == 4 {
        deltas.then(a, pointer, plane, 16 * n as i64, |a, then| {
            if store { a.st1_list(first, n, pointer, then) } else { a.ld1_list(first, n, pointer, then) }
        });
        return;
    }
    for lane in 0..group.lanes {
        let last = lane + 1 == group.lanes;
        let step = if last { plane - 4 * lane as i64 } else { 4 };
        deltas.then(a, pointer, step, 4, |a, then| match (then, store) {
            (Then::Stay, true) => a.st1_e(first, lane as u32, pointer),
            (Then::Pass, true) => a.st1_e_post(first, lane as u32, pointer),
            (Then::By(x), true) => a.st1_e_by(first, lane as u32, pointer, x),
            (Then::Stay, false) => a.ld1_e(first, lane as u32, pointer),
            (Then::Pass, false) => a.ld1_e_post(first, lane as u32, pointer),
            (Then::By(x), false) => a.ld1_e_by(first, lane as u32, pointer, x),
        });
    }
}
