//! Whether a file's samples fit a model's input, and conversion between integer types.

use crate::{Dim, NpyFile, Preparation, ValueInfo};
use secateur_diag::{Code, Diagnostic, Result};
use secateur_tensor::{ElemType, Tensor, dispatch, int_range, is_float};

/// Checks rank, fixed axes, element type and channels. The first axis counts samples and always fits:
/// a model with a fixed batch is fed in pieces of that size.
pub(crate) fn check(file: &NpyFile, input: &ValueInfo, prep: &Preparation) -> Result<()> {
    let misfit = |code, title: String| {
        Err(Diagnostic::new(code, title).at("input", input.to_string()).at("file", file.describe()))
    };
    if file.samples() == 0 {
        return misfit(Code::D002, "the data file holds no samples".into());
    }
    let dims = file.shape();
    if let Some(shape) = &input.shape {
        if shape.len() != dims.len() {
            let title = format!("the data have {} axes, the input has {}", dims.len(), shape.len());
            return misfit(Code::D002, title).map_err(|e| helped(e, added(shape, dims)));
        }
        for (axis, (want, &have)) in shape.iter().zip(dims).enumerate().skip(1) {
            if matches!(want, Dim::Fixed(n) if *n != have) {
                let title = format!("axis {axis} of the data has length {have}, the input wants {want}");
                return match order(shape, dims) {
                    Some((title, help)) => misfit(Code::D002, title).map_err(|e| e.help(help)),
                    None => misfit(Code::D002, title),
                };
            }
        }
    }
    let Some(want) = input.dtype else {
        return misfit(Code::D002, "the input's element type cannot be fed from a .npy file".into());
    };
    if !is_float(want) && !integer_fits(file.dtype(), want) {
        return misfit(Code::D002, format!("{} data cannot be fed to a {want} input", file.dtype()));
    }
    if !is_float(want) || prep.channels() == 1 {
        return Ok(());
    }
    let Some(axis) = prep.axis_of(dims.len()) else {
        return misfit(Code::D003, format!("the data have no axis {} for channels", prep.axis));
    };
    if prep.channels() != dims[axis] {
        let title = format!(
            "the preparation is for {} channels, axis {axis} of the data has {}",
            prep.channels(),
            dims[axis]
        );
        let other = (1..dims.len()).rev().find(|&a| dims[a] == prep.channels());
        let help = other.map(|a| format!("give --channel-axis {a} where channels are along that axis"));
        return misfit(Code::D003, title).map_err(|e| helped(e, help));
    }
    Ok(())
}

fn helped(e: Box<Diagnostic>, help: Option<String>) -> Box<Diagnostic> {
    match help {
        Some(help) => e.help(help),
        None => e,
    }
}

/// Whether samples of these lengths, which may stand in for any number of them, are what the input wants.
fn fits(shape: &[Dim], lengths: &[usize]) -> bool {
    shape.len() == lengths.len()
        && shape.iter().zip(lengths).skip(1).all(|(want, have)| !matches!(want, Dim::Fixed(n) if n != have))
}

/// The title and help where the axes of the data are those that the input wants, but in another order.
fn order(shape: &[Dim], dims: &[usize]) -> Option<(String, String)> {
    let rank = dims.len();
    let last_to_first = [0, rank - 1].into_iter().chain(1..rank - 1).collect::<Vec<_>>();
    let first_to_last = [0].into_iter().chain(2..rank).chain([1]).collect::<Vec<_>>();
    let swapped = (1..rank).flat_map(|a| {
        (a + 1..rank).map(move |b| {
            let mut p: Vec<usize> = (0..rank).collect();
            p.swap(a, b);
            p
        })
    });
    let named = [(last_to_first, " NHWC,"), (first_to_last, " NCHW,")].into_iter();
    // The names are those of images.
    let named = named.map(|(p, name)| {
        let channels = dims[if p[1] == rank - 1 { rank - 1 } else { 1 }];
        (p, if rank == 4 && matches!(channels, 1 | 3 | 4) { name } else { "" })
    });
    let (p, name) = named.chain(swapped.map(|p| (p, ""))).find(|(p, _)| {
        let moved: Vec<usize> = p.iter().map(|&a| dims[a]).collect();
        *p != (0..rank).collect::<Vec<_>>() && fits(shape, &moved)
    })?;
    let list = |parts: Vec<String>| parts.join(", ");
    let have = list(dims.iter().map(ToString::to_string).collect());
    let want = list(shape.iter().map(ToString::to_string).collect());
    let title = match name {
        "" => format!("the axes of the data are in another order: [{have}], the input wants [{want}]"),
        name => format!("the data look like{name} [{have}]; the input wants [{want}]"),
    };
    let axes = list(p.iter().map(ToString::to_string).collect());
    Some((title, format!("transpose them, in numpy x.transpose({axes})")))
}

/// The help where the data lack an axis of one element, or have one too many.
fn added(shape: &[Dim], dims: &[usize]) -> Option<String> {
    if dims.len() + 1 == shape.len() {
        // Least surprising first: channels, then samples, then any other place.
        let at = [1, 0].into_iter().chain(2..shape.len()).find(|&at| {
            let mut longer = dims.to_vec();
            longer.insert(at, 1);
            fits(shape, &longer)
        })?;
        let colons = ":, ".repeat(at);
        return Some(match at {
            0 => "the first axis counts samples; one sample is x[None] in numpy".into(),
            _ => format!("add an axis, in numpy x[{colons}None]"),
        });
    }
    if dims.len() == shape.len() + 1 {
        let at = (1..dims.len()).rev().filter(|&at| dims[at] == 1).find(|&at| {
            let mut shorter = dims.to_vec();
            shorter.remove(at);
            fits(shape, &shorter)
        })?;
        return Some(format!("take the axis of one element away, in numpy x.squeeze({at})"));
    }
    None
}

fn integer_fits(have: ElemType, want: ElemType) -> bool {
    match want {
        ElemType::Bool => matches!(have, ElemType::Bool | ElemType::U8),
        _ => !is_float(have) && have != ElemType::Bool,
    }
}

/// Whether data files hold elements of this type, or what can be made of them.
pub(crate) fn holds(elem: ElemType) -> bool {
    is_float(elem) || int_range(elem).is_some()
}

/// Integers (or bools) as elements of `want`, or the index of the first one that does not fit.
pub(crate) fn convert(t: Tensor, want: ElemType) -> Result<Tensor, usize> {
    if t.elem == want {
        return Ok(t);
    }
    let (Some((least, most)), true) = (int_range(want), t.elem != ElemType::Bool) else { return Err(0) };
    let wide: Vec<i128> = match (t.elem, t.to_i64()) {
        (ElemType::U64, Some(v)) => v.into_iter().map(|x| i128::from(x as u64)).collect(),
        (_, Some(v)) => v.into_iter().map(i128::from).collect(),
        (_, None) => return Err(0),
    };
    if let Some(bad) = wide.iter().position(|v| *v < least || *v > most) {
        return Err(bad);
    }
    if want == ElemType::Bool {
        return Ok(Tensor::bools(&t.dims, wide.iter().map(|&v| v as u8).collect()));
    }
    dispatch!(want, [I8 I16 I32 I64 U8 U16 U32 U64], T => {
        Ok(Tensor::of(&t.dims, wide.iter().map(|&v| v as T).collect::<Vec<T>>()))
    }, Err(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_convert_when_they_fit() {
        let to = |t: Tensor, want| convert(t, want).map(|t| t.to_i64().unwrap());
        let longs = |v: Vec<i64>| Tensor::of(&[v.len()], v);
        assert_eq!(to(longs(vec![3, -4]), ElemType::I32), Ok(vec![3, -4]));
        assert_eq!(to(longs(vec![3, 1 << 40]), ElemType::I32), Err(1));
        assert_eq!(to(Tensor::of(&[1], vec![-1i8]), ElemType::U64), Err(0));
        assert_eq!(to(Tensor::of(&[1], vec![u64::MAX]), ElemType::I64), Err(0));
        assert_eq!(to(Tensor::of(&[2], vec![1u8, 0]), ElemType::Bool), Ok(vec![1, 0]));
        assert_eq!(to(Tensor::of(&[2], vec![0u8, 2]), ElemType::Bool), Err(1));
        assert_eq!(to(Tensor::of(&[1], vec![1.0f32]), ElemType::I32), Err(0));
    }
}
