//! From the image to transformed tiles.

use super::regions::{self, Walk};
use super::{Cut, Slots, Tile, Winograd};
use crate::Unsupported;
use crate::asm::{Asm, Cond, SP, V, X};
use crate::block::{Plan, Request};
use crate::counted::Counted;

const CHANNELS: X = X(6);
const DOWN: X = X(7);
const ACROSS: X = X(8);
const PLANE: X = X(9);
const ROW: X = X(10);
const REGION: X = X(11);
const TO: X = X(20);
const LIMIT: X = X(21);

/// A pointer moved across a row of regions, the last of which may overlap.
pub(super) fn across(a: &mut Asm, pointer: X, cut: &Cut, limit: Option<X>) {
    a.add_imm(pointer, pointer, 4 * cut.size[1] as i64);
    if let Some(limit) = limit {
        a.cmp(pointer, limit);
        a.csel(pointer, limit, pointer, Cond::Hi);
    }
}

/// Remembers registers until there are two neighbours, then accesses both at once.
#[derive(Default)]
pub(super) struct Pairs(Vec<(i64, V)>);

impl Pairs {
    /// An access of 16 bytes at `at` from `base`.
    pub(super) fn push(&mut self, a: &mut Asm, base: X, at: i64, v: V, store: bool) {
        match self.0.iter().position(|p| p.0 + 16 == at && p.0 % 32 == 0) {
            Some(i) => {
                let (low, first) = self.0.swap_remove(i);
                if store { a.stp_q(first, v, base, low) } else { a.ldp_q(first, v, base, low) }
            }
            None => self.0.push((at, v)),
        }
    }
}

impl Winograd {
    pub(super) fn input_transform(
        &self,
        c: &mut Counted,
        cut: &Cut,
        slots: &Slots,
        pools: &mut Vec<Plan>,
    ) -> Result<(), Unsupported> {
        let tile = self.tile;
        let (a, per) = (tile.inputs(), 4 * cut.tiles() as i64);
        let (block, results) = tile.input();
        let loaded = regions::registers(tile, cut.layout);
        let copies = if loaded <= 8 { 2 } else { 1 };
        // Which registers hold the columns depends on the layout alone: ask an assembler that nobody reads.
        let w = Walk { rows: [X(12), X(13)], row: 4 * self.input.row as i64, steps: [X(14), X(15), X(19)] };
        let columns =
            |asm: &mut Asm, copy: usize| regions::load(asm, tile, cut.layout, &w, a, (copy * loaded) as u8);
        let placed: Vec<(usize, usize, V)> = (0..copies)
            .flat_map(|copy| {
                columns(&mut Asm::new(), copy).into_iter().enumerate().map(move |(i, v)| (copy, i, v))
            })
            .collect();
        let none = || Unsupported::new("a transform that needs more registers");
        let free: Vec<V> = (0..32).map(V).filter(|v| placed.iter().all(|p| p.2 != *v)).collect();
        let request = Request { results: &results, pinned: &[], placed: &placed, registers: &free, copies };
        let mut rows = Plan::new(&block, &request, X(3)).filter(|p| p.copies == copies).ok_or_else(none)?;
        let wide = if tile == Tile::Six { 1 } else { 2 };
        let all: Vec<V> = (0..32).map(V).collect();
        let request = Request { results: &results, pinned: &[], placed: &[], registers: &all, copies: wide };
        let mut second = Plan::new(&block, &request, X(0)).filter(|p| p.copies == wide).ok_or_else(none)?;
        if !rows.same_constants(&second) {
            return Err(none());
        }
        rows.prologue(c);
        second.prologue(c);

        c.ldr_x(PLANE, SP, slots.input);
        c.mov(TO, X(5));
        w.prologue(c);
        let limit = cut.inner_overlap(self.output.width).then_some(LIMIT);
        c.repeat(CHANNELS, self.input.channels, |c| {
            c.mov(ROW, PLANE);
            c.repeat(DOWN, cut.strip[0], |c| {
                c.mov(REGION, ROW);
                if limit.is_some() {
                    c.add_imm(LIMIT, ROW, 4 * (self.output.width - cut.size[1]) as i64);
                }
                c.repeat(ACROSS, cut.strip[1], |c| {
                    w.start(c, tile, cut.layout, REGION);
                    for first in (0..a).step_by(copies) {
                        (0..copies).for_each(|copy| drop(columns(c, copy)));
                        let mut pairs = Pairs::default();
                        rows.emit(c, copies, &mut |_, _, _, _| {}, &mut |asm, j, copy, v| {
                            let at = slots.between + 16 * ((first + copy) * a + j) as i64;
                            pairs.push(asm, SP, at, v, true);
                        });
                    }
                    for first in (0..a).step_by(wide) {
                        let mut pairs = Pairs::default();
                        second.emit(
                            c,
                            wide,
                            &mut |asm, i, copy, v| {
                                let at = slots.between + 16 * (i * a + first + copy) as i64;
                                match wide {
                                    1 => asm.ldr_q(v, SP, at),
                                    _ => pairs.push(asm, SP, at, v, false),
                                }
                            },
                            &mut |asm, i, copy, v| asm.str_q(v, TO, per * (i * a + first + copy) as i64),
                        );
                    }
                    across(c, REGION, cut, limit);
                    c.add_imm(TO, TO, 16);
                });
                c.add_imm(ROW, ROW, 4 * (cut.size[0] * self.input.row) as i64);
            });
            c.add_imm(PLANE, PLANE, 4 * self.input.plane as i64);
            c.add_imm(TO, TO, per * (a * a) as i64 - per);
        });
        pools.extend([rows, second]);
        Ok(())
    }
}
