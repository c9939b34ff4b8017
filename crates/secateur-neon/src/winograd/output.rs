//! From sums of products to the image.

use super::input::{Pairs, across};
use super::regions::{self, Walk};
use super::{Cut, Slots, Tile, Winograd};
use crate::asm::{Asm, SP, V, X};
use crate::block::{Plan, Request};
use crate::counted::Counted;
use crate::{Activation, Unsupported};

const OUTPUTS: X = X(6);
const DOWN: X = X(7);
const ACROSS: X = X(8);
const PLANES: [X; 2] = [X(9), X(20)];
const ROWS: [X; 2] = [X(10), X(21)];
const REGIONS: [X; 2] = [X(11), X(22)];
const LIMITS: [X; 2] = [X(2), X(1)];
const FROM: X = X(17);
const BIAS: X = X(28);
/// Holds the bias during the first pass.
const BIASES: V = V(8);
/// Residual columns, except those of F(6, 3).
const RESIDUAL: u8 = 4;

impl Winograd {
    pub(super) fn output_transform(
        &self,
        c: &mut Counted,
        cut: &Cut,
        slots: &Slots,
        pools: &mut Vec<Plan>,
    ) -> Result<(), Unsupported> {
        let tile = self.tile;
        let (a, m, per) = (tile.inputs(), tile.outputs(), 4 * cut.tiles() as i64);
        let (block, results) = tile.output();
        let none = || Unsupported::new("a transform that needs more registers");
        // Constants are the last registers of both lists and so the same ones.
        let low = if tile == Tile::Six { 16 } else { 14 };
        let rest = (low..32).map(V);
        let plan = |registers: &[V], copies, base| {
            let request = Request { results: &results, pinned: &[], placed: &[], registers, copies };
            Plan::new(&block, &request, base).filter(|p| p.copies == copies).ok_or_else(none)
        };
        let copies = if tile == Tile::Six { 1 } else { 2 };
        let few: Vec<V> = rest.clone().collect();
        let many: Vec<V> = if tile == Tile::Six { few.clone() } else { (0..8).map(V).chain(rest).collect() };
        let mut first = plan(&many, copies, X(3))?;
        let mut second = plan(&few, 1, X(0))?;
        if !first.same_constants(&second) {
            return Err(none());
        }
        first.prologue(c);
        second.prologue(c);

        let images: Vec<_> = std::iter::once(self.output).chain(self.epilogue.residual).collect();
        let row = |i: usize| 4 * images[i].row as i64;
        let mut walks = vec![Walk { rows: [X(12), X(13)], row: row(0), steps: [X(14), X(15), X(19)] }];
        c.ldr_x(PLANES[0], SP, slots.output);
        if images.len() > 1 {
            c.ldr_x(PLANES[1], SP, slots.residual);
            walks.push(Walk { rows: [X(23), X(24)], row: row(1), steps: [X(25), X(26), X(27)] });
        }
        walks.iter().for_each(|w| w.prologue(c));
        c.add_imm(FROM, X(5), self.transformed(cut) as i64);
        if self.epilogue.bias {
            c.add_imm(BIAS, X(4), self.weight_bytes()?);
        }
        if tile != Tile::Six {
            self.bounds(c);
        }
        let limit = cut.inner_overlap(self.output.width);
        let each = 0..images.len();
        c.repeat(OUTPUTS, self.output.channels, |c| {
            each.clone().for_each(|i| c.mov(ROWS[i], PLANES[i]));
            c.repeat(DOWN, cut.strip[0], |c| {
                for i in each.clone() {
                    c.mov(REGIONS[i], ROWS[i]);
                    if limit {
                        c.add_imm(LIMITS[i], ROWS[i], 4 * (self.output.width - cut.size[1]) as i64);
                    }
                }
                c.repeat(ACROSS, cut.strip[1], |c| {
                    if self.epilogue.bias {
                        c.ld1r(BIASES, BIAS);
                    }
                    for column in (0..a).step_by(copies) {
                        let mut pairs = Pairs::default();
                        first.emit(
                            c,
                            copies,
                            &mut |asm, i, copy, v| {
                                asm.ldr_q(v, FROM, per * (i * a + column + copy) as i64);
                                if self.epilogue.bias && (i, column + copy) == (1, 1) {
                                    asm.fadd(v, v, BIASES);
                                }
                            },
                            &mut |asm, y, copy, v| {
                                let at = slots.between + 16 * (y * a + column + copy) as i64;
                                match copies {
                                    1 => asm.str_q(v, SP, at),
                                    _ => pairs.push(asm, SP, at, v, true),
                                }
                            },
                        );
                    }
                    for (walk, region) in walks.iter().zip(REGIONS) {
                        walk.start(c, tile, cut.layout, region);
                    }
                    for y in 0..m {
                        self.row(c, cut, &walks, &second, slots.between + 16 * (y * a) as i64);
                    }
                    for i in each.clone() {
                        across(c, REGIONS[i], cut, limit.then_some(LIMITS[i]));
                    }
                    c.add_imm(FROM, FROM, 16);
                });
                for i in each.clone() {
                    c.add_imm(ROWS[i], ROWS[i], row(i) * cut.size[0] as i64);
                }
            });
            for i in each.clone() {
                c.add_imm(PLANES[i], PLANES[i], 4 * images[i].plane as i64);
            }
            c.add_imm(FROM, FROM, per * (a * a) as i64 - per);
            if self.epilogue.bias {
                c.add_imm(BIAS, BIAS, 4);
            }
        });
        pools.extend([first, second]);
        Ok(())
    }

    /// Bytes of packed weights before the bias.
    fn weight_bytes(&self) -> Result<i64, Unsupported> {
        let outputs = self.output.channels;
        // Blocks are multiples of four outputs; only the last is shorter.
        Ok((4 * self.elements() * self.input.channels * outputs.next_multiple_of(4)) as i64)
    }

    /// The registers of bounds: the lower, the upper.
    fn bounds(&self, a: &mut Asm) {
        let at = if self.tile == Tile::Six { 14 } else { 12 };
        match self.epilogue.activation {
            Activation::Relu => a.zero(V(at)),
            Activation::Clip { min, max } => {
                a.splat(V(at), min);
                a.splat(V(at + 1), max);
            }
            _ => {}
        }
    }

    /// One row of the region's tiles.
    fn row(&self, c: &mut Counted, cut: &Cut, walks: &[Walk], plan: &Plan, from: i64) {
        let (tile, m) = (self.tile, self.tile.outputs());
        let residual = walks.get(1).map(|w| {
            let first = if tile == Tile::Six { 0 } else { RESIDUAL };
            regions::load(c, tile, cut.layout, w, m, first)
        });
        if tile == Tile::Six {
            self.bounds(c);
        }
        let at = if tile == Tile::Six { 14 } else { 12 };
        let (low, high) = (V(at), V(at + 1));
        let activation = self.epilogue.activation;
        let mut pairs = Pairs::default();
        plan.emit(
            c,
            1,
            &mut |asm, x, _, v| pairs.push(asm, SP, from + 16 * x as i64, v, false),
            &mut |asm, x, _, v| {
                // With F(6, 3) the residual's columns are where the results go, but for the last two.
                let to = V(x as u8);
                let mut sum = v;
                if let Some(r) = &residual {
                    asm.fadd(to, v, r[x]);
                    sum = to;
                }
                match activation {
                    Activation::Relu => asm.fmax(to, sum, low),
                    Activation::Clip { .. } => {
                        asm.fmax(to, sum, low);
                        asm.fmin(to, to, high);
                    }
                    _ if sum != to => asm.mov_v(to, sum),
                    _ => {}
                }
            },
        );
        regions::store(c, tile, cut.layout, &walks[0], 0);
    }
}
