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
            return misfit(Code::D002, title);
        }
        for (axis, (want, &have)) in shape.iter().zip(dims).enumerate().skip(1) {
            if matches!(want, Dim::Fixed(n) if *n != have) {
                let title = format!("axis {axis} of the data has length {have}, the input wants {want}");
                return misfit(Code::D002, title);
            }
        }
    }
    let Some(want) = input.dtype else {
        return misfit(Code::D002, "the input's element type cannot be fed from a .npy file".into());
    };
    if !is_float(want) && !integer_fits(file.dtype(), want) {
        return misfit(Code::D002, format!("{} data cannot be fed to a {want} input", file.dtype()));
    }
    let channels = dims.get(1).copied().unwrap_or(1);
    if is_float(want) && prep.channels() != 1 && prep.channels() != channels {
        let title = format!("the preparation is for {} channels, the data have {channels}", prep.channels());
        return misfit(Code::D003, title);
    }
    Ok(())
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
