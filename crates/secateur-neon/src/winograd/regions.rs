//! Four tiles side by side in the lanes of vectors: where they lie, and how their columns are loaded and stored.

use super::Tile;
use crate::asm::{Asm, Then, V, X};

/// How the four tiles of a region lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Four across.
    Run,
    /// Two across, two down.
    Square,
}

impl Layout {
    /// Tiles down and across.
    pub(super) fn tiles(self) -> [usize; 2] {
        match self {
            Layout::Run => [1, 4],
            Layout::Square => [2, 2],
        }
    }
}

/// Registers that walk down the rows of a region.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    /// The current row of the upper (or only) tiles, and of the lower ones.
    pub rows: [X; 2],
    /// From row to row, in bytes.
    pub row: i64,
    /// Hold 8, and `row - 8`, and `row`.
    pub steps: [X; 3],
}

impl Walk {
    /// Fills the registers of the steps.
    pub(super) fn prologue(&self, a: &mut Asm) {
        a.mov_imm(self.steps[0], 8);
        a.mov_imm(self.steps[1], self.row - 8);
        a.mov_imm(self.steps[2], self.row);
    }

    /// Sets out at `start`.
    pub(super) fn start(&self, a: &mut Asm, tile: Tile, layout: Layout, start: X) {
        a.mov(self.rows[0], start);
        if layout == Layout::Square {
            a.add_imm(self.rows[1], start, tile.outputs() as i64 * self.row);
        }
    }
}

/// How many registers [`load`] wants from the first on.
pub(super) fn registers(tile: Tile, layout: Layout) -> usize {
    match (tile, layout) {
        (Tile::Two, Layout::Run) => 4,
        (Tile::Two, Layout::Square) => 8,
        (Tile::Four, Layout::Run) => 8,
        (Tile::Four, Layout::Square) => 16,
        (Tile::Six, _) => 16,
    }
}

/// Loads `columns` columns (those of the outputs, or two more) of the current row; moves to the next row. The register
/// of each column.
pub(super) fn load(a: &mut Asm, tile: Tile, layout: Layout, w: &Walk, columns: usize, first: u8) -> Vec<V> {
    let m = tile.outputs();
    if tile == Tile::Six {
        return load_by_tile(a, layout, w, columns, first);
    }
    let wide = columns > m;
    let after = if wide { Then::By(w.steps[0]) } else { Then::By(w.steps[2]) };
    let mut list = |at: u8, row: X, then: Then| match layout {
        Layout::Run => a.ldn(V(at), m, row, then),
        Layout::Square => a.ldn_half(V(at), m, row, then),
    };
    let n = m as u8;
    list(first, w.rows[0], after);
    if wide {
        list(first + n, w.rows[0], Then::By(w.steps[1]));
    }
    let column = |c: usize| V(first + if c < m { c as u8 } else { n + c as u8 - 2 });
    if layout == Layout::Square {
        let lower = if wide { 2 * n } else { n };
        list(first + lower, w.rows[1], after);
        if wide {
            list(first + lower + n, w.rows[1], Then::By(w.steps[1]));
        }
        for c in 0..columns {
            let low = column(c);
            a.ins_d(low, 1, V(low.0 + lower), 0);
        }
    }
    (0..columns).map(column).collect()
}

/// Where tile `t` of a region of F(6, 3) begins: pointer and bytes.
fn place(layout: Layout, w: &Walk, t: usize) -> (X, i64) {
    match layout {
        Layout::Run => (w.rows[0], 24 * t as i64),
        Layout::Square => (w.rows[t / 2], 24 * (t % 2) as i64),
    }
}

/// Rows of tiles that no list load fits: four columns at a time, transposed.
fn load_by_tile(a: &mut Asm, layout: Layout, w: &Walk, columns: usize, first: u8) -> Vec<V> {
    for (half, start) in [0, columns - 4].into_iter().enumerate() {
        for t in 0..4 {
            let (pointer, at) = place(layout, w, t);
            a.ldr_q(V(first + 8 + t as u8), pointer, at + 4 * start as i64);
        }
        transpose(a, first + 8, first + 12, first + 4 * half as u8);
    }
    next_row(a, layout, w);
    (0..columns).map(|c| V(first + if c < 4 { c } else { 4 + c + 4 - columns } as u8)).collect()
}

fn next_row(a: &mut Asm, layout: Layout, w: &Walk) {
    for row in &w.rows[..if layout == Layout::Square { 2 } else { 1 }] {
        a.add(*row, *row, w.steps[2]);
    }
}

/// Stores the output columns, in registers from `first` on, to the current row and moves to the next one. Registers
/// from `first` to `first + 11` are used.
pub(super) fn store(a: &mut Asm, tile: Tile, layout: Layout, w: &Walk, first: u8) {
    let m = tile.outputs();
    if tile == Tile::Six {
        transpose(a, first, first + 6, first);
        for t in 0..4 {
            let (pointer, at) = place(layout, w, t);
            a.str_q(V(first + t as u8), pointer, at);
        }
        a.zip1(V(first + 6), V(first + 4), V(first + 5));
        a.zip2(V(first + 7), V(first + 4), V(first + 5));
        for t in 0..4u8 {
            let (pointer, at) = place(layout, w, usize::from(t));
            let pair = V(first + 6 + t / 2);
            if t % 2 == 1 {
                a.ext(pair, pair, pair, 8);
            }
            a.str_d(pair, pointer, at + 16);
        }
        return next_row(a, layout, w);
    }
    match layout {
        Layout::Run => a.stn(V(first), m, w.rows[0], Then::By(w.steps[2])),
        Layout::Square => {
            a.stn_half(V(first), m, w.rows[0], Then::By(w.steps[2]));
            for i in 0..m as u8 {
                a.ext(V(first + i), V(first + i), V(first + i), 8);
            }
            a.stn_half(V(first), m, w.rows[1], Then::By(w.steps[2]));
        }
    }
}

/// Transposes four by four floats in registers `from`.. by way of `spare`.. into `to`.., which may be either.
fn transpose(a: &mut Asm, from: u8, spare: u8, to: u8) {
    let (f, s, t) = (|i| V(from + i), |i| V(spare + i), |i| V(to + i));
    a.trn1(s(0), f(0), f(1));
    a.trn2(s(1), f(0), f(1));
    a.trn1(s(2), f(2), f(3));
    a.trn2(s(3), f(2), f(3));
    a.trn1_d(t(0), s(0), s(2));
    a.trn1_d(t(1), s(1), s(3));
    a.trn2_d(t(2), s(0), s(2));
    a.trn2_d(t(3), s(1), s(3));
}
