//! Functions of one element.

use super::{Cx, Made, Make, Op};
use crate::array::Array;

/// A function and its derivative from argument and value.
struct Unary<F, D>(F, D);

impl<F: Fn(f32) -> f32 + Send + Sync, D: Fn(f32, f32) -> f32 + Send + Sync> Op for Unary<F, D> {
    fn forward(&self, x: &[&Array]) -> Vec<Array> {
        vec![Array::new(&x[0].shape, x[0].data.iter().map(|&x| self.0(x)).collect())]
    }

    fn backward(&self, x: &[&Array], y: &[Array], dy: &[Option<Array>], _: &[bool]) -> Vec<Option<Array>> {
        let all = |d: &Array| {
            let xy = x[0].data.iter().zip(y[0].data.iter());
            Array::new(&d.shape, d.data.iter().zip(xy).map(|(d, (&x, &y))| d * self.1(x, y)).collect())
        };
        vec![dy[0].as_ref().map(all)]
    }
}

fn of(
    f: impl Fn(f32) -> f32 + Send + Sync + 'static,
    d: impl Fn(f32, f32) -> f32 + Send + Sync + 'static,
) -> Option<Made> {
    Made::new(Unary(f, d), &[0])
}

fn step(on: bool) -> f32 {
    f32::from(u8::from(on))
}

fn bounded(low: f32, high: f32) -> Option<Made> {
    of(move |x| x.max(low).min(high), move |x, _| step(x > low && x < high))
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

fn clip(cx: &Cx) -> Option<Made> {
    let bound = |name: &str, input: usize, or: f32| match cx.has(input) {
        true => cx.floats(input)?.first().copied(),
        false => cx.float(name, or),
    };
    bounded(bound("min", 1, f32::NEG_INFINITY)?, bound("max", 2, f32::INFINITY)?)
}

fn leaky(cx: &Cx) -> Option<Made> {
    let a = cx.float("alpha", 0.01)?;
    of(move |x| if x < 0.0 { a * x } else { x }, move |x, _| if x < 0.0 { a } else { 1.0 })
}

fn elu(cx: &Cx) -> Option<Made> {
    let a = cx.float("alpha", 1.0)?;
    of(move |x| if x < 0.0 { a * libm::expm1f(x) } else { x }, move |x, y| if x < 0.0 { y + a } else { 1.0 })
}

fn hard_sigmoid(cx: &Cx) -> Option<Made> {
    let (a, b) = (cx.float("alpha", 0.2)?, cx.float("beta", 0.5)?);
    of(move |x| (a * x + b).clamp(0.0, 1.0), move |_, y| if y > 0.0 && y < 1.0 { a } else { 0.0 })
}

fn hard_swish(_: &Cx) -> Option<Made> {
    let gate = |x: f32| (x / 6.0 + 0.5).clamp(0.0, 1.0);
    of(move |x| x * gate(x), move |x, _| gate(x) + if x > -3.0 && x < 3.0 { x / 6.0 } else { 0.0 })
}

fn gelu(cx: &Cx) -> Option<Made> {
    if cx.node.string("approximate").ok()?.unwrap_or("none") != "none" {
        return None;
    }
    let half = std::f32::consts::FRAC_1_SQRT_2;
    let tail = 1.0 / (2.0 * std::f32::consts::PI).sqrt();
    let phi = move |x: f32| 0.5 * (1.0 + libm::erff(x * half));
    of(move |x| x * phi(x), move |x, _| phi(x) + x * tail * libm::expf(-0.5 * x * x))
}

/// A power with a constant exponent.
fn pow(cx: &Cx) -> Option<Made> {
    let e = cx.floats(1).filter(|e| e.len() == 1)?[0];
    match e {
        2.0 => of(|x| x * x, |x, _| 2.0 * x),
        0.5 => of(f32::sqrt, |_, y| 0.5 / y),
        _ => of(move |x| libm::powf(x, e), move |x, _| e * libm::powf(x, e - 1.0)),
    }
}

pub(super) const OPS: &[(&str, Make)] = &[
    ("Relu", |_| bounded(0.0, f32::INFINITY)),
    ("Clip", clip),
    ("LeakyRelu", leaky),
    ("Elu", elu),
    ("HardSigmoid", hard_sigmoid),
    ("HardSwish", hard_swish),
    ("Gelu", gelu),
    ("Pow", pow),
    ("Sigmoid", |_| of(sigmoid, |_, y| y * (1.0 - y))),
    ("Tanh", |_| of(libm::tanhf, |_, y| 1.0 - y * y)),
    ("Erf", |_| of(libm::erff, |x, _| std::f32::consts::FRAC_2_SQRT_PI * libm::expf(-x * x))),
    ("Exp", |_| of(libm::expf, |_, y| y)),
    ("Log", |_| of(libm::logf, |x, _| 1.0 / x)),
    ("Sqrt", |_| of(f32::sqrt, |_, y| 0.5 / y)),
    ("Reciprocal", |_| of(|x| 1.0 / x, |_, y| -y * y)),
    ("Neg", |_| of(|x| -x, |_, _| -1.0)),
    ("Abs", |_| of(f32::abs, |x, _| if x < 0.0 { -1.0 } else { step(x > 0.0) })),
    ("Softplus", |_| of(|x| libm::log1pf(libm::expf(x)), |x, _| sigmoid(x))),
];
