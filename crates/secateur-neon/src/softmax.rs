//! Softmax and LogSoftmax along one axis.

use crate::asm::{Asm, V, X};
use crate::block::{Block, Plan, Request};
use crate::counted::{Counted, Generated, Made, shape};
use crate::lanes::{Walker, load, store};
use crate::reduce::{Reduction, combine, horizontal};
use crate::registers::Registers;
use crate::strided::{Element, Nest, Strided, Walk};
use crate::{Core, Unsupported, math};

/// `output[i, j] = exp(input[i, j] - m) / Σ exp(input[i, ·] - m)` with `m` the largest of the row; or its logarithm.
///
/// Exponentials below `exp(-87)` count as that, 1.6e-38. Within 3 ulp of the exact quotient of the sums as they are
/// rounded; partial sums are of four lanes. f32 only. The output may be the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Softmax {
    /// Turns of the loops over rows.
    pub outer: Vec<usize>,
    /// Elements of a row; not zero.
    pub axis: usize,
    /// A step for each outer loop, then one for the axis.
    pub output: Strided,
    /// A step for each outer loop, then one for the axis.
    pub input: Strided,
    /// Whether the logarithm is wanted.
    pub log: bool,
}

/// The largest of the row.
const MAX: V = V(24);
/// The sum of the exponentials, then its inverse or logarithm.
const SUM: V = V(25);
const SPARE: V = V(26);
const IDENTITY: V = V(27);

/// Pointers of a row, the turns of its loop, and its lanes.
struct Row {
    to: X,
    from: X,
    output_step: isize,
    input_step: isize,
    counter: X,
}

impl Generated for Softmax {
    fn name(&self) -> String {
        let log = if self.log { "log_" } else { "" };
        format!("{log}softmax_{}_over_{}", shape(&self.outer), self.axis)
    }

    fn made(&self, _: Core, symbol: String) -> Result<Made, Unsupported> {
        let extents = [self.outer.clone(), vec![self.axis]].concat();
        self.output.check(&extents)?;
        self.input.check(&extents)?;
        if self.output.element != Element::F32 || self.input.element != Element::F32 {
            return Err(Unsupported::new("softmax of anything but f32"));
        }
        let mut c = Counted::new();
        if extents.contains(&0) {
            return c.finish(symbol);
        }
        let (Some((output_step, output)), Some((input_step, input))) =
            (self.output.steps.split_last(), self.input.steps.split_last())
        else {
            return Err(Unsupported::new("softmax without an axis"));
        };
        let part = |a: &Strided, steps: &[isize]| Strided { steps: steps.to_vec(), ..a.clone() };
        let nest =
            Nest::new(&self.outer, &[&part(&self.output, output), &part(&self.input, input)]).simplify(0);

        let mut free = Registers::new();
        let row = Row {
            to: free.take()?,
            from: free.take()?,
            output_step: *output_step,
            input_step: *input_step,
            counter: free.take()?,
        };
        c.add_imm(row.to, self.output.base.register(), 4 * self.output.offset as i64);
        c.add_imm(row.from, self.input.base.register(), 4 * self.input.offset as i64);

        let mut block = Block::default();
        let (x, max) = (block.input(0), block.input(1));
        let less = block.sub(x, max);
        let e = math::exp_bounded(&mut block, less);
        let registers: Vec<V> = (0..8).chain(16..24).chain(28..31).map(V).collect();
        let too_many = || Unsupported::new("an expression that needs too many registers");
        let request = Request {
            results: &[e],
            pinned: &[(1, MAX)],
            placed: &[],
            registers: &registers,
            copies: (self.axis / 4).clamp(1, 3),
        };
        let mut exp = Plan::new(&block, &request, free.take()?).ok_or_else(too_many)?;
        exp.prologue(&mut c);
        // The logarithm of the sum needs registers of its own, which are filled each time: it is once a row.
        let mut block = Block::default();
        let x = block.input(0);
        let log = math::log(&mut block, x);
        let registers: Vec<V> = (8..16).collect::<Vec<u8>>().into_iter().map(V).collect();
        let request = Request { results: &[log], pinned: &[], placed: &[], registers: &registers, copies: 1 };
        let mut log = Plan::new(&block, &request, free.take()?).ok_or_else(too_many)?;
        if self.log {
            log.prologue(&mut c);
        }

        let side_by_side =
            self.input.steps[self.outer.len()] != 1 && nest.steps.last().is_some_and(|s| s == &[1, 1]);
        let loops = nest.extents.len() - usize::from(side_by_side);
        let counters = free.take_many(loops)?;
        let columns = free.take()?;
        let walk = Walk::new(&nest, 0..loops, vec![(row.to, 4), (row.from, 4)], counters);
        let plans = (&exp, &log);
        if side_by_side {
            let extent = nest.extents[loops];
            let moved = 4 * extent as i64;
            walk.run(&mut c, &[moved, moved], &mut |c| {
                c.vectors(columns, extent, 1, &mut |c, _, lanes| {
                    self.columns(c, &row, plans, lanes);
                    for pointer in [row.to, row.from] {
                        c.add_imm(pointer, pointer, 4 * lanes as i64);
                    }
                });
            });
        } else {
            walk.run(&mut c, &[0, 0], &mut |c| self.row(c, &row, plans));
        }
        if exp.has_literals() || self.log && log.has_literals() {
            c.data_behind(|a| {
                exp.literals(a);
                log.literals(a);
            });
        }
        c.finish(symbol)
    }
}

impl Softmax {
    /// One row, four of its elements at a time; the pointers stay.
    fn row(&self, c: &mut Counted, row: &Row, (exp, log): (&Plan, &Plan)) {
        let from = Walker { pointer: row.from, element: Element::F32, step: row.input_step };
        let to = Walker { pointer: row.to, element: Element::F32, step: row.output_step };
        let back =
            |c: &mut Counted, w: Walker| c.add_imm(w.pointer, w.pointer, -w.bytes() * self.axis as i64);
        c.splat(MAX, f32::NEG_INFINITY);
        c.splat(IDENTITY, f32::NEG_INFINITY);
        c.vectors(row.counter, self.axis, 1, &mut |c, _, lanes| {
            load(c, from, lanes, SPARE);
            fill(c, SPARE, lanes);
            c.fmax(MAX, MAX, SPARE);
        });
        back(c, from);
        horizontal(Reduction::Max, c, MAX, SPARE);
        c.dup_e(MAX, MAX, 0);
        c.zero(SUM);
        c.zero(IDENTITY);
        c.vectors(row.counter, self.axis, exp.copies, &mut |c, copies, lanes| {
            let mut take = |a: &mut Asm, _: usize, _: usize, v: V| load(a, from, lanes, v);
            let mut give = |a: &mut Asm, _: usize, _: usize, v: V| {
                if !self.log {
                    store(a, to, lanes, v);
                }
                fill(a, v, lanes);
                a.fadd(SUM, SUM, v);
            };
            exp.emit(c, copies, &mut take, &mut give);
        });
        back(c, from);
        horizontal(Reduction::Sum, c, SUM, SPARE);
        c.dup_e(SUM, SUM, 0);
        self.factor(c, log);
        let source = if self.log {
            from
        } else {
            back(c, to);
            to
        };
        // Reads and writes go side by side: with one pointer when it is the same array.
        c.vectors(row.counter, self.axis, 1, &mut |c, _, lanes| {
            load(c, source, lanes, SPARE);
            if !self.log {
                c.add_imm(to.pointer, to.pointer, -to.bytes() * lanes as i64);
            }
            self.scale(c);
            store(c, to, lanes, SPARE);
        });
        back(c, to);
        if self.log {
            back(c, from);
        }
    }

    /// As many rows as lanes, side by side; the pointers stay.
    fn columns(&self, c: &mut Counted, row: &Row, (exp, log): (&Plan, &Plan), lanes: usize) {
        let side = |pointer| Walker::run(pointer);
        // Loads and stores move by their lanes; the rest of the way to the next element.
        let next = |c: &mut Asm, pointer: X, step: isize| {
            c.add_imm(pointer, pointer, 4 * (step as i64 - lanes as i64));
        };
        let back = |c: &mut Counted, pointer: X, step: isize| {
            c.add_imm(pointer, pointer, -4 * step as i64 * self.axis as i64);
        };
        c.splat(MAX, f32::NEG_INFINITY);
        c.repeat(row.counter, self.axis, |c| {
            load(c, side(row.from), lanes, SPARE);
            next(c, row.from, row.input_step);
            combine(Reduction::Max, c, MAX, MAX, SPARE);
        });
        back(c, row.from, row.input_step);
        c.zero(SUM);
        c.repeat(row.counter, self.axis, |c| {
            let mut take = |a: &mut Asm, _: usize, _: usize, v: V| {
                load(a, side(row.from), lanes, v);
                next(a, row.from, row.input_step);
            };
            let mut give = |a: &mut Asm, _: usize, _: usize, v: V| {
                if !self.log {
                    store(a, side(row.to), lanes, v);
                    next(a, row.to, row.output_step);
                }
                a.fadd(SUM, SUM, v);
            };
            exp.emit(c, 1, &mut take, &mut give);
        });
        back(c, row.from, row.input_step);
        self.factor(c, log);
        if !self.log {
            back(c, row.to, row.output_step);
        }
        c.repeat(row.counter, self.axis, |c| {
            if self.log {
                load(c, side(row.from), lanes, SPARE);
                next(c, row.from, row.input_step);
            } else {
                load(c, side(row.to), lanes, SPARE);
                c.add_imm(row.to, row.to, -4 * lanes as i64);
            }
            self.scale(c);
            store(c, side(row.to), lanes, SPARE);
            next(c, row.to, row.output_step);
        });
        back(c, row.to, row.output_step);
        if self.log {
            back(c, row.from, row.input_step);
        }
    }

    /// From the sum what each element needs: its inverse or its logarithm.
    fn factor(&self, c: &mut Counted, log: &Plan) {
        if self.log {
            let mut take = |a: &mut Asm, _: usize, _: usize, v: V| a.mov_v(v, SUM);
            let mut give = |a: &mut Asm, _: usize, _: usize, v: V| a.mov_v(SUM, v);
            log.emit(c, 1, &mut take, &mut give);
        } else {
            c.splat(SPARE, 1.0);
            c.fdiv(SUM, SPARE, SUM);
        }
    }

    fn scale(&self, c: &mut Counted) {
        if self.log {
            c.fsub(SPARE, SPARE, MAX);
            c.fsub(SPARE, SPARE, SUM);
        } else {
            c.fmul(SPARE, SPARE, SUM);
        }
    }
}

/// Lanes that are not there get what leaves the result as it is.
fn fill(a: &mut Asm, v: V, lanes: usize) {
    for lane in lanes..4 {
        a.ins_e(v, lane as u32, IDENTITY, 0);
    }
}
