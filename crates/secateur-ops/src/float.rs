//! Elementwise operators as functions of floats, for constant evaluation.

use secateur_diag::Result;

use secateur_ir::graph::Node;

/// A function of one element of every input.
pub type FloatFn = Box<dyn Fn(&[f64]) -> f64>;

/// The larger, or the smaller, of all; NaN where any is.
fn extreme(x: &[f64], better: fn(f64, f64) -> bool) -> f64 {
    x.iter().copied().reduce(|m, v| if v.is_nan() || better(v, m) { v } else { m }).unwrap_or(f64::NAN)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `ln(1 + exp(x))` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// What the operator computes of floats, truth as 1 and 0; `None` for those not evaluated at compile time
/// (`Erf` and `Gelu` among them: the standard library has no error function).
pub fn float_fn(node: &Node, opset: i64) -> Result<Option<FloatFn>> {
    let attr = |name: &str, default: f32| Ok::<_, Box<_>>(f64::from(node.float(name)?.unwrap_or(default)));
    let truth = |b: bool| f64::from(u8::from(b));
    let unary: fn(f64) -> f64 = match node.op() {
        "Abs" => f64::abs,
        "Acos" => f64::acos,
        "Acosh" => f64::acosh,
        "Asin" => f64::asin,
        "Asinh" => f64::asinh,
        "Atan" => f64::atan,
        "Atanh" => f64::atanh,
        "Ceil" => f64::ceil,
        "Cos" => f64::cos,
        "Cosh" => f64::cosh,
        "Exp" => f64::exp,
        "Floor" => f64::floor,
        "HardSwish" => |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        "Log" => f64::ln,
        "Mish" => |x| x * softplus(x).tanh(),
        "Neg" => |x| -x,
        "Reciprocal" => |x| 1.0 / x,
        "Relu" => |x| if x < 0.0 { 0.0 } else { x },
        "Round" => f64::round_ties_even,
        "Sigmoid" => sigmoid,
        "Sign" => |x| {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                x
            }
        },
        "Sin" => f64::sin,
        "Sinh" => f64::sinh,
        "Softplus" => softplus,
        "Softsign" => |x| x / (1.0 + x.abs()),
        "Sqrt" => f64::sqrt,
        "Tan" => f64::tan,
        "Tanh" => f64::tanh,
        _ => return with_attributes(node, opset, &attr, truth),
    };
    Ok(Some(Box::new(move |x| unary(x[0]))))
}

fn with_attributes(
    node: &Node,
    opset: i64,
    attr: &dyn Fn(&str, f32) -> Result<f64>,
    truth: impl Fn(bool) -> f64 + Copy + 'static,
) -> Result<Option<FloatFn>> {
    // Selu's constants were given more digits in opset 6.
    let (selu_alpha, selu_gamma) = if opset < 6 { (1.6732, 1.0507) } else { (1.673_263_2, 1.050_701) };
    Ok(Some(match node.op() {
        "Celu" => {
            let alpha = attr("alpha", 1.0)?;
            Box::new(move |x| if x[0] < 0.0 { alpha * (x[0] / alpha).exp_m1() } else { x[0] })
        }
        "Elu" => {
            let alpha = attr("alpha", 1.0)?;
            Box::new(move |x| if x[0] < 0.0 { alpha * x[0].exp_m1() } else { x[0] })
        }
        "HardSigmoid" => {
            let (alpha, beta) = (attr("alpha", 0.2)?, attr("beta", 0.5)?);
            Box::new(move |x| (alpha * x[0] + beta).clamp(0.0, 1.0))
        }
        "LeakyRelu" => {
            let alpha = attr("alpha", 0.01)?;
            Box::new(move |x| if x[0] < 0.0 { alpha * x[0] } else { x[0] })
        }
        "Selu" => {
            let (alpha, gamma) = (attr("alpha", selu_alpha)?, attr("gamma", selu_gamma)?);
            Box::new(move |x| gamma * if x[0] > 0.0 { x[0] } else { alpha * x[0].exp_m1() })
        }
        "Shrink" => {
            let (bias, lambd) = (attr("bias", 0.0)?, attr("lambd", 0.5)?);
            Box::new(move |x| match x[0] {
                v if v < -lambd => v + bias,
                v if v > lambd => v - bias,
                _ => 0.0,
            })
        }
        "Swish" => {
            let alpha = attr("alpha", 1.0)?;
            Box::new(move |x| x[0] * sigmoid(alpha * x[0]))
        }
        "ThresholdedRelu" => {
            let alpha = attr("alpha", 1.0)?;
            Box::new(move |x| if x[0] > alpha { x[0] } else { 0.0 })
        }
        "IsNaN" => Box::new(move |x| truth(x[0].is_nan())),
        "IsInf" => {
            let (neg, pos) =
                (node.int_or("detect_negative", 1)? != 0, node.int_or("detect_positive", 1)? != 0);
            Box::new(move |x| truth(x[0].is_infinite() && if x[0] < 0.0 { neg } else { pos }))
        }
        "Add" => Box::new(|x| x[0] + x[1]),
        "Sub" => Box::new(|x| x[0] - x[1]),
        "Mul" => Box::new(|x| x[0] * x[1]),
        "Div" => Box::new(|x| x[0] / x[1]),
        "Pow" => Box::new(|x| x[0].powf(x[1])),
        "PRelu" => Box::new(|x| if x[0] < 0.0 { x[0] * x[1] } else { x[0] }),
        // Python's remainder is defined for integers alone.
        "Mod" if node.int_or("fmod", 0)? != 0 => Box::new(|x| x[0] % x[1]),
        "Max" => Box::new(|x| extreme(x, |a, b| a > b)),
        "Min" => Box::new(|x| extreme(x, |a, b| a < b)),
        "Sum" => Box::new(|x| x.iter().sum()),
        "Mean" => Box::new(|x| x.iter().sum::<f64>() / x.len() as f64),
        "Equal" => Box::new(move |x| truth(x[0] == x[1])),
        "Less" => Box::new(move |x| truth(x[0] < x[1])),
        "LessOrEqual" => Box::new(move |x| truth(x[0] <= x[1])),
        "Greater" => Box::new(move |x| truth(x[0] > x[1])),
        "GreaterOrEqual" => Box::new(move |x| truth(x[0] >= x[1])),
        _ => return Ok(None),
    }))
}
