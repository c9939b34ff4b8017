//! ArgMax and ArgMin along one axis.

use crate::asm::{Cond, V, X};
use crate::counted::{Counted, Generated, Made, shape};
use crate::registers::Registers;
use crate::strided::{Element, Nest, Strided, Walk};
use crate::{Core, Unsupported};

/// `output[i]` is the index of the largest (smallest) of `input[i, ·]`; of equal ones the first, or the last. NaNs are
/// passed over; a row of NaNs gives 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArgMax {
    /// Turns of the loops over rows.
    pub outer: Vec<usize>,
    /// Elements of a row; not zero.
    pub axis: usize,
    /// i64, i32 or f32; a step for each outer loop.
    pub output: Strided,
    /// f32; a step for each outer loop, then one for the axis.
    pub input: Strided,
    /// Whether the smallest is looked for.
    pub smallest: bool,
    /// Whether of equal ones the last is taken.
    pub last: bool,
}

const BEST: V = V(0);
const VALUE: V = V(1);

impl Generated for ArgMax {
    fn name(&self) -> String {
        format!("arg{}_{}_over_{}", if self.smallest { "min" } else { "max" }, shape(&self.outer), self.axis)
    }

    fn made(&self, _: Core, symbol: String) -> Result<Made, Unsupported> {
        self.output.check(&self.outer)?;
        self.input.check(&[self.outer.clone(), vec![self.axis]].concat())?;
        let Some((step, steps)) = self.input.steps.split_last() else {
            return Err(Unsupported::new("ArgMax without an axis"));
        };
        if self.input.element != Element::F32 || self.output.element == Element::U8 {
            return Err(Unsupported::new("ArgMax of these element types"));
        }
        let mut c = Counted::new();
        if self.outer.contains(&0) || self.axis == 0 {
            return c.finish(symbol);
        }
        let input = Strided { steps: steps.to_vec(), ..self.input.clone() };
        let nest = Nest::new(&self.outer, &[&self.output, &input]).simplify(0);
        let mut free = Registers::new();
        let (to, from, best, index, counter) =
            (free.take()?, free.take()?, free.take()?, free.take()?, free.take()?);
        let bytes = self.output.element.bytes();
        c.add_imm(to, self.output.base.register(), (bytes * self.output.offset) as i64);
        c.add_imm(from, self.input.base.register(), 4 * self.input.offset as i64);
        let counters = free.take_many(nest.extents.len())?;
        let walk = Walk::new(&nest, 0..nest.extents.len(), vec![(to, bytes), (from, 4)], counters);
        walk.run(&mut c, &[0, 4 * *step as i64 * self.axis as i64], &mut |c| {
            self.row(c, from, *step, (best, index, counter));
            match self.output.element {
                Element::I64 => c.str_x(best, to, 0),
                Element::I32 => c.str_w(best, to, 0),
                _ => {
                    c.scvtf_sx(VALUE, best);
                    c.str_s(VALUE, to, 0);
                }
            }
        });
        c.finish(symbol)
    }
}

impl ArgMax {
    fn row(&self, c: &mut Counted, from: X, step: isize, (best, index, counter): (X, X, X)) {
        c.splat(BEST, if self.smallest { f32::INFINITY } else { f32::NEG_INFINITY });
        c.mov_imm(best, 0);
        c.mov_imm(index, 0);
        c.repeat(counter, self.axis, |c| {
            c.ldr_s(VALUE, from, 0);
            c.add_imm(from, from, 4 * step as i64);
            // Flags of an unordered pair fit none of these conditions.
            let better = match (self.smallest, self.last) {
                (false, false) => Cond::Gt,
                (false, true) => Cond::Ge,
                (true, false) => Cond::Mi,
                (true, true) => Cond::Ls,
            };
            c.fcmp_s(VALUE, BEST);
            c.csel(best, index, best, better);
            // FMAXNM and FMINNM pass over quiet NaNs.
            if self.smallest {
                c.fminnm(BEST, BEST, VALUE)
            } else {
                c.fmaxnm(BEST, BEST, VALUE)
            }
            c.add_imm(index, index, 1);
        });
    }
}
