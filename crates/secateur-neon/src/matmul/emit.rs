//! The code of matrix products: tiles of results in registers.

use super::MatMul;
use crate::Unsupported;
use crate::asm::{Asm, V, X};
use crate::block::{Plan, Request};
use crate::counted::{Counted, Made};
use crate::lanes::{Walker, broadcast, load, store};
use crate::registers::Registers;
use crate::strided::{Element, Nest, Strided, Walk};

/// Rows of `a` that a tile reads.
const ROWS: [V; 4] = [V(8), V(9), V(10), V(11)];
/// Where results begin.
const SUMS: u8 = 16;

pub(super) fn emit(m: &MatMul, symbol: String) -> Result<Made, Unsupported> {
    let mut c = Counted::new();
    if m.batch.contains(&0) || m.rows == 0 || m.columns == 0 {
        return c.finish(symbol);
    }
    let depth = m.batch.len();
    let outer = |a: &Strided| Strided { steps: a.steps[..depth].to_vec(), ..a.clone() };
    let arrays: Vec<&Strided> = [&m.output, &m.a, &m.b].into_iter().chain(&m.add).collect();
    let parts: Vec<Strided> = arrays.iter().map(|a| outer(a)).collect();
    let nest = Nest::new(&m.batch, &parts.iter().collect::<Vec<_>>()).simplify(0);
    let mut free = Registers::new();
    let pointers = free.take_many(arrays.len())?;
    for (pointer, array) in pointers.iter().zip(&arrays) {
        c.add_imm(*pointer, array.base.register(), 4 * array.offset as i64);
    }
    let counters = free.take_many(nest.extents.len())?;
    let mut body = Tiles::new(m, pointers, &mut free)?;
    let walked = body.pointers.iter().map(|p| (*p, 4)).collect();
    let walk = Walk::new(&nest, 0..nest.extents.len(), walked, counters);
    walk.run(&mut c, &vec![0; arrays.len()], &mut |c| body.product(c));
    if body.plan.has_literals() {
        c.data_behind(|a| body.plan.literals(a));
    }
    c.finish(symbol)
}

/// The tiles of one product.
pub(crate) struct Tiles<'a> {
    m: &'a MatMul,
    /// Bytes from row to row and from column to column.
    output: (i64, i64),
    a: (i64, i64),
    b: (i64, i64),
    add: Option<(i64, i64)>,
    /// Lanes are partial sums, not results.
    dots: bool,
    /// Output, a, b, add.
    pointers: Vec<X>,
    row_counter: X,
    column_counter: X,
    counter: X,
    left: X,
    right: X,
    at: X,
    plan: Plan,
}

impl<'a> Tiles<'a> {
    /// For the product of matrices that `pointers` point to: output, a, b and, if there is one, what is added.
    pub(crate) fn new(m: &'a MatMul, pointers: Vec<X>, free: &mut Registers) -> Result<Self, Unsupported> {
        let depth = m.batch.len();
        let steps = |a: &Strided| (a.steps[depth] as i64 * 4, a.steps[depth + 1] as i64 * 4);
        let (block, result) = m.after.block();
        let registers: Vec<V> = (0..16).map(V).collect();
        let request =
            Request { results: &[result], pinned: &[], placed: &[], registers: &registers, copies: 2 };
        let plan = Plan::new(&block, &request, free.take()?)
            .ok_or_else(|| Unsupported::new("an expression that needs too many registers"))?;
        let (a, b) = (steps(&m.a), steps(&m.b));
        Ok(Tiles {
            m,
            output: steps(&m.output),
            a,
            b,
            add: m.add.as_ref().map(steps),
            dots: b.1 != 4 && b.0 == 4 && a.1 == 4,
            pointers,
            row_counter: free.take()?,
            column_counter: free.take()?,
            counter: free.take()?,
            left: free.take()?,
            right: free.take()?,
            at: free.take()?,
            plan,
        })
    }

    /// All tiles; the pointers stay.
    pub(crate) fn product(&mut self, c: &mut Counted) {
        let rows = if self.dots { 2 } else { 4 };
        let band = |this: &mut Self, c: &mut Counted, rows: usize| {
            this.band(c, rows);
            this.advance(c, rows as i64, |this, i| match i {
                0 => this.output.0,
                1 => this.a.0,
                2 => 0,
                _ => this.add.map_or(0, |a| a.0),
            });
        };
        c.repeat(self.row_counter, self.m.rows / rows, |c| band(self, c, rows));
        if !self.m.rows.is_multiple_of(rows) {
            band(self, c, self.m.rows % rows);
        }
        self.advance(c, -(self.m.rows as i64), |this, i| match i {
            0 => this.output.0,
            1 => this.a.0,
            2 => 0,
            _ => this.add.map_or(0, |a| a.0),
        });
    }

    fn advance(&self, c: &mut Counted, times: i64, step: impl Fn(&Self, usize) -> i64) {
        for (i, pointer) in self.pointers.iter().enumerate() {
            c.add_imm(*pointer, *pointer, times * step(self, i));
        }
    }

    /// Some rows of all columns.
    fn band(&mut self, c: &mut Counted, rows: usize) {
        let width = match (self.dots, rows) {
            (true, _) => 1,
            (false, 1) => 8,
            (false, _) => 4,
        };
        let columns = |this: &Self, i: usize| match i {
            0 => this.output.1,
            1 => 0,
            2 => this.b.1,
            _ => this.add.map_or(0, |a| a.1),
        };
        c.vectors(self.column_counter, self.m.columns, width, &mut |c, vectors, lanes| {
            self.tile(c, rows, vectors, lanes);
            self.advance(c, (4 * (vectors - 1) + lanes) as i64, columns);
        });
        self.advance(c, -(self.m.columns as i64), columns);
    }

    /// The register with a vector of results.
    fn sum(row: usize, vector: usize, vectors: usize) -> V {
        V(SUMS + (row * vectors + vector) as u8)
    }

    fn tile(&mut self, c: &mut Counted, rows: usize, vectors: usize, lanes: usize) {
        if self.dots {
            self.dots(c, rows, lanes);
        } else {
            self.sums(c, rows, vectors, lanes);
        }
        // Registers of the inputs are free now: the expression's constants go there.
        self.plan.prologue(c);
        let copies = self.plan.copies.min(vectors);
        for row in 0..rows {
            c.add_imm(self.at, self.pointers[0], row as i64 * self.output.0);
            let walker = Walker { pointer: self.at, element: Element::F32, step: self.output.1 as isize / 4 };
            for first in (0..vectors).step_by(copies) {
                let count = copies.min(vectors - first);
                let sum = |copy: usize| Self::sum(row, first + copy, vectors);
                let mut take = |a: &mut Asm, _: usize, copy: usize, v: V| a.mov_v(v, sum(copy));
                let mut give = |a: &mut Asm, _: usize, _: usize, v: V| store(a, walker, lanes, v);
                if self.m.after.0.len() == 1 {
                    (0..count).for_each(|copy| store(c, walker, lanes, sum(copy)));
                } else {
                    self.plan.emit(c, count, &mut take, &mut give);
                }
            }
        }
    }

    /// `add`, or zero, into a vector.
    fn begin(&self, c: &mut Counted, row: usize, vector: usize, lanes: usize, v: V) {
        match self.add {
            None => c.zero(v),
            Some((row_step, step)) => {
                c.add_imm(self.at, self.pointers[3], row as i64 * row_step + 4 * vector as i64 * step);
                let walker = Walker { pointer: self.at, element: Element::F32, step: step as isize / 4 };
                if step == 0 { broadcast(c, walker, v) } else { load(c, walker, lanes, v) }
            }
        }
    }

    /// Lanes are results of neighbouring columns.
    fn sums(&self, c: &mut Counted, rows: usize, vectors: usize, lanes: usize) {
        for row in 0..rows {
            for vector in 0..vectors {
                self.begin(c, row, vector, lanes, Self::sum(row, vector, vectors));
            }
        }
        c.mov(self.left, self.pointers[1]);
        c.mov(self.right, self.pointers[2]);
        let multiply = |c: &mut Counted, lane: u32| {
            self.right_vectors(c, vectors, lanes);
            for (row, v) in ROWS.iter().enumerate().take(rows) {
                for vector in 0..vectors {
                    c.fmla_e(Self::sum(row, vector, vectors), V(vector as u8), *v, lane);
                }
            }
        };
        let whole = if self.a.1 == 4 { self.m.inner / 4 } else { 0 };
        c.repeat(self.counter, whole, |c| {
            for (row, v) in ROWS.iter().enumerate().take(rows) {
                c.ldr_q(*v, self.left, row as i64 * self.a.0);
            }
            c.add_imm(self.left, self.left, 16);
            for lane in 0..4 {
                multiply(c, lane);
            }
        });
        c.repeat(self.counter, self.m.inner - 4 * whole, |c| {
            for (row, v) in ROWS.iter().enumerate().take(rows) {
                c.ldr_s(*v, self.left, row as i64 * self.a.0);
            }
            c.add_imm(self.left, self.left, self.a.1);
            multiply(c, 0);
        });
    }

    /// One row of `b` into the first registers; on to the next row.
    fn right_vectors(&self, c: &mut Counted, vectors: usize, lanes: usize) {
        let (row, column) = self.b;
        if column == 4 && lanes == 4 {
            for vector in (0..vectors).step_by(2) {
                let v = V(vector as u8);
                if vector + 1 < vectors {
                    c.ldp_q(v, V(v.0 + 1), self.right, 16 * vector as i64);
                } else {
                    c.ldr_q(v, self.right, 16 * vector as i64);
                }
            }
            c.add_imm(self.right, self.right, row);
        } else {
            let walker = Walker { pointer: self.right, element: Element::F32, step: column as isize / 4 };
            let mut moved = 0;
            for vector in 0..vectors {
                if column == 0 {
                    broadcast(c, walker, V(vector as u8));
                } else {
                    load(c, walker, lanes, V(vector as u8));
                    moved += lanes as i64 * column;
                }
            }
            c.add_imm(self.right, self.right, row - moved);
        }
    }

    /// Lanes are partial sums of up to four columns; at the end they are put together in one vector.
    fn dots(&self, c: &mut Counted, rows: usize, columns: usize) {
        let partial = |row: usize, column: usize| V(SUMS + 4 + (4 * row + column) as u8);
        for row in 0..rows {
            (0..4).for_each(|column| c.zero(partial(row, column)));
        }
        c.mov(self.left, self.pointers[1]);
        c.mov(self.right, self.pointers[2]);
        c.vectors(self.counter, self.m.inner, 1, &mut |c, _, lanes| {
            let part = |c: &mut Counted, base: X, offset: i64, v: V| match lanes {
                4 => c.ldr_q(v, base, offset),
                _ => {
                    c.add_imm(self.at, base, offset);
                    load(c, Walker::run(self.at), lanes, v);
                }
            };
            for (row, v) in ROWS.iter().enumerate().take(rows) {
                part(c, self.left, row as i64 * self.a.0, *v);
            }
            for column in 0..columns {
                part(c, self.right, column as i64 * self.b.1, V(column as u8));
            }
            for (row, v) in ROWS.iter().enumerate().take(rows) {
                for column in 0..columns {
                    c.fmla(partial(row, column), *v, V(column as u8));
                }
            }
            c.add_imm(self.left, self.left, 4 * lanes as i64);
            c.add_imm(self.right, self.right, 4 * lanes as i64);
        });
        for row in 0..rows {
            let p = |column| partial(row, column);
            c.faddp(p(0), p(0), p(1));
            c.faddp(p(2), p(2), p(3));
            let sum = Self::sum(row, 0, 1);
            c.faddp(sum, p(0), p(2));
            if self.add.is_some() {
                self.begin(c, row, 0, columns, V(0));
                c.fadd(sum, sum, V(0));
            }
        }
    }
}
