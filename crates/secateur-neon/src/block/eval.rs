//! What a block computes, on the host, one lane at a time: the same operations with the same roundings.

use super::{Block, Inst, Op1, Op2, Op3, Val};

impl Block {
    /// The value of `result` for these inputs.
    pub(crate) fn eval(&self, inputs: &[f32], result: Val) -> f32 {
        let mut values: Vec<u32> = Vec::with_capacity(self.insts.len());
        for inst in &self.insts[..=result.0] {
            let bits = |v: Val| values[v.0];
            let value = |v: Val| f32::from_bits(values[v.0]);
            let mask = |c: bool| if c { u32::MAX } else { 0 };
            values.push(match *inst {
                Inst::Input(n) => inputs[n].to_bits(),
                Inst::Const(bits) => bits,
                Inst::One(op, a) => match op {
                    Op1::Neg => bits(a) ^ 1 << 31,
                    Op1::Abs => bits(a) & !(1 << 31),
                    Op1::Sqrt => value(a).sqrt().to_bits(),
                    Op1::RoundEven => value(a).round_ties_even().to_bits(),
                    Op1::Floor => value(a).floor().to_bits(),
                    Op1::Ceil => value(a).ceil().to_bits(),
                    Op1::Truncate => value(a).trunc().to_bits(),
                    Op1::ToInt => value(a).round_ties_even() as i32 as u32,
                    Op1::FromInt => (bits(a) as i32 as f32).to_bits(),
                    Op1::Not => !bits(a),
                    Op1::ShiftLeft(n) => bits(a) << n,
                    Op1::ShiftRightSigned(n) => ((bits(a) as i32) >> n) as u32,
                },
                Inst::Two(op, a, b) => match op {
                    Op2::Add => (value(a) + value(b)).to_bits(),
                    Op2::Sub => (value(a) - value(b)).to_bits(),
                    Op2::Mul => (value(a) * value(b)).to_bits(),
                    Op2::Div => (value(a) / value(b)).to_bits(),
                    Op2::Max => extremum(value(a), value(b), true).to_bits(),
                    Op2::Min => extremum(value(a), value(b), false).to_bits(),
                    Op2::Greater => mask(value(a) > value(b)),
                    Op2::GreaterEqual => mask(value(a) >= value(b)),
                    Op2::Equal => mask(value(a) == value(b)),
                    Op2::And => bits(a) & bits(b),
                    Op2::Or => bits(a) | bits(b),
                    Op2::Xor => bits(a) ^ bits(b),
                    Op2::AddInt => bits(a).wrapping_add(bits(b)),
                    Op2::SubInt => bits(a).wrapping_sub(bits(b)),
                },
                Inst::Three(op, a, b, c) => match op {
                    Op3::MulAdd => value(b).mul_add(value(c), value(a)).to_bits(),
                    Op3::MulSub => (-value(b)).mul_add(value(c), value(a)).to_bits(),
                    Op3::Select => bits(a) & bits(b) | !bits(a) & bits(c),
                },
            });
        }
        f32::from_bits(values[result.0])
    }
}

/// FMAX and FMIN: NaN if either operand is, and -0 is below +0.
fn extremum(a: f32, b: f32, max: bool) -> f32 {
    if a.is_nan() || b.is_nan() {
        f32::NAN
    } else if a == b {
        // Zeros of either sign: and, or of the sign bits.
        f32::from_bits(if max { a.to_bits() & b.to_bits() } else { a.to_bits() | b.to_bits() })
    } else if (a > b) == max {
        a
    } else {
        b
    }
}
