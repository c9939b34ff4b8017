//! Steps by which pointers move, kept in registers for post-indexed accesses.

use crate::asm::{Asm, Then, X};
use std::cell::RefCell;

/// Registers that hold steps; which steps there are is found out by a first emission.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    registers: Vec<X>,
    /// Steps in bytes and how often code asked for them.
    wanted: RefCell<Vec<(i64, usize)>>,
    held: Vec<i64>,
}

impl Deltas {
    /// Nothing is held; asks are recorded.
    pub(crate) fn new(registers: &[X]) -> Self {
        Deltas { registers: registers.to_vec(), ..Deltas::default() }
    }

    /// Holds what this one was asked for most.
    pub(crate) fn settled(&self) -> Deltas {
        let mut wanted = self.wanted.borrow().clone();
        wanted.sort_by_key(|(step, count)| (usize::MAX - count, *step));
        let held = wanted.iter().take(self.registers.len()).map(|w| w.0).collect();
        Deltas { registers: self.registers.clone(), wanted: RefCell::default(), held }
    }

    /// Loads the registers.
    pub(crate) fn prologue(&self, a: &mut Asm) {
        for (step, register) in self.held.iter().zip(&self.registers) {
            a.mov_imm(*register, *step);
        }
    }

    /// An access at `pointer` of `size` bytes, after which the pointer has moved by `step` bytes.
    pub(crate) fn then(
        &self,
        a: &mut Asm,
        pointer: X,
        step: i64,
        size: i64,
        access: impl FnOnce(&mut Asm, Then),
    ) {
        if step == size {
            return access(a, Then::Pass);
        }
        let mut wanted = self.wanted.borrow_mut();
        match wanted.iter_mut().find(|w| w.0 == step) {
            Some(w) => w.1 += 1,
            None => wanted.push((step, 1)),
        }
        match self.held.iter().position(|&h| h == step) {
            Some(i) => access(a, Then::By(self.registers[i])),
            None => {
                access(a, Then::Stay);
                a.add_imm(pointer, pointer, step);
            }
        }
    }
}
