//! The element types of tensors.

use std::fmt;

macro_rules! elem_types {
    ($($variant:ident $number:literal $name:literal $bits:literal $doc:literal)*) => {
        /// The type of a tensor's elements.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ElemType { $(#[doc = $doc] $variant,)* }

        impl ElemType {
            /// Every type, in the order of ONNX's numbers.
            pub const ALL: &'static [ElemType] = &[$(ElemType::$variant),*];

            /// The type that ONNX numbers `n`; `None` for UNDEFINED and for numbers it does not define.
            pub fn from_i32(n: i32) -> Option<Self> {
                match n { $($number => Some(Self::$variant),)* _ => None }
            }

            /// ONNX's number of the type (`TensorProto.DataType`).
            pub fn to_i32(self) -> i32 {
                match self { $(Self::$variant => $number),* }
            }

            /// Bits of one element in packed data; 0 for strings, which have no fixed size.
            pub fn bits(self) -> usize {
                match self { $(Self::$variant => $bits),* }
            }

            /// Short name, e.g. `f32`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The type with this short name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

elem_types! {
    F32 1 "f32" 32 "IEEE 754 single."
    U8 2 "u8" 8 "Unsigned, 8 bits."
    I8 3 "i8" 8 "Signed, 8 bits."
    U16 4 "u16" 16 "Unsigned, 16 bits."
    I16 5 "i16" 16 "Signed, 16 bits."
    I32 6 "i32" 32 "Signed, 32 bits."
    I64 7 "i64" 64 "Signed, 64 bits."
    String 8 "string" 0 "UTF-8 text; never packed."
    Bool 9 "bool" 8 "One byte, 0 or 1."
    F16 10 "f16" 16 "IEEE 754 half."
    F64 11 "f64" 64 "IEEE 754 double."
    U32 12 "u32" 32 "Unsigned, 32 bits."
    U64 13 "u64" 64 "Unsigned, 64 bits."
    C64 14 "c64" 64 "Complex, two singles."
    C128 15 "c128" 128 "Complex, two doubles."
    Bf16 16 "bf16" 16 "The upper half of a single."
    F8E4M3Fn 17 "f8e4m3fn" 8 "8-bit float, 4-bit exponent, no infinity."
    F8E4M3Fnuz 18 "f8e4m3fnuz" 8 "8-bit float, 4-bit exponent, no infinity, no negative zero."
    F8E5M2 19 "f8e5m2" 8 "8-bit float, 5-bit exponent."
    F8E5M2Fnuz 20 "f8e5m2fnuz" 8 "8-bit float, 5-bit exponent, no infinity, no negative zero."
    U4 21 "u4" 4 "Unsigned, two a byte, the first in the low half."
    I4 22 "i4" 4 "Signed, two a byte, the first in the low half."
    F4E2M1 23 "f4e2m1" 4 "4-bit float, two a byte, the first in the low half."
    F8E8M0 24 "f8e8m0" 8 "A power of two: the scale of microscaling formats."
    U2 25 "u2" 2 "Unsigned, four a byte, the first in the lowest bits."
    I2 26 "i2" 2 "Signed, four a byte, the first in the lowest bits."
    F6E2M3 27 "f6e2m3" 6 "6-bit float, four in three bytes, the first in the lowest bits."
    F6E3M2 28 "f6e3m2" 6 "6-bit float, four in three bytes, the first in the lowest bits."
}

/// By its short name.
impl serde::Serialize for ElemType {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

impl fmt::Display for ElemType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_agree_with_the_proto() {
        use crate::proto::tensor_proto::DataType;
        for &t in ElemType::ALL {
            assert_eq!(ElemType::from_i32(t.to_i32()), Some(t));
            assert_eq!(ElemType::from_name(t.name()), Some(t));
            assert!(DataType::try_from(t.to_i32()).is_ok(), "{t}");
        }
        let defined = (0..100).filter(|&n| DataType::try_from(n).is_ok()).count();
        assert_eq!(ElemType::ALL.len() + 1, defined, "every number but UNDEFINED");
        assert_eq!(ElemType::from_i32(0), None);
        assert_eq!(format!("{:>5}", ElemType::F32), "  f32");
    }
}
