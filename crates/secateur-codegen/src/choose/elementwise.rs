//! Elementwise steps: one kernel that walks all operands with strides.

use secateur_diag::Result;
use secateur_neon::{self as neon, Activation};

use super::operands::Operands;
use super::{Candidate, Cx};
use crate::lower::unsupported;
use crate::op::{Binary, Op};
use crate::program::Step;
use crate::unary::Unary;

/// The chain as steps of a program, on top of the last one.
pub fn chain(program: &mut Vec<neon::Step>, chain: &[Unary]) -> Result<()> {
    for &u in chain {
        let x = program.len() - 1;
        unary(program, u, x)?;
    }
    Ok(())
}

fn unary(p: &mut Vec<neon::Step>, u: Unary, x: usize) -> Result<()> {
    use neon::{Binary as B, Unary as U};
    let act = |a| neon::Step::Unary(U::Activation(a), x);
    let plain = |u| neon::Step::Unary(u, x);
    let step = match u {
        Unary::Relu
        | Unary::Clip { .. }
        | Unary::HardSwish
        | Unary::HardSigmoid { .. }
        | Unary::Sigmoid
        | Unary::Silu
        | Unary::Tanh
        | Unary::Gelu
        | Unary::LeakyRelu { .. } => act(activation(u).unwrap_or(Activation::None)),
        Unary::GeluTanh => plain(U::GeluTanh),
        Unary::Elu { alpha } => plain(U::Elu(alpha)),
        Unary::Selu { alpha, gamma } => plain(U::Selu { alpha, gamma }),
        Unary::Softplus => plain(U::Softplus),
        Unary::Softsign => plain(U::Softsign),
        Unary::Erf => plain(U::Erf),
        Unary::Sin => plain(U::Sin),
        Unary::Cos => plain(U::Cos),
        Unary::Exp => plain(U::Exp),
        Unary::Log => plain(U::Log),
        Unary::Sqrt => plain(U::Sqrt),
        Unary::Reciprocal => plain(U::Reciprocal),
        Unary::Neg => plain(U::Neg),
        Unary::Abs => plain(U::Abs),
        Unary::Sign => plain(U::Sign),
        Unary::Floor => plain(U::Floor),
        Unary::Ceil => plain(U::Ceil),
        Unary::Round => plain(U::Round),
        Unary::Trunc => plain(U::Truncate),
        Unary::Not => plain(U::Not),
        Unary::Affine { scale, shift } => {
            let mut at = x;
            for (op, number, idle) in [(B::Mul, scale, 1.0), (B::Add, shift, 0.0)] {
                if number != idle {
                    p.push(neon::Step::Number(number));
                    p.push(neon::Step::Binary(op, at, p.len() - 1));
                    at = p.len() - 1;
                }
            }
            return Ok(());
        }
        Unary::Pow { exponent } => {
            p.push(neon::Step::Number(exponent));
            neon::Step::Binary(B::Pow, x, p.len() - 1)
        }
        Unary::Bool => {
            p.push(neon::Step::Unary(U::Not, x));
            neon::Step::Unary(U::Not, p.len() - 1)
        }
        Unary::Mish => {
            p.push(plain(U::Softplus));
            p.push(neon::Step::Unary(U::Activation(Activation::Tanh), p.len() - 1));
            neon::Step::Binary(B::Mul, x, p.len() - 1)
        }
        Unary::Celu { alpha } => {
            // alpha · elu(x / alpha) for negative x, x for others: elu of slope 1 scaled.
            p.push(neon::Step::Number(1.0 / alpha));
            p.push(neon::Step::Binary(B::Mul, x, p.len() - 1));
            p.push(neon::Step::Unary(U::Elu(1.0), p.len() - 1));
            p.push(neon::Step::Number(alpha));
            neon::Step::Binary(B::Mul, p.len() - 2, p.len() - 1)
        }
        Unary::ThresholdedRelu { alpha } => {
            p.push(neon::Step::Number(alpha));
            p.push(neon::Step::Binary(B::Greater, x, p.len() - 1));
            neon::Step::Binary(B::Mul, x, p.len() - 1)
        }
    };
    p.push(step);
    Ok(())
}

/// The function as an activation of an epilogue, where it is one.
pub fn activation(u: Unary) -> Option<Activation> {
    Some(match u {
        Unary::Relu => Activation::Relu,
        Unary::Clip { min, max } => Activation::Clip { min, max },
        Unary::HardSwish => Activation::HardSwish,
        Unary::HardSigmoid { alpha, beta } => Activation::HardSigmoid { alpha, beta },
        Unary::Sigmoid => Activation::Sigmoid,
        Unary::Silu => Activation::Silu,
        Unary::Tanh => Activation::Tanh,
        Unary::Gelu => Activation::Gelu,
        Unary::LeakyRelu { alpha } => Activation::LeakyRelu(alpha),
        _ => return None,
    })
}

fn binary(b: Binary) -> Option<neon::Binary> {
    Some(match b {
        Binary::Add => neon::Binary::Add,
        Binary::Sub => neon::Binary::Sub,
        Binary::Mul => neon::Binary::Mul,
        Binary::Div => neon::Binary::Div,
        Binary::Min => neon::Binary::Min,
        Binary::Max => neon::Binary::Max,
        Binary::Pow => neon::Binary::Pow,
        Binary::PRelu => neon::Binary::PRelu,
        Binary::Equal => neon::Binary::Equal,
        Binary::Less => neon::Binary::Less,
        Binary::LessOrEqual => neon::Binary::LessOrEqual,
        Binary::Greater => neon::Binary::Greater,
        Binary::GreaterOrEqual => neon::Binary::GreaterOrEqual,
        Binary::Mod => return None,
    })
}

pub fn candidates(cx: &Cx, step: &Step) -> Result<Vec<Candidate>> {
    let mut program = Vec::new();
    let mut inputs = Vec::new();
    let mut operands = Operands::default();
    for (i, v) in step.inputs.iter().enumerate() {
        program.push(match cx.p.scalar(v) {
            Some(s) => neon::Step::Number(s),
            None => {
                inputs.push(operands.input(cx, step, i, v)?);
                neon::Step::Input(inputs.len() - 1)
            }
        });
    }
    match &step.op {
        Op::Copy => {}
        Op::Fill(v) => program.push(neon::Step::Number(*v)),
        Op::Map(c) => chain(&mut program, c)?,
        Op::Binary(b, c) => {
            let b = binary(*b).ok_or_else(|| unsupported("this operator"))?;
            program.push(neon::Step::Binary(b, 0, 1));
            chain(&mut program, c)?;
        }
        Op::MulAdd(c) => {
            program.push(neon::Step::Binary(neon::Binary::Mul, 0, 1));
            program.push(neon::Step::Binary(neon::Binary::Add, 3, 2));
            chain(&mut program, c)?;
        }
        Op::Select => program.push(neon::Step::Where(0, 1, 2)),
        _ => return Err(unsupported("this step")),
    }
    let output = Operands::output(cx, &step.output)?;
    let spec =
        neon::Map { extents: step.output.dims.clone(), output, inputs, program: neon::Program(program) };
    Ok(vec![operands.candidate("elementwise", spec, true)])
}
