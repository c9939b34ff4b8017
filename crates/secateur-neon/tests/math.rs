//! The largest errors of the functions, against f64, as their documentation states them.

use secateur_neon::{Activation, Program, Unary};

/// f32 numbers of both signs from `low` to `high` in size, evenly in their bits, `count` of each sign.
fn numbers(low: f32, high: f32, count: u32) -> impl Iterator<Item = f32> {
    let (low, high) = (low.to_bits(), high.to_bits());
    let step = (high - low) as f64 / count as f64;
    (0..=count).map(move |i| f32::from_bits(low + (i as f64 * step) as u32)).flat_map(|x| [x, -x])
}

/// The largest distance in ulp of the exact result, and where.
fn worst(unary: Unary, arguments: impl Iterator<Item = f32>, exact: impl Fn(f64) -> f64) -> (f64, f32) {
    let program = Program::unary(unary);
    let mut worst = (0.0, 0.0);
    for x in arguments {
        let found = program.eval(&[x]).unwrap() as f64;
        let expected = exact(x as f64);
        let size = (expected.abs() as f32).max(f32::MIN_POSITIVE);
        let ulp = (f32::from_bits(size.to_bits() + 1) - size) as f64;
        let error = (found - expected).abs() / ulp;
        if error > worst.0 {
            worst = (error, x);
        }
    }
    println!("{unary:?}: {:.3} ulp at {:e}", worst.0, worst.1);
    worst
}

const COUNT: u32 = 100_000;

fn erf(x: f64) -> f64 {
    // Maclaurin series; enough terms for |x| up to 4, beyond which it is 1 to f32's precision.
    if x.abs() > 4.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..120 {
        term *= -x * x / n as f64;
        sum += term / (2 * n + 1) as f64;
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

#[test]
fn exp_is_within_one_ulp() {
    let normal = numbers(1e-10, 87.3, COUNT).chain([88.5, 88.7]);
    let (error, at) = worst(Unary::Exp, normal, f64::exp);
    assert!(error <= 1.0, "{error} at {at}");
    let program = Program::unary(Unary::Exp);
    let exp = |x: f32| program.eval(&[x]).unwrap();
    assert_eq!((exp(89.0), exp(f32::INFINITY)), (f32::INFINITY, f32::INFINITY));
    assert_eq!((exp(-104.5), exp(f32::NEG_INFINITY), exp(0.0)), (0.0, 0.0, 1.0));
    assert_eq!(exp(-100.0), (-100f32).exp());
    assert!(exp(f32::NAN).is_nan());
}

#[test]
fn log_is_within_one_ulp() {
    let (error, at) = worst(Unary::Log, numbers(1e-44, f32::MAX, COUNT).filter(|x| *x > 0.0), f64::ln);
    assert!(error <= 1.0, "{error} at {at}");
    let (error, at) = worst(Unary::Log, numbers(0.5, 2.0, COUNT).filter(|x| *x > 0.0), f64::ln);
    assert!(error <= 1.0, "{error} at {at}");
    let log = |x: f32| Program::unary(Unary::Log).eval(&[x]).unwrap();
    assert_eq!(
        (log(0.0), log(-0.0), log(f32::INFINITY)),
        (f32::NEG_INFINITY, f32::NEG_INFINITY, f32::INFINITY)
    );
    assert!(log(-1.0).is_nan() && log(f32::NAN).is_nan());
}

#[test]
fn sigmoid_is_within_two_and_a_half_ulp() {
    let sigmoid = Unary::Activation(Activation::Sigmoid);
    let (error, at) = worst(sigmoid, numbers(1e-10, 87.0, COUNT), |x| 1.0 / (1.0 + (-x).exp()));
    assert!(error <= 2.5, "{error} at {at}");
    let value = |x: f32| Program::unary(sigmoid).eval(&[x]).unwrap();
    assert_eq!(value(f32::INFINITY), 1.0);
    assert!(value(f32::NEG_INFINITY) < 2e-38);
}

#[test]
fn tanh_is_within_five_ulp() {
    let tanh = Unary::Activation(Activation::Tanh);
    let (error, at) = worst(tanh, numbers(1e-10, 50.0, COUNT), f64::tanh);
    assert!(error <= 5.0, "{error} at {at}");
}

#[test]
fn erf_is_within_six_ulp() {
    let (error, at) = worst(Unary::Erf, numbers(1e-10, 50.0, COUNT), erf);
    assert!(error <= 6.0, "{error} at {at}");
}

#[test]
fn sin_and_cos_are_within_two_ulp() {
    type Function = fn(f64) -> f64;
    for (unary, exact) in [(Unary::Sin, f64::sin as Function), (Unary::Cos, f64::cos)] {
        let (error, at) = worst(unary, numbers(1e-10, 1000.0, COUNT), exact);
        assert!(error <= 2.0, "{unary:?}: {error} at {at}");
        // Beside the zeros the result is small and π has to be exact.
        let near = (0..600).map(|k| (k as f64 * std::f64::consts::FRAC_PI_2) as f32).flat_map(|x| [x, -x]);
        let (error, at) = worst(unary, near, exact);
        assert!(error <= 2.0, "{unary:?}: {error} at {at}");
        let value = |x: f32| Program::unary(unary).eval(&[x]).unwrap();
        for x in numbers(1000.0, 10_000.0, COUNT) {
            let error = (value(x) as f64 - exact(x as f64)).abs();
            assert!(error <= 1.5e-7, "{unary:?}: {error:e} at {x}");
        }
        assert!(numbers(1e4, f32::MAX, COUNT).all(|x| value(x).abs() <= 1.0));
        assert!(value(f32::INFINITY).is_nan() && value(f32::NAN).is_nan());
    }
}

/// The largest error relative to the larger of |x| and 1.
fn absolute(unary: Unary, high: f32, exact: impl Fn(f64) -> f64) -> f64 {
    let program = Program::unary(unary);
    let error =
        |x: f32| (program.eval(&[x]).unwrap() as f64 - exact(x as f64)).abs() / (x.abs() as f64).max(1.0);
    let worst = numbers(1e-10, high, COUNT).map(error).fold(0.0, f64::max);
    println!("{unary:?}: {worst:e}");
    worst
}

#[test]
fn gelu_is_as_exact_as_its_definition() {
    let gelu = Unary::Activation(Activation::Gelu);
    let error = absolute(gelu, 60.0, |x| x * (1.0 + erf(x / 2f64.sqrt())) / 2.0);
    assert!(error <= 3e-7, "{error:e}");
    let exact =
        |x: f64| x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh()) / 2.0;
    let error = absolute(Unary::GeluTanh, 60.0, exact);
    assert!(error <= 3e-7, "{error:e}");
}

#[test]
fn softplus_and_elu() {
    let error = absolute(Unary::Softplus, 80.0, |x| x.exp().ln_1p());
    assert!(error <= 2e-7, "{error:e}");
    let error = absolute(Unary::Elu(1.0), 80.0, |x| if x < 0.0 { x.exp_m1() } else { x });
    assert!(error <= 2e-7, "{error:e}");
    let silu = Unary::Activation(Activation::Silu);
    let error = absolute(silu, 80.0, |x| x / (1.0 + (-x).exp()));
    assert!(error <= 2e-7, "{error:e}");
}

#[test]
fn pow_grows_with_its_exponent() {
    let program = Program::binary(secateur_neon::Binary::Pow);
    let pow = |x: f32, y: f32| program.eval(&[x, y]).unwrap();
    for x in numbers(1e-4, 1e4, 3000).filter(|x| *x > 0.0) {
        for y in [-2.5, -1.0, 0.0, 0.3, 0.5, 1.0, 2.0, 3.7] {
            let exact = (x as f64).powf(y as f64);
            let bound = (1.5 + (y as f64 * (x as f64).ln()).abs()) * 1.2e-7;
            let error = (pow(x, y) as f64 / exact - 1.0).abs();
            assert!(error <= bound, "{x}^{y}: {error:e} over {bound:e}");
        }
    }
    assert_eq!((pow(0.0, 0.0), pow(0.0, 2.0), pow(f32::INFINITY, 0.0)), (1.0, 0.0, 1.0));
    assert_eq!(pow(0.0, -1.0), f32::INFINITY);
    let close =
        |found: f32, expected: f32| assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
    close(pow(-2.0, 2.0), 4.0);
    close(pow(-2.0, 3.0), -8.0);
    close(pow(-2.0, -3.0), -0.125);
    assert!(pow(-2.0, 0.5).is_nan());
}
