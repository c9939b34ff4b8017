//! The code of a map: loops around a block.

use super::Map;
use crate::Unsupported;
use crate::asm::{Asm, V, X};
use crate::block::{Plan, Request};
use crate::counted::{Counted, Made};
use crate::lanes::{Pairs, Walker, broadcast};
use crate::registers::Registers;
use crate::strided::{Nest, Strided, Walk};

pub(super) fn emit(map: &Map, symbol: String) -> Result<Made, Unsupported> {
    let mut c = Counted::new();
    if map.extents.contains(&0) {
        return c.finish(symbol);
    }
    let arrays: Vec<&Strided> = std::iter::once(&map.output).chain(&map.inputs).collect();
    let mut nest = Nest::new(&map.extents, &arrays).simplify(0);
    if nest.extents.is_empty() {
        nest = Nest { extents: vec![1], steps: vec![vec![1; arrays.len()]] };
    }
    let inner = &nest.steps[nest.steps.len() - 1];

    let mut free = Registers::new();
    let mut walkers = Vec::new();
    for (array, step) in arrays.iter().zip(inner) {
        let pointer = free.take()?;
        let bytes = array.offset as i64 * array.element.bytes() as i64;
        c.add_imm(pointer, array.base.register(), bytes);
        walkers.push(Walker { pointer, element: array.element, step: *step });
    }
    let counters = free.take_many(nest.extents.len())?;
    let literals = free.take()?;

    // Broadcast inputs live in registers from the highest down.
    let (block, result) = map.program.block();
    let mut registers: Vec<V> = (0..8).chain(16..31).map(V).collect();
    let mut pinned = Vec::new();
    for (input, walker) in walkers.iter().skip(1).enumerate() {
        if walker.step == 0 {
            pinned
                .push((input, registers.pop().ok_or_else(|| Unsupported::new("too many broadcast inputs"))?));
        }
    }
    let vectors = nest.extents[nest.extents.len() - 1] / 4;
    let request = |registers: &[V]| {
        let request = Request {
            results: &[result],
            pinned: &pinned,
            placed: &[],
            registers,
            copies: vectors.clamp(1, 4),
        };
        Plan::new(&block, &request, literals)
    };
    let plan = request(&registers).or_else(|| {
        let more: Vec<V> = registers.iter().copied().chain((8..16).map(V)).collect();
        request(&more)
    });
    let mut plan = plan.ok_or_else(|| Unsupported::new("an expression that needs too many registers"))?;
    plan.prologue(&mut c);
    // What is the same for all points is loaded once.
    for (input, v) in &pinned {
        if nest.steps.iter().all(|s| s[input + 1] == 0) {
            broadcast(&mut c, walkers[input + 1], *v);
        }
    }
    pinned.retain(|(input, _)| nest.steps.iter().any(|s| s[input + 1] != 0));

    let inner = nest.extents.len() - 1;
    let pointers = walkers.iter().map(|w| (w.pointer, w.element.bytes())).collect();
    let walk = Walk::new(&nest, 0..inner, pointers, counters[..inner].to_vec());
    let body = Body { plan, walkers, pinned, extent: nest.extents[inner], counter: counters[inner] };
    let moved: Vec<i64> = body.walkers.iter().map(|w| w.bytes() * body.extent as i64).collect();
    walk.run(&mut c, &moved, &mut |c| body.inner(c));
    if body.plan.has_literals() {
        c.data_behind(|a| body.plan.literals(a));
    }
    c.finish(symbol)
}

struct Body {
    plan: Plan,
    walkers: Vec<Walker>,
    /// Inputs that are constant along the innermost loop only.
    pinned: Vec<(usize, V)>,
    /// The innermost loop.
    extent: usize,
    counter: X,
}

impl Body {
    fn inner(&self, c: &mut Counted) {
        for (input, v) in &self.pinned {
            broadcast(c, self.walkers[input + 1], *v);
        }
        c.vectors(self.counter, self.extent, self.plan.copies, &mut |c, copies, lanes| {
            self.run(c, copies, lanes);
        });
    }

    /// Some vectors; `lanes` of each.
    fn run(&self, c: &mut Counted, copies: usize, lanes: usize) {
        let (mut loads, mut stores) = (Pairs::new(copies, lanes), Pairs::new(copies, lanes));
        let mut load =
            |a: &mut Asm, input: usize, copy: usize, v: V| loads.load(a, self.walkers[input + 1], copy, v);
        let mut store = |a: &mut Asm, _: usize, copy: usize, v: V| stores.store(a, self.walkers[0], copy, v);
        self.plan.emit(c, copies, &mut load, &mut store);
    }
}
