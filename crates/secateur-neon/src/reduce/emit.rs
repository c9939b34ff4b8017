//! The code of reductions: lanes are results where results lie side by side, else they are partial results.

use super::{Reduce, Reduction};
use crate::Unsupported;
use crate::asm::{Asm, V, X};
use crate::block::{Plan, Request};
use crate::counted::{Counted, Made};
use crate::lanes::{Pairs, Walker, store};
use crate::program::Program;
use crate::registers::Registers;
use crate::strided::{Element, Nest, Strided, Walk};

/// Partial results.
const SUMS: [V; 4] = [V(27), V(28), V(29), V(30)];
/// Sums of a stretch of them, where there are many: an error grows with the number of additions one after the other.
const TOTALS: [V; 4] = [V(22), V(23), V(24), V(25)];
/// Additions of such a stretch.
const STRETCH: usize = 32;
/// What leaves everything as it is.
const IDENTITY: V = V(26);

pub(super) fn emit(reduce: &Reduce, symbol: String) -> Result<Made, Unsupported> {
    if reduce.output.element != Element::F32 {
        return Err(Unsupported::new("reductions to integers"));
    }
    let mut c = Counted::new();
    if reduce.kept.contains(&0) {
        return c.finish(symbol);
    }
    let (input_kept, input_reduced) = reduce.input.steps.split_at(reduce.kept.len());
    let part = |steps: &[isize]| Strided { steps: steps.to_vec(), ..reduce.input.clone() };
    let kept = Nest::new(&reduce.kept, &[&reduce.output, &part(input_kept)]).simplify(0);
    let inner = Nest::new(&reduce.reduced, &[&part(input_reduced)]).simplify(0);

    let mut free = Registers::new();
    let (to, from) = (free.take()?, free.take()?);
    c.add_imm(to, reduce.output.base.register(), 4 * reduce.output.offset as i64);
    let size = reduce.input.element.bytes();
    c.add_imm(from, reduce.input.base.register(), size as i64 * reduce.input.offset as i64);

    let mut plans = Vec::new();
    let before_registers: Vec<V> = (0..8).chain(16..22).map(V).collect();
    let after_registers: Vec<V> = (8..16).map(V).collect();
    for (program, registers, copies) in
        [(&reduce.before, before_registers, 4), (&reduce.after, after_registers, 1)]
    {
        let plan = plan(program, &registers, copies, free.take()?);
        plans.push(plan.ok_or_else(|| Unsupported::new("an expression that needs too many registers"))?);
    }
    let (mut after, mut before) = (plans.remove(1), plans.remove(0));
    before.prologue(&mut c);
    after.prologue(&mut c);
    c.splat(IDENTITY, reduce.reduction.identity());

    // Results side by side in memory, as their inputs are.
    let side_by_side =
        kept.steps.last().is_some_and(|s| s == &[1, 1]) && reduce.input.element == Element::F32;
    let outer = kept.extents.len() - usize::from(side_by_side);
    let counters = free.take_many(outer)?;
    let counter = free.take()?;
    let inner_counters = free.take_many(inner.extents.len())?;
    let stretches = free.take().ok();
    let walk = Walk::new(&kept, 0..outer, vec![(to, 4), (from, size)], counters);
    let body = Body { reduce, before, after, inner, to, from, inner_counters, counter, stretches };
    if side_by_side {
        let extent = kept.extents[outer];
        let moved = 4 * extent as i64;
        walk.run(&mut c, &[moved, moved], &mut |c| body.columns(c, extent));
    } else {
        walk.run(&mut c, &[0, 0], &mut |c| body.row(c));
    }
    if body.before.has_literals() || body.after.has_literals() {
        c.data_behind(|a| {
            body.before.literals(a);
            body.after.literals(a);
        });
    }
    c.finish(symbol)
}

fn plan(program: &Program, registers: &[V], copies: usize, base: X) -> Option<Plan> {
    let (block, result) = program.block();
    Plan::new(&block, &Request { results: &[result], pinned: &[], placed: &[], registers, copies }, base)
}

struct Body<'a> {
    reduce: &'a Reduce,
    before: Plan,
    after: Plan,
    inner: Nest,
    to: X,
    from: X,
    inner_counters: Vec<X>,
    counter: X,
    stretches: Option<X>,
}

impl Body<'_> {
    fn combine(&self, a: &mut Asm, d: V, n: V, m: V) {
        combine(self.reduce.reduction, a, d, n, m);
    }

    /// Results in lanes; pointers move behind them.
    fn columns(&self, c: &mut Counted, extent: usize) {
        c.vectors(self.counter, extent, self.before.copies, &mut |c, copies, lanes| {
            self.block(c, copies, lanes);
        });
    }

    fn block(&self, c: &mut Counted, copies: usize, lanes: usize) {
        for sum in &SUMS[..copies] {
            c.mov_v(*sum, IDENTITY);
        }
        let bytes = 4 * (lanes + 4 * (copies - 1)) as i64;
        let moved = match (self.reduce.reduced.contains(&0), self.stretched()) {
            (true, _) => 0,
            (false, None) => {
                let loops = 0..self.inner.extents.len();
                let walk = Walk::new(&self.inner, loops, vec![(self.from, 4)], self.inner_counters.clone());
                walk.run(c, &[bytes], &mut |c| self.gather(c, Walker::run(self.from), copies, lanes))[0]
            }
            (false, Some((stretches, rest, counters))) => {
                for total in &TOTALS[..copies] {
                    c.mov_v(*total, IDENTITY);
                }
                let step = 4 * self.inner.steps[0][0] as i64;
                c.repeat(counters[0], stretches, |c| {
                    c.repeat(counters[1], STRETCH, |c| {
                        self.gather(c, Walker::run(self.from), copies, lanes);
                        c.add_imm(self.from, self.from, step - bytes);
                    });
                    for (total, sum) in TOTALS.iter().zip(&SUMS[..copies]) {
                        self.combine(c, *total, *total, *sum);
                        c.mov_v(*sum, IDENTITY);
                    }
                });
                c.repeat(counters[1], rest, |c| {
                    self.gather(c, Walker::run(self.from), copies, lanes);
                    c.add_imm(self.from, self.from, step - bytes);
                });
                for (total, sum) in TOTALS.iter().zip(&SUMS[..copies]) {
                    self.combine(c, *sum, *sum, *total);
                }
                step * self.inner.extents[0] as i64
            }
        };
        c.add_imm(self.from, self.from, bytes - moved);
        for sum in &SUMS[..copies] {
            self.finish(c, *sum, Walker::run(self.to), lanes);
        }
    }

    /// Where there are many additions one after the other: whole stretches of them, what is left over, and counters.
    fn stretched(&self) -> Option<(usize, usize, [X; 2])> {
        let ([n], [counter]) = (&self.inner.extents[..], &self.inner_counters[..]) else { return None };
        let many = self.reduce.reduction == Reduction::Sum && *n >= 2 * STRETCH;
        many.then_some((n / STRETCH, n % STRETCH, [self.stretches?, *counter]))
    }

    /// Adds vectors to the partial results; lanes that are not there count as the identity.
    fn gather(&self, c: &mut Counted, walker: Walker, copies: usize, lanes: usize) {
        let mut loads = Pairs::new(copies, lanes);
        let mut load = |a: &mut Asm, _: usize, copy: usize, v: V| loads.load(a, walker, copy, v);
        let mut add = |a: &mut Asm, _: usize, copy: usize, v: V| {
            self.combine(a, SUMS[copy], SUMS[copy], v);
        };
        self.before.emit(c, copies, &mut load, &mut add);
    }

    fn finish(&self, c: &mut Counted, sum: V, walker: Walker, lanes: usize) {
        let mut take = |a: &mut Asm, _: usize, _: usize, v: V| a.mov_v(v, sum);
        let mut give = |a: &mut Asm, _: usize, _: usize, v: V| store(a, walker, lanes, v);
        self.after.emit(c, 1, &mut take, &mut give);
    }

    /// One result; the pointers stay.
    fn row(&self, c: &mut Counted) {
        let (outer, extent, step) = match self.inner.extents.split_last() {
            Some((extent, outer)) => (outer.len(), *extent, self.inner.steps[outer.len()][0]),
            None => (0, 1, 1),
        };
        let walker = Walker { pointer: self.from, element: self.reduce.input.element, step };
        let copies = self.before.copies.min((extent / 4).max(1));
        for sum in &SUMS[..copies] {
            c.mov_v(*sum, IDENTITY);
        }
        if !self.reduce.reduced.contains(&0) {
            let size = walker.element.bytes();
            let walk = Walk::new(&self.inner, 0..outer, vec![(self.from, size)], self.inner_counters.clone());
            let moved = walk.run(c, &[walker.bytes() * extent as i64], &mut |c| {
                let counter = self.inner_counters.get(outer).copied().unwrap_or(self.counter);
                c.vectors(counter, extent, copies, &mut |c, copies, lanes| match lanes {
                    4 => self.gather(c, walker, copies, 4),
                    _ => self.tail(c, walker, lanes),
                });
            });
            c.add_imm(self.from, self.from, -moved[0]);
        }
        for sum in &SUMS[1..copies] {
            self.combine(c, SUMS[0], SUMS[0], *sum);
        }
        horizontal(self.reduce.reduction, c, SUMS[0], V(31));
        self.finish(c, SUMS[0], Walker { pointer: self.to, element: Element::F32, step: 0 }, 1);
    }

    fn tail(&self, c: &mut Counted, walker: Walker, lanes: usize) {
        let mut loads = Pairs::new(1, lanes);
        let mut load = |a: &mut Asm, _: usize, copy: usize, v: V| loads.load(a, walker, copy, v);
        let mut add = |a: &mut Asm, _: usize, _: usize, v: V| {
            // What a program makes of the empty lanes is of no use; a constant's register must stay.
            a.mov_v(V(31), v);
            for lane in lanes..4 {
                a.ins_e(V(31), lane as u32, IDENTITY, 0);
            }
            self.combine(a, SUMS[0], SUMS[0], V(31));
        };
        self.before.emit(c, 1, &mut load, &mut add);
    }
}

/// `d = n` put together with `m`.
pub(crate) fn combine(reduction: Reduction, a: &mut Asm, d: V, n: V, m: V) {
    match reduction {
        Reduction::Sum => a.fadd(d, n, m),
        Reduction::Product => a.fmul(d, n, m),
        Reduction::Max => a.fmax(d, n, m),
        Reduction::Min => a.fmin(d, n, m),
    }
}

/// All four lanes of `v` put together, in its first lane; `spare` is lost.
pub(crate) fn horizontal(reduction: Reduction, a: &mut Asm, v: V, spare: V) {
    match reduction {
        Reduction::Sum => {
            a.faddp(v, v, v);
            a.faddp_s(v, v);
        }
        Reduction::Product => {
            for bytes in [8, 4] {
                a.ext(spare, v, v, bytes);
                a.fmul(v, v, spare);
            }
        }
        Reduction::Max => a.fmaxv(v, v),
        Reduction::Min => a.fminv(v, v),
    }
}
