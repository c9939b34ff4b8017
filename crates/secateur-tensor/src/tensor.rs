//! Constant tensors: element type, fixed dimensions, packed little-endian bytes that are shared until written.

use bytes::Bytes;
use half::{bf16, f16};
use secateur_onnx::ElemType;

/// A constant tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Element type.
    pub elem: ElemType,
    /// Sizes, outermost axis first; empty for a scalar.
    pub dims: Vec<usize>,
    /// The elements.
    pub data: Data,
}

/// Where a tensor's elements are.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Packed little-endian, row-major; 4-bit types two a byte, low nibble first.
    Bytes(Bytes),
    /// Text elements.
    Strings(Vec<Bytes>),
    /// Only the digest is known: the tensor was read from a printed graph.
    Elided(u64),
}

impl Tensor {
    /// From packed little-endian bytes; the caller has checked their count.
    pub fn from_bytes(elem: ElemType, dims: Vec<usize>, bytes: impl Into<Bytes>) -> Self {
        Self { elem, dims, data: Data::Bytes(bytes.into()) }
    }

    /// From `f32` values, row-major.
    pub fn f32(dims: &[usize], values: &[f32]) -> Self {
        debug_assert_eq!(dims.iter().product::<usize>(), values.len());
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self::from_bytes(ElemType::F32, dims.to_vec(), bytes)
    }

    /// Numbers uniform in -1..1, always the same for a seed (SplitMix64): the printed form's `rand(SEED)`.
    pub fn uniform(dims: &[usize], seed: u64) -> Self {
        let one = |i: u64| {
            let mut z = seed.wrapping_mul(0xd134_2543_de82_ef95);
            z = z.wrapping_add((i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            // 24 bits are all that an f32 holds, so that the result is exact and below 1.
            ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        Self::f32(dims, &(0..dims.iter().product::<usize>() as u64).map(one).collect::<Vec<_>>())
    }

    /// From `i64` values, row-major.
    pub fn i64(dims: &[usize], values: &[i64]) -> Self {
        debug_assert_eq!(dims.iter().product::<usize>(), values.len());
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self::from_bytes(ElemType::I64, dims.to_vec(), bytes)
    }

    /// A rank-1 `i64` tensor.
    pub fn vec_i64(values: &[i64]) -> Self {
        Self::i64(&[values.len()], values)
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        // Beside a 0 the other sizes may be anything.
        if self.dims.contains(&0) { 0 } else { self.dims.iter().product() }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size of the elements in bytes, 4-bit types rounded up.
    pub fn byte_len(&self) -> usize {
        (self.len() * self.elem.bits()).div_ceil(8)
    }

    /// The packed bytes, where they are known.
    pub fn bytes(&self) -> Option<&Bytes> {
        match &self.data {
            Data::Bytes(b) => Some(b),
            _ => None,
        }
    }

    /// All elements as `i64`, for integer and bool types.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        let b = self.bytes()?;
        Some(match self.elem {
            ElemType::I64 => b.chunks_exact(8).map(|c| i64::from_le_bytes(c.try_into().unwrap())).collect(),
            ElemType::U64 => {
                b.chunks_exact(8).map(|c| u64::from_le_bytes(c.try_into().unwrap()) as i64).collect()
            }
            ElemType::I32 => {
                b.chunks_exact(4).map(|c| i32::from_le_bytes(c.try_into().unwrap()).into()).collect()
            }
            ElemType::U32 => {
                b.chunks_exact(4).map(|c| u32::from_le_bytes(c.try_into().unwrap()).into()).collect()
            }
            ElemType::I16 => {
                b.chunks_exact(2).map(|c| i16::from_le_bytes(c.try_into().unwrap()).into()).collect()
            }
            ElemType::U16 => {
                b.chunks_exact(2).map(|c| u16::from_le_bytes(c.try_into().unwrap()).into()).collect()
            }
            // Two a byte, the first in the low half.
            ElemType::I4 | ElemType::U4 => {
                let signed = self.elem == ElemType::I4;
                let one = |x: u8| i64::from(x) - if signed && x > 7 { 16 } else { 0 };
                b.iter().flat_map(|c| [one(c & 15), one(c >> 4)]).take(self.len()).collect()
            }
            ElemType::I8 => b.iter().map(|&c| i64::from(c as i8)).collect(),
            ElemType::U8 | ElemType::Bool => b.iter().map(|&c| c.into()).collect(),
            _ => return None,
        })
    }

    /// All elements as `f32`, for floating types (`f64` is rounded).
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        let b = self.bytes()?;
        Some(match self.elem {
            ElemType::F32 => b.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect(),
            ElemType::F64 => {
                b.chunks_exact(8).map(|c| f64::from_le_bytes(c.try_into().unwrap()) as f32).collect()
            }
            ElemType::F16 => {
                b.chunks_exact(2).map(|c| f16::from_le_bytes(c.try_into().unwrap()).to_f32()).collect()
            }
            ElemType::Bf16 => {
                b.chunks_exact(2).map(|c| bf16::from_le_bytes(c.try_into().unwrap()).to_f32()).collect()
            }
            _ => return None,
        })
    }

    /// A tensor of the same floating type and `dims` with new values; `None` for other types.
    pub fn with_f32(&self, dims: Vec<usize>, values: &[f32]) -> Option<Tensor> {
        let bytes: Vec<u8> = match self.elem {
            ElemType::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ElemType::F64 => values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect(),
            ElemType::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
            ElemType::Bf16 => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
            _ => return None,
        };
        Some(Tensor::from_bytes(self.elem, dims, bytes))
    }

    /// The elements at `index` along `axis`, in that order, copied. `None` where the elements are not known.
    ///
    /// Shapes: `[.., n, ..]` and indices below `n` give `[.., index.len(), ..]`.
    pub fn take(&self, axis: usize, index: &[usize]) -> Option<Tensor> {
        let n = self.dims[axis];
        let mut dims = self.dims.clone();
        dims[axis] = index.len();
        if dims.contains(&0) {
            let data = match &self.data {
                Data::Elided(_) => return None,
                Data::Strings(_) => Data::Strings(Vec::new()),
                Data::Bytes(_) => Data::Bytes(Bytes::new()),
            };
            return Some(Tensor { elem: self.elem, dims, data });
        }
        let outer: usize = self.dims[..axis].iter().product();
        let inner: usize = self.dims[axis + 1..].iter().product();
        let data = match &self.data {
            Data::Elided(_) => return None,
            Data::Strings(s) => Data::Strings(
                (0..outer)
                    .flat_map(|o| index.iter().map(move |&i| (o * n + i) * inner))
                    .flat_map(|at| s[at..at + inner].iter().cloned())
                    .collect(),
            ),
            Data::Bytes(b) if self.elem.bits().is_multiple_of(8) => {
                let run = inner * self.elem.bits() / 8;
                let mut out = Vec::with_capacity(outer * index.len() * run);
                for o in 0..outer {
                    for &i in index {
                        let at = (o * n + i) * run;
                        out.extend_from_slice(&b[at..at + run]);
                    }
                }
                Data::Bytes(out.into())
            }
            Data::Bytes(b) => Data::Bytes(take_packed(b, self.elem.bits(), outer, n, inner, index).into()),
        };
        Some(Tensor { elem: self.elem, dims, data })
    }

    /// FNV-1a of the element bytes; what the printed form shows of a large tensor.
    pub fn digest(&self) -> u64 {
        let fnv = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3);
        match &self.data {
            Data::Elided(d) => *d,
            Data::Bytes(b) => b.iter().fold(0xcbf2_9ce4_8422_2325, |h, &b| fnv(h, b)),
            Data::Strings(s) => {
                s.iter().fold(0xcbf2_9ce4_8422_2325, |h, s| s.iter().fold(fnv(h, 0xff), |h, &b| fnv(h, b)))
            }
        }
    }
}

/// [`Tensor::take`] for types of less than a byte.
fn take_packed(b: &[u8], bits: usize, outer: usize, n: usize, inner: usize, index: &[usize]) -> Vec<u8> {
    let per = 8 / bits;
    let mask = (1u8 << bits) - 1;
    let mut out = vec![0u8; (outer * index.len() * inner).div_ceil(per)];
    let mut to = 0;
    for o in 0..outer {
        for &i in index {
            for k in 0..inner {
                let from = (o * n + i) * inner + k;
                let v = (b[from / per] >> (from % per * bits)) & mask;
                out[to / per] |= v << (to % per * bits);
                to += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn take_keeps_rows_and_nibbles() {
        let t = Tensor::i64(&[2, 3], &[0, 1, 2, 3, 4, 5]);
        assert_eq!(t.take(1, &[0, 2]).unwrap().to_i64().unwrap(), [0, 2, 3, 5]);
        assert_eq!(t.take(0, &[1]).unwrap().to_i64().unwrap(), [3, 4, 5]);
        let n = Tensor::from_bytes(ElemType::U4, vec![5], vec![0x21, 0x43, 0x05]);
        assert_eq!(&n.take(0, &[1, 3, 4]).unwrap().bytes().unwrap()[..], &[0x42, 0x05]);
    }
}
