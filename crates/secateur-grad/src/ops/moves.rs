//! Operators that move elements, or only give them another shape.

use super::{Cx, Made, Make, Op};
use crate::array::Array;

/// Elements stay in order.
struct Reshape {
    from: Vec<usize>,
    to: Vec<usize>,
}

impl Op for Reshape {
    fn forward(&self, x: &[&Array]) -> Vec<Array> {
        vec![x[0].reshaped(&self.to)]
    }

    fn backward(&self, _: &[&Array], _: &[Array], dy: &[Option<Array>], _: &[bool]) -> Vec<Option<Array>> {
        vec![dy[0].as_ref().map(|d| d.reshaped(&self.from))]
    }
}

fn reshape(cx: &Cx) -> Option<Made> {
    let (from, to) = (cx.shape(0)?.to_vec(), cx.out(0)?.to_vec());
    let same = from.iter().product::<usize>() == to.iter().product::<usize>();
    same.then_some(())?;
    Made::new(Reshape { from, to }, &[0])
}

/// Every output element is an input element or zero, at places known beforehand.
struct Pick {
    /// By tensor output, its shape and for each element where it is from; `u32::MAX` is the constant.
    outs: Vec<(Vec<usize>, Vec<u32>)>,
    from: Vec<usize>,
    constant: f32,
}

const NOWHERE: u32 = u32::MAX;

impl Op for Pick {
    fn forward(&self, x: &[&Array]) -> Vec<Array> {
        let get = |&i: &u32| if i == NOWHERE { self.constant } else { x[0].data[i as usize] };
        self.outs.iter().map(|(shape, map)| Array::new(shape, map.iter().map(get).collect())).collect()
    }

    fn backward(&self, x: &[&Array], _: &[Array], dy: &[Option<Array>], _: &[bool]) -> Vec<Option<Array>> {
        let mut out = vec![0.0; x[0].len()];
        for ((_, map), d) in self.outs.iter().zip(dy) {
            for (&i, d) in map.iter().zip(d.iter().flat_map(|d| d.data.iter())) {
                if i != NOWHERE {
                    out[i as usize] += d;
                }
            }
        }
        vec![Some(Array::new(&self.from, out))]
    }
}

/// Row-major steps of a shape.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut out = vec![1; shape.len()];
    for a in (1..shape.len()).rev() {
        out[a - 1] = out[a] * shape[a];
    }
    out
}

/// For each element of `shape`, where `read` says it is from, axis by axis.
fn map(
    shape: &[usize],
    from: &[usize],
    read: impl Fn(usize, usize) -> Option<(usize, usize)>,
) -> Option<Vec<u32>> {
    let n: usize = shape.iter().product();
    if from.iter().product::<usize>() >= NOWHERE as usize || n >= NOWHERE as usize {
        return None;
    }
    let (own, steps) = (strides(shape), strides(from));
    let one = |e: usize| {
        let mut at = 0;
        for a in 0..shape.len() {
            match read(a, e / own[a] % shape[a].max(1)) {
                Some((axis, i)) if i < from[axis] => at += i * steps[axis],
                _ => return NOWHERE,
            }
        }
        at as u32
    };
    Some((0..n).map(one).collect())
}

fn pick(cx: &Cx, outs: Vec<(Vec<usize>, Vec<u32>)>, constant: f32) -> Option<Made> {
    Made::new(Pick { outs, from: cx.shape(0)?.to_vec(), constant }, &[0])
}

fn transpose(cx: &Cx) -> Option<Made> {
    let (from, to) = (cx.shape(0)?, cx.out(0)?);
    let n = from.len();
    let perm: Vec<i64> = match cx.node.ints("perm").ok()? {
        Some(p) => p.to_vec(),
        None => (0..n as i64).rev().collect(),
    };
    let perm = perm.iter().map(|&a| cx.axis(a, n)).collect::<Option<Vec<_>>>().filter(|p| p.len() == n)?;
    let m = map(to, from, |a, i| Some((perm[a], i)))?;
    pick(cx, vec![(to.to_vec(), m)], 0.0)
}

fn slice(cx: &Cx) -> Option<Made> {
    let (from, to) = (cx.shape(0)?, cx.out(0)?);
    let (starts, _ends) = (cx.list("starts", 1)?, cx.list("ends", 2)?);
    let axes = cx.list("axes", 3).unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = if cx.has(4) { cx.ints(4)? } else { vec![1; starts.len()] };
    let mut first = vec![(0i64, 1i64); from.len()];
    for ((&a, &s), &step) in axes.iter().zip(&starts).zip(&steps) {
        let a = cx.axis(a, from.len())?;
        let n = from[a] as i64;
        let s = if s < 0 { s.saturating_add(n) } else { s };
        first[a] = (if step > 0 { s.clamp(0, n) } else { s.clamp(0, n - 1) }, step);
    }
    let m = map(to, from, |a, i| {
        let (s, step) = first[a];
        Some((a, usize::try_from(s + step * i as i64).ok()?))
    })?;
    pick(cx, vec![(to.to_vec(), m)], 0.0)
}

fn split(cx: &Cx) -> Option<Made> {
    let from = cx.shape(0)?;
    let axis = cx.axis(cx.int("axis", 0)?, from.len())?;
    let mut start = 0;
    let mut outs = Vec::new();
    for o in 0..cx.node.outputs.len() {
        let to = cx.out(o)?;
        outs.push((to.to_vec(), map(to, from, |a, i| Some((a, if a == axis { i + start } else { i })))?));
        start += to[axis];
    }
    pick(cx, outs, 0.0)
}

fn gather(cx: &Cx) -> Option<Made> {
    let (from, to) = (cx.shape(0)?, cx.out(0)?);
    let axis = cx.axis(cx.int("axis", 0)?, from.len())?;
    let index = cx.ints(1)?;
    let wide = cx.shape(1)?.to_vec();
    let n = from[axis] as i64;
    let tail: usize = from[axis + 1..].iter().product();
    let lead: usize = from[..axis].iter().product();
    if index.len() != wide.iter().product::<usize>() || from.iter().product::<usize>() >= NOWHERE as usize {
        return None;
    }
    let mut m = Vec::with_capacity(to.iter().product());
    for l in 0..lead {
        for &i in &index {
            let i = usize::try_from(if i < 0 { i + n } else { i }).ok().filter(|i| *i < from[axis])?;
            m.extend((0..tail).map(|t| ((l * from[axis] + i) * tail + t) as u32));
        }
    }
    (m.len() == to.iter().product::<usize>()).then_some(())?;
    pick(cx, vec![(to.to_vec(), m)], 0.0)
}

fn pad(cx: &Cx) -> Option<Made> {
    let (from, to) = (cx.shape(0)?, cx.out(0)?);
    let pads = cx.list("pads", 1)?;
    let mode = cx.node.string("mode").ok()?.unwrap_or("constant");
    if mode != "constant" || pads.len() != 2 * from.len() || cx.has(3) {
        return None;
    }
    let value = if cx.has(2) { *cx.floats(2)?.first()? } else { cx.float("value", 0.0)? };
    let m = map(to, from, |a, i| Some((a, usize::try_from(i as i64 - pads[a]).ok()?)))?;
    pick(cx, vec![(to.to_vec(), m)], value)
}

fn expand(cx: &Cx) -> Option<Made> {
    let (from, to) = (cx.shape(0)?, cx.out(0)?);
    let lead = to.len().checked_sub(from.len())?;
    // New axes in front read the first element of a leading axis of one.
    let wide: Vec<usize> = std::iter::repeat_n(1, lead).chain(from.iter().copied()).collect();
    let m = map(to, &wide, |a, i| Some((a, if wide[a] == 1 { 0 } else { i })))?;
    pick(cx, vec![(to.to_vec(), m)], 0.0)
}

/// Tensors one behind the other along an axis.
struct Concat {
    axis: usize,
    out: Vec<usize>,
}

impl Concat {
    /// Calls `each` with part, start in the part, start in the whole, and length.
    fn parts(&self, x: &[&Array], mut each: impl FnMut(usize, usize, usize, usize)) {
        let inner: usize = self.out[self.axis + 1..].iter().product();
        let outer: usize = self.out[..self.axis].iter().product();
        let mut to = 0;
        for o in 0..outer {
            for (part, x) in x.iter().enumerate() {
                let n = x.shape[self.axis] * inner;
                each(part, o * n, to, n);
                to += n;
            }
        }
    }
}

impl Op for Concat {
    fn forward(&self, x: &[&Array]) -> Vec<Array> {
        let mut out = vec![0.0; self.out.iter().product()];
        self.parts(x, |part, from, to, n| out[to..to + n].copy_from_slice(&x[part].data[from..from + n]));
        vec![Array::new(&self.out, out)]
    }

    fn backward(&self, x: &[&Array], _: &[Array], dy: &[Option<Array>], want: &[bool]) -> Vec<Option<Array>> {
        let Some(d) = &dy[0] else { return vec![None; x.len()] };
        let mut outs: Vec<Vec<f32>> = x.iter().map(|x| vec![0.0; x.len()]).collect();
        self.parts(x, |part, from, to, n| outs[part][from..from + n].copy_from_slice(&d.data[to..to + n]));
        let made = outs.into_iter().zip(x).zip(want);
        made.map(|((o, x), w)| w.then(|| Array::new(&x.shape, o))).collect()
    }
}

fn concat(cx: &Cx) -> Option<Made> {
    let out = cx.out(0)?.to_vec();
    let axis = cx.axis(cx.int("axis", 1)?, out.len())?;
    let mut whole = 0;
    for i in 0..cx.node.inputs.len() {
        let s = cx.shape(i).filter(|s| s.len() == out.len())?;
        (0..out.len()).all(|a| a == axis || s[a] == out[a]).then_some(())?;
        whole += s[axis];
    }
    (whole == out[axis]).then_some(())?;
    let inputs: Vec<usize> = (0..cx.node.inputs.len()).collect();
    Made::new(Concat { axis, out }, &inputs)
}

pub(super) const OPS: &[(&str, Make)] = &[
    ("Reshape", reshape),
    ("Flatten", reshape),
    ("Squeeze", reshape),
    ("Unsqueeze", reshape),
    ("Identity", reshape),
    ("Dropout", reshape),
    ("Transpose", transpose),
    ("Slice", slice),
    ("Split", split),
    ("Gather", gather),
    ("Pad", pad),
    ("Expand", expand),
    ("Concat", concat),
];
