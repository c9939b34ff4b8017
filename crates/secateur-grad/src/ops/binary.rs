//! Arithmetic of two tensors that broadcast.

use super::{Cx, Made, Make, Op};
use crate::array::{Array, Broadcast};

/// Value, and derivatives by both operands from both.
struct Binary {
    value: fn(f32, f32) -> f32,
    left: fn(f32, f32) -> f32,
    right: fn(f32, f32) -> f32,
    /// Whether both derivatives are one.
    sum: bool,
    out: Vec<usize>,
}

impl Op for Binary {
    fn forward(&self, x: &[&Array]) -> Vec<Array> {
        let (a, b) = (&x[0].data, &x[1].data);
        let f = self.value;
        if x[0].shape == x[1].shape {
            return vec![Array::new(&self.out, a.iter().zip(b.iter()).map(|(a, b)| f(*a, *b)).collect())];
        }
        let mut out = Vec::with_capacity(self.out.iter().product());
        if let Some(walk) = Broadcast::new(&self.out, &[&x[0].shape, &x[1].shape]) {
            walk.runs(|n, at| {
                let ((i, s), (j, t)) = (at[0], at[1]);
                out.extend((0..n).map(|k| f(a[i + k * s], b[j + k * t])));
            });
        }
        vec![Array::new(&self.out, out)]
    }

    fn backward(&self, x: &[&Array], _: &[Array], dy: &[Option<Array>], want: &[bool]) -> Vec<Option<Array>> {
        let Some(d) = &dy[0] else { return vec![None, None] };
        if self.sum && x[0].shape == x[1].shape {
            return vec![Some(d.clone()), Some(d.clone())];
        }
        let of = |side: usize, f: fn(f32, f32) -> f32| {
            let mut out = vec![0.0; x[side].len()];
            let walk = Broadcast::new(&self.out, &[&x[0].shape, &x[1].shape])?;
            let (a, b) = (&x[0].data, &x[1].data);
            let mut from = 0;
            walk.runs(|n, at| {
                let ((i, s), (j, t)) = (at[0], at[1]);
                let (to, step) = at[side];
                let d = &d.data[from..from + n];
                if step == 0 {
                    out[to] += (0..n).map(|k| d[k] * f(a[i + k * s], b[j + k * t])).sum::<f32>();
                } else {
                    for k in 0..n {
                        out[to + k * step] += d[k] * f(a[i + k * s], b[j + k * t]);
                    }
                }
                from += n;
            });
            Some(Array::new(&x[side].shape, out))
        };
        [(0, self.left), (1, self.right)].map(|(s, f)| if want[s] { of(s, f) } else { None }).into()
    }
}

fn of(
    cx: &Cx,
    value: fn(f32, f32) -> f32,
    left: fn(f32, f32) -> f32,
    right: fn(f32, f32) -> f32,
) -> Option<Made> {
    let out = cx.out(0)?.to_vec();
    Broadcast::new(&out, &[cx.shape(0)?, cx.shape(1)?])?;
    let sum = cx.node.is("Add");
    Made::new(Binary { value, left, right, sum, out }, &[0, 1])
}

pub(super) const OPS: &[(&str, Make)] = &[
    ("Add", |cx| of(cx, |a, b| a + b, |_, _| 1.0, |_, _| 1.0)),
    ("Sub", |cx| of(cx, |a, b| a - b, |_, _| 1.0, |_, _| -1.0)),
    ("Mul", |cx| of(cx, |a, b| a * b, |_, b| b, |a, _| a)),
    ("Div", |cx| of(cx, |a, b| a / b, |_, b| 1.0 / b, |a, b| -a / (b * b))),
];
