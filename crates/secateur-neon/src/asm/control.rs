//! Branches, loops, calls.

use super::{Asm, Cond, Label, Operand, X};
use crate::code::RelocationKind;
use dynasmrt::{DynasmApi, DynasmLabelApi, dynasm};

impl Asm {
    /// Branches.
    pub fn b(&mut self, to: Label) {
        let to = to.0;
        dynasm!(self.ops ; .arch aarch64 ; b =>to);
    }

    /// Branches if the flags say so (within 1 MiB).
    pub fn b_if(&mut self, cond: Cond, to: Label) {
        let to = to.0;
        match cond {
            Cond::Eq => dynasm!(self.ops ; .arch aarch64 ; b.eq =>to),
            Cond::Ne => dynasm!(self.ops ; .arch aarch64 ; b.ne =>to),
            Cond::Hs => dynasm!(self.ops ; .arch aarch64 ; b.hs =>to),
            Cond::Lo => dynasm!(self.ops ; .arch aarch64 ; b.lo =>to),
            Cond::Mi => dynasm!(self.ops ; .arch aarch64 ; b.mi =>to),
            Cond::Pl => dynasm!(self.ops ; .arch aarch64 ; b.pl =>to),
            Cond::Hi => dynasm!(self.ops ; .arch aarch64 ; b.hi =>to),
            Cond::Ls => dynasm!(self.ops ; .arch aarch64 ; b.ls =>to),
            Cond::Ge => dynasm!(self.ops ; .arch aarch64 ; b.ge =>to),
            Cond::Lt => dynasm!(self.ops ; .arch aarch64 ; b.lt =>to),
            Cond::Gt => dynasm!(self.ops ; .arch aarch64 ; b.gt =>to),
            Cond::Le => dynasm!(self.ops ; .arch aarch64 ; b.le =>to),
        }
    }

    /// Branches if `x` is zero (within 1 MiB).
    pub fn cbz(&mut self, x: X, to: Label) {
        let (x, to) = (x.note(self), to.0);
        dynasm!(self.ops ; .arch aarch64 ; cbz X(x), =>to);
    }

    /// Branches if `x` is not zero (within 1 MiB).
    pub fn cbnz(&mut self, x: X, to: Label) {
        let (x, to) = (x.note(self), to.0);
        dynasm!(self.ops ; .arch aarch64 ; cbnz X(x), =>to);
    }

    /// `d = cond ? n : m` (Arm ARM, C6.2, CSEL).
    pub fn csel(&mut self, d: X, n: X, m: X, cond: Cond) {
        let [d, n, m] = [d, n, m].map(|r| u32::from(r.note(self)));
        self.word(0x9a80_0000 | m << 16 | (cond as u32) << 12 | n << 5 | d);
    }

    /// The address of a label (within 1 MiB).
    pub fn adr(&mut self, d: X, label: Label) {
        let (d, to) = (d.note(self), label.0);
        dynasm!(self.ops ; .arch aarch64 ; adr X(d), =>to);
    }

    /// Calls `symbol`, to be filled in by the linker. The frame then saves x29 and x30; the caller-saved registers
    /// are lost.
    pub fn call(&mut self, symbol: &str) {
        self.calls = true;
        self.relocate(RelocationKind::Call, symbol, 0);
        // BL (Arm ARM, C6.2.35) with a zero offset; the linker fills it.
        self.word(0x9400_0000);
    }

    /// Calls the address in `x`.
    pub fn call_x(&mut self, x: X) {
        self.calls = true;
        let x = x.note(self);
        dynasm!(self.ops ; .arch aarch64 ; blr X(x));
    }

    /// Emits `body` so that it runs `times` times, counting `counter` down: nothing for 0, no loop for 1.
    pub fn repeat(&mut self, counter: X, times: usize, body: impl FnOnce(&mut Asm)) {
        match times {
            0 => {}
            1 => body(self),
            _ => {
                let top = self.label();
                self.mov_imm(counter, times as i64);
                self.bind(top);
                body(self);
                self.subs_i(counter, counter, 1);
                self.b_if(Cond::Ne, top);
            }
        }
    }
}
