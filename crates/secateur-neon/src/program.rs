//! Expressions of elementwise kernels.

use crate::block::{Block, Op1, Op2, Val};
use crate::{Activation, math};

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Unary {
    Neg,
    Abs,
    Sqrt,
    Reciprocal,
    Floor,
    Ceil,
    /// To integral, ties to even.
    Round,
    /// Towards zero.
    Truncate,
    Exp,
    Log,
    Erf,
    Sin,
    Cos,
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `x < 0 ? alpha (exp(x) - 1) : x`.
    Elu(f32),
    /// `gamma * (x < 0 ? alpha (exp(x) - 1) : x)`.
    Selu {
        alpha: f32,
        gamma: f32,
    },
    /// GELU by its approximation with tanh.
    GeluTanh,
    /// -1, 0 or 1.
    Sign,
    /// 1 for zero, 0 for anything else.
    Not,
    /// 1 for NaN, else 0.
    IsNan,
    /// 1 for an infinity, else 0.
    IsInf,
    /// What convolutions can do to their results as well.
    Activation(Activation),
}

/// A function of two numbers. Comparisons and logic give 1 or 0; logic takes anything but zero as true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
    Pow,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    And,
    Or,
    Xor,
    /// `x < 0 ? x * slope : x`.
    PRelu,
}

/// One step of a [`Program`]. Steps name earlier ones by their position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// The element of an input, counted from 0.
    Input(usize),
    /// A number.
    Number(f32),
    /// A function of an earlier step.
    Unary(Unary, usize),
    /// A function of two earlier steps.
    Binary(Binary, usize, usize),
    /// The second step where the first is not zero, else the third.
    Where(usize, usize, usize),
}

/// What is computed for each element; the last step is the result.
#[derive(Clone, Debug, PartialEq)]
pub struct Program(pub Vec<Step>);

impl Program {
    /// The input itself: a copy.
    pub fn copy() -> Self {
        Program(vec![Step::Input(0)])
    }

    /// A function of the only input.
    pub fn unary(unary: Unary) -> Self {
        Program(vec![Step::Input(0), Step::Unary(unary, 0)])
    }

    /// A function of two inputs.
    pub fn binary(binary: Binary) -> Self {
        Program(vec![Step::Input(0), Step::Input(1), Step::Binary(binary, 0, 1)])
    }

    /// The value of the program for these inputs, as the kernel computes it, bit by bit.
    ///
    /// # Errors
    /// A step that names a later one, a missing input, no steps.
    pub fn eval(&self, inputs: &[f32]) -> Result<f32, String> {
        self.check(inputs.len())?;
        let (block, result) = self.block();
        Ok(block.eval(inputs, result))
    }

    pub(crate) fn check(&self, inputs: usize) -> Result<(), String> {
        if self.0.is_empty() {
            return Err("a program without steps".to_owned());
        }
        for (at, step) in self.0.iter().enumerate() {
            let fine = match *step {
                Step::Input(n) => n < inputs,
                Step::Number(_) => true,
                Step::Unary(_, a) => a < at,
                Step::Binary(_, a, b) => a < at && b < at,
                Step::Where(a, b, c) => a < at && b < at && c < at,
            };
            if !fine {
                return Err(format!("step {at} of a program refers to what is not there"));
            }
        }
        Ok(())
    }

    /// As vector code. The program must have been checked.
    pub(crate) fn block(&self) -> (Block, Val) {
        let mut b = Block::default();
        let mut values = Vec::with_capacity(self.0.len());
        for step in &self.0 {
            values.push(match *step {
                Step::Input(n) => b.input(n),
                Step::Number(x) => b.number(x),
                Step::Unary(op, x) => unary(&mut b, op, values[x]),
                Step::Binary(op, x, y) => binary(&mut b, op, values[x], values[y]),
                Step::Where(c, x, y) => {
                    let zero = b.number(0.0);
                    let not = b.two(Op2::Equal, values[c], zero);
                    b.select(not, values[y], values[x])
                }
            });
        }
        (b, values[values.len() - 1])
    }
}

fn truth(b: &mut Block, mask: Val) -> Val {
    let one = b.number(1.0);
    b.two(Op2::And, mask, one)
}

fn unary(b: &mut Block, op: Unary, x: Val) -> Val {
    match op {
        Unary::Neg => b.one(Op1::Neg, x),
        Unary::Abs => b.one(Op1::Abs, x),
        Unary::Sqrt => b.one(Op1::Sqrt, x),
        Unary::Reciprocal => {
            let one = b.number(1.0);
            b.div(one, x)
        }
        Unary::Floor => b.one(Op1::Floor, x),
        Unary::Ceil => b.one(Op1::Ceil, x),
        Unary::Round => b.one(Op1::RoundEven, x),
        Unary::Truncate => b.one(Op1::Truncate, x),
        Unary::Exp => math::exp(b, x),
        Unary::Log => math::log(b, x),
        Unary::Erf => math::erf(b, x),
        Unary::Sin => math::sin(b, x),
        Unary::Cos => math::cos(b, x),
        Unary::Softplus => math::softplus(b, x),
        Unary::Softsign => {
            let size = b.one(Op1::Abs, x);
            let one = b.number(1.0);
            let below = b.add(one, size);
            b.div(x, below)
        }
        Unary::Elu(alpha) => elu(b, x, alpha, 1.0),
        Unary::Selu { alpha, gamma } => elu(b, x, alpha, gamma),
        Unary::GeluTanh => math::gelu_tanh(b, x),
        Unary::Sign => {
            let (zero, one) = (b.number(0.0), b.number(1.0));
            let above = b.two(Op2::Greater, x, zero);
            let below = b.two(Op2::Greater, zero, x);
            let (above, below) = (b.two(Op2::And, above, one), b.two(Op2::And, below, one));
            b.sub(above, below)
        }
        Unary::Not => {
            let zero = b.number(0.0);
            let mask = b.two(Op2::Equal, x, zero);
            truth(b, mask)
        }
        Unary::IsNan => {
            let same = b.two(Op2::Equal, x, x);
            let mask = b.one(Op1::Not, same);
            truth(b, mask)
        }
        Unary::IsInf => {
            let size = b.one(Op1::Abs, x);
            let infinity = b.number(f32::INFINITY);
            let mask = b.two(Op2::Equal, size, infinity);
            truth(b, mask)
        }
        Unary::Activation(activation) => self::activation(b, activation, x),
    }
}

/// An activation as vector code.
pub(crate) fn activation(b: &mut Block, activation: Activation, x: Val) -> Val {
    match activation {
        Activation::None => x,
        Activation::Relu => {
            let zero = b.number(0.0);
            b.max(x, zero)
        }
        Activation::Clip { min, max } => b.clamp(x, min, max),
        Activation::LeakyRelu(slope) => {
            let slope = b.number(slope);
            binary(b, Binary::PRelu, x, slope)
        }
        Activation::HardSwish => {
            let gate = hard_sigmoid(b, x, 1.0 / 6.0, 0.5);
            b.mul(x, gate)
        }
        Activation::HardSigmoid { alpha, beta } => hard_sigmoid(b, x, alpha, beta),
        Activation::Sigmoid => math::sigmoid(b, x),
        Activation::Silu => {
            let gate = math::sigmoid(b, x);
            b.mul(x, gate)
        }
        Activation::Tanh => math::tanh(b, x),
        Activation::Gelu => math::gelu(b, x),
    }
}

fn hard_sigmoid(b: &mut Block, x: Val, alpha: f32, beta: f32) -> Val {
    let (alpha, beta) = (b.number(alpha), b.number(beta));
    let line = b.mul_add(beta, x, alpha);
    b.clamp(line, 0.0, 1.0)
}

fn elu(b: &mut Block, x: Val, alpha: f32, gamma: f32) -> Val {
    let zero = b.number(0.0);
    let low = b.min(x, zero);
    let e = math::exp_bounded(b, low);
    let one = b.number(1.0);
    let e = b.sub(e, one);
    let alpha = b.number(alpha * gamma);
    let negative = b.mul(e, alpha);
    let gamma = b.number(gamma);
    let positive = b.mul(x, gamma);
    let below = b.two(Op2::Greater, zero, x);
    b.select(below, negative, positive)
}

fn binary(b: &mut Block, op: Binary, x: Val, y: Val) -> Val {
    let mask = match op {
        Binary::Add => return b.add(x, y),
        Binary::Sub => return b.sub(x, y),
        Binary::Mul => return b.mul(x, y),
        Binary::Div => return b.div(x, y),
        Binary::Max => return b.max(x, y),
        Binary::Min => return b.min(x, y),
        Binary::Pow => return math::pow(b, x, y),
        Binary::PRelu => {
            let zero = b.number(0.0);
            let scaled = b.mul(x, y);
            let below = b.two(Op2::Greater, zero, x);
            return b.select(below, scaled, x);
        }
        Binary::Equal => b.two(Op2::Equal, x, y),
        Binary::Greater => b.two(Op2::Greater, x, y),
        Binary::GreaterOrEqual => b.two(Op2::GreaterEqual, x, y),
        Binary::Less => b.two(Op2::Greater, y, x),
        Binary::LessOrEqual => b.two(Op2::GreaterEqual, y, x),
        Binary::And | Binary::Or | Binary::Xor => {
            let zero = b.number(0.0);
            let (x, y) = (b.two(Op2::Equal, x, zero), b.two(Op2::Equal, y, zero));
            let (x, y) = (b.one(Op1::Not, x), b.one(Op1::Not, y));
            let op = match op {
                Binary::And => Op2::And,
                Binary::Or => Op2::Or,
                _ => Op2::Xor,
            };
            b.two(op, x, y)
        }
    };
    truth(b, mask)
}
