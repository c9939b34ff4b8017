//! Prologue and epilogue: save what the body uses of the registers that belong to the caller.
//!
//! Layout from the new `sp` up: the body's own bytes, saved general registers in pairs, saved low halves of v8-v15 in
//! pairs. Sizes are multiples of 16 (AAPCS64, 6.2.2).

use super::{Asm, SP, V, X};
use crate::code::{FrameInfo, Saved};

/// Registers and their offsets from the new `sp`.
type Places = Vec<(u8, i64)>;

/// What is saved and where.
pub(super) struct Layout {
    general: Vec<u8>,
    vector: Vec<u8>,
    own: u32,
}

impl Layout {
    pub(super) fn of(general: u32, vector: u32, own: u32, calls: bool) -> Self {
        let mut general: Vec<u8> = (19..=30).filter(|&r| general >> r & 1 != 0).collect();
        if calls {
            general.retain(|&r| r < 29);
            general.extend([29, 30]);
        }
        Self { general, vector: (8..16).filter(|&r| vector >> r & 1 != 0).collect(), own }
    }

    fn size(&self) -> u32 {
        let slots = |n: usize| 8 * n.next_multiple_of(2) as u32;
        self.own + slots(self.general.len()) + slots(self.vector.len())
    }

    /// Register (general, then vector as 64 + number, as DWARF numbers them) and its offset from the new `sp`.
    fn places(&self) -> (Places, Places) {
        let first = i64::from(self.own);
        let second = first + 8 * self.general.len().next_multiple_of(2) as i64;
        let place = |registers: &[u8], start: i64| {
            registers.iter().enumerate().map(|(i, &r)| (r, start + 8 * i as i64)).collect()
        };
        (place(&self.general, first), place(&self.vector, second))
    }

    fn each(&self, save: bool) -> Asm {
        let mut asm = Asm::new();
        let (general, vector) = self.places();
        if save {
            // A landing pad for indirect calls, a no-op where branch target identification is off (BTI c).
            asm.hint(34);
            if self.size() != 0 {
                asm.add_imm(SP, SP, -i64::from(self.size()));
            }
        }
        for pair in general.chunks(2) {
            match (pair, save) {
                ([(a, at), (b, _)], true) => asm.stp_x(X(*a), X(*b), SP, *at),
                ([(a, at), (b, _)], false) => asm.ldp_x(X(*a), X(*b), SP, *at),
                ([(a, at)], true) => asm.str_x(X(*a), SP, *at),
                ([(a, at)], false) => asm.ldr_x(X(*a), SP, *at),
                _ => {}
            }
        }
        for pair in vector.chunks(2) {
            match (pair, save) {
                ([(a, at), (b, _)], true) => asm.stp_d(V(*a), V(*b), SP, *at),
                ([(a, at), (b, _)], false) => asm.ldp_d(V(*a), V(*b), SP, *at),
                ([(a, at)], true) => asm.str_d(V(*a), SP, *at),
                ([(a, at)], false) => asm.ldr_d(V(*a), SP, *at),
                _ => {}
            }
        }
        if !save {
            if self.size() != 0 {
                asm.add_imm(SP, SP, i64::from(self.size()));
            }
            // RET (Arm ARM, C6.2, RET) to x30.
            asm.word(0xd65f_03c0);
        }
        asm
    }

    pub(super) fn prologue(&self) -> Vec<u8> {
        self.each(true).into_bytes()
    }

    pub(super) fn epilogue(&self) -> Vec<u8> {
        self.each(false).into_bytes()
    }

    pub(super) fn info(&self) -> FrameInfo {
        let size = self.size();
        let (general, vector) = self.places();
        let vector = vector.into_iter().map(|(r, at)| (64 + r, at));
        let saved = general
            .into_iter()
            .chain(vector)
            .map(|(dwarf, at)| Saved { dwarf, offset: at as i32 - size as i32 })
            .collect();
        FrameInfo { size, prologue: self.prologue().len() as u32, saved }
    }
}
