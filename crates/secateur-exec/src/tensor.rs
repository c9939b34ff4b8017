//! A plain tensor: a shape and its elements in C order.

use half::f16;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! dtypes {
    ($($dtype:ident $rust:ty, $name:literal, $size:literal;)*) => {
        /// Element types that can be fed to a model and read back.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum DType { $(#[doc = $name] $dtype,)* }

        /// The elements of a [`Tensor`], in C order.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Data { $(#[doc = $name] $dtype(Vec<$rust>),)* }

        impl DType {
            /// Bytes of one element.
            pub fn size(self) -> usize { match self { $(DType::$dtype => $size),* } }
        }

        impl fmt::Display for DType {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(DType::$dtype => $name),* })
            }
        }

        impl Data {
            /// Type of the elements.
            pub fn dtype(&self) -> DType { match self { $(Data::$dtype(_) => DType::$dtype),* } }

            /// Number of elements.
            pub fn len(&self) -> usize { match self { $(Data::$dtype(v) => v.len()),* } }

            /// Keeps the first `len` elements, or repeats the last `row` elements until there are `len`.
            fn resize_rows(&mut self, len: usize, row: usize) {
                match self {
                    $(Data::$dtype(v) => {
                        v.truncate(len);
                        while v.len() < len && v.len() >= row && row > 0 {
                            v.extend_from_within(v.len() - row..);
                        }
                    })*
                }
            }
        }
    };
}

dtypes! {
    F32 f32, "f32", 4;
    F64 f64, "f64", 8;
    F16 f16, "f16", 2;
    I8 i8, "i8", 1;
    I16 i16, "i16", 2;
    I32 i32, "i32", 4;
    I64 i64, "i64", 8;
    U8 u8, "u8", 1;
    U16 u16, "u16", 2;
    U32 u32, "u32", 4;
    U64 u64, "u64", 8;
    Bool bool, "bool", 1;
}

impl DType {
    /// f16, f32 or f64.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F16 | DType::F32 | DType::F64)
    }
}

impl Data {
    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every element as f64 (i64 and u64 beyond 2^53 are rounded; `true` is 1).
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Data::F32(v) => v.iter().map(|&x| x.into()).collect(),
            Data::F64(v) => v.clone(),
            Data::F16(v) => v.iter().map(|&x| x.into()).collect(),
            Data::I8(v) => v.iter().map(|&x| x.into()).collect(),
            Data::I16(v) => v.iter().map(|&x| x.into()).collect(),
            Data::I32(v) => v.iter().map(|&x| x.into()).collect(),
            Data::I64(v) => v.iter().map(|&x| x as f64).collect(),
            Data::U8(v) => v.iter().map(|&x| x.into()).collect(),
            Data::U16(v) => v.iter().map(|&x| x.into()).collect(),
            Data::U32(v) => v.iter().map(|&x| x.into()).collect(),
            Data::U64(v) => v.iter().map(|&x| x as f64).collect(),
            Data::Bool(v) => v.iter().map(|&x| f64::from(u8::from(x))).collect(),
        }
    }
}

/// A tensor fed to a model or computed by it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Axis lengths; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements in C order; as many as the product of `shape`.
    pub data: Data,
}

impl Tensor {
    /// A tensor of f32 values. `shape` must multiply to the number of values.
    pub fn f32(shape: &[usize], values: Vec<f32>) -> Self {
        Self { shape: shape.to_vec(), data: Data::F32(values) }
    }

    /// Type of the elements.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// The elements, if they are f32.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(v) => Some(v),
            _ => None,
        }
    }

    /// The same tensor with `rows` entries along axis 0: cut, or filled up by repeating the last one.
    /// Scalars and tensors without a row to repeat stay as they are.
    pub(crate) fn with_rows(mut self, rows: usize) -> Self {
        if let Some(&have) = self.shape.first()
            && have > 0
        {
            let row = self.shape[1..].iter().product::<usize>();
            self.data.resize_rows(rows * row, row);
            self.shape[0] = rows;
        }
        self
    }

    /// `f32[1,3,32,32]`.
    pub(crate) fn describe(&self) -> String {
        format!("{}{}", self.dtype(), describe_shape(&self.shape))
    }
}

/// `[1,3,32,32]`.
pub(crate) fn describe_shape(shape: &[usize]) -> String {
    let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("[{}]", dims.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_and_filled() {
        let t = Tensor::f32(&[3, 2], vec![0., 1., 2., 3., 4., 5.]);
        assert_eq!(t.clone().with_rows(2), Tensor::f32(&[2, 2], vec![0., 1., 2., 3.]));
        assert_eq!(t.with_rows(5), Tensor::f32(&[5, 2], vec![0., 1., 2., 3., 4., 5., 4., 5., 4., 5.]));
        let scalar = Tensor::f32(&[], vec![7.]);
        assert_eq!(scalar.clone().with_rows(4), scalar);
    }
}
