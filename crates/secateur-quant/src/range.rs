//! From the spread of a value's elements to a scale and a zero point.

use secateur_calib::Histogram;
use secateur_diag::{Code, Result, diag};
use serde::Serialize;

/// How much of a range is kept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// All of it.
    MinMax,
    /// All but this share of the elements, half of it on each side; in 0..1.
    Percentile(f64),
    /// What gives the least mean square error.
    Mse,
    /// What gives the least relative entropy (Migacz, "8-bit inference with TensorRT", 2017).
    Entropy,
}

/// The integers that stand for activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Activations {
    /// -128 to 127.
    Int8,
    /// 0 to 255.
    Uint8,
}

impl Activations {
    /// The least and the greatest integer.
    pub fn bounds(self) -> (i64, i64) {
        match self {
            Self::Int8 => (-128, 127),
            Self::Uint8 => (0, 255),
        }
    }
}

/// `x ≈ (q - zero) * scale`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scale {
    /// Positive and not subnormal.
    pub scale: f32,
    /// The integer that stands for zero.
    pub zero: i64,
}

/// The grid whose ends are `min` and `max`, moved so that zero is on it. A range of nothing gets a scale of one.
fn grid(min: f64, max: f64, to: Activations, power_of_two: bool) -> Scale {
    let (least, most) = to.bounds();
    let (min, max) = (min.min(0.0), max.max(0.0));
    let mut scale = (max - min) / (most - least) as f64;
    if scale <= 0.0 {
        return Scale { scale: 1.0, zero: if min < 0.0 { most } else { least } };
    }
    scale = scale.max(f64::from(f32::MIN_POSITIVE));
    if power_of_two {
        scale = scale.log2().ceil().exp2();
    }
    let scale = scale as f32;
    let zero = (least as f64 - min / f64::from(scale)).round_ties_even() as i64;
    Scale { scale, zero: zero.clamp(least, most) }
}

/// The scale for a value with this histogram.
///
/// # Errors
/// `Q001` for a range that f32 cannot hold.
pub fn choose(h: &Histogram, method: Method, to: Activations, power_of_two: bool) -> Result<Scale> {
    if h.count() == 0 {
        return Ok(grid(0.0, 0.0, to, power_of_two));
    }
    let (min, max) = (f64::from(h.min).min(0.0), f64::from(h.max).max(0.0));
    if (max - min) > f64::from(f32::MAX) {
        return Err(
            diag(Code::Q001, "a range is too wide to be quantized").at("range", format!("{min} to {max}"))
        );
    }
    let of = |min, max| grid(min, max, to, power_of_two);
    Ok(match method {
        Method::MinMax => of(min, max),
        Method::Percentile(out) => {
            let drop = h.count() as f64 * out / 2.0;
            let end = |mut bins: Box<dyn Iterator<Item = (f64, u64)> + '_>| {
                let mut passed = 0.0;
                bins.by_ref().find(|(_, n)| {
                    passed += *n as f64;
                    passed > drop
                })
            };
            let low = end(Box::new(h.bins())).map_or(min, |b| b.0.max(min));
            let high =
                end(Box::new(h.bins().collect::<Vec<_>>().into_iter().rev())).map_or(max, |b| b.0.min(max));
            of(low, high)
        }
        Method::Mse => best(h, min, max, of, |s| square_error(h, s, to)),
        Method::Entropy => best(h, min, max, of, |s| divergence(h, s, to)),
    })
}

/// The grid of the least `cost` among ends drawn in to shares of the range.
fn best(
    h: &Histogram,
    min: f64,
    max: f64,
    of: impl Fn(f64, f64) -> Scale,
    cost: impl Fn(Scale) -> f64,
) -> Scale {
    const STEPS: usize = 60;
    let mut found = (f64::INFINITY, of(min, max));
    // Ends one after the other: a long tail is as a rule on one side.
    let share = |i: usize| 1.0 - i as f64 / (STEPS as f64 * 1.15);
    let (mut low, mut high) = (min, max);
    for round in 0..2 {
        let (start_low, start_high) = (low, high);
        for side in [0, 1] {
            for i in 0..STEPS {
                let (l, u) = match side {
                    0 => (low, share(i) * if round == 0 { max } else { start_high }),
                    _ => (share(i) * if round == 0 { min } else { start_low }, high),
                };
                let s = of(l, u);
                let c = cost(s);
                if c < found.0 {
                    found = (c, s);
                    (low, high) = (l, u);
                }
            }
        }
    }
    debug_assert!(h.count() == 0 || found.0.is_finite());
    found.1
}

fn nearest(x: f64, s: Scale, to: Activations) -> f64 {
    let (least, most) = to.bounds();
    let q = (x / f64::from(s.scale)).round_ties_even() + s.zero as f64;
    (q.clamp(least as f64, most as f64) - s.zero as f64) * f64::from(s.scale)
}

fn square_error(h: &Histogram, s: Scale, to: Activations) -> f64 {
    // Within a bin elements spread evenly, which adds the same for every grid and is left out.
    h.bins().map(|(x, n)| (x - nearest(x, s, to)).powi(2) * n as f64).sum()
}

/// Relative entropy of the clipped distribution to what its bins become when each step of the grid spreads its count
/// evenly over those of its bins that are not empty.
fn divergence(h: &Histogram, s: Scale, to: Activations) -> f64 {
    let (least, most) = to.bounds();
    let (low, high) =
        ((least - s.zero) as f64 * f64::from(s.scale), (most - s.zero) as f64 * f64::from(s.scale));
    let mut steps = vec![(0.0f64, 0.0f64); (most - least + 1) as usize];
    let index = |x: f64| {
        let q = (x / f64::from(s.scale)).round_ties_even() as i64 + s.zero;
        (q.clamp(least, most) - least) as usize
    };
    let mut outside = [0.0; 2];
    let inner: Vec<(f64, f64)> = h
        .bins()
        .filter_map(|(x, n)| match x {
            x if x < low => {
                outside[0] += n as f64;
                None
            }
            x if x > high => {
                outside[1] += n as f64;
                None
            }
            x => Some((x, n as f64)),
        })
        .collect();
    for (x, n) in &inner {
        let step = &mut steps[index(*x)];
        (step.0, step.1) = (step.0 + n, step.1 + 1.0);
    }
    let kept: f64 = inner.iter().map(|b| b.1).sum();
    let total = kept + outside[0] + outside[1];
    if kept == 0.0 {
        return f64::MAX;
    }
    let last = inner.len() - 1;
    let term = |(i, (x, n)): (usize, &(f64, f64))| {
        // What is clipped counts at the ends of the reference alone.
        let p =
            (n + if i == 0 { outside[0] } else { 0.0 } + if i == last { outside[1] } else { 0.0 }) / total;
        let (count, bins) = steps[index(*x)];
        p * (p / (count / bins / kept)).ln()
    };
    inner.iter().enumerate().map(term).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[f32]) -> Histogram {
        let mut h = Histogram::default();
        assert!(h.add(values));
        h
    }

    #[test]
    fn zero_is_always_on_the_grid() {
        for (values, to) in [(&[3.0f32, 5.0][..], Activations::Int8), (&[-3.0, -5.0], Activations::Uint8)] {
            for method in [Method::MinMax, Method::Percentile(1e-4), Method::Mse, Method::Entropy] {
                let s = choose(&histogram(values), method, to, false).unwrap();
                let (least, most) = to.bounds();
                assert!(s.zero >= least && s.zero <= most && s.scale > 0.0, "{s:?}");
                assert_eq!(nearest(0.0, s, to), 0.0);
            }
        }
    }

    #[test]
    fn ranges_of_nothing_and_of_next_to_nothing() {
        for values in [&[0.0f32, 0.0][..], &[], &[1e-45], &[-1e-44, 1e-45]] {
            let s = choose(&histogram(values), Method::Mse, Activations::Int8, false).unwrap();
            assert!(s.scale.is_normal() && s.scale > 0.0, "{values:?} {s:?}");
        }
        let wide = histogram(&[-3e38, 3e38]);
        assert_eq!(choose(&wide, Method::MinMax, Activations::Int8, false).unwrap_err().code, Code::Q001);
    }

    #[test]
    fn powers_of_two_cover_the_range() {
        let s = choose(&histogram(&[-1.0, 2.9]), Method::MinMax, Activations::Int8, true).unwrap();
        assert_eq!(s.scale, 1.0 / 64.0);
    }

    #[test]
    fn a_far_element_is_clipped_where_that_costs_less() {
        let mut values: Vec<f32> = (0..20000).map(|i| i as f32 / 20000.0).collect();
        values.push(40.0);
        let h = histogram(&values);
        let of = |m| choose(&h, m, Activations::Uint8, false).unwrap().scale;
        assert!(of(Method::Percentile(1e-3)) < 0.01 && of(Method::MinMax) > 0.15);
        let cost =
            |m| square_error(&h, choose(&h, m, Activations::Uint8, false).unwrap(), Activations::Uint8);
        assert!(cost(Method::Mse) <= cost(Method::MinMax));
    }

    #[test]
    fn entropy_clips_a_far_element_of_an_uneven_distribution() {
        let mut values: Vec<f32> = (0..20000).map(|i| (i as f32 / 20000.0).powi(2)).collect();
        values.push(8.0);
        let of = |m| choose(&histogram(&values), m, Activations::Uint8, false).unwrap().scale;
        assert!(of(Method::Entropy) < of(Method::MinMax));
    }
}
