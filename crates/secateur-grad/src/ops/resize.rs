//! Resampled spatial axes: nearest neighbour and linear.

use super::{Cx, Made, Make, Op};
use crate::array::Array;

/// By output place of an axis: the input places that it reads, and their weights.
type Taps = Vec<Vec<(usize, f32)>>;

/// The last two axes, one after the other.
struct Resize {
    y: Taps,
    x: Taps,
    /// Elements of an axis before.
    input: [usize; 2],
    out: Vec<usize>,
}

impl Resize {
    /// Calls `each` with output place, input place and weight, plane by plane the same.
    fn pairs(&self, mut each: impl FnMut(usize, usize, f32)) {
        for (oy, ys) in self.y.iter().enumerate() {
            for (ox, xs) in self.x.iter().enumerate() {
                for (iy, wy) in ys {
                    xs.iter()
                        .for_each(|(ix, wx)| each(oy * self.x.len() + ox, iy * self.input[1] + ix, wy * wx));
                }
            }
        }
    }

    fn planes(&self) -> (usize, usize) {
        (self.input[0] * self.input[1], self.y.len() * self.x.len())
    }
}

impl Op for Resize {
    fn forward(&self, x: &[&Array]) -> Vec<Array> {
        let (before, after) = self.planes();
        let mut out = vec![0.0; self.out.iter().product()];
        for (to, from) in out.chunks_exact_mut(after).zip(x[0].data.chunks_exact(before)) {
            self.pairs(|o, i, w| to[o] += w * from[i]);
        }
        vec![Array::new(&self.out, out)]
    }

    fn backward(&self, x: &[&Array], _: &[Array], dy: &[Option<Array>], _: &[bool]) -> Vec<Option<Array>> {
        let Some(d) = &dy[0] else { return vec![None] };
        let (before, after) = self.planes();
        let mut out = vec![0.0; x[0].len()];
        for (to, from) in out.chunks_exact_mut(before).zip(d.data.chunks_exact(after)) {
            self.pairs(|o, i, w| to[i] += w * from[o]);
        }
        vec![Some(Array::new(&x[0].shape, out))]
    }
}

/// What an axis reads. `scale` is outputs for an input.
fn taps(n: usize, m: usize, scale: f64, place: &str, rounding: &str, linear: bool) -> Option<Taps> {
    let last = n as f64 - 1.0;
    let source = |o: usize| {
        let o = o as f64;
        Some(match place {
            "half_pixel" => (o + 0.5) / scale - 0.5,
            "pytorch_half_pixel" if m > 1 => (o + 0.5) / scale - 0.5,
            "pytorch_half_pixel" => 0.0,
            "asymmetric" => o / scale,
            "align_corners" if m > 1 => o * last / (m as f64 - 1.0),
            "align_corners" => 0.0,
            _ => return None,
        })
    };
    let at = |x: f64| x.clamp(0.0, last) as usize;
    let one = |o: usize| {
        let x = source(o)?;
        if linear {
            let x = x.clamp(0.0, last);
            let (low, part) = (x.floor(), (x - x.floor()) as f32);
            return Some(vec![(at(low), 1.0 - part), (at(low + 1.0), part)]);
        }
        let near = match rounding {
            "round_prefer_floor" => (x - 0.5).ceil(),
            "round_prefer_ceil" => (x + 0.5).floor(),
            "floor" => x.floor(),
            "ceil" => x.ceil(),
            _ => return None,
        };
        Some(vec![(at(near), 1.0)])
    };
    (0..m).map(one).collect()
}

fn resize(cx: &Cx) -> Option<Made> {
    let (data, out) = (cx.shape(0)?, cx.out(0)?);
    let rank = data.len();
    let text = |name: &str, or: &str| Some(cx.node.string(name).ok()?.unwrap_or(or).to_owned());
    let linear = match text("mode", "nearest")?.as_str() {
        "linear" => true,
        "nearest" => false,
        _ => return None,
    };
    let plain = cx.opset() >= 11 && cx.int("antialias", 0)? == 0 && cx.node.ints("axes").ok()?.is_none();
    if !plain || rank < 3 || out.len() != rank || data[..rank - 2] != out[..rank - 2] || data.contains(&0) {
        return None;
    }
    // With sizes given, scales follow from them; what keeps a ratio has sizes of its own.
    if text("keep_aspect_ratio_policy", "stretch")? != "stretch" {
        return None;
    }
    let given = if cx.has(2) { cx.floats(2).filter(|s| s.len() == rank) } else { None };
    let (place, rounding) =
        (text("coordinate_transformation_mode", "half_pixel")?, text("nearest_mode", "round_prefer_floor")?);
    let axis = |a: usize| {
        let scale = match &given {
            Some(s) => f64::from(s[a]),
            None => out[a] as f64 / data[a] as f64,
        };
        (scale > 0.0).then(|| taps(data[a], out[a], scale, &place, &rounding, linear))?
    };
    let (y, x) = (axis(rank - 2)?, axis(rank - 1)?);
    Made::new(Resize { y, x, input: [data[rank - 2], data[rank - 1]], out: out.to_vec() }, &[0])
}

pub(super) const OPS: &[(&str, Make)] = &[("Resize", resize)];
