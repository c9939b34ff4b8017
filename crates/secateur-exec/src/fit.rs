//! Whether a file's samples fit a model's input, and conversion between integer types.

use crate::{DType, Data, Dim, NpyFile, Preparation, ValueInfo};
use secateur_diag::{Code, Diagnostic, Result};

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
    if !want.is_float() && !integer_fits(file.dtype(), want) {
        return misfit(Code::D002, format!("{} data cannot be fed to a {want} input", file.dtype()));
    }
    let channels = dims.get(1).copied().unwrap_or(1);
    if want.is_float() && prep.channels() != 1 && prep.channels() != channels {
        let title = format!("the preparation is for {} channels, the data have {channels}", prep.channels());
        return misfit(Code::D003, title);
    }
    Ok(())
}

fn integer_fits(have: DType, want: DType) -> bool {
    match want {
        DType::Bool => matches!(have, DType::Bool | DType::U8),
        _ => !have.is_float() && have != DType::Bool,
    }
}

/// Integers (or bools) as elements of `want`, or the index of the first one that does not fit.
pub(crate) fn convert(data: Data, want: DType) -> Result<Data, usize> {
    if data.dtype() == want {
        return Ok(data);
    }
    let wide: Vec<i128> = match data {
        Data::I8(v) => v.into_iter().map(i128::from).collect(),
        Data::I16(v) => v.into_iter().map(i128::from).collect(),
        Data::I32(v) => v.into_iter().map(i128::from).collect(),
        Data::I64(v) => v.into_iter().map(i128::from).collect(),
        Data::U8(v) => v.into_iter().map(i128::from).collect(),
        Data::U16(v) => v.into_iter().map(i128::from).collect(),
        Data::U32(v) => v.into_iter().map(i128::from).collect(),
        Data::U64(v) => v.into_iter().map(i128::from).collect(),
        Data::F16(_) | Data::F32(_) | Data::F64(_) | Data::Bool(_) => return Err(0),
    };
    macro_rules! narrowed {
        ($variant:ident) => {
            wide.iter()
                .enumerate()
                .map(|(i, &v)| v.try_into().map_err(|_| i))
                .collect::<Result<_, _>>()
                .map(Data::$variant)
        };
    }
    match want {
        DType::I8 => narrowed!(I8),
        DType::I16 => narrowed!(I16),
        DType::I32 => narrowed!(I32),
        DType::I64 => narrowed!(I64),
        DType::U8 => narrowed!(U8),
        DType::U16 => narrowed!(U16),
        DType::U32 => narrowed!(U32),
        DType::U64 => narrowed!(U64),
        DType::Bool => match wide.iter().position(|v| !(0..=1).contains(v)) {
            Some(bad) => Err(bad),
            None => Ok(Data::Bool(wide.iter().map(|&v| v == 1).collect())),
        },
        DType::F16 | DType::F32 | DType::F64 => Err(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_convert_when_they_fit() {
        assert_eq!(convert(Data::I64(vec![3, -4]), DType::I32), Ok(Data::I32(vec![3, -4])));
        assert_eq!(convert(Data::I64(vec![3, 1 << 40]), DType::I32), Err(1));
        assert_eq!(convert(Data::I8(vec![-1]), DType::U64), Err(0));
        assert_eq!(convert(Data::U8(vec![1, 0]), DType::Bool), Ok(Data::Bool(vec![true, false])));
        assert_eq!(convert(Data::U8(vec![0, 2]), DType::Bool), Err(1));
    }
}
