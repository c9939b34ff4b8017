//! Elements as Rust's numbers: tensors made of vectors without a copy, and seen as slices.

use std::fmt::Debug;

use bytes::Bytes;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use secateur_diag::{Code, Result, diag};
use secateur_onnx::ElemType;

use crate::tensor::{Data, Tensor};

#[cfg(target_endian = "big")]
compile_error!("tensors are little-endian in memory, as they are in files");

/// A Rust number that is an element type of ONNX.
pub trait Lane: Copy + PartialEq + PartialOrd + Debug + Send + Sync + 'static {
    /// The element type.
    const ELEM: ElemType;

    /// Numbers as bytes.
    fn bytes(values: &[Self]) -> &[u8];

    /// Bytes as numbers; `None` where they do not lie as the type wants them.
    fn lanes(bytes: &[u8]) -> Option<&[Self]>;
}

macro_rules! lanes {
    ($($rust:ty: $elem:ident)*) => {
        $(impl Lane for $rust {
            const ELEM: ElemType = ElemType::$elem;

            fn bytes(values: &[Self]) -> &[u8] {
                bytemuck::cast_slice(values)
            }

            fn lanes(bytes: &[u8]) -> Option<&[Self]> {
                bytemuck::try_cast_slice(bytes).ok()
            }
        })*
    };
}

lanes! { f32: F32 f64: F64 i8: I8 i16: I16 i32: I32 i64: I64 u8: U8 u16: U16 u32: U32 u64: U64 }

macro_rules! halves {
    ($($rust:ty: $elem:ident)*) => {
        $(impl Lane for $rust {
            const ELEM: ElemType = ElemType::$elem;

            fn bytes(values: &[Self]) -> &[u8] {
                bytemuck::cast_slice(values.reinterpret_cast())
            }

            fn lanes(bytes: &[u8]) -> Option<&[Self]> {
                let words: &[u16] = bytemuck::try_cast_slice(bytes).ok()?;
                Some(half::slice::HalfBitsSliceExt::reinterpret_cast(words))
            }
        })*
    };
}

halves! { f16: F16 bf16: Bf16 }

/// Memory of a vector, as the bytes of a tensor.
struct Owner<T>(Vec<T>);

impl<T: Lane> AsRef<[u8]> for Owner<T> {
    fn as_ref(&self) -> &[u8] {
        T::bytes(&self.0)
    }
}

/// The product of sizes; [`Code::L006`] where it overflows.
pub fn count(dims: &[usize]) -> Result<usize> {
    // Beside a 0 the other sizes may be anything.
    if dims.contains(&0) {
        return Ok(0);
    }
    dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or_else(|| {
        let sizes: Vec<String> = dims.iter().map(ToString::to_string).collect();
        diag(Code::L006, format!("the number of elements of [{}] overflows", sizes.join(",")))
    })
}

impl Tensor {
    /// From a vector, which is not copied. `dims` must multiply to its length.
    pub fn of<T: Lane>(dims: &[usize], values: Vec<T>) -> Self {
        Self::packed(T::ELEM, dims, values)
    }

    /// Of bools, each a byte of 0 or 1.
    pub fn bools(dims: &[usize], values: Vec<u8>) -> Self {
        Self::packed(ElemType::Bool, dims, values)
    }

    fn packed<T: Lane>(elem: ElemType, dims: &[usize], values: Vec<T>) -> Self {
        debug_assert_eq!(count(dims).ok(), Some(values.len()));
        Self { elem, dims: dims.to_vec(), data: Data::Bytes(Bytes::from_owner(Owner(values))) }
    }

    /// The elements; `None` where they have another type, are not known, or do not lie as the type wants them (see
    /// [`Tensor::aligned`]).
    pub fn slice<T: Lane>(&self) -> Option<&[T]> {
        if self.elem != T::ELEM {
            return None;
        }
        T::lanes(self.bytes()?)
    }

    /// Elements of a byte each, of type `u8` or bool.
    pub fn octets(&self) -> Option<&[u8]> {
        matches!(self.elem, ElemType::U8 | ElemType::Bool).then(|| self.bytes().map(|b| &b[..]))?
    }

    /// The same elements where [`Tensor::slice`] can see them: tensors read from a file may begin anywhere.
    pub fn aligned(self) -> Self {
        match &self.data {
            Data::Bytes(b) if !b.as_ptr().cast::<u64>().is_aligned() => {
                let mut words = vec![0u64; b.len().div_ceil(8)];
                bytemuck::cast_slice_mut(&mut words)[..b.len()].copy_from_slice(b);
                let len = b.len();
                let bytes = Bytes::from_owner(Owner(words)).slice(..len);
                Self { data: Data::Bytes(bytes), ..self }
            }
            _ => self,
        }
    }

    /// The same elements under other sizes of the same product.
    pub fn reshaped(&self, dims: &[usize]) -> Self {
        debug_assert_eq!(count(dims).ok(), Some(self.len()));
        Self { dims: dims.to_vec(), ..self.clone() }
    }

    /// The same with `rows` entries along axis 0: cut, or filled up by repeating the last one. Scalars and tensors
    /// without a row to repeat stay as they are.
    pub fn with_rows(self, rows: usize) -> Self {
        match self.dims.first() {
            Some(&have) if have > 0 && have != rows => {
                let index: Vec<usize> = (0..rows).map(|i| i.min(have - 1)).collect();
                self.take(0, &index).map_or(self, Self::aligned)
            }
            _ => self,
        }
    }

    /// `f32[1,3,32,32]`.
    pub fn describe(&self) -> String {
        let dims: Vec<String> = self.dims.iter().map(usize::to_string).collect();
        format!("{}[{}]", self.elem, dims.join(","))
    }

    /// Every number as `f64`: floating types of any width, integers (beyond 2^53 rounded) and bools.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        if let Some(ints) = self.to_i64() {
            let unsigned = self.elem == ElemType::U64;
            return Some(ints.iter().map(|&v| if unsigned { v as u64 as f64 } else { v as f64 }).collect());
        }
        let b = self.bytes()?;
        Some(match self.elem {
            ElemType::F64 => b.chunks_exact(8).map(|c| f64::from_le_bytes(c.try_into().unwrap())).collect(),
            _ => self.to_f32()?.into_iter().map(f64::from).collect(),
        })
    }
}

/// Runs a body with `$t` as the Rust type of `$elem`, one of the listed; `$other` for the rest.
///
/// ```
/// use secateur_tensor::{Tensor, ElemType, dispatch};
/// fn negated(t: &Tensor) -> Option<Tensor> {
///     dispatch!(t.elem, [F32 F64 I32 I64], T => {
///         let values: &[T] = t.slice()?;
///         Some(Tensor::of(&t.dims, values.iter().map(|v| -v).collect()))
///     }, None)
/// }
/// assert!(negated(&Tensor::i64(&[1], &[3])).is_some_and(|t| t.to_i64() == Some(vec![-3])));
/// ```
#[macro_export]
macro_rules! dispatch {
    ($elem:expr, [$($variant:ident)*], $t:ident => $body:expr, $other:expr) => {
        match $elem {
            $($crate::ElemType::$variant => { type $t = $crate::lane!($variant); $body })*
            _ => $other,
        }
    };
}

/// The Rust type of an element type.
#[macro_export]
macro_rules! lane {
    (F32) => {
        f32
    };
    (F64) => {
        f64
    };
    (F16) => {
        $crate::f16
    };
    (Bf16) => {
        $crate::bf16
    };
    (I8) => {
        i8
    };
    (I16) => {
        i16
    };
    (I32) => {
        i32
    };
    (I64) => {
        i64
    };
    (U8) => {
        u8
    };
    (U16) => {
        u16
    };
    (U32) => {
        u32
    };
    (U64) => {
        u64
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_seen_again_where_they_are() {
        let t = Tensor::of(&[2, 2], vec![1.0f32, 2.0, 3.0, 4.0]);
        assert_eq!(t.slice::<f32>(), Some(&[1.0, 2.0, 3.0, 4.0][..]));
        assert_eq!(t.slice::<i32>(), None);
        assert_eq!(t.to_f32().unwrap(), [1.0, 2.0, 3.0, 4.0]);
        let halves = Tensor::of(&[1], vec![f16::from_f32(0.5)]);
        assert_eq!((halves.elem, halves.to_f64()), (ElemType::F16, Some(vec![0.5])));
        assert_eq!(Tensor::of(&[1], vec![u64::MAX]).to_f64(), Some(vec![u64::MAX as f64]));
        assert_eq!(Tensor::bools(&[2], vec![1, 0]).octets(), Some(&[1, 0][..]));
    }

    #[test]
    fn unaligned_bytes_are_moved() {
        let bytes = Bytes::from(vec![0u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 63, 9]);
        for start in 0..5 {
            let t = Tensor::from_bytes(ElemType::F32, vec![1], bytes.slice(start..start + 4)).aligned();
            assert!(t.slice::<f32>().is_some(), "{start}");
            assert_eq!(t.bytes().unwrap()[..], bytes[start..start + 4]);
        }
    }

    #[test]
    fn rows_are_cut_and_filled() {
        let t = Tensor::of(&[3, 2], vec![0f32, 1., 2., 3., 4., 5.]);
        assert_eq!(t.clone().with_rows(2), Tensor::of(&[2, 2], vec![0f32, 1., 2., 3.]));
        assert_eq!(t.with_rows(5), Tensor::of(&[5, 2], vec![0f32, 1., 2., 3., 4., 5., 4., 5., 4., 5.]));
        let scalar = Tensor::of(&[], vec![7f32]);
        assert_eq!(scalar.clone().with_rows(4), scalar);
    }

    #[test]
    fn sizes_are_multiplied_with_care() {
        assert_eq!(count(&[3, 4]).unwrap(), 12);
        assert_eq!(count(&[usize::MAX, 0, 7]).unwrap(), 0);
        assert!(count(&[1 << 32, 1 << 32]).is_err());
    }
}
