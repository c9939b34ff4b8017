//! Loads and stores of lists: consecutive registers, `first` and up.

use super::{Asm, Operand, V, X};
use dynasmrt::{DynasmApi, dynasm};

/// What follows the access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Stay,
    /// The base moves behind what was accessed.
    Pass,
    /// The base moves by a register.
    By(X),
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident $arrangement:ident => $([$op:ident $count:literal $bytes:literal])*;)*) => {
        impl Asm {
            $($(#[$doc])*
            pub fn $name(&mut self, first: V, count: usize, base: X, then: Then) {
                let (v, b) = (self.run(first, count as u8), base.note(self));
                match (count, then) {
                    $(($count, Then::Stay) => dynasm!(self.ops ; .arch aarch64 ; $op {V(v).$arrangement * $count}, [XSP(b)]),
                    ($count, Then::Pass) => dynasm!(self.ops ; .arch aarch64 ; $op {V(v).$arrangement * $count}, [XSP(b)], $bytes),
                    ($count, Then::By(x)) => {
                        let x = x.note(self);
                        dynasm!(self.ops ; .arch aarch64 ; $op {V(v).$arrangement * $count}, [XSP(b)], X(x))
                    })*
                    _ => debug_assert!(false, "no list of {count} registers"),
                }
            })*
        }
    };
}

lists! {
    /// Loads `4 * count` f32 in order, count 1 to 4.
    ld1_list s4 => [ld1 1 16] [ld1 2 32] [ld1 3 48] [ld1 4 64];
    /// Stores `4 * count` f32 in order, count 1 to 4.
    st1_list s4 => [st1 1 16] [st1 2 32] [st1 3 48] [st1 4 64];
    /// Loads `4 * count` f32, every `count`-th to one register, count 2 to 4.
    ldn s4 => [ld2 2 32] [ld3 3 48] [ld4 4 64];
    /// Stores `count` registers interleaved, count 2 to 4.
    stn s4 => [st2 2 32] [st3 3 48] [st4 4 64];
    /// Loads `2 * count` f32, every `count`-th to the low half of one register, count 2 to 4; high halves become zero.
    ldn_half s2 => [ld2 2 16] [ld3 3 24] [ld4 4 32];
    /// Stores the low halves of `count` registers interleaved, count 2 to 4.
    stn_half s2 => [st2 2 16] [st3 3 24] [st4 4 32];
}

macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident $post:ident = $list:ident $count:literal;)*) => {
        impl Asm {
            $($(#[$doc])*
            pub fn $name(&mut self, first: V, base: X) {
                self.$list(first, $count, base, Then::Stay);
            }

            /// The same, then `base` moves behind what was accessed.
            pub fn $post(&mut self, first: V, base: X) {
                self.$list(first, $count, base, Then::Pass);
            })*
        }
    };
}

fixed! {
    /// Loads 8 f32, even ones to the first register.
    ld2 ld2_post = ldn 2;
    /// Loads 12 f32, every third to one register.
    ld3 ld3_post = ldn 3;
    /// Loads 16 f32, every fourth to one register.
    ld4 ld4_post = ldn 4;
    /// Stores two registers interleaved.
    st2 st2_post = stn 2;
    /// Stores four registers interleaved.
    st4 st4_post = stn 4;
    /// Loads 12 f32 in order.
    ld1_3 ld1_3_post = ld1_list 3;
    /// Loads 16 f32 in order.
    ld1_4 ld1_4_post = ld1_list 4;
    /// Stores 16 f32 in order.
    st1_4 st1_4_post = st1_list 4;
}

impl Asm {
    fn run(&mut self, first: V, count: u8) -> u8 {
        for i in 0..count {
            V((first.0 + i) % 32).note(self);
        }
        first.0
    }
}
