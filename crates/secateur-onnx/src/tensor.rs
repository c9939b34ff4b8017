//! A tensor's elements as packed bytes.

use bytes::Bytes;
use secateur_diag::{Code, Diagnostic, Result};

use crate::elem::ElemType;
use crate::external::ExternalFiles;
use crate::proto::TensorProto;
use crate::proto::tensor_proto::DataLocation;

/// How many elements a tensor of shape `dims` has. A scalar has one.
///
/// # Errors
/// L006 if a dimension is negative or the product overflows.
pub fn element_count(dims: &[i64]) -> Result<usize> {
    let shape = || format!("{dims:?}");
    if dims.iter().any(|&d| d < 0) {
        return Err(Diagnostic::new(Code::L006, "a dimension is negative").at("shape", shape()));
    }
    if dims.contains(&0) {
        return Ok(0);
    }
    dims.iter()
        .try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?))
        .filter(|&n| isize::try_from(n).is_ok())
        .ok_or_else(|| {
            Diagnostic::new(Code::L006, "the product of the dimensions overflows").at("shape", shape())
        })
}

/// How many bytes the packed elements of a tensor take; the last byte may be partly used.
///
/// # Errors
/// L006 as [`element_count`], or if the bytes cannot be counted; L009 for strings, which do not pack.
pub fn byte_count(elem: ElemType, dims: &[i64]) -> Result<usize> {
    if elem == ElemType::String {
        return Err(Diagnostic::new(Code::L009, "string tensors have no packed form"));
    }
    let bits = element_count(dims)? as u128 * elem.bits() as u128;
    isize::try_from(bits.div_ceil(8)).map(|n| n as usize).map_err(|_| {
        Diagnostic::new(Code::L006, "the tensor's size overflows").at("shape", format!("{dims:?}"))
    })
}

/// Whether a tensor's elements are in another file.
pub fn is_external(t: &TensorProto) -> bool {
    t.data_location() == DataLocation::External
}

impl ExternalFiles {
    /// The elements of `t`, packed, little-endian, in row-major order, whether they are stored as raw
    /// bytes (then shared, not copied), in a typed field, or in another file.
    ///
    /// # Errors
    /// L004 if there are more or fewer bytes than type and shape ask for, L005 if external data cannot
    /// be read, L006 for absurd dimensions, L009 for strings and for unknown types.
    pub fn tensor_bytes(&self, t: &TensorProto) -> Result<Bytes> {
        let Some(elem) = ElemType::from_i32(t.data_type()) else {
            return Err(Diagnostic::new(Code::L009, format!("{} is not an element type", t.data_type()))
                .at("tensor", format!("{:?}", t.name())));
        };
        let place = |d: Box<Diagnostic>| d.at("tensor", format!("{:?}: {elem}{:?}", t.name(), t.dims));
        let expected = byte_count(elem, &t.dims).map_err(place)?;
        if t.segment.is_some() {
            return Err(place(Diagnostic::new(Code::L004, "a tensor stored in segments is not supported")));
        }
        let (bytes, field) = if is_external(t) {
            (self.read(t, expected)?, "external_data")
        } else if let Some(raw) = &t.raw_data {
            (raw.clone(), "raw_data")
        } else {
            typed(t, elem)
        };
        if bytes.len() != expected {
            return Err(place(Diagnostic::new(Code::L004, "a tensor's data do not match its shape"))
                .at("needs", format!("{expected} bytes"))
                .at("has", format!("{} bytes in {field}", bytes.len())));
        }
        Ok(bytes)
    }
}

/// The elements of the typed field that `elem` is kept in, and that field's name.
fn typed(t: &TensorProto, elem: ElemType) -> (Bytes, &'static str) {
    use ElemType::*;
    let ints = &t.int32_data;
    match elem {
        F32 | C64 => (pack(&t.float_data, |v| v.to_le_bytes()), "float_data"),
        F64 | C128 => (pack(&t.double_data, |v| v.to_le_bytes()), "double_data"),
        I64 => (pack(&t.int64_data, |v| v.to_le_bytes()), "int64_data"),
        U64 => (pack(&t.uint64_data, |v| v.to_le_bytes()), "uint64_data"),
        U32 => (pack(&t.uint64_data, |v| (v as u32).to_le_bytes()), "uint64_data"),
        I32 => (pack(ints, |v| v.to_le_bytes()), "int32_data"),
        U16 | I16 | F16 | Bf16 => (pack(ints, |v| (v as u16).to_le_bytes()), "int32_data"),
        Bool => (pack(ints, |v| [u8::from(v != 0)]), "int32_data"),
        F6E2M3 | F6E3M2 => (pack_sixes(ints), "int32_data"),
        // Smaller types come packed already, one byte an entry.
        U8 | I8 | F8E4M3Fn | F8E4M3Fnuz | F8E5M2 | F8E5M2Fnuz | F8E8M0 | U4 | I4 | F4E2M1 | U2 | I2 => {
            (pack(ints, |v| [v as u8]), "int32_data")
        }
        String => (Bytes::new(), "string_data"),
    }
}

fn pack<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Bytes {
    let mut out = Vec::with_capacity(values.len() * N);
    for &v in values {
        out.extend_from_slice(&bytes(v));
    }
    out.into()
}

/// Six-bit values, one an entry, into a stream of bits, lowest first.
fn pack_sixes(values: &[i32]) -> Bytes {
    let mut out = Vec::with_capacity(values.len().div_ceil(4) * 3);
    for four in values.chunks(4) {
        let bits = four.iter().rev().fold(0u32, |bits, &v| bits << 6 | (v as u32 & 63));
        out.extend_from_slice(&bits.to_le_bytes()[..(four.len() * 6).div_ceil(8)]);
    }
    out.into()
}
