//! Arithmetic and copies on constant tensors.
//!
//! Floats are computed in `f64` and rounded once to the tensor's type: for sums, products, quotients and
//! square roots of narrower types that is the correctly rounded result. Integers are computed in `i128`; a
//! result that its type cannot hold is refused, as runtimes differ there.

use half::{bf16, f16};
use secateur_onnx::ElemType;

use crate::tensor::{Data, Tensor};

/// More elements than this are made only where some input is as large.
const MAX_ELEMENTS: usize = 1 << 26;

/// Whether elements of the type are read as `f64` here.
pub fn is_float(elem: ElemType) -> bool {
    matches!(elem, ElemType::F32 | ElemType::F64 | ElemType::F16 | ElemType::Bf16)
}

/// Whether elements of the type are read as `i128` here; bools are 0 and 1.
pub fn is_int(elem: ElemType) -> bool {
    int_range(elem).is_some()
}

/// The least and the greatest integer of a type.
pub fn int_range(elem: ElemType) -> Option<(i128, i128)> {
    Some(match elem {
        ElemType::Bool => (0, 1),
        ElemType::I8 => (i8::MIN.into(), i8::MAX.into()),
        ElemType::U8 => (0, u8::MAX.into()),
        ElemType::I16 => (i16::MIN.into(), i16::MAX.into()),
        ElemType::U16 => (0, u16::MAX.into()),
        ElemType::I32 => (i32::MIN.into(), i32::MAX.into()),
        ElemType::U32 => (0, u32::MAX.into()),
        ElemType::I64 => (i64::MIN.into(), i64::MAX.into()),
        ElemType::U64 => (0, u64::MAX.into()),
        _ => return None,
    })
}

/// `N` bytes of element `i`.
fn word<const N: usize>(bytes: &[u8], i: usize) -> Option<[u8; N]> {
    bytes.get(i * N..(i + 1) * N)?.try_into().ok()
}

fn float_at(elem: ElemType, bytes: &[u8], i: usize) -> Option<f64> {
    Some(match elem {
        ElemType::F32 => f32::from_le_bytes(word(bytes, i)?).into(),
        ElemType::F64 => f64::from_le_bytes(word(bytes, i)?),
        ElemType::F16 => f16::from_le_bytes(word(bytes, i)?).into(),
        ElemType::Bf16 => bf16::from_le_bytes(word(bytes, i)?).into(),
        // The exponent of Pow may be an integer.
        _ => int_at(elem, bytes, i)? as f64,
    })
}

fn int_at(elem: ElemType, bytes: &[u8], i: usize) -> Option<i128> {
    Some(match elem {
        ElemType::Bool => i128::from(*bytes.get(i)? != 0),
        ElemType::U8 => (*bytes.get(i)?).into(),
        ElemType::I8 => i8::from_le_bytes(word(bytes, i)?).into(),
        ElemType::I16 => i16::from_le_bytes(word(bytes, i)?).into(),
        ElemType::U16 => u16::from_le_bytes(word(bytes, i)?).into(),
        ElemType::I32 => i32::from_le_bytes(word(bytes, i)?).into(),
        ElemType::U32 => u32::from_le_bytes(word(bytes, i)?).into(),
        ElemType::I64 => i64::from_le_bytes(word(bytes, i)?).into(),
        ElemType::U64 => u64::from_le_bytes(word(bytes, i)?).into(),
        _ => return None,
    })
}

/// Appends a float, rounded to the type; a truth value for bool.
fn put_float(elem: ElemType, out: &mut Vec<u8>, v: f64) -> Option<()> {
    match elem {
        ElemType::F32 => out.extend((v as f32).to_le_bytes()),
        ElemType::F64 => out.extend(v.to_le_bytes()),
        // By way of `f32`: the direct conversion drops the bits that decide ties.
        ElemType::F16 => out.extend(f16::from_f32(v as f32).to_le_bytes()),
        ElemType::Bf16 => out.extend(bf16::from_f32(v as f32).to_le_bytes()),
        ElemType::Bool => out.push(u8::from(v != 0.0)),
        _ => return None,
    }
    Some(())
}

/// Appends an integer; `None` where the type cannot hold it.
fn put_int(elem: ElemType, out: &mut Vec<u8>, v: i128) -> Option<()> {
    let (least, most) = int_range(elem)?;
    if v < least || v > most {
        return None;
    }
    out.extend_from_slice(&v.to_le_bytes()[..elem.bits() / 8]);
    Some(())
}

/// The offsets of a strided view's elements, in row-major order.
#[derive(Clone, Debug)]
pub struct Walk {
    /// Length and step of each axis, innermost last; axes that run on into each other are one.
    axes: Vec<(usize, isize)>,
    index: Vec<usize>,
    at: isize,
    left: usize,
}

impl Walk {
    /// A view of sizes `dims` that starts at offset `start`; `strides` count elements and may be negative.
    ///
    /// `None` where the number of elements overflows.
    pub fn new(dims: &[usize], strides: &[isize], start: usize) -> Option<Walk> {
        let left = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        let mut axes: Vec<(usize, isize)> = Vec::with_capacity(dims.len());
        for (&d, &s) in dims.iter().zip(strides).filter(|(d, _)| **d != 1) {
            match axes.last_mut() {
                Some((n, t)) if s.checked_mul(isize::try_from(d).ok()?) == Some(*t) => {
                    (*n, *t) = (n.checked_mul(d)?, s);
                }
                _ => axes.push((d, s)),
            }
        }
        Some(Walk { index: vec![0; axes.len()], axes, at: isize::try_from(start).ok()?, left })
    }
}

impl Iterator for Walk {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let now = self.at;
        for (i, &(len, step)) in self.index.iter_mut().zip(&self.axes).rev() {
            *i += 1;
            self.at = self.at.wrapping_add(step);
            if *i < len {
                break;
            }
            self.at = self.at.wrapping_sub(step.wrapping_mul(len as isize));
            *i = 0;
        }
        // A negative offset becomes one that no slice has.
        Some(now as usize)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// Row-major strides.
pub fn strides(dims: &[usize]) -> Vec<isize> {
    let mut out = vec![0; dims.len()];
    let mut step = 1isize;
    for (s, &d) in out.iter_mut().zip(dims).rev() {
        *s = step;
        step = step.saturating_mul(isize::try_from(d).unwrap_or(isize::MAX));
    }
    out
}

/// Strides that repeat `dims` over `to`, aligned at the last axis.
fn spread(dims: &[usize], to: &[usize]) -> Vec<isize> {
    let own = strides(dims).into_iter().zip(dims).map(|(s, &d)| if d == 1 { 0 } else { s });
    std::iter::repeat_n(0, to.len() - dims.len()).chain(own).collect()
}

/// The sizes that all broadcast to; `None` where they do not fit.
pub fn broadcast_dims(shapes: &[&[usize]]) -> Option<Vec<usize>> {
    let rank = shapes.iter().map(|s| s.len()).max().unwrap_or(0);
    let mut out = vec![1; rank];
    for s in shapes {
        for (o, &d) in out[rank - s.len()..].iter_mut().zip(*s) {
            match (*o, d) {
                (n, m) if n == m => {}
                (1, m) => *o = m,
                (_, 1) => {}
                _ => return None,
            }
        }
    }
    Some(out)
}

/// The number of elements, `None` where it is absurd beside the inputs'.
pub fn bounded(dims: &[usize], inputs: &[&Tensor]) -> Option<usize> {
    let most = inputs.iter().map(|t| t.len()).max().unwrap_or(0).max(MAX_ELEMENTS);
    dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= most)
}

/// A copy of the elements of a strided view: transposed, sliced, reversed or repeated.
///
/// `None` where the view leaves the tensor, for types of less than a byte, or where it is absurdly large.
pub fn view(t: &Tensor, dims: Vec<usize>, strides: &[isize], start: usize) -> Option<Tensor> {
    let count = bounded(&dims, &[t])?;
    let walk = Walk::new(&dims, strides, start)?;
    let data = match &t.data {
        Data::Elided(_) => return None,
        Data::Strings(s) => Data::Strings(walk.map(|i| s.get(i).cloned()).collect::<Option<_>>()?),
        Data::Bytes(b) => {
            let width = t.elem.bits() / 8;
            if width == 0 || !t.elem.bits().is_multiple_of(8) {
                return None;
            }
            let mut out = Vec::with_capacity(count * width);
            for i in walk {
                let at = i.checked_mul(width)?;
                out.extend_from_slice(b.get(at..at.checked_add(width)?)?);
            }
            Data::Bytes(out.into())
        }
    };
    Some(Tensor { elem: t.elem, dims, data })
}

/// `f` over the elements of all inputs, broadcast together, read and written in the wide type `T`.
fn map<T: Copy + Default>(
    inputs: &[&Tensor],
    elem: ElemType,
    read: fn(ElemType, &[u8], usize) -> Option<T>,
    put: fn(ElemType, &mut Vec<u8>, T) -> Option<()>,
    f: impl Fn(&[T]) -> Option<T>,
) -> Option<Tensor> {
    let shapes: Vec<&[usize]> = inputs.iter().map(|t| t.dims.as_slice()).collect();
    let dims = broadcast_dims(&shapes)?;
    let count = bounded(&dims, inputs)?;
    let mut walks = Vec::with_capacity(inputs.len());
    for t in inputs {
        walks.push((t.elem, t.bytes()?, Walk::new(&dims, &spread(&t.dims, &dims), 0)?));
    }
    let mut args = vec![T::default(); inputs.len()];
    let mut out = Vec::with_capacity(count * elem.bits() / 8);
    for _ in 0..count {
        for (arg, (elem, bytes, walk)) in args.iter_mut().zip(&mut walks) {
            *arg = read(*elem, bytes, walk.next()?)?;
        }
        put(elem, &mut out, f(&args)?)?;
    }
    Some(Tensor::from_bytes(elem, dims, out))
}

/// `f` over floating inputs, broadcast together; the result has type `elem`, a floating one or bool.
pub fn map_floats(inputs: &[&Tensor], elem: ElemType, f: impl Fn(&[f64]) -> f64) -> Option<Tensor> {
    map(inputs, elem, float_at, put_float, |x| Some(f(x)))
}

/// `f` over integer or bool inputs, broadcast together; `None` where a result does not fit in `elem`.
pub fn map_ints(inputs: &[&Tensor], elem: ElemType, f: impl Fn(&[i128]) -> Option<i128>) -> Option<Tensor> {
    map(inputs, elem, int_at, put_int, f)
}

/// `a` where `cond` holds, else `b`; all three broadcast together.
pub fn select(cond: &Tensor, a: &Tensor, b: &Tensor) -> Option<Tensor> {
    if cond.elem != ElemType::Bool || a.elem != b.elem {
        return None;
    }
    let dims = broadcast_dims(&[&cond.dims, &a.dims, &b.dims])?;
    let full = |t: &Tensor| view(t, dims.clone(), &spread(&t.dims, &dims), 0);
    bounded(&dims, &[cond, a, b])?;
    let (cond, a, b) = (full(cond)?, full(a)?, full(b)?);
    let (Data::Bytes(c), Data::Bytes(x), Data::Bytes(y)) = (&cond.data, &a.data, &b.data) else {
        return None;
    };
    let width = a.elem.bits() / 8;
    let mut out = Vec::with_capacity(x.len());
    for (i, &c) in c.iter().enumerate() {
        out.extend_from_slice(&(if c != 0 { x } else { y })[i * width..(i + 1) * width]);
    }
    Some(Tensor::from_bytes(a.elem, dims, out))
}

/// Elements along `axes` (ascending) brought together by `f`, which gets them in row-major order.
fn fold<T>(
    t: &Tensor,
    axes: &[usize],
    keep: bool,
    read: fn(ElemType, &[u8], usize) -> Option<T>,
    put: fn(ElemType, &mut Vec<u8>, T) -> Option<()>,
    f: impl Fn(&[T]) -> Option<T>,
) -> Option<Tensor> {
    let bytes = t.bytes()?;
    let all = strides(&t.dims);
    let part = |reduced: bool| -> (Vec<usize>, Vec<isize>) {
        let of = |a: &usize| axes.contains(a) == reduced;
        (0..t.dims.len()).filter(of).map(|a| (t.dims[a], all[a])).unzip()
    };
    let ((outer, outer_strides), (inner, inner_strides)) = (part(false), part(true));
    bounded(&outer, &[t])?;
    let offsets: Vec<usize> = Walk::new(&inner, &inner_strides, 0)?.collect();
    let mut out = Vec::new();
    let mut row = Vec::with_capacity(offsets.len());
    for start in Walk::new(&outer, &outer_strides, 0)? {
        row.clear();
        for o in &offsets {
            row.push(read(t.elem, bytes, start + o)?);
        }
        put(t.elem, &mut out, f(&row)?)?;
    }
    let size = |a: usize| if axes.contains(&a) { keep.then_some(1) } else { Some(t.dims[a]) };
    Some(Tensor::from_bytes(t.elem, (0..t.dims.len()).filter_map(size).collect(), out))
}

/// Floats along `axes` brought together by `f`; the axes stay with size 1 where `keep`.
pub fn fold_floats(
    t: &Tensor,
    axes: &[usize],
    keep: bool,
    f: impl Fn(&[f64]) -> Option<f64>,
) -> Option<Tensor> {
    fold(t, axes, keep, float_at, put_float, f)
}

/// Integers along `axes` brought together by `f`; the axes stay with size 1 where `keep`.
pub fn fold_ints(
    t: &Tensor,
    axes: &[usize],
    keep: bool,
    f: impl Fn(&[i128]) -> Option<i128>,
) -> Option<Tensor> {
    fold(t, axes, keep, int_at, put_int, f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_transpose_reverse_and_repeat() {
        let t = Tensor::i64(&[2, 3], &[0, 1, 2, 3, 4, 5]);
        let read = |t: Option<Tensor>| t.unwrap().to_i64().unwrap();
        assert_eq!(read(view(&t, vec![3, 2], &[1, 3], 0)), [0, 3, 1, 4, 2, 5]);
        assert_eq!(read(view(&t, vec![2, 2], &[3, -2], 2)), [2, 0, 5, 3]);
        assert_eq!(read(view(&t, vec![2, 3], &[0, 1], 3)), [3, 4, 5, 3, 4, 5]);
        assert_eq!(read(view(&t, vec![2, 0], &[1, 1], 0)), []);
        assert_eq!(view(&t, vec![3, 3], &[3, 1], 0), None);
        assert_eq!(view(&t, vec![3], &[-1], 1), None);
        assert_eq!(view(&t, vec![usize::MAX, 2], &[0, 0], 0), None);
    }

    #[test]
    fn broadcasting_reads_each_side_again() {
        let (a, b) = (Tensor::i64(&[2, 1], &[10, 20]), Tensor::i64(&[3], &[1, 2, 3]));
        let sum = map_ints(&[&a, &b], ElemType::I64, |x| x[0].checked_add(x[1])).unwrap();
        assert_eq!((sum.dims.clone(), sum.to_i64().unwrap()), (vec![2, 3], vec![11, 12, 13, 21, 22, 23]));
        let big = Tensor::i64(&[1], &[i64::MAX]);
        assert_eq!(map_ints(&[&big, &b], ElemType::I64, |x| x[0].checked_add(x[1])), None);
    }

    #[test]
    fn reductions_keep_the_other_axes() {
        let t = Tensor::i64(&[2, 3], &[0, 1, 2, 3, 4, 5]);
        let sum = |x: &[i128]| Some(x.iter().sum());
        let down = fold_ints(&t, &[0], true, sum).unwrap();
        assert_eq!((down.dims.clone(), down.to_i64().unwrap()), (vec![1, 3], vec![3, 5, 7]));
        let all = fold_ints(&t, &[0, 1], false, sum).unwrap();
        assert_eq!((all.dims.clone(), all.to_i64().unwrap()), (vec![], vec![15]));
    }
}
