//! Normalization: LayerNormalization, InstanceNormalization, GroupNormalization, RMS norm.

use crate::asm::{Asm, V, X};
use crate::counted::{Counted, Generated, Made, shape};
use crate::lanes::{Walker, broadcast, load, store};
use crate::reduce::{Reduction, horizontal};
use crate::registers::Registers;
use crate::strided::{Element, Nest, Strided, Walk};
use crate::{Core, Unsupported};

/// `output[i, j] = (input[i, j] - mean[i]) / √(variance[i] + epsilon) * scale[i, j] + bias[i, j]`, mean and variance over
/// all `j`, the variance from the differences (two passes). Without `center` the mean is taken as zero (RMS norm).
///
/// Partial sums are of four lanes. f32 only.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    /// Turns of the loops over groups that are normalized on their own.
    pub outer: Vec<usize>,
    /// Turns of the loops over the elements of a group; none is zero.
    pub axes: Vec<usize>,
    /// A step for each outer loop, then for each axis.
    pub output: Strided,
    /// The same.
    pub input: Strided,
    /// The same; often from the constants, with steps of zero.
    pub scale: Option<Strided>,
    /// The same.
    pub bias: Option<Strided>,
    /// Added to the variance.
    pub epsilon: f32,
    /// Whether the mean is subtracted.
    pub center: bool,
}

const MEAN: V = V(16);
const FACTOR: V = V(17);
const SUM: V = V(18);
const VALUE: V = V(19);
const SCALE: V = V(20);
const BIAS: V = V(21);
const ZERO: V = V(22);
const INVERSE: V = V(23);

/// Where the parts of a group are.
struct Group {
    extents: Vec<usize>,
    walkers: Vec<Walker>,
    nest: Nest,
    counters: Vec<X>,
}

impl Generated for Norm {
    fn name(&self) -> String {
        format!("norm_{}_over_{}", shape(&self.outer), shape(&self.axes))
    }

    fn made(&self, _: Core, symbol: String) -> Result<Made, Unsupported> {
        let extents = [self.outer.clone(), self.axes.clone()].concat();
        let arrays: Vec<&Strided> =
            [&self.output, &self.input].into_iter().chain(&self.scale).chain(&self.bias).collect();
        for array in &arrays {
            array.check(&extents)?;
            if array.element != Element::F32 {
                return Err(Unsupported::new("normalization of anything but f32"));
            }
        }
        let mut c = Counted::new();
        if extents.contains(&0) {
            return c.finish(symbol);
        }
        let part = |outer: bool| -> Vec<Strided> {
            let steps = |a: &Strided| {
                let (first, second) = a.steps.split_at(self.outer.len());
                if outer { first.to_vec() } else { second.to_vec() }
            };
            arrays.iter().map(|a| Strided { steps: steps(a), ..(*a).clone() }).collect()
        };
        let (outer, inner) = (part(true), part(false));
        let outer = Nest::new(&self.outer, &outer.iter().collect::<Vec<_>>()).simplify(0);
        let mut inner = Nest::new(&self.axes, &inner.iter().collect::<Vec<_>>()).simplify(0);
        if inner.extents.is_empty() {
            inner = Nest { extents: vec![1], steps: vec![vec![1; arrays.len()]] };
        }
        let mut free = Registers::new();
        let last = inner.extents.len() - 1;
        let mut walkers = Vec::new();
        for (array, step) in arrays.iter().zip(&inner.steps[last]) {
            let pointer = free.take()?;
            c.add_imm(pointer, array.base.register(), 4 * array.offset as i64);
            walkers.push(Walker { pointer, element: Element::F32, step: *step });
        }
        let counters = free.take_many(outer.extents.len())?;
        let pointers: Vec<(X, usize)> = walkers.iter().map(|w| (w.pointer, 4)).collect();
        let walk = Walk::new(&outer, 0..outer.extents.len(), pointers, counters);
        let group = Group {
            extents: inner.extents.clone(),
            walkers,
            counters: free.take_many(inner.extents.len())?,
            nest: inner,
        };
        c.zero(ZERO);
        c.splat(INVERSE, 1.0 / self.axes.iter().product::<usize>() as f32);
        walk.run(&mut c, &vec![0; arrays.len()], &mut |c| self.group(c, &group));
        c.finish(symbol)
    }
}

impl Group {
    /// One pass over the group with some of its arrays; the pointers stay.
    fn pass(
        &self,
        c: &mut Counted,
        arrays: &[usize],
        before: &mut dyn FnMut(&mut Counted),
        turn: &mut dyn FnMut(&mut Counted, usize),
    ) {
        let last = self.extents.len() - 1;
        let extent = self.extents[last];
        let steps = self.nest.steps.iter().map(|s| arrays.iter().map(|a| s[*a]).collect()).collect();
        let nest = Nest { extents: self.extents.clone(), steps };
        let pointers = arrays.iter().map(|a| (self.walkers[*a].pointer, 4)).collect();
        let walk = Walk::new(&nest, 0..last, pointers, self.counters[..last].to_vec());
        let moved: Vec<i64> = arrays.iter().map(|a| self.walkers[*a].bytes() * extent as i64).collect();
        let moved = walk.run(c, &moved, &mut |c| {
            before(c);
            c.vectors(self.counters[last], extent, 1, &mut |c, _, lanes| turn(c, lanes));
        });
        for (a, moved) in arrays.iter().zip(moved) {
            c.add_imm(self.walkers[*a].pointer, self.walkers[*a].pointer, -moved);
        }
    }
}

impl Norm {
    fn group(&self, c: &mut Counted, group: &Group) {
        let (to, from) = (group.walkers[0], group.walkers[1]);
        let nothing = &mut |_: &mut Counted| {};
        if self.center {
            c.zero(SUM);
            group.pass(c, &[1], nothing, &mut |c, lanes| {
                fetch(c, from, lanes, VALUE);
                c.fadd(SUM, SUM, VALUE);
            });
            average(c, MEAN);
        }
        c.zero(SUM);
        group.pass(c, &[1], nothing, &mut |c, lanes| {
            fetch(c, from, lanes, VALUE);
            if self.center {
                c.fsub(VALUE, VALUE, MEAN);
                for lane in lanes..4 {
                    c.ins_e(VALUE, lane as u32, ZERO, 0);
                }
            }
            c.fmla(SUM, VALUE, VALUE);
        });
        average(c, FACTOR);
        c.splat(VALUE, self.epsilon);
        c.fadd(FACTOR, FACTOR, VALUE);
        c.fsqrt(FACTOR, FACTOR);
        c.splat(VALUE, 1.0);
        c.fdiv(FACTOR, VALUE, FACTOR);

        let scale = self.scale.is_some().then_some(2);
        let bias = self.bias.is_some().then(|| 2 + usize::from(self.scale.is_some()));
        let parameters = [(scale, SCALE), (bias, BIAS)];
        let arrays: Vec<usize> = (0..group.walkers.len()).collect();
        let mut constant = |c: &mut Counted| {
            for (array, v) in parameters {
                if let Some(w) = array.map(|a| group.walkers[a]).filter(|w| w.step == 0) {
                    broadcast(c, w, v);
                }
            }
        };
        group.pass(c, &arrays, &mut constant, &mut |c, lanes| {
            fetch(c, from, lanes, VALUE);
            for (array, v) in parameters {
                if let Some(w) = array.map(|a| group.walkers[a]).filter(|w| w.step != 0) {
                    load(c, w, lanes, v);
                }
            }
            if self.center {
                c.fsub(VALUE, VALUE, MEAN);
            }
            c.fmul(VALUE, VALUE, FACTOR);
            if scale.is_some() {
                c.fmul(VALUE, VALUE, SCALE);
            }
            if bias.is_some() {
                c.fadd(VALUE, VALUE, BIAS);
            }
            store(c, to, lanes, VALUE);
        });
    }
}

/// Loads lanes; those that are not there are zero.
fn fetch(a: &mut Asm, walker: Walker, lanes: usize, v: V) {
    if walker.step == 0 {
        broadcast(a, walker, v);
        for lane in lanes..4 {
            a.ins_e(v, lane as u32, ZERO, 0);
        }
    } else {
        load(a, walker, lanes, v);
    }
}

/// The mean of what was summed, to all lanes.
fn average(c: &mut Counted, to: V) {
    horizontal(Reduction::Sum, c, SUM, VALUE);
    c.fmul(SUM, SUM, INVERSE);
    c.dup_e(to, SUM, 0);
}
