//! How far a value is from the stored one.

use half::{bf16, f16};
use secateur_ir::{Data, ElemType, Tensor};

use crate::value::describe;
use crate::{Outcome, Value};

/// What two numbers may be apart.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Of the stored number.
    pub relative: f64,
    /// Of the largest number of the tensor.
    pub of_largest: f64,
}

impl Default for Allowed {
    /// What the onnx package allows its backends, and the rounding of sums in another order.
    fn default() -> Self {
        Allowed { relative: 1e-3, of_largest: 1e-6 }
    }
}

impl Allowed {
    /// Numbers of a type of few digits may be off by one in their last place.
    fn of(self, elem: ElemType) -> Allowed {
        let place: f64 = match elem {
            ElemType::F16 => 1.0 / 1024.0,
            ElemType::Bf16 => 1.0 / 128.0,
            _ => 0.0,
        };
        Allowed { relative: self.relative.max(place), ..self }
    }
}

/// Compares outputs with stored ones: floating numbers up to what is allowed, all else exactly.
pub fn compare(found: &[Value], stored: &[Value], allowed: Allowed) -> Outcome {
    if found.len() != stored.len() {
        return Outcome::differs(
            "number of outputs",
            format!("{} outputs, not {}", found.len(), stored.len()),
        );
    }
    for (i, (f, s)) in found.iter().zip(stored).enumerate() {
        if let Err((reason, detail)) = value(f, s, allowed) {
            return Outcome::differs(reason, format!("output {i}: {detail}"));
        }
    }
    Outcome::Agrees
}

type Difference = (&'static str, String);

fn value(found: &Value, stored: &Value, allowed: Allowed) -> Result<(), Difference> {
    let kind = || Err(("kind of value", format!("{}, not {}", found.describe(), stored.describe())));
    match (found, stored) {
        (Value::Tensor(f), Value::Tensor(s)) => tensor(f, s, allowed),
        (Value::Sequence(f), Value::Sequence(s)) if f.len() == s.len() => {
            f.iter().zip(s).try_for_each(|(f, s)| value(f, s, allowed))
        }
        (Value::Optional(f), Value::Optional(s)) => match (f, s) {
            (None, None) => Ok(()),
            (Some(f), Some(s)) => value(f, s, allowed),
            _ => kind(),
        },
        _ => kind(),
    }
}

fn tensor(found: &Tensor, stored: &Tensor, allowed: Allowed) -> Result<(), Difference> {
    if (found.elem, &found.dims) != (stored.elem, &stored.dims) {
        let what = if found.elem == stored.elem { "shape" } else { "element type" };
        return Err((what, format!("{}, not {}", describe(found), describe(stored))));
    }
    match (floats(found), floats(stored)) {
        (Some(f), Some(s)) => numbers(&f, &s, stored, allowed.of(stored.elem)),
        _ => exact(found, stored),
    }
}

/// The elements of a floating type, parts of complex ones one after the other; `None` for other types.
pub(crate) fn floats(t: &Tensor) -> Option<Vec<f64>> {
    let b = t.bytes()?;
    let single = |c: &[u8]| f64::from(f32::from_le_bytes(c.try_into().unwrap()));
    let double = |c: &[u8]| f64::from_le_bytes(c.try_into().unwrap());
    let half = |c: &[u8]| f16::from_le_bytes(c.try_into().unwrap()).to_f64();
    let brain = |c: &[u8]| bf16::from_le_bytes(c.try_into().unwrap()).to_f64();
    Some(match t.elem {
        ElemType::F32 | ElemType::C64 => b.chunks_exact(4).map(single).collect(),
        ElemType::F64 | ElemType::C128 => b.chunks_exact(8).map(double).collect(),
        ElemType::F16 => b.chunks_exact(2).map(half).collect(),
        ElemType::Bf16 => b.chunks_exact(2).map(brain).collect(),
        _ => return None,
    })
}

fn numbers(found: &[f64], stored: &[f64], t: &Tensor, allowed: Allowed) -> Result<(), Difference> {
    if found.len() != stored.len() {
        return Err(("number of elements", format!("{} elements in {}", found.len(), describe(t))));
    }
    let largest = stored.iter().filter(|v| v.is_finite()).fold(0f64, |m, v| m.max(v.abs()));
    let floor = 1e-7 + allowed.of_largest * largest;
    let near = |f: f64, s: f64| {
        let close = s.is_finite() && (f - s).abs() <= floor + allowed.relative * s.abs();
        close || f == s || (f.is_nan() && s.is_nan())
    };
    let wrong: Vec<usize> = (0..found.len()).filter(|&i| !near(found[i], stored[i])).collect();
    let Some(&first) = wrong.first() else { return Ok(()) };
    let far = wrong.iter().map(|&i| (found[i] - stored[i]).abs()).fold(0f64, f64::max);
    Err((
        "values",
        format!(
            "{} of {} elements of {}, the first at {first}: {} instead of {}; the farthest is {far:.3e} off, the largest is {largest:.3e}\
             \n  found  {}\n  stored {}",
            wrong.len(),
            found.len(),
            describe(t),
            found[first],
            stored[first],
            shown(found, first),
            shown(stored, first),
        ),
    ))
}

/// Some elements around a place.
fn shown(v: &[f64], at: usize) -> String {
    let from = at.saturating_sub(2);
    let some: Vec<String> = v[from..].iter().take(10).map(|x| format!("{x:.6}")).collect();
    format!(
        "{}{}{}",
        if from > 0 { ".. " } else { "" },
        some.join(" "),
        if v.len() > from + 10 { " .." } else { "" }
    )
}

fn exact(found: &Tensor, stored: &Tensor) -> Result<(), Difference> {
    let equal = match (&found.data, &stored.data) {
        (Data::Bytes(f), Data::Bytes(s)) => f == s,
        (Data::Strings(f), Data::Strings(s)) => f == s,
        _ => false,
    };
    if equal {
        return Ok(());
    }
    let detail = match (found.to_i64(), stored.to_i64()) {
        (Some(f), Some(s)) if f.len() == s.len() => {
            let wrong: Vec<usize> = (0..f.len()).filter(|&i| f[i] != s[i]).collect();
            let first = wrong.first().copied().unwrap_or(0);
            let some =
                |v: &[i64]| v[first..].iter().take(10).map(i64::to_string).collect::<Vec<_>>().join(" ");
            format!(
                "{} of {} elements of {}, the first at {first}:\n  found  {}\n  stored {}",
                wrong.len(),
                f.len(),
                describe(stored),
                some(&f),
                some(&s)
            )
        }
        _ => format!("{}:\n  found  {:?}\n  stored {:?}", describe(stored), found.data, stored.data),
    };
    Err(("values", detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(found: Tensor, stored: Tensor) -> Outcome {
        compare(&[Value::Tensor(found)], &[Value::Tensor(stored)], Allowed::default())
    }

    #[test]
    fn floats_may_be_rounded_and_integers_may_not() {
        let t = |v: &[f32]| Tensor::f32(&[v.len()], v);
        assert_eq!(one(t(&[1.0005, f32::NAN, 1e-8]), t(&[1.0, f32::NAN, 0.0])), Outcome::Agrees);
        assert!(matches!(one(t(&[1.002]), t(&[1.0])), Outcome::Differs { .. }));
        assert!(matches!(one(t(&[f32::NAN]), t(&[1.0])), Outcome::Differs { .. }));
        assert!(matches!(one(t(&[f32::INFINITY]), t(&[f32::NEG_INFINITY])), Outcome::Differs { .. }));
        assert!(
            matches!(one(t(&[1.0]), Tensor::f32(&[1, 1], &[1.0])), Outcome::Differs { reason, .. } if reason == "shape")
        );
        let i = |v| Tensor::i64(&[1], &[v]);
        assert_eq!(one(i(1000), i(1000)), Outcome::Agrees);
        assert!(matches!(one(i(1001), i(1000)), Outcome::Differs { .. }));
        assert!(matches!(one(i(1), t(&[1.0])), Outcome::Differs { reason, .. } if reason == "element type"));
    }
}
