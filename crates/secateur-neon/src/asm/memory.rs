//! Loads, stores, prefetches, addresses. Offsets are in bytes; where an offset does not fit the instruction the
//! address is computed into [`SCRATCH`] first, so that no generator meets the limits of the encoding.

use super::{Asm, Operand, SCRATCH, SP, V, X};
use crate::code::RelocationKind;
use dynasmrt::{DynasmApi, dynasm};

/// One access of `size` bytes at `base + offset`: scaled unsigned, else unscaled signed, else through [`SCRATCH`].
macro_rules! access {
    ($($(#[$doc:meta])* $name:ident($reg:ident: $kind:ty), $size:literal => [$scaled:ident $unscaled:ident $form:ident];)*) => {
        impl Asm {
            $($(#[$doc])*
            pub fn $name(&mut self, $reg: $kind, base: X, offset: i64) {
                let r = $reg.note(self);
                let b = base.note(self);
                if offset >= 0 && (offset as u64).is_multiple_of($size) && offset / $size < 4096 {
                    let o = offset as u32;
                    dynasm!(self.ops ; .arch aarch64 ; $scaled $form(r), [XSP(b), o]);
                } else if (-256..256).contains(&offset) {
                    let o = offset as i32;
                    dynasm!(self.ops ; .arch aarch64 ; $unscaled $form(r), [XSP(b), o]);
                } else {
                    self.add_imm(SCRATCH, base, offset);
                    let b = SCRATCH.note(self);
                    dynasm!(self.ops ; .arch aarch64 ; $scaled $form(r), [XSP(b)]);
                }
            })*
        }
    };
}

access! {
    /// Loads 16 bytes.
    ldr_q(d: V), 16 => [ldr ldur Q];
    /// Loads 8 bytes; the other lanes become zero.
    ldr_d(d: V), 8 => [ldr ldur D];
    /// Loads one f32; the other lanes become zero.
    ldr_s(d: V), 4 => [ldr ldur S];
    /// Stores 16 bytes.
    str_q(s: V), 16 => [str stur Q];
    /// Stores the low 8 bytes.
    str_d(s: V), 8 => [str stur D];
    /// Stores the first lane.
    str_s(s: V), 4 => [str stur S];
    /// Loads 8 bytes.
    ldr_x(d: X), 8 => [ldr ldur X];
    /// Stores 8 bytes.
    str_x(s: X), 8 => [str stur X];
    /// Loads 4 bytes, zero-extended.
    ldr_w(d: X), 4 => [ldr ldur W];
    /// Loads 4 bytes, sign-extended.
    ldrsw(d: X), 4 => [ldrsw ldursw X];
    /// Stores 4 bytes.
    str_w(s: X), 4 => [str stur W];
    /// Loads 2 bytes, zero-extended.
    ldrh(d: X), 2 => [ldrh ldurh W];
    /// Stores 2 bytes.
    strh(s: X), 2 => [strh sturh W];
    /// Loads one byte, zero-extended.
    ldrb(d: X), 1 => [ldrb ldurb W];
    /// Loads one byte, sign-extended.
    ldrsb(d: X), 1 => [ldrsb ldursb X];
    /// Stores one byte.
    strb(s: X), 1 => [strb sturb W];
}

/// Two registers at `base + offset`, `size` bytes each.
macro_rules! pair {
    ($($(#[$doc:meta])* $name:ident($kind:ty), $size:literal => [$op:ident $form:ident];)*) => {
        impl Asm {
            $($(#[$doc])*
            pub fn $name(&mut self, a: $kind, b: $kind, base: X, offset: i64) {
                let (a, b) = (a.note(self), b.note(self));
                let mut r = base.note(self);
                let mut o = offset as i32;
                if offset % $size != 0 || !(-64 * $size..64 * $size).contains(&offset) {
                    self.add_imm(SCRATCH, base, offset);
                    (r, o) = (SCRATCH.note(self), 0);
                }
                dynasm!(self.ops ; .arch aarch64 ; $op $form(a), $form(b), [XSP(r), o]);
            })*
        }
    };
}

pair! {
    /// Loads two times 16 bytes.
    ldp_q(V), 16 => [ldp Q];
    /// Stores two times 16 bytes.
    stp_q(V), 16 => [stp Q];
    /// Loads two times 8 bytes.
    ldp_d(V), 8 => [ldp D];
    /// Stores two times 8 bytes.
    stp_d(V), 8 => [stp D];
    /// Loads two times 8 bytes.
    ldp_x(X), 8 => [ldp X];
    /// Stores two times 8 bytes.
    stp_x(X), 8 => [stp X];
}

/// Forms whose offset is not a choice: post-index, register index, lanes, lists. `step` is added to the base after
/// the access: -256 to 255 for single registers, a multiple of the register's size up to 63 of them for pairs.
macro_rules! forms {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $kind:ty),*) => [$($form:tt)*];)*) => {
        impl Asm {
            $($(#[$doc])*
            pub fn $name(&mut self, $($arg: $kind),*) {
                $(let $arg = $arg.note(self);)*
                dynasm!(self.ops ; .arch aarch64 ; $($form)*);
            })*
        }
    };
}

impl Operand for i32 {
    type Raw = i32;
    fn note(self, _: &mut Asm) -> i32 {
        self
    }
}

forms! {
    /// Loads 16 bytes, then `base += step`.
    ldr_q_post(d: V, base: X, step: i32) => [ldr Q(d), [XSP(base)], step];
    /// Loads 8 bytes, then `base += step`.
    ldr_d_post(d: V, base: X, step: i32) => [ldr D(d), [XSP(base)], step];
    /// Loads one f32, then `base += step`.
    ldr_s_post(d: V, base: X, step: i32) => [ldr S(d), [XSP(base)], step];
    /// Stores 16 bytes, then `base += step`.
    str_q_post(s: V, base: X, step: i32) => [str Q(s), [XSP(base)], step];
    /// Stores 8 bytes, then `base += step`.
    str_d_post(s: V, base: X, step: i32) => [str D(s), [XSP(base)], step];
    /// Stores one f32, then `base += step`.
    str_s_post(s: V, base: X, step: i32) => [str S(s), [XSP(base)], step];
    /// Loads 8 bytes, then `base += step`.
    ldr_x_post(d: X, base: X, step: i32) => [ldr X(d), [XSP(base)], step];
    /// Loads 4 bytes with sign, then `base += step`.
    ldrsw_post(d: X, base: X, step: i32) => [ldrsw X(d), [XSP(base)], step];
    /// Loads 4 bytes, then `base += step`.
    ldr_w_post(d: X, base: X, step: i32) => [ldr W(d), [XSP(base)], step];
    /// Loads 2 bytes, then `base += step`.
    ldrh_post(d: X, base: X, step: i32) => [ldrh W(d), [XSP(base)], step];
    /// Loads two times 16 bytes, then `base += step`.
    ldp_q_post(a: V, b: V, base: X, step: i32) => [ldp Q(a), Q(b), [XSP(base)], step];
    /// Stores two times 16 bytes, then `base += step`.
    stp_q_post(a: V, b: V, base: X, step: i32) => [stp Q(a), Q(b), [XSP(base)], step];
    /// Loads two times 8 bytes, then `base += step`.
    ldp_x_post(a: X, b: X, base: X, step: i32) => [ldp X(a), X(b), [XSP(base)], step];
    /// Loads 16 bytes at `base + index`.
    ldr_q_x(d: V, base: X, index: X) => [ldr Q(d), [XSP(base), X(index)]];
    /// Loads 8 bytes at `base + index`.
    ldr_d_x(d: V, base: X, index: X) => [ldr D(d), [XSP(base), X(index)]];
    /// Loads one f32 at `base + index`.
    ldr_s_x(d: V, base: X, index: X) => [ldr S(d), [XSP(base), X(index)]];
    /// Loads one f32 at `base + 4 * index`.
    ldr_s_x4(d: V, base: X, index: X) => [ldr S(d), [XSP(base), X(index), lsl 2]];
    /// Stores 16 bytes at `base + index`.
    str_q_x(s: V, base: X, index: X) => [str Q(s), [XSP(base), X(index)]];
    /// Stores one f32 at `base + index`.
    str_s_x(s: V, base: X, index: X) => [str S(s), [XSP(base), X(index)]];
    /// Stores one f32 at `base + 4 * index`.
    str_s_x4(s: V, base: X, index: X) => [str S(s), [XSP(base), X(index), lsl 2]];
    /// Loads 8 bytes at `base + 8 * index`.
    ldr_x_x8(d: X, base: X, index: X) => [ldr X(d), [XSP(base), X(index), lsl 3]];
    /// Four f32 from `base`.
    ld1(d: V, base: X) => [ld1 {V(d).s4 * 1}, [XSP(base)]];
    /// One f32 to all lanes.
    ld1r(d: V, base: X) => [ld1r {V(d).s4 * 1}, [XSP(base)]];
    /// One f32 to all lanes, then `base += 4`.
    ld1r_post(d: V, base: X) => [ld1r {V(d).s4 * 1}, [XSP(base)], 4];
    /// One f32 into a lane.
    ld1_e(d: V, lane: u32, base: X) => [ld1 {V(d).s * 1}[lane], [XSP(base)]];
    /// One f32 into a lane, then `base += 4`.
    ld1_e_post(d: V, lane: u32, base: X) => [ld1 {V(d).s * 1}[lane], [XSP(base)], 4];
    /// One f32 into a lane, then `base += step`.
    ld1_e_by(d: V, lane: u32, base: X, step: X) => [ld1 {V(d).s * 1}[lane], [XSP(base)], X(step)];
    /// Stores a lane, then `base += step`.
    st1_e_by(s: V, lane: u32, base: X, step: X) => [st1 {V(s).s * 1}[lane], [XSP(base)], X(step)];
    /// One f32 to all lanes, then `base += step`.
    ld1r_by(d: V, base: X, step: X) => [ld1r {V(d).s4 * 1}, [XSP(base)], X(step)];
    /// Stores a lane.
    st1_e(s: V, lane: u32, base: X) => [st1 {V(s).s * 1}[lane], [XSP(base)]];
    /// Stores a lane, then `base += 4`.
    st1_e_post(s: V, lane: u32, base: X) => [st1 {V(s).s * 1}[lane], [XSP(base)], 4];
    /// Stores half 1 (the high 8 bytes).
    st1_d1(s: V, base: X) => [st1 {V(s).d * 1}[1], [XSP(base)]];
    /// Loads 8 bytes into half 1.
    ld1_d1(d: V, base: X) => [ld1 {V(d).d * 1}[1], [XSP(base)]];
}

impl Asm {
    /// `d = imm`, in one to four instructions.
    pub fn mov_imm(&mut self, d: X, imm: i64) {
        let d = d.note(self);
        let (bits, invert) = if imm < 0 { (!imm as u64, true) } else { (imm as u64, false) };
        let part = |i: u32| (bits >> (16 * i)) as u32 & 0xffff;
        let top = (0..4).rev().find(|&i| part(i) != 0).unwrap_or(0);
        let p = part(top);
        match (invert, top) {
            (false, 0) => dynasm!(self.ops ; .arch aarch64 ; movz X(d), p),
            (false, 1) => dynasm!(self.ops ; .arch aarch64 ; movz X(d), p, lsl 16),
            (false, 2) => dynasm!(self.ops ; .arch aarch64 ; movz X(d), p, lsl 32),
            (false, _) => dynasm!(self.ops ; .arch aarch64 ; movz X(d), p, lsl 48),
            (true, 0) => dynasm!(self.ops ; .arch aarch64 ; movn X(d), p),
            (true, 1) => dynasm!(self.ops ; .arch aarch64 ; movn X(d), p, lsl 16),
            (true, 2) => dynasm!(self.ops ; .arch aarch64 ; movn X(d), p, lsl 32),
            (true, _) => dynasm!(self.ops ; .arch aarch64 ; movn X(d), p, lsl 48),
        }
        for i in (0..top).rev() {
            let p = (imm as u64 >> (16 * i)) as u32 & 0xffff;
            if part(i) != 0 {
                match i {
                    0 => dynasm!(self.ops ; .arch aarch64 ; movk X(d), p),
                    1 => dynasm!(self.ops ; .arch aarch64 ; movk X(d), p, lsl 16),
                    _ => dynasm!(self.ops ; .arch aarch64 ; movk X(d), p, lsl 32),
                }
            }
        }
    }

    /// `d = n + imm` for any `imm`; [`SCRATCH`] holds it if no `add` can. Either may be [`SP`] if `imm` is below
    /// 2^24 either way.
    pub fn add_imm(&mut self, d: X, n: X, imm: i64) {
        if imm == 0 {
            if d != n {
                let (d, n) = (d.note(self), n.note(self));
                dynasm!(self.ops ; .arch aarch64 ; mov XSP(d), XSP(n));
            }
        } else if imm.unsigned_abs() < 1 << 24 {
            let size = imm.unsigned_abs() as u32;
            let (low, high) = (size & 0xfff, size >> 12);
            let (d, mut n) = (d.note(self), n.note(self));
            if high != 0 {
                if imm > 0 {
                    dynasm!(self.ops ; .arch aarch64 ; add XSP(d), XSP(n), high, lsl 12);
                } else {
                    dynasm!(self.ops ; .arch aarch64 ; sub XSP(d), XSP(n), high, lsl 12);
                }
                n = d;
            }
            if low != 0 {
                if imm > 0 {
                    dynasm!(self.ops ; .arch aarch64 ; add XSP(d), XSP(n), low);
                } else {
                    dynasm!(self.ops ; .arch aarch64 ; sub XSP(d), XSP(n), low);
                }
            }
        } else {
            debug_assert!(n != SCRATCH && n != SP, "an address that cannot be formed");
            self.mov_imm(SCRATCH, imm);
            self.add(d, n, SCRATCH);
        }
    }

    /// All four lanes of `v` hold `value`; [`SCRATCH`] is used.
    pub fn splat(&mut self, v: V, value: f32) {
        if value.to_bits() == 0 {
            self.zero(v);
        } else if let Some(short) = short_float(value) {
            // FMOV (vector, immediate), single precision (Arm ARM, C7.2): the word 0x4f00f400 with abc at bit 16 and
            // defgh at bit 5 of the immediate's eight bits, Rd.
            let d = u32::from(v.note(self));
            self.word(0x4f00_f400 | (short >> 5) << 16 | (short & 31) << 5 | d);
        } else {
            self.mov_imm(SCRATCH, i64::from(value.to_bits()));
            self.dup_x(v, SCRATCH);
        }
    }

    /// Loads two times 4 bytes, sign-extended, then `base += step`, a multiple of 4 up to 252: `ldpsw` (Arm ARM, C6.2,
    /// LDPSW, post-index: the word 0x68c00000 with step / 4 in 7 bits at bit 15, Rt2 at bit 10, Rn at bit 5, Rt).
    pub fn ldpsw_post(&mut self, d: X, e: X, base: X, step: i32) {
        let [d, e, base] = [d, e, base].map(|x| u32::from(x.note(self)));
        self.word(0x68c0_0000 | ((step / 4) as u32 & 0x7f) << 15 | e << 10 | base << 5 | d);
    }

    /// Prefetches for reading into L1, to be kept: `prfm pldl1keep` (Arm ARM, C6.2, PRFM (immediate): the word
    /// 0xf9800000 with imm12 = offset / 8 at bit 10, Rn at bit 5, prfop 0). Offsets that do not fit are dropped: it
    /// is only a hint.
    pub fn prefetch(&mut self, base: X, offset: i64) {
        if (0..32768).contains(&offset) && offset % 8 == 0 {
            let b = u32::from(base.note(self));
            self.word(0xf980_0000 | (offset as u32 / 8) << 10 | b << 5);
        }
    }

    /// `d` = address of `symbol + addend`, by page and offset, to be filled in by the linker.
    pub fn address(&mut self, d: X, symbol: &str, addend: i64) {
        self.relocate(RelocationKind::AdrPage, symbol, addend);
        let r = d.note(self);
        // ADRP (Arm ARM, C6.2.11) with a zero page; the linker fills it.
        self.word(0x9000_0000 | u32::from(r));
        self.relocate(RelocationKind::AddLow, symbol, addend);
        dynasm!(self.ops ; .arch aarch64 ; add XSP(r), XSP(r), 0);
    }
}

/// The eight bits of numbers that instructions can hold: sign, three bits of exponent from 2^-3 to 2^4, four bits of
/// fraction (Arm ARM, VFPExpandImm).
fn short_float(value: f32) -> Option<u32> {
    let bits = value.to_bits();
    let exponent = bits >> 23 & 0xff;
    let fits = bits & 0x7_ffff == 0 && (124..=131).contains(&exponent);
    // The exponent is the inverse of b, five times b, c, d.
    let b = u32::from(exponent < 128);
    fits.then_some(bits >> 31 << 7 | b << 6 | (exponent & 3) << 4 | bits >> 19 & 15)
}
