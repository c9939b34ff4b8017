//! Functions of one number as vector code.
//!
//! Each says its largest error in units in the last place (ulp) of the exact result, as the tests measure it over a dense
//! set of arguments. Coefficients are our own fits: minimax by Lawson's iteration (C. L. Lawson, 1961), least squares with
//! weights that grow where the error is large, rounded to f32.

use crate::block::{Block, Op1, Op2, Val};

/// ln 2 in two parts; the first has few bits, so that a small multiple of it is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// `x = n ln 2 + r`: gives `n` (integral, as f32) and `exp(r)`.
fn exp_parts(b: &mut Block, x: Val) -> (Val, Val) {
    let per_ln2 = b.number(std::f32::consts::LOG2_E);
    let scaled = b.mul(x, per_ln2);
    let n = b.one(Op1::RoundEven, scaled);
    let (high, low) = (b.number(LN2_HIGH), b.number(LN2_LOW));
    let r = b.mul_sub(x, n, high);
    let r = b.mul_sub(r, n, low);
    let q = b.polynomial(r, &[0.499_999_94, 0.166_665_2, 4.166_839_3e-2, 8.368_781e-3, 1.381_446_5e-3]);
    // 1 + (r + r² q): the large term last.
    let square = b.mul(r, r);
    let tail = b.mul_add(r, square, q);
    let one = b.number(1.0);
    (n, b.add(one, tail))
}

/// `2^n` for an integral `n` from -126 to 127, given as i32.
fn power_of_two(b: &mut Block, n: Val) -> Val {
    let shifted = b.one(Op1::ShiftLeft(23), n);
    let one = b.number(1.0);
    b.two(Op2::AddInt, shifted, one)
}

/// `exp(x)`, within 1.0 ulp; overflows to infinity, underflows gradually to zero, keeps NaN.
pub(crate) fn exp(b: &mut Block, x: Val) -> Val {
    let x = b.clamp(x, -104.0, 89.0);
    let (n, e) = exp_parts(b, x);
    // n may be down to -150 or 128: scale in two steps.
    let n = b.one(Op1::ToInt, n);
    let half = b.one(Op1::ShiftRightSigned(1), n);
    let rest = b.two(Op2::SubInt, n, half);
    let (first, second) = (power_of_two(b, half), power_of_two(b, rest));
    let e = b.mul(e, first);
    b.mul(e, second)
}

/// `exp(x)` for `x` known to lie below 88 (softmax: 0), within 1.0 ulp where the result is above 1.2e-38; arguments below
/// -87 give `exp(-87)` = 1.6e-38. NaN stays.
pub(crate) fn exp_bounded(b: &mut Block, x: Val) -> Val {
    let low = b.number(-87.0);
    let x = b.max(x, low);
    let (n, e) = exp_parts(b, x);
    // e * 2^n by adding to the exponent: the result is a normal number.
    let n = b.one(Op1::ToInt, n);
    let shifted = b.one(Op1::ShiftLeft(23), n);
    b.two(Op2::AddInt, e, shifted)
}

/// `1 / (1 + exp(-x))`, within 2.5 ulp down to -87; below that 1.6e-38.
pub(crate) fn sigmoid(b: &mut Block, x: Val) -> Val {
    let minus = b.one(Op1::Neg, x);
    let high = b.number(87.0);
    let minus = b.min(minus, high);
    let e = exp_bounded(b, minus);
    let one = b.number(1.0);
    let below = b.add(one, e);
    b.div(one, below)
}

/// `tanh(x)`, within 5 ulp: `x` times a rational function of `x²` of degrees 4 and 4.
pub(crate) fn tanh(b: &mut Block, x: Val) -> Val {
    let x = b.clamp(x, -9.02, 9.02);
    let z = b.mul(x, x);
    let above = b.polynomial(z, &[1.0, 1.337_972e-1, 3.494_036_4e-3, 2.058_349_1e-5, 1.331_905_5e-8]);
    let below = b.polynomial(z, &[1.0, 4.671_303_6e-1, 2.587_108_1e-2, 3.283_095e-4, 7.762_019e-7]);
    let above = b.mul(x, above);
    b.div(above, below)
}

/// `erf(x)`, within 6 ulp: `x` times a rational function of `x²` of degrees 5 and 5.
pub(crate) fn erf(b: &mut Block, x: Val) -> Val {
    let x = b.clamp(x, -3.95, 3.95);
    let z = b.mul(x, x);
    let above = b.polynomial(
        z,
        &[
            std::f32::consts::FRAC_2_SQRT_PI,
            1.915_505e-1,
            5.287_539e-2,
            3.808_146e-3,
            2.846_836e-4,
            2.025_858_7e-6,
        ],
    );
    let below =
        b.polynomial(z, &[1.0, 5.030_899e-1, 1.145_596_2e-1, 1.505_506_2e-2, 1.170_714_9e-3, 3.783_107e-5]);
    let above = b.mul(x, above);
    b.div(above, below)
}

/// `x (1 + erf(x / √2)) / 2`: the error is below 3e-7 of the larger of |x| and 1 (the sum cancels for negative x, as it
/// does in the definition).
pub(crate) fn gelu(b: &mut Block, x: Val) -> Val {
    let scale = b.number(std::f32::consts::FRAC_1_SQRT_2);
    let scaled = b.mul(x, scale);
    let e = erf(b, scaled);
    let half = b.number(0.5);
    let x = b.mul(x, half);
    b.mul_add(x, x, e)
}

/// The approximation of GELU with tanh: `x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2`.
pub(crate) fn gelu_tanh(b: &mut Block, x: Val) -> Val {
    let square = b.mul(x, x);
    let cubic = b.number(0.797_884_6 * 0.044_715);
    let linear = b.number(0.797_884_6);
    let inner = b.mul_add(linear, square, cubic);
    let inner = b.mul(inner, x);
    let t = tanh(b, inner);
    let half = b.number(0.5);
    let x = b.mul(x, half);
    b.mul_add(x, x, t)
}

/// `ln(x)`, within 1.0 ulp; -infinity at zero, NaN below, denormal arguments included.
pub(crate) fn log(b: &mut Block, x: Val) -> Val {
    // Denormals are brought into range by 2^23.
    let smallest = b.number(f32::MIN_POSITIVE);
    let small = b.two(Op2::Greater, smallest, x);
    let up = b.number(8_388_608.0);
    let grown = b.mul(x, up);
    let normal = b.select(small, grown, x);
    // x = 2^k (1 + f) with 1 + f between √½ and √2.
    let root_half = b.bits(std::f32::consts::FRAC_1_SQRT_2.to_bits());
    let above = b.two(Op2::SubInt, normal, root_half);
    let k = b.one(Op1::ShiftRightSigned(23), above);
    let whole = b.one(Op1::ShiftLeft(23), k);
    let mantissa = b.two(Op2::SubInt, normal, whole);
    let one = b.number(1.0);
    let f = b.sub(mantissa, one);
    let k = b.one(Op1::FromInt, k);
    let moved = b.number(23.0);
    let less = b.two(Op2::And, small, moved);
    let k = b.sub(k, less);
    // ln(1 + f) = f - (f²/2 - s (f²/2 + R)), s = f / (2 + f), R = s² times a polynomial in s².
    let two = b.number(2.0);
    let below = b.add(two, f);
    let s = b.div(f, below);
    let z = b.mul(s, s);
    let r = b.polynomial(z, &[0.666_666_6, 0.400_003_37, 0.285_371_7, 0.235_849_9]);
    let r = b.mul(r, z);
    let half = b.number(0.5);
    let square = b.mul(f, f);
    let half_square = b.mul(square, half);
    let r = b.add(half_square, r);
    let low = b.number(LN2_LOW);
    let tail = b.mul(k, low);
    let tail = b.mul_add(tail, s, r);
    let tail = b.sub(tail, half_square);
    let tail = b.add(tail, f);
    let high = b.number(LN2_HIGH);
    let y = b.mul_add(tail, k, high);
    // Zero, negative, infinite, NaN.
    let zero = b.number(0.0);
    let infinity = b.number(f32::INFINITY);
    let finite = b.two(Op2::Greater, infinity, x);
    let y = b.select(finite, y, x);
    let positive = b.two(Op2::GreaterEqual, x, zero);
    let nan = b.number(f32::NAN);
    let y = b.select(positive, y, nan);
    let at_zero = b.two(Op2::Equal, x, zero);
    let minus = b.number(f32::NEG_INFINITY);
    b.select(at_zero, minus, y)
}

/// `ln(1 + exp(x))` as `max(x, 0) + ln(1 + exp(-|x|))`.
pub(crate) fn softplus(b: &mut Block, x: Val) -> Val {
    let size = b.one(Op1::Abs, x);
    let minus = b.one(Op1::Neg, size);
    let e = exp_bounded(b, minus);
    let one = b.number(1.0);
    // ln(1 + e) loses e's low bits: what the sum dropped is divided out again.
    let sum = b.add(one, e);
    let l = log(b, sum);
    let kept = b.sub(sum, one);
    let lost = b.sub(e, kept);
    let lost = b.div(lost, sum);
    let l = b.add(l, lost);
    let zero = b.number(0.0);
    let positive = b.max(x, zero);
    b.add(positive, l)
}

/// `x^y` as `exp(y ln |x|)`, with the sign of an odd integral `y`; NaN for negative `x` and other `y`. The relative error
/// grows with the exponent: about `(1 + |y ln x|)` ulp.
pub(crate) fn pow(b: &mut Block, x: Val, y: Val) -> Val {
    let size = b.one(Op1::Abs, x);
    let l = log(b, size);
    let exponent = b.mul(y, l);
    let zero = b.number(0.0);
    // 0 · ±infinity: anything to the power 0 is 1.
    let none = b.two(Op2::Equal, y, zero);
    let exponent = b.select(none, zero, exponent);
    let e = exp(b, exponent);
    let whole = b.one(Op1::Truncate, y);
    let integral = b.two(Op2::Equal, whole, y);
    let half = b.number(0.5);
    let halved = b.mul(y, half);
    let half_whole = b.one(Op1::Truncate, halved);
    let even = b.two(Op2::Equal, half_whole, halved);
    let negated = b.one(Op1::Neg, e);
    let signed = b.select(even, e, negated);
    let nan = b.number(f32::NAN);
    let below = b.select(integral, signed, nan);
    let negative = b.two(Op2::Greater, zero, x);
    b.select(negative, below, e)
}

/// π in four parts. The first three have 8 and 11 bits, so that a multiple of them up to 2^13 is exact.
const PI_PARTS: [u32; 4] = [0x4049_0000, 0x3a7d_a000, 0x3422_2000, 0x2cb4_611a];

/// `sin(x)`, within 2.0 ulp for |x| up to 1000 and within 1.5e-7 up to 10,000. Beyond that π's parts are too short and the
/// error grows, but the result stays between -1 and 1. NaN for an infinity.
pub(crate) fn sin(b: &mut Block, x: Val) -> Val {
    half_turns(b, x, None)
}

/// `cos(x)`: the sine a quarter of a turn later, as exact as [`sin`].
pub(crate) fn cos(b: &mut Block, x: Val) -> Val {
    half_turns(b, x, Some(0.5))
}

/// `sin(x + shift π)`: `x = (n - shift) π + r`, then an odd polynomial of `r` with the sign of the parity of `n` (W. J. Cody
/// and W. Waite, Software Manual for the Elementary Functions, 1980, chapter 8).
fn half_turns(b: &mut Block, x: Val, shift: Option<f32>) -> Val {
    let per_pi = b.number(std::f32::consts::FRAC_1_PI);
    let shift = shift.map(|s| b.number(s));
    let turns = match shift {
        Some(shift) => b.mul_add(shift, x, per_pi),
        None => b.mul(x, per_pi),
    };
    let n = b.one(Op1::RoundEven, turns);
    let turns = shift.map_or(n, |shift| b.sub(n, shift));
    let mut r = x;
    for part in PI_PARTS {
        let part = b.bits(part);
        r = b.mul_sub(r, turns, part);
    }
    let r = b.clamp(r, -std::f32::consts::FRAC_PI_2, std::f32::consts::FRAC_PI_2);
    let square = b.mul(r, r);
    let q = b
        .polynomial(square, &[-0.166_666_67, 8.333_331e-3, -1.984_086_8e-4, 2.752_538_4e-6, -2.388_890_5e-8]);
    let cube = b.mul(r, square);
    let value = b.mul_add(r, cube, q);
    let n = b.one(Op1::ToInt, n);
    let sign = b.one(Op1::ShiftLeft(31), n);
    b.two(Op2::Xor, value, sign)
}
