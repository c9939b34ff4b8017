//! Arrays as kernels walk through them: a pointer, a start, and a step for each axis.

use crate::Unsupported;
use crate::asm::X;
use crate::counted::Counted;

/// Which argument register points to an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Base {
    /// x0.
    Output,
    /// x1, x2 or x3, counted from 0.
    Input(u8),
    /// x4: the packed constants.
    Constants,
}

impl Base {
    pub(crate) fn register(self) -> X {
        match self {
            Base::Output => X(0),
            Base::Input(n) => X(1 + n),
            Base::Constants => X(4),
        }
    }
}

/// What an element is in memory. Kernels compute in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// f32.
    F32,
    /// i32; as f32 rounded to nearest.
    I32,
    /// i64 whose value fits i32; the high half is not looked at when read.
    I64,
    /// u8; a Boolean as 0 or 1.
    U8,
}

impl Element {
    /// Bytes.
    pub fn bytes(self) -> usize {
        match self {
            Element::F32 | Element::I32 => 4,
            Element::I64 => 8,
            Element::U8 => 1,
        }
    }
}

/// An array as one loop nest walks through it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Strided {
    /// Where it is.
    pub base: Base,
    /// The first element, in elements from the base.
    pub offset: usize,
    /// Elements from one iteration of a loop to the next, outermost loop first; 0 repeats.
    pub steps: Vec<isize>,
    /// What is there.
    pub element: Element,
}

impl Strided {
    /// f32 elements.
    pub fn f32(base: Base, offset: usize, steps: &[isize]) -> Self {
        Strided { base, offset, steps: steps.to_vec(), element: Element::F32 }
    }

    /// Steps of an array without gaps, of the shape of the loops.
    pub fn dense_steps(extents: &[usize]) -> Vec<isize> {
        let mut steps = vec![1; extents.len()];
        for i in (1..extents.len()).rev() {
            steps[i - 1] = steps[i] * extents[i] as isize;
        }
        steps
    }

    /// Whether every element that the loops reach lies at or behind the base.
    pub(crate) fn check(&self, extents: &[usize]) -> Result<(), Unsupported> {
        if self.steps.len() != extents.len() {
            return Err(Unsupported::new("an array whose steps are not as many as the loops"));
        }
        if matches!(self.base, Base::Input(3..)) {
            return Err(Unsupported::new("more than three inputs"));
        }
        if extents.contains(&0) {
            return Ok(());
        }
        let mut lowest = self.offset as i128;
        for (step, extent) in self.steps.iter().zip(extents) {
            if *step < 0 {
                lowest += *step as i128 * (*extent as i128 - 1);
            }
        }
        if lowest < 0 { Err(Unsupported::new("an array that begins before its base")) } else { Ok(()) }
    }

    /// Bytes from the base to behind the last element that the loops reach.
    pub fn bytes(&self, extents: &[usize]) -> usize {
        if extents.contains(&0) {
            return 0;
        }
        let reach: isize = self.steps.iter().zip(extents).map(|(s, e)| (*s).max(0) * (*e as isize - 1)).sum();
        (self.offset + reach as usize + 1) * self.element.bytes()
    }
}

/// Loops, and the steps of each array in each: one entry a loop, outermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nest {
    pub(crate) extents: Vec<usize>,
    /// For each loop the steps of each array.
    pub(crate) steps: Vec<Vec<isize>>,
}

impl Nest {
    pub(crate) fn new(extents: &[usize], arrays: &[&Strided]) -> Nest {
        let steps = (0..extents.len()).map(|l| arrays.iter().map(|a| a.steps[l]).collect()).collect();
        Nest { extents: extents.to_vec(), steps }
    }

    /// Removes loops of one turn, orders them so that `first` array's steps fall, and joins loops that are one.
    pub(crate) fn simplify(self, first: usize) -> Nest {
        let mut loops: Vec<(usize, Vec<isize>)> =
            self.extents.into_iter().zip(self.steps).filter(|(e, _)| *e != 1).collect();
        loops.sort_by_key(|(_, steps)| std::cmp::Reverse(steps[first].abs()));
        let mut joined: Vec<(usize, Vec<isize>)> = Vec::new();
        for (extent, steps) in loops {
            match joined.last_mut() {
                Some((outer, outer_steps))
                    if outer_steps.iter().zip(&steps).all(|(o, i)| *o == *i * extent as isize) =>
                {
                    *outer *= extent;
                    *outer_steps = steps;
                }
                _ => joined.push((extent, steps)),
            }
        }
        let (extents, steps) = joined.into_iter().unzip();
        Nest { extents, steps }
    }
}

/// Loops of a [`Nest`] with a pointer for each array.
pub(crate) struct Walk {
    extents: Vec<usize>,
    /// Bytes of each turn of each loop, by pointer.
    steps: Vec<Vec<i64>>,
    pointers: Vec<X>,
    counters: Vec<X>,
}

impl Walk {
    /// For some of the nest's loops; pointers come with the size of an element.
    pub(crate) fn new(
        nest: &Nest,
        loops: std::ops::Range<usize>,
        pointers: Vec<(X, usize)>,
        counters: Vec<X>,
    ) -> Walk {
        let bytes =
            |s: &Vec<isize>| s.iter().zip(&pointers).map(|(s, (_, size))| *s as i64 * *size as i64).collect();
        Walk {
            extents: nest.extents[loops.clone()].to_vec(),
            steps: nest.steps[loops].iter().map(bytes).collect(),
            pointers: pointers.iter().map(|(p, _)| *p).collect(),
            counters,
        }
    }

    /// Emits the loops around `body`, which leaves each pointer `moved` bytes ahead. Gives how far ahead they are after
    /// all loops.
    pub(crate) fn run(&self, c: &mut Counted, moved: &[i64], body: &mut dyn FnMut(&mut Counted)) -> Vec<i64> {
        self.level(c, 0, moved, body);
        self.moved(0, moved)
    }

    fn moved(&self, at: usize, moved: &[i64]) -> Vec<i64> {
        match self.extents.get(at) {
            Some(extent) => self.steps[at].iter().map(|s| s * *extent as i64).collect(),
            None => moved.to_vec(),
        }
    }

    fn level(&self, c: &mut Counted, at: usize, moved: &[i64], body: &mut dyn FnMut(&mut Counted)) {
        if at == self.extents.len() {
            return body(c);
        }
        c.repeat(self.counters[at], self.extents[at], |c| {
            self.level(c, at + 1, moved, body);
            let inner = self.moved(at + 1, moved);
            for ((pointer, step), inner) in self.pointers.iter().zip(&self.steps[at]).zip(inner) {
                c.add_imm(*pointer, *pointer, step - inner);
            }
        });
    }
}
