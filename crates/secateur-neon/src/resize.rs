//! Resize of planar images by tables: which rows and columns each result is made of, and with which weights.

use crate::asm::{Asm, Cond, V, X};
use crate::counted::{Counted, Generated, Made};
use crate::lanes::{Walker, load, store};
use crate::registers::Registers;
use crate::{Core, Planes, Unsupported};

/// What results are made of along one axis. The caller computes it from the coordinate transformation.
#[derive(Clone, Debug, PartialEq)]
pub enum Sampling {
    /// For each result the input it copies.
    Nearest(Vec<usize>),
    /// For each result two inputs and the weight of the second; the first has the rest.
    Linear(Vec<(usize, usize, f32)>),
}

/// `output[c, y, x]` from `input[c, rows[y], columns[x]]`. Both axes are of the same kind.
///
/// Linear: rows are blended first, then columns, each as `a + (b - a) * weight`.
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    /// From x1.
    pub input: Planes,
    /// From x0; as many channels.
    pub output: Planes,
    /// For each row of the output.
    pub rows: Sampling,
    /// For each column of the output.
    pub columns: Sampling,
}

impl Resize {
    /// By how much columns are repeated, if they are 0, 0, ..., 1, 1, ... for a factor of 2 or 4.
    fn repeats(&self) -> Option<usize> {
        let Sampling::Nearest(columns) = &self.columns else { return None };
        [2, 4].into_iter().find(|f| {
            columns.len() == f * self.input.width && columns.iter().enumerate().all(|(i, c)| *c == i / f)
        })
    }

    fn check(&self) -> Result<(), Unsupported> {
        let axis = |sampling: &Sampling, input: usize, output: usize| match sampling {
            Sampling::Nearest(s) => s.len() == output && s.iter().all(|i| *i < input),
            Sampling::Linear(s) => s.len() == output && s.iter().all(|(a, b, _)| *a < input && *b < input),
        };
        let kinds = std::mem::discriminant(&self.rows) == std::mem::discriminant(&self.columns);
        let fine = axis(&self.rows, self.input.height, self.output.height)
            && axis(&self.columns, self.input.width, self.output.width)
            && self.input.channels == self.output.channels;
        if !kinds {
            return Err(Unsupported::new("resizing of another kind along rows than along columns"));
        }
        if fine { Ok(()) } else { Err(Unsupported::new("a resize table that does not fit its image")) }
    }
}

impl Generated for Resize {
    fn name(&self) -> String {
        let (i, o) = (self.input, self.output);
        format!("resize_{}x{}x{}_to_{}x{}", i.channels, i.height, i.width, o.height, o.width)
    }

    /// Tables only: byte offsets of rows, byte offsets of columns, weights of rows (four times each), weights of columns.
    fn packed(&self, _: &[&[f32]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut offset = |i: usize| bytes.extend((4 * i as u32).to_le_bytes());
        match (&self.rows, &self.columns) {
            (Sampling::Nearest(rows), Sampling::Nearest(columns)) => {
                rows.iter().for_each(|r| offset(r * self.input.row));
                columns.iter().for_each(|c| offset(*c));
            }
            (Sampling::Linear(rows), Sampling::Linear(columns)) => {
                for (a, b, _) in rows {
                    offset(a * self.input.row);
                    offset(b * self.input.row);
                }
                for (a, b, _) in columns {
                    offset(*a);
                    offset(*b);
                }
                let weights = rows.iter().chain(columns).flat_map(|(_, _, w)| w.to_le_bytes());
                bytes.extend(weights);
            }
            _ => {}
        }
        bytes
    }

    /// A blended row.
    fn scratch(&self) -> usize {
        if matches!(self.rows, Sampling::Linear(_)) { 4 * self.input.width } else { 0 }
    }

    fn made(&self, _: Core, symbol: String) -> Result<Made, Unsupported> {
        self.check()?;
        let (input, output) = (self.input, self.output);
        let mut free = Registers::new();
        let (from, to) = (free.take()?, free.take()?);
        let (channels, counter) = (free.take()?, free.take()?);
        let row = Row {
            resize: self,
            from: free.take()?,
            second: free.take()?,
            to: free.take()?,
            rows: free.take()?,
            weights: free.take()?,
            table: free.take()?,
            column_weights: free.take()?,
            blend: free.take()?,
            offset: free.take()?,
            counter: free.take()?,
        };
        let mut c = Counted::new();
        if output.height == 0 || output.width == 0 {
            return c.finish(symbol);
        }
        let linear = matches!(self.rows, Sampling::Linear(_));
        let pair = if linear { 8 } else { 4 };
        let columns = (pair * output.height) as i64;
        let row_weights = columns + (pair * output.width) as i64;
        c.add_imm(from, X(1), 4 * input.origin as i64);
        c.add_imm(to, X(0), 4 * output.origin as i64);
        c.repeat(channels, output.channels, |c| {
            c.mov(row.rows, X(4));
            c.add_imm(row.weights, X(4), row_weights);
            c.repeat(counter, output.height, |c| {
                c.ldr_w_post(row.offset, row.rows, 4);
                c.add(row.from, from, row.offset);
                if linear {
                    c.ldr_w_post(row.offset, row.rows, 4);
                    c.add(row.second, from, row.offset);
                }
                c.mov(row.to, to);
                c.add_imm(row.table, X(4), columns);
                c.add_imm(row.column_weights, X(4), row_weights + 4 * output.height as i64);
                match (linear, self.repeats()) {
                    (true, _) => row.linear(c),
                    (false, Some(factor)) => row.repeated(c, factor),
                    (false, None) => row.nearest(c),
                }
                c.add_imm(to, to, 4 * output.row as i64);
            });
            c.add_imm(from, from, 4 * input.plane as i64);
            c.add_imm(to, to, 4 * output.plane as i64 - 4 * (output.height * output.row) as i64);
        });
        c.finish(symbol)
    }
}

/// One row of results.
struct Row<'a> {
    resize: &'a Resize,
    from: X,
    second: X,
    to: X,
    rows: X,
    weights: X,
    table: X,
    column_weights: X,
    blend: X,
    offset: X,
    counter: X,
}

impl Row<'_> {
    fn nearest(&self, c: &mut Counted) {
        let width = self.resize.output.width;
        c.vectors(self.counter, width, 1, &mut |c, _, lanes| {
            self.gather(c, self.from, 4, 0, lanes, V(0));
            c.add_imm(self.table, self.table, 4 * lanes as i64);
            store(c, Walker::run(self.to), lanes, V(0));
        });
    }

    /// Lanes of `v` from `base` at the offsets of the table, `entry` bytes apart from byte `first`.
    fn gather(&self, a: &mut Asm, base: X, entry: i64, first: i64, lanes: usize, v: V) {
        for lane in 0..lanes {
            a.ldr_w(self.offset, self.table, first + entry * lane as i64);
            if lane == 0 {
                a.ldr_s_x(v, base, self.offset);
            } else {
                a.add(self.offset, base, self.offset);
                a.ld1_e(v, lane as u32, self.offset);
            }
        }
    }

    /// Each pixel two or four times.
    fn repeated(&self, c: &mut Counted, factor: usize) {
        let width = self.resize.input.width;
        c.repeat(self.counter, width / 4, |c| {
            c.ldr_q_post(V(0), self.from, 16);
            c.zip1(V(1), V(0), V(0));
            c.zip2(V(2), V(0), V(0));
            if factor == 2 {
                c.stp_q_post(V(1), V(2), self.to, 32);
            } else {
                for half in [V(1), V(2)] {
                    c.zip1(V(3), half, half);
                    c.zip2(V(4), half, half);
                    c.stp_q_post(V(3), V(4), self.to, 32);
                }
            }
        });
        for _ in 0..width % 4 {
            c.ld1r_post(V(0), self.from);
            if factor == 2 {
                c.str_d_post(V(0), self.to, 8);
            } else {
                c.str_q_post(V(0), self.to, 16);
            }
        }
    }

    fn linear(&self, c: &mut Counted) {
        let Row { from, second, to, weights, blend, column_weights, .. } = *self;
        let (input, output) = (self.resize.input.width, self.resize.output.width);
        // Both rows into the scratch memory.
        c.ld1r_post(V(4), weights);
        c.mov(blend, X(5));
        c.vectors(self.counter, input, 1, &mut |c, _, lanes| {
            load(c, Walker::run(from), lanes, V(0));
            load(c, Walker::run(second), lanes, V(1));
            lerp(c, V(4));
            store(c, Walker::run(blend), lanes, V(0));
        });
        c.vectors(self.counter, output, 1, &mut |c, _, lanes| {
            self.gather(c, X(5), 8, 0, lanes, V(0));
            self.gather(c, X(5), 8, 4, lanes, V(1));
            c.add_imm(self.table, self.table, 8 * lanes as i64);
            load(c, Walker::run(column_weights), lanes, V(4));
            lerp(c, V(4));
            store(c, Walker::run(to), lanes, V(0));
        });
    }
}

/// `v0 += (v1 - v0) * weight`.
fn lerp(a: &mut Asm, weight: V) {
    a.fsub(V(1), V(1), V(0));
    a.fmla(V(0), V(1), weight);
}

/// Rows of a table at indices known only when the code runs: Gather along the first axis, embeddings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatherRows {
    /// Indices.
    pub count: usize,
    /// Rows of the table, from x1.
    pub rows: usize,
    /// Floats of a row; rows are side by side, in the output as well.
    pub width: usize,
    /// What the indices in x2 are; negative ones count from the end, those beyond it are held at the ends.
    pub index: crate::Element,
}

impl Generated for GatherRows {
    fn name(&self) -> String {
        format!("gather_{}_of_{}x{}", self.count, self.rows, self.width)
    }

    fn made(&self, _: Core, symbol: String) -> Result<Made, Unsupported> {
        if self.rows == 0 {
            return Err(Unsupported::new("a Gather from an axis without elements"));
        }
        let mut free = Registers::new();
        let (index, size, last, row, counter, columns) =
            (free.take()?, free.take()?, free.take()?, free.take()?, free.take()?, free.take()?);
        let mut c = Counted::new();
        c.mov_imm(size, 4 * self.width as i64);
        c.mov_imm(last, self.rows as i64 - 1);
        c.repeat(counter, self.count, |c| {
            match self.index {
                crate::Element::I64 => c.ldr_x_post(index, X(2), 8),
                crate::Element::I32 => c.ldrsw_post(index, X(2), 4),
                crate::Element::U8 => {
                    c.ldrb(index, X(2), 0);
                    c.add_imm(X(2), X(2), 1);
                }
                crate::Element::F32 => {
                    c.ldr_s_post(V(0), X(2), 4);
                    c.fcvtzs_xs(index, V(0));
                }
            }
            c.add_imm(row, index, self.rows as i64);
            c.cmp_i(index, 0);
            c.csel(index, row, index, Cond::Lt);
            c.cmp_i(index, 0);
            c.csel(index, crate::asm::ZR, index, Cond::Lt);
            c.cmp(index, last);
            c.csel(index, last, index, Cond::Gt);
            c.madd(row, index, size, X(1));
            c.repeat(columns, self.width / 8, |c| {
                c.ldp_q_post(V(0), V(1), row, 32);
                c.stp_q_post(V(0), V(1), X(0), 32);
            });
            for lanes in [self.width % 8 / 4 * 4, self.width % 4] {
                if lanes != 0 {
                    load(c, Walker::run(row), lanes, V(0));
                    store(c, Walker::run(X(0)), lanes, V(0));
                }
            }
        });
        c.finish(symbol)
    }
}
