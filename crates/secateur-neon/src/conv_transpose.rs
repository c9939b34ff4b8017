//! Transposed convolution of planar images.
//!
//! Results whose row and column leave the same rest when divided by the strides (a *phase*) are an ordinary convolution of
//! the input with every stride-th tap, so each phase is computed on its own and every result is written once. Where a tap
//! is as good as a phase (kernel and stride of 2 along rows), both phases share the input and are stored interleaved.

use crate::asm::{Asm, Then, V, X};
use crate::block::{Plan, Request};
use crate::counted::{Counted, Generated, Made};
use crate::lanes::{Walker, load, store};
use crate::program::{Program, Step, Unary};
use crate::registers::Registers;
use crate::strided::Element;
use crate::{Activation, Core, Planes, Unsupported, WindowAxis};

/// `output[o, y, x] = activation(bias[o] + Σ weight[c, o, i, j] * input[c, v, u])` over all input pixels and taps with
/// `y = v * stride + i * dilation - before` and the same for `x`.
///
/// Constants: weights `[channels, outputs / groups, rows, columns]`, then, if there is one, the bias.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvTranspose {
    /// From x1.
    pub input: Planes,
    /// From x0.
    pub output: Planes,
    /// Rows of the kernel; `before` is what is cut off at the top, `after` means nothing.
    pub rows: WindowAxis,
    /// Columns of the kernel.
    pub columns: WindowAxis,
    /// Groups of channels that do not mix.
    pub groups: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// Done to each sum.
    pub activation: Activation,
}

/// Output channels at a time.
const BLOCK: usize = 4;
const SUMS: u8 = 16;
/// Weights of a tap, or of two.
const WEIGHTS: [V; 2] = [V(8), V(9)];

/// Results of one phase, one after the other, for which the same taps are in the input.
struct Run {
    /// The first result's position.
    first: usize,
    count: usize,
    /// For each tap the input position for the first result.
    taps: Vec<(usize, usize)>,
}

/// The runs of all phases of an axis.
fn runs(axis: &WindowAxis, input: usize, output: usize) -> Vec<Run> {
    let mut all: Vec<Run> = Vec::new();
    for phase in 0..axis.stride {
        let mut last: Option<(usize, Vec<(usize, usize)>)> = None;
        for (turn, at) in (phase..output).step_by(axis.stride).enumerate() {
            let taps: Vec<(usize, usize)> = (0..axis.kernel)
                .filter_map(|tap| {
                    let from = (at + axis.before).checked_sub(tap * axis.dilation)?;
                    let position = from / axis.stride;
                    (from % axis.stride == 0 && position < input).then_some((tap, position))
                })
                .collect();
            let names = |taps: &[(usize, usize)]| taps.iter().map(|(tap, _)| *tap).collect::<Vec<_>>();
            match (&last, all.last_mut()) {
                (Some((before, old)), Some(run)) if before + 1 == turn && names(old) == names(&taps) => {
                    run.count += 1;
                }
                _ => all.push(Run { first: at, count: 1, taps: taps.clone() }),
            }
            last = Some((turn, taps));
        }
    }
    all
}

impl ConvTranspose {
    fn outputs_of_a_group(&self) -> usize {
        self.output.channels / self.groups
    }

    fn taps(&self) -> usize {
        self.rows.kernel * self.columns.kernel
    }

    /// Whether every input pixel gives two neighbouring results of a row, and nothing else does.
    fn pairs(&self) -> bool {
        let plain = WindowAxis { kernel: 2, stride: 2, dilation: 1, before: 0, after: self.columns.after };
        self.columns == plain && self.output.width == 2 * self.input.width
    }

    /// Sizes of the blocks of a group's output channels: how many of which size.
    fn blocks(&self) -> [(usize, usize); 2] {
        let outputs = self.outputs_of_a_group();
        [(outputs / BLOCK, BLOCK), (usize::from(!outputs.is_multiple_of(BLOCK)), outputs % BLOCK)]
    }
}

impl Generated for ConvTranspose {
    fn name(&self) -> String {
        let (i, o) = (self.input, self.output);
        let (rows, columns) = (self.rows, self.columns);
        format!(
            "conv_transpose_{}x{}_s{}_{}to{}_{}x{}",
            rows.kernel, columns.kernel, rows.stride, i.channels, o.channels, i.height, i.width
        )
    }

    /// For each block of output channels: its biases, then for each input channel and tap its weights, each padded to four.
    fn packed(&self, constants: &[&[f32]]) -> Vec<u8> {
        let (outputs, taps) = (self.outputs_of_a_group(), self.taps());
        let inputs = self.input.channels / self.groups;
        let mut packed: Vec<f32> = Vec::new();
        for group in 0..self.groups {
            for first in (0..outputs).step_by(BLOCK) {
                let lane = |o: usize, value: &dyn Fn(usize) -> f32| if o < outputs { value(o) } else { 0.0 };
                for o in first..first + BLOCK {
                    packed
                        .push(lane(o, &|o| if self.bias { constants[1][group * outputs + o] } else { 0.0 }));
                }
                for c in group * inputs..(group + 1) * inputs {
                    for tap in 0..taps {
                        for o in first..first + BLOCK {
                            packed.push(lane(o, &|o| constants[0][(c * outputs + o) * taps + tap]));
                        }
                    }
                }
            }
        }
        packed.iter().flat_map(|w| w.to_le_bytes()).collect()
    }

    fn made(&self, _: Core, symbol: String) -> Result<Made, Unsupported> {
        let (input, output) = (self.input, self.output);
        let divides = |n: usize| self.groups != 0 && n.is_multiple_of(self.groups);
        if !divides(input.channels) || !divides(output.channels) {
            return Err(Unsupported::new("groups that do not divide the channels"));
        }
        if [self.rows, self.columns].iter().any(|a| a.stride == 0 || a.dilation == 0) {
            return Err(Unsupported::new("a stride or dilation of zero"));
        }
        let mut free = Registers::new();
        let program = Program(vec![Step::Input(0), Step::Unary(Unary::Activation(self.activation), 0)]);
        let (block, result) = program.block();
        let registers: Vec<V> = (0..16).map(V).collect();
        let request =
            Request { results: &[result], pinned: &[], placed: &[], registers: &registers, copies: 1 };
        let plan = Plan::new(&block, &request, free.take()?)
            .ok_or_else(|| Unsupported::new("an expression that needs too many registers"))?;
        let mut body = Body {
            conv: self,
            plan,
            from: free.take()?,
            to: free.take()?,
            weights: free.take()?,
            row: free.take()?,
            output: free.take()?,
            at: free.take()?,
            weight: free.take()?,
            counter: free.take()?,
            column_counter: free.take()?,
            row_counter: free.take()?,
            store: free.take()?,
            tap: free.take()?,
            result_row: free.take()?,
        };
        let (groups, blocks) = (free.take()?, free.take()?);
        let inputs = input.channels / self.groups;
        let mut c = Counted::new();
        c.add_imm(body.from, X(1), 4 * input.origin as i64);
        c.add_imm(body.to, X(0), 4 * output.origin as i64);
        c.mov(body.weights, X(4));
        c.repeat(groups, self.groups, |c| {
            for (times, size) in self.blocks() {
                c.repeat(blocks, times, |c| {
                    body.block(c, size);
                    c.add_imm(body.weights, body.weights, 16 * (1 + inputs * self.taps()) as i64);
                    c.add_imm(body.to, body.to, 4 * (size * output.plane) as i64);
                });
            }
            c.add_imm(body.from, body.from, 4 * (inputs * input.plane) as i64);
        });
        if body.plan.has_literals() {
            c.data_behind(|a| body.plan.literals(a));
        }
        c.finish(symbol)
    }
}

struct Body<'a> {
    conv: &'a ConvTranspose,
    plan: Plan,
    /// The first channel of the group.
    from: X,
    /// The first channel of the block.
    to: X,
    weights: X,
    /// The input row at hand, and the row of results.
    row: X,
    result_row: X,
    /// The results at hand, the input pixel of the first of them.
    output: X,
    at: X,
    /// A channel of those.
    tap: X,
    weight: X,
    store: X,
    counter: X,
    column_counter: X,
    row_counter: X,
}

impl Body<'_> {
    /// All results of some output channels.
    fn block(&mut self, c: &mut Counted, size: usize) {
        let conv = self.conv;
        let columns = match conv.pairs() {
            true => vec![Run { first: 0, count: conv.input.width, taps: vec![(0, 0)] }],
            false => runs(&conv.columns, conv.input.width, conv.output.width),
        };
        for rows in runs(&conv.rows, conv.input.height, conv.output.height) {
            // Taps are found relative to the lowest input row of the run's first result.
            let lowest = rows.taps.iter().map(|(_, p)| *p).min().unwrap_or(0);
            c.add_imm(self.row, self.from, 4 * (lowest * conv.input.row) as i64);
            c.add_imm(self.result_row, self.to, 4 * (rows.first * conv.output.row) as i64);
            c.repeat(self.row_counter, rows.count, |c| {
                for run in &columns {
                    self.run(c, &rows, run, size);
                }
                c.add_imm(self.row, self.row, 4 * conv.input.row as i64);
                c.add_imm(self.result_row, self.result_row, 4 * (conv.rows.stride * conv.output.row) as i64);
            });
        }
    }

    fn run(&mut self, c: &mut Counted, rows: &Run, columns: &Run, size: usize) {
        let lowest = columns.taps.iter().map(|(_, p)| *p).min().unwrap_or(0);
        c.add_imm(self.at, self.row, 4 * lowest as i64);
        c.add_imm(self.output, self.result_row, 4 * columns.first as i64);
        let most = if self.conv.pairs() { 8 / size.next_power_of_two() } else { 2 };
        c.vectors(self.column_counter, columns.count, most, &mut |c, vectors, lanes| {
            self.results(c, rows, columns, size, vectors, lanes);
        });
    }

    /// `vectors` times `lanes` results of `size` channels.
    fn results(
        &mut self,
        c: &mut Counted,
        rows: &Run,
        columns: &Run,
        size: usize,
        vectors: usize,
        lanes: usize,
    ) {
        let conv = self.conv;
        let phases = if conv.pairs() { 2 } else { 1 };
        // The phases of a vector of results follow each other.
        let sum = |channel: usize, vector: usize, phase: usize| {
            V(SUMS + ((channel * vectors + vector) * phases + phase) as u8)
        };
        let all = || (0..vectors).flat_map(|vector| (0..phases).map(move |phase| (vector, phase)));
        c.ldr_q(V(0), self.weights, 0);
        for channel in 0..size {
            all().for_each(|(v, p)| c.dup_e(sum(channel, v, p), V(0), channel as u32));
        }
        let low = |run: &Run| run.taps.iter().map(|(_, p)| *p).min().unwrap_or(0);
        let (low_row, low_column) = (low(rows), low(columns));
        if !rows.taps.is_empty() && !columns.taps.is_empty() {
            c.add_imm(self.weight, self.weights, 16);
            c.mov(self.tap, self.at);
            c.repeat(self.counter, conv.input.channels / conv.groups, |c| {
                for (i, row) in &rows.taps {
                    for (j, column) in &columns.taps {
                        let offset = 4 * ((row - low_row) * conv.input.row + column - low_column) as i64;
                        let weights = 16 * (i * conv.columns.kernel + j) as i64;
                        match phases {
                            2 => c.ldp_q(WEIGHTS[0], WEIGHTS[1], self.weight, weights),
                            _ => c.ldr_q(WEIGHTS[0], self.weight, weights),
                        }
                        self.pixels(c, offset, vectors, lanes);
                        for channel in 0..size {
                            for (v, p) in all() {
                                c.fmla_e(sum(channel, v, p), V(v as u8), WEIGHTS[p], channel as u32);
                            }
                        }
                    }
                }
                c.add_imm(self.weight, self.weight, 16 * conv.taps() as i64);
                c.add_imm(self.tap, self.tap, 4 * conv.input.plane as i64);
            });
        }
        self.plan.prologue(c);
        for channel in 0..size {
            c.add_imm(self.store, self.output, 4 * (channel * conv.output.plane) as i64);
            let step = conv.columns.stride as isize;
            let walker = Walker { pointer: self.store, element: Element::F32, step };
            if conv.activation != Activation::None {
                for (v, p) in all() {
                    let own = sum(channel, v, p);
                    let mut take = |a: &mut Asm, _: usize, _: usize, v: V| a.mov_v(v, own);
                    let mut give = |a: &mut Asm, _: usize, _: usize, v: V| a.mov_v(own, v);
                    self.plan.emit(c, 1, &mut take, &mut give);
                }
            }
            for vector in 0..vectors {
                match phases {
                    2 => interleaved(c, self.store, sum(channel, vector, 0), lanes),
                    _ => store(c, walker, lanes, sum(channel, vector, 0)),
                }
            }
        }
        let results = (4 * (vectors - 1) + lanes) as i64;
        c.add_imm(self.output, self.output, 4 * results * conv.columns.stride as i64);
        c.add_imm(self.at, self.at, 4 * results);
    }

    /// Input pixels into the first registers.
    fn pixels(&self, c: &mut Counted, offset: i64, vectors: usize, lanes: usize) {
        if lanes == 4 {
            for vector in (0..vectors).step_by(2) {
                let (v, at) = (V(vector as u8), offset + 16 * vector as i64);
                if vector + 1 < vectors && at % 16 == 0 && at < 1024 {
                    c.ldp_q(v, V(v.0 + 1), self.tap, at);
                } else {
                    c.ldr_q(v, self.tap, at);
                    if vector + 1 < vectors {
                        c.ldr_q(V(v.0 + 1), self.tap, at + 16);
                    }
                }
            }
        } else {
            c.add_imm(self.store, self.tap, offset);
            load(c, Walker::run(self.store), lanes, V(0));
        }
    }
}

/// Stores the lanes of `first` and of the register after it in turns.
fn interleaved(a: &mut Asm, to: X, first: V, lanes: usize) {
    let second = V(first.0 + 1);
    if lanes == 4 {
        return a.stn(first, 2, to, Then::Pass);
    }
    a.zip1(V(0), first, second);
    a.zip2(V(1), first, second);
    store(a, Walker::run(to), (2 * lanes).min(4), V(0));
    if lanes == 3 {
        store(a, Walker::run(to), 2, V(1));
    }
}
