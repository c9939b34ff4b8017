//! MaxPool and AveragePool over planar images.

use crate::asm::{Asm, V, X};
use crate::counted::{Counted, Generated, Made};
use crate::lanes::{Walker, store};
use crate::registers::Registers;
use crate::window::{Run, WindowAxis};
use crate::{Core, Planes, Unsupported};

/// What is done to the elements of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// The largest; NaN if any is.
    Max,
    /// The mean of those in the input.
    Average,
    /// The mean, padding counted as zeros.
    AverageWithPadding,
}

/// A window of each channel moves over the image. Only the image itself is read, not its border.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pool {
    /// From x1.
    pub input: Planes,
    /// From x0; as many channels.
    pub output: Planes,
    /// Rows of the window.
    pub rows: WindowAxis,
    /// Columns of the window.
    pub columns: WindowAxis,
    /// What is done.
    pub pooling: Pooling,
}

const FIRST: V = V(0);
const SECOND: V = V(1);
const RESULT: V = V(16);
const FACTOR: V = V(17);

impl Generated for Pool {
    fn name(&self) -> String {
        let Planes { channels, height, width, .. } = self.input;
        let kind = if self.pooling == Pooling::Max { "max" } else { "average" };
        let (rows, columns) = (self.rows.kernel, self.columns.kernel);
        format!("{kind}_pool_{rows}x{columns}_s{}_{channels}x{height}x{width}", self.rows.stride)
    }

    fn made(&self, _: Core, symbol: String) -> Result<Made, Unsupported> {
        let (input, output) = (self.input, self.output);
        if input.channels != output.channels {
            return Err(Unsupported::new("pooling that changes the number of channels"));
        }
        if [self.rows, self.columns].iter().any(|a| a.kernel == 0 || a.stride == 0 || a.dilation == 0) {
            return Err(Unsupported::new("a window, stride or dilation of zero"));
        }
        let row_runs = self.rows.runs(input.height, output.height);
        let column_runs = self.columns.runs(input.width, output.width);
        let mut free = Registers::new();
        let body = Body {
            pool: self,
            from: free.take()?,
            to: free.take()?,
            at: free.take()?,
            output: free.take()?,
            tap: free.take()?,
            row_counter: free.take()?,
            counter: free.take()?,
            tap_counter: free.take()?,
        };
        let channels = free.take()?;
        let mut c = Counted::new();
        c.add_imm(body.from, X(1), 4 * input.origin as i64);
        c.add_imm(body.to, X(0), 4 * output.origin as i64);
        c.repeat(channels, output.channels, |c| {
            // The pointers go from run to run of rows: x6 where the first tap of the first column is, if it were there.
            let (mut input_row, mut output_row) = (0, 0);
            for run in &row_runs {
                let first = self.rows.position(run.first, run.taps.start) as i64 * input.row as i64;
                c.add_imm(body.from, body.from, 4 * (first - input_row));
                c.add_imm(body.to, body.to, 4 * ((run.first * output.row) as i64 - output_row));
                c.repeat(body.row_counter, run.count, |c| {
                    for columns in &column_runs {
                        body.run(c, run, columns);
                    }
                    c.add_imm(body.from, body.from, 4 * (self.rows.stride * input.row) as i64);
                    c.add_imm(body.to, body.to, 4 * output.row as i64);
                });
                input_row = first + (run.count * self.rows.stride * input.row) as i64;
                output_row = ((run.first + run.count) * output.row) as i64;
            }
            c.add_imm(body.from, body.from, 4 * (input.plane as i64 - input_row));
            c.add_imm(body.to, body.to, 4 * (output.plane as i64 - output_row));
        });
        c.finish(symbol)
    }
}

struct Body<'a> {
    pool: &'a Pool,
    /// The row of the first tap, its first pixel.
    from: X,
    /// The row of results, its first pixel.
    to: X,
    /// The first tap of the first of the results at hand.
    at: X,
    /// Those results.
    output: X,
    /// A row of taps.
    tap: X,
    row_counter: X,
    counter: X,
    tap_counter: X,
}

impl Body<'_> {
    /// A run of columns in one row of results.
    fn run(&self, c: &mut Counted, rows: &Run, columns: &Run) {
        let pool = self.pool;
        let stride = pool.columns.stride;
        let first = pool.columns.position(columns.first, columns.taps.start) as i64;
        c.add_imm(self.at, self.from, 4 * if columns.taps.is_empty() { 0 } else { first });
        c.add_imm(self.output, self.to, 4 * columns.first as i64);
        if pool.pooling != Pooling::Max {
            let count = match pool.pooling {
                Pooling::AverageWithPadding => rows.counted * columns.counted,
                _ => rows.taps.len() * columns.taps.len(),
            };
            c.splat(FACTOR, 1.0 / count as f32);
        }
        c.vectors(self.counter, columns.count, 1, &mut |c, _, lanes| {
            self.results(c, rows, columns, lanes);
            c.add_imm(self.at, self.at, 4 * (lanes * stride) as i64);
        });
    }

    /// Up to four results side by side.
    fn results(&self, c: &mut Counted, rows: &Run, columns: &Run, lanes: usize) {
        let pool = self.pool;
        if rows.taps.is_empty() || columns.taps.is_empty() {
            // A window beside the image.
            c.splat(RESULT, if pool.pooling == Pooling::Max { f32::NEG_INFINITY } else { 0.0 });
        } else {
            let step = 4 * (pool.rows.dilation * pool.input.row) as i64;
            self.row(c, self.at, 0, columns.taps.len(), lanes, true);
            let more = rows.taps.len() - 1;
            if more * columns.taps.len() > 32 {
                // Large windows are a loop over their rows.
                c.add_imm(self.tap, self.at, step);
                c.repeat(self.tap_counter, more, |c| {
                    self.row(c, self.tap, 0, columns.taps.len(), lanes, false);
                    c.add_imm(self.tap, self.tap, step);
                });
            } else {
                for row in 1..=more {
                    self.row(c, self.at, row as i64 * step, columns.taps.len(), lanes, false);
                }
            }
            if pool.pooling != Pooling::Max {
                c.fmul(RESULT, RESULT, FACTOR);
            }
        }
        store(c, Walker::run(self.output), lanes, RESULT);
    }

    /// One row of taps, `offset` bytes from `base`, into the results; `fresh` ones have nothing in them yet.
    fn row(&self, c: &mut Counted, base: X, offset: i64, taps: usize, lanes: usize, mut fresh: bool) {
        let axis = self.pool.columns;
        let mut tap = 0;
        while tap < taps {
            let at = offset + 4 * (tap * axis.dilation) as i64;
            if axis.stride == 2 && axis.dilation == 1 && tap + 1 < taps && lanes == 4 {
                // Two taps of four results are eight neighbours in memory.
                c.ldr_q(FIRST, base, at);
                c.ldr_q(SECOND, base, at + 16);
                match self.pool.pooling {
                    Pooling::Max => c.fmaxp(FIRST, FIRST, SECOND),
                    _ => c.faddp(FIRST, FIRST, SECOND),
                }
                tap += 2;
            } else {
                strided(c, base, at, axis.stride, lanes);
                tap += 1;
            }
            match (fresh, self.pool.pooling) {
                (true, _) => c.mov_v(RESULT, FIRST),
                (false, Pooling::Max) => c.fmax(RESULT, RESULT, FIRST),
                (false, _) => c.fadd(RESULT, RESULT, FIRST),
            }
            fresh = false;
        }
    }
}

/// Loads lanes that are `stride` floats apart into [`FIRST`]; touches nothing between the last and what comes after it.
fn strided(a: &mut Asm, base: X, at: i64, stride: usize, lanes: usize) {
    let step = 4 * stride as i64;
    match (stride, lanes) {
        (1, 4) => a.ldr_q(FIRST, base, at),
        (1, 2 | 3) => {
            a.ldr_d(FIRST, base, at);
            if lanes == 3 {
                lane(a, 2, base, at + 8);
            }
        }
        (2, 4) => {
            // e0 e1 e2 e3 and e3 e4 e5 e6: the even ones, without touching e7.
            a.ldr_q(FIRST, base, at);
            a.ldr_q(SECOND, base, at + 12);
            a.rev64(SECOND, SECOND);
            a.uzp1(FIRST, FIRST, SECOND);
        }
        _ => {
            a.ldr_s(FIRST, base, at);
            for i in 1..lanes {
                lane(a, i as u32, base, at + i as i64 * step);
            }
        }
    }
}

fn lane(a: &mut Asm, lane: u32, base: X, at: i64) {
    a.add_imm(X(17), base, at);
    a.ld1_e(FIRST, lane, X(17));
}
