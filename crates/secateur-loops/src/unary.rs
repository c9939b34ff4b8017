//! Functions of one number: activations and the rest, with their reference values.

use std::fmt;

/// A function of one number, as ONNX defines it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // named as in ONNX
pub enum Unary {
    Relu,
    Clip {
        min: f32,
        max: f32,
    },
    HardSwish,
    HardSigmoid {
        alpha: f32,
        beta: f32,
    },
    Sigmoid,
    /// `x·σ(x)`.
    Silu,
    Tanh,
    /// By the error function.
    Gelu,
    /// By the hyperbolic tangent.
    GeluTanh,
    LeakyRelu {
        alpha: f32,
    },
    Elu {
        alpha: f32,
    },
    Selu {
        alpha: f32,
        gamma: f32,
    },
    Celu {
        alpha: f32,
    },
    Softplus,
    Softsign,
    Mish,
    ThresholdedRelu {
        alpha: f32,
    },
    Erf,
    Exp,
    Log,
    Sqrt,
    Reciprocal,
    Neg,
    Abs,
    Sign,
    Floor,
    Ceil,
    /// To even.
    Round,
    /// Towards zero.
    Trunc,
    Sin,
    Cos,
    Not,
    /// `scale·x + shift`.
    Affine {
        scale: f32,
        shift: f32,
    },
    /// `x` to a constant power.
    Pow {
        exponent: f32,
    },
    /// 1 where `x` is not 0, else 0.
    Bool,
}

impl Unary {
    /// The reference value, computed in `f64`.
    pub fn eval(self, x: f32) -> f32 {
        let d = f64::from(x);
        let sigmoid = |d: f64| 1.0 / (1.0 + (-d).exp());
        let of = |v: f64| v as f32;
        match self {
            Unary::Relu => x.max(0.0),
            Unary::Clip { min, max } => x.max(min).min(max),
            Unary::HardSwish => of(d * (d / 6.0 + 0.5).clamp(0.0, 1.0)),
            Unary::HardSigmoid { alpha, beta } => {
                of((f64::from(alpha) * d + f64::from(beta)).clamp(0.0, 1.0))
            }
            Unary::Sigmoid => of(sigmoid(d)),
            Unary::Silu => of(d * sigmoid(d)),
            Unary::Tanh => of(d.tanh()),
            Unary::Gelu => of(0.5 * d * (1.0 + erf(d / std::f64::consts::SQRT_2))),
            Unary::GeluTanh => of(0.5
                * d
                * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (d + 0.044715 * d * d * d)).tanh())),
            Unary::LeakyRelu { alpha } => {
                if x < 0.0 {
                    alpha * x
                } else {
                    x
                }
            }
            Unary::Elu { alpha } => {
                if x < 0.0 {
                    of(f64::from(alpha) * d.exp_m1())
                } else {
                    x
                }
            }
            Unary::Selu { alpha, gamma } => {
                of(f64::from(gamma) * if x <= 0.0 { f64::from(alpha) * d.exp_m1() } else { d })
            }
            Unary::Celu { alpha } => {
                let a = f64::from(alpha);
                of(d.max(0.0) + (a * (d / a).exp_m1()).min(0.0))
            }
            Unary::Softplus => of(if d > 30.0 { d } else { d.exp().ln_1p() }),
            Unary::Softsign => of(d / (1.0 + d.abs())),
            Unary::Mish => of(d * if d > 30.0 { d } else { d.exp().ln_1p() }.tanh()),
            Unary::ThresholdedRelu { alpha } => {
                if x > alpha {
                    x
                } else {
                    0.0
                }
            }
            Unary::Erf => of(erf(d)),
            Unary::Exp => of(d.exp()),
            Unary::Log => of(d.ln()),
            Unary::Sqrt => x.sqrt(),
            Unary::Reciprocal => 1.0 / x,
            Unary::Neg => -x,
            Unary::Abs => x.abs(),
            Unary::Sign => {
                if x == 0.0 || x.is_nan() {
                    x
                } else {
                    x.signum()
                }
            }
            Unary::Floor => x.floor(),
            Unary::Ceil => x.ceil(),
            Unary::Round => x.round_ties_even(),
            Unary::Trunc => x.trunc(),
            Unary::Sin => of(d.sin()),
            Unary::Cos => of(d.cos()),
            Unary::Not => f32::from(x == 0.0),
            Unary::Affine { scale, shift } => scale * x + shift,
            Unary::Pow { exponent } => of(d.powf(f64::from(exponent))),
            Unary::Bool => f32::from(x != 0.0),
        }
    }
}

impl fmt::Display for Unary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unary::Clip { min, max } => write!(f, "Clip({min}, {max})"),
            Unary::HardSigmoid { alpha, beta } => write!(f, "HardSigmoid({alpha}, {beta})"),
            Unary::LeakyRelu { alpha } => write!(f, "LeakyRelu({alpha})"),
            Unary::Affine { scale, shift } => write!(f, "Affine({scale}, {shift})"),
            Unary::Pow { exponent } => write!(f, "Pow({exponent})"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// A chain applied to a number, first to last.
pub fn eval_chain(chain: &[Unary], x: f32) -> f32 {
    chain.iter().fold(x, |x, u| u.eval(x))
}

/// The error function to about 1e-15: its series for small arguments, the continued fraction of the complement for
/// large ones (Abramowitz and Stegun, 7.1.6 and 7.1.14).
pub fn erf(x: f64) -> f64 {
    let a = x.abs();
    let value = if a < 2.5 {
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term.abs() > 1e-17 * sum {
            n += 1.0;
            term *= 2.0 * a * a / (2.0 * n + 1.0);
            sum += term;
        }
        sum * (-a * a).exp() * 2.0 / std::f64::consts::PI.sqrt()
    } else if a < 6.0 {
        let mut f = a;
        for k in (1..=60).rev() {
            f = a + f64::from(k) / 2.0 / f;
        }
        1.0 - (-a * a).exp() / (f * std::f64::consts::PI.sqrt())
    } else {
        1.0
    };
    value.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_function() {
        for (x, y) in [
            (0.0, 0.0),
            (0.5, 0.5204998778130465),
            (1.0, 0.8427007929497149),
            (2.5, 0.999593047982555),
            (3.0, 0.9999779095030014),
        ] {
            assert!((erf(x) - y).abs() < 1e-14, "{x}");
            assert!((erf(-x) + y).abs() < 1e-14, "{x}");
        }
    }
}
