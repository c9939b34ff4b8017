//! Handing out general registers.

use crate::Unsupported;
use crate::asm::X;

/// Registers for pointers and counters. The first nine need not be saved; x4 and x5 are the constants and the scratch
/// memory, x16 is the assembler's, x17 is for elements on their way, x18 is the platform's.
const GENERAL: [u8; 20] = [6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28];

/// General registers that are free.
pub(crate) struct Registers {
    next: usize,
}

impl Registers {
    pub(crate) fn new() -> Registers {
        Registers { next: 0 }
    }

    /// A register that nobody else has.
    pub(crate) fn take(&mut self) -> Result<X, Unsupported> {
        let register = GENERAL.get(self.next).ok_or_else(|| Unsupported::new("too many arrays and loops"))?;
        self.next += 1;
        Ok(X(*register))
    }

    /// How many are taken.
    pub(crate) fn mark(&self) -> usize {
        self.next
    }

    /// Gives back what was taken since a mark.
    pub(crate) fn release(&mut self, mark: usize) {
        self.next = mark;
    }

    pub(crate) fn take_many(&mut self, count: usize) -> Result<Vec<X>, Unsupported> {
        (0..count).map(|_| self.take()).collect()
    }
}
