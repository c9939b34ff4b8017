//! GRU, LSTM and RNN over a sequence, one direction, one sample.

use crate::asm::{V, X};
use crate::block::{Block, Plan, Request, Val};
use crate::counted::{Counted, Generated, Made};
use crate::lanes::{Walker, load, store};
use crate::matmul::{MatMul, Tiles};
use crate::program::Program;
use crate::registers::Registers;
use crate::strided::{Base, Strided};
use crate::{Core, Unsupported, math};

/// What happens in a step. Gates are in the order of ONNX; sigmoid and tanh are its defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    /// Gates z, r, h. The recurrent bias of h is inside the product with r if `linear_before_reset`.
    Gru {
        /// Whether r multiplies the product (else the state).
        linear_before_reset: bool,
    },
    /// Gates i, o, f, c; no peepholes.
    Lstm,
    /// One gate, tanh.
    Rnn,
}

impl Cell {
    /// How many gates there are.
    pub fn gates(self) -> usize {
        match self {
            Cell::Gru { .. } => 3,
            Cell::Lstm => 4,
            Cell::Rnn => 1,
        }
    }
}

/// The recurrent part of a GRU, LSTM or RNN. The part that does not depend on the state is done before, as one product:
/// x1 points to `steps` rows of `gates * hidden` floats, `X W^T` plus all biases that are added to it (all but the
/// recurrent bias of h of a GRU with `linear_before_reset`).
///
/// x0 gets a row of `hidden` floats a step. x2 points to the first state and x3 to the first cell state of an LSTM, if
/// `initial`; else they are zero. Constants: the recurrence weights as ONNX has them, `[gates * hidden, hidden]`, then,
/// with `linear_before_reset`, `hidden` recurrent biases of h.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recurrent {
    /// What happens in a step.
    pub cell: Cell,
    /// Steps of the sequence.
    pub steps: usize,
    /// Size of the state.
    pub hidden: usize,
    /// Floats from step to step in x1.
    pub input_row: usize,
    /// Floats from step to step in x0.
    pub output_row: usize,
    /// Whether the sequence is walked through from its end.
    pub reverse: bool,
    /// Whether there are first states.
    pub initial: bool,
}

/// Scratch memory, in states.
const STATE: usize = 0;
const MEMORY: usize = 1;
const RESET: usize = 2;
const GATES: usize = 3;

impl Recurrent {
    fn before_reset(&self) -> bool {
        self.cell == Cell::Gru { linear_before_reset: true }
    }

    /// `columns` of the recurrence weights, from a state to gates, onto what `add` gives.
    fn product(&self, columns: usize) -> MatMul {
        let width = (self.cell.gates() * self.hidden) as isize;
        MatMul {
            batch: vec![],
            rows: 1,
            columns,
            inner: self.hidden,
            a: Strided::f32(Base::Input(0), 0, &[0, 1]),
            b: Strided::f32(Base::Constants, 0, &[width, 1]),
            output: Strided::f32(Base::Output, 0, &[0, 1]),
            add: Some(Strided::f32(Base::Input(1), 0, &[0, 1])),
            after: Program::copy(),
        }
    }
}

impl Generated for Recurrent {
    fn name(&self) -> String {
        let cell = match self.cell {
            Cell::Gru { .. } => "gru",
            Cell::Lstm => "lstm",
            Cell::Rnn => "rnn",
        };
        format!("{cell}_{}x{}", self.steps, self.hidden)
    }

    /// The weights transposed: a row for each element of the state.
    fn packed(&self, constants: &[&[f32]]) -> Vec<u8> {
        let Some((weights, rest)) = constants.split_first() else { return Vec::new() };
        let width = self.cell.gates() * self.hidden;
        let transposed = (0..self.hidden).flat_map(|k| (0..width).map(move |n| weights[n * self.hidden + k]));
        transposed.chain(rest.iter().flat_map(|r| r.iter().copied())).flat_map(|w| w.to_le_bytes()).collect()
    }

    fn scratch(&self) -> usize {
        4 * self.hidden * (GATES + self.cell.gates())
    }

    fn made(&self, _: Core, symbol: String) -> Result<Made, Unsupported> {
        let hidden = self.hidden;
        let state = |n: usize| 4 * (n * hidden) as i64;
        let mut c = Counted::new();
        if self.steps == 0 || hidden == 0 {
            return c.finish(symbol);
        }
        let mut free = Registers::new();
        let (input, output, counter, steps) = (free.take()?, free.take()?, free.take()?, free.take()?);
        let last = if self.reverse { self.steps as i64 - 1 } else { 0 };
        c.add_imm(input, X(1), 4 * last * self.input_row as i64);
        c.add_imm(output, X(0), 4 * last * self.output_row as i64);
        // First states.
        let (from, to) = (free.take()?, free.take()?);
        for (given, place) in [(X(2), STATE), (X(3), MEMORY)] {
            c.add_imm(to, X(5), state(place));
            c.mov(from, given);
            c.vectors(counter, hidden, 1, &mut |c, _, lanes| {
                if self.initial && (place == STATE || self.cell == Cell::Lstm) {
                    load(c, Walker::run(from), lanes, V(0));
                } else {
                    c.zero(V(0));
                }
                store(c, Walker::run(to), lanes, V(0));
            });
        }

        // Where the products' matrices are: output, a, b, add.
        let pointers = free.take_many(4)?;
        let split = if matches!(self.cell, Cell::Gru { .. }) { 2 } else { self.cell.gates() };
        let (first, second) = (self.product(split * hidden), self.product(hidden));
        let mark = free.mark();
        let mut first = Tiles::new(&first, pointers.clone(), &mut free)?;
        free.release(mark);
        let mut second = Tiles::new(&second, pointers.clone(), &mut free)?;
        free.release(mark);
        let pass = Pass { hidden, counter, walkers: free.take_many(4)?, literals: free.take()? };
        let mut plans = Vec::new();
        c.repeat(steps, self.steps, |c| {
            c.add_imm(pointers[0], X(5), state(GATES));
            c.add_imm(pointers[1], X(5), state(STATE));
            c.mov(pointers[2], X(4));
            c.mov(pointers[3], input);
            first.product(c);
            if let Cell::Gru { linear_before_reset } = self.cell {
                if !linear_before_reset {
                    plans.push(pass.run(c, &[GATES + 1, STATE], None, &[RESET], None, |b, i| {
                        let r = math::sigmoid(b, i[0]);
                        vec![b.mul(r, i[1])]
                    }));
                    c.add_imm(pointers[1], X(5), state(RESET));
                }
                c.add_imm(pointers[0], X(5), state(GATES + 2));
                c.add_imm(pointers[2], X(4), 8 * hidden as i64);
                if linear_before_reset {
                    c.add_imm(pointers[3], X(4), 4 * (hidden * hidden * 3) as i64);
                } else {
                    c.add_imm(pointers[3], input, 8 * hidden as i64);
                }
                second.product(c);
            }
            let own = self.before_reset().then_some((input, 8 * hidden as i64));
            let sources: &[usize] = match self.cell {
                Cell::Gru { linear_before_reset: false } => &[GATES, GATES + 2, STATE],
                Cell::Gru { .. } => &[GATES, GATES + 2, STATE, GATES + 1],
                Cell::Lstm => &[GATES, GATES + 1, GATES + 2, GATES + 3, MEMORY],
                Cell::Rnn => &[GATES],
            };
            let targets: &[usize] = if self.cell == Cell::Lstm { &[STATE, MEMORY] } else { &[STATE] };
            plans.push(pass.run(c, sources, own, targets, Some(output), |b, i| self.step(b, i)));
            let sign = if self.reverse { -4 } else { 4 };
            c.add_imm(input, input, sign * self.input_row as i64);
            c.add_imm(output, output, sign * self.output_row as i64);
        });
        let plans = plans.into_iter().collect::<Option<Vec<Plan>>>();
        let plans = plans.ok_or_else(|| Unsupported::new("an expression that needs too many registers"))?;
        if plans.iter().any(Plan::has_literals) {
            c.data_behind(|a| plans.iter().for_each(|p| p.literals(a)));
        }
        c.finish(symbol)
    }
}

impl Recurrent {
    /// New states from gates and old ones; inputs as `made` lists them.
    fn step(&self, b: &mut Block, i: &[Val]) -> Vec<Val> {
        match self.cell {
            Cell::Gru { linear_before_reset } => {
                let z = math::sigmoid(b, i[0]);
                let inner = if linear_before_reset {
                    let r = math::sigmoid(b, i[3]);
                    b.mul_add(i[4], r, i[1])
                } else {
                    i[1]
                };
                let new = math::tanh(b, inner);
                // (1 - z) new + z old
                let difference = b.sub(i[2], new);
                vec![b.mul_add(new, z, difference)]
            }
            Cell::Lstm => {
                let (input, forget) = (math::sigmoid(b, i[0]), math::sigmoid(b, i[2]));
                let new = math::tanh(b, i[3]);
                let kept = b.mul(forget, i[4]);
                let memory = b.mul_add(kept, input, new);
                let shown = math::tanh(b, memory);
                let gate = math::sigmoid(b, i[1]);
                vec![b.mul(gate, shown), memory]
            }
            Cell::Rnn => vec![math::tanh(b, i[0])],
        }
    }
}

/// Elementwise code over states.
struct Pass {
    hidden: usize,
    counter: X,
    walkers: Vec<X>,
    literals: X,
}

impl Pass {
    /// From some states in the scratch memory, and perhaps `own` (a pointer and bytes from it) as the last input, to
    /// others; the first result goes to `also` as well. Gives the plan, whose literals must be placed.
    fn run(
        &self,
        c: &mut Counted,
        sources: &[usize],
        own: Option<(X, i64)>,
        targets: &[usize],
        also: Option<X>,
        step: impl Fn(&mut Block, &[Val]) -> Vec<Val>,
    ) -> Option<Plan> {
        let mut block = Block::default();
        let count = sources.len() + usize::from(own.is_some());
        let inputs: Vec<Val> = (0..count).map(|i| block.input(i)).collect();
        let results = step(&mut block, &inputs);
        let registers: Vec<V> = (0..32).map(V).collect();
        let request =
            Request { results: &results, pinned: &[], placed: &[], registers: &registers, copies: 1 };
        let mut plan = Plan::new(&block, &request, self.literals)?;
        plan.prologue(c);
        // One pointer walks through the states: they are a fixed number of bytes apart.
        let (states, outside, shown) = (self.walkers[0], self.walkers[1], self.walkers[2]);
        let at = self.walkers[3];
        c.mov(states, X(5));
        if let Some((base, offset)) = own {
            c.add_imm(outside, base, offset);
        }
        if let Some(output) = also {
            c.mov(shown, output);
        }
        let place = |n: usize| 4 * (n * self.hidden) as i64;
        c.vectors(self.counter, self.hidden, 1, &mut |c, _, lanes| {
            plan.emit(
                c,
                1,
                &mut |a, input, _, v| match sources.get(input) {
                    Some(source) if lanes == 4 => a.ldr_q(v, states, place(*source)),
                    Some(source) => {
                        a.add_imm(at, states, place(*source));
                        load(a, Walker::run(at), lanes, v);
                    }
                    None => load(a, Walker::run(outside), lanes, v),
                },
                &mut |a, result, _, v| {
                    a.add_imm(at, states, place(targets[result]));
                    store(a, Walker::run(at), lanes, v);
                    if result == 0 && also.is_some() {
                        store(a, Walker::run(shown), lanes, v);
                    }
                },
            );
            c.add_imm(states, states, 4 * lanes as i64);
        });
        Some(plan)
    }
}
