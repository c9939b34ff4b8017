//! Straight-line vector code: a small language of four-lane f32 operations in static single assignment form.
//!
//! A [`Block`] is built once, can be evaluated on the host lane by lane ([`Block::eval`]; tests compare the emulator's
//! results with it bit for bit), and is emitted with registers allocated, several copies interleaved ([`Plan`]).

mod emit;
mod eval;

pub(crate) use emit::{Plan, Request};

/// The value that an instruction of a block defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Val(pub(crate) usize);

/// Operations of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op1 {
    Neg,
    Abs,
    Sqrt,
    /// To integral, ties to even.
    RoundEven,
    Floor,
    Ceil,
    Truncate,
    /// f32 to i32, ties to even, saturating.
    ToInt,
    /// i32 to f32.
    FromInt,
    Not,
    /// i32 shifts by a number of bits below 32.
    ShiftLeft(u32),
    ShiftRightSigned(u32),
}

/// Operations of two operands. Comparisons give lanes of ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op2 {
    Add,
    Sub,
    Mul,
    Div,
    /// NaN if either is.
    Max,
    /// NaN if either is.
    Min,
    Greater,
    GreaterEqual,
    Equal,
    And,
    Or,
    Xor,
    /// i32.
    AddInt,
    /// i32.
    SubInt,
}

/// Operations of three operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op3 {
    /// `a + b * c`, rounded once.
    MulAdd,
    /// `a - b * c`, rounded once.
    MulSub,
    /// `a ? b : c`, bit by bit.
    Select,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Inst {
    Input(usize),
    Const(u32),
    One(Op1, Val),
    Two(Op2, Val, Val),
    Three(Op3, Val, Val, Val),
}

impl Inst {
    fn operands(self) -> impl Iterator<Item = Val> {
        let list = match self {
            Inst::Input(_) | Inst::Const(_) => [None; 3],
            Inst::One(_, a) => [Some(a), None, None],
            Inst::Two(_, a, b) => [Some(a), Some(b), None],
            Inst::Three(_, a, b, c) => [Some(a), Some(b), Some(c)],
        };
        list.into_iter().flatten()
    }
}

/// Straight-line vector code.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    insts: Vec<Inst>,
}

macro_rules! shorthands {
    ($($name:ident = $op:expr;)*) => {
        $(pub(crate) fn $name(&mut self, a: Val, b: Val) -> Val {
            self.two($op, a, b)
        })*
    };
}

impl Block {
    /// Adds an instruction, or finds the same one: equal values are computed once.
    fn push(&mut self, inst: Inst) -> Val {
        let found = self.insts.iter().position(|i| *i == inst);
        Val(found.unwrap_or_else(|| {
            self.insts.push(inst);
            self.insts.len() - 1
        }))
    }

    /// What the surroundings provide under this number.
    pub(crate) fn input(&mut self, number: usize) -> Val {
        self.push(Inst::Input(number))
    }

    /// A constant in all lanes.
    pub(crate) fn number(&mut self, value: f32) -> Val {
        self.bits(value.to_bits())
    }

    /// A constant pattern in all lanes.
    pub(crate) fn bits(&mut self, bits: u32) -> Val {
        self.push(Inst::Const(bits))
    }

    pub(crate) fn one(&mut self, op: Op1, a: Val) -> Val {
        self.push(Inst::One(op, a))
    }

    pub(crate) fn two(&mut self, op: Op2, a: Val, b: Val) -> Val {
        self.push(Inst::Two(op, a, b))
    }

    shorthands! {
        add = Op2::Add;
        sub = Op2::Sub;
        mul = Op2::Mul;
        div = Op2::Div;
        max = Op2::Max;
        min = Op2::Min;
    }

    /// `a + b * c`.
    pub(crate) fn mul_add(&mut self, a: Val, b: Val, c: Val) -> Val {
        self.push(Inst::Three(Op3::MulAdd, a, b, c))
    }

    /// `a - b * c`.
    pub(crate) fn mul_sub(&mut self, a: Val, b: Val, c: Val) -> Val {
        self.push(Inst::Three(Op3::MulSub, a, b, c))
    }

    /// `mask ? a : b`.
    pub(crate) fn select(&mut self, mask: Val, a: Val, b: Val) -> Val {
        self.push(Inst::Three(Op3::Select, mask, a, b))
    }

    /// `x` held between two numbers; NaN stays.
    pub(crate) fn clamp(&mut self, x: Val, low: f32, high: f32) -> Val {
        let low = self.number(low);
        let x = self.max(x, low);
        let high = self.number(high);
        self.min(x, high)
    }

    /// The polynomial with these coefficients, the constant one first, at `x`, by Horner's rule.
    pub(crate) fn polynomial(&mut self, x: Val, coefficients: &[f32]) -> Val {
        let (last, rest) = coefficients.split_last().expect("a coefficient");
        let mut sum = self.number(*last);
        for c in rest.iter().rev() {
            let c = self.number(*c);
            sum = self.mul_add(c, sum, x);
        }
        sum
    }

    /// How often each value is used, `results` included, and whether it is needed at all.
    fn uses(&self, results: &[Val]) -> Vec<usize> {
        let mut uses = vec![0; self.insts.len()];
        for r in results {
            uses[r.0] += 1;
        }
        for i in (0..self.insts.len()).rev() {
            if uses[i] > 0 {
                for operand in self.insts[i].operands() {
                    uses[operand.0] += 1;
                }
            }
        }
        uses
    }
}
