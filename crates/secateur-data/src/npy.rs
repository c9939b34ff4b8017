//! `.npy` files, memory-mapped. The header is parsed by `npyz`; the elements are read from the map.

use crate::{describe_shape, guard};
use memmap2::Mmap;
use npyz::{Endianness, NpyHeader, Order, TypeChar};
use secateur_diag::{Code, Diagnostic, Result};
use secateur_tensor::{ElemType, Tensor};
use std::{fs::File, ops::Range, path::Path};

/// numpy itself refuses longer headers than this by default.
const MAX_HEADER: usize = 10_000;
/// `{'descr': '<f4', 'shape': (1, 2)}` nests two deep; the parser recurses, so deeper ones are refused.
const MAX_NESTING: usize = 4;

/// An array on disk: C order, little-endian, any type of numpy that is an element type. The first axis counts samples.
#[derive(Debug)]
pub struct NpyFile {
    label: String,
    bytes: Bytes,
    offset: usize,
    dtype: ElemType,
    shape: Vec<usize>,
}

#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl NpyFile {
    /// Opens and maps a file; no element is read yet.
    ///
    /// # Errors
    /// `D001` if the file cannot be read, is not a `.npy` array of a supported type in C order and
    /// little-endian, is a scalar, or is shorter than its header says.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let label = path.display().to_string();
        let map = File::open(path).and_then(|file| {
            if !file.metadata()?.is_file() {
                return Err(std::io::Error::other("not a regular file"));
            }
            // SAFETY: the map is read-only and private to this value. As with every mapped file,
            // another process that truncates it while we read can end us with SIGBUS.
            unsafe { Mmap::map(&file) }
        });
        let map = map.map_err(|e| invalid(&label, format!("the data file cannot be read: {e}")))?;
        Self::parse(label, Bytes::Mapped(map))
    }

    /// The same from memory; `label` stands for the file's name in messages.
    ///
    /// # Errors
    /// As [`NpyFile::open`].
    pub fn from_bytes(label: impl Into<String>, bytes: Vec<u8>) -> Result<Self> {
        Self::parse(label.into(), Bytes::Owned(bytes))
    }

    fn parse(label: String, bytes: Bytes) -> Result<Self> {
        let (dtype, shape, offset) = parse_header(bytes.get()).map_err(|reason| invalid(&label, reason))?;
        let row = shape[1..].iter().try_fold(dtype.bits() / 8, |n, &d| n.checked_mul(d));
        let needed = row.and_then(|row| row.checked_mul(shape[0]));
        let needed = needed.ok_or_else(|| invalid(&label, "the array's size overflows"))?;
        if row == Some(0) {
            return Err(invalid(&label, "the samples have no elements").at("array", describe_shape(&shape)));
        }
        let held = bytes.get().len() - offset;
        if held < needed {
            let reason = format!("the file is truncated: {held} of {needed} bytes of data");
            return Err(invalid(&label, reason).at("array", format!("{dtype}{}", describe_shape(&shape))));
        }
        Ok(Self { label, bytes, offset, dtype, shape })
    }

    /// Type of the elements.
    pub fn dtype(&self) -> ElemType {
        self.dtype
    }

    /// Axis lengths, samples first; at least one axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.shape[0]
    }

    /// The file's name, for messages.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// `x.npy: u8[5000,3,32,32]`
    pub(crate) fn describe(&self) -> String {
        format!("{}: {}{}", self.label, self.dtype, describe_shape(&self.shape))
    }

    /// The bytes of samples `range`, which is clipped to the samples there are.
    pub(crate) fn raw(&self, range: Range<usize>) -> &[u8] {
        let row = self.shape[1..].iter().product::<usize>() * (self.dtype.bits() / 8);
        let end = range.end.min(self.samples());
        &self.bytes.get()[self.offset + range.start.min(end) * row..self.offset + end * row]
    }

    /// Samples `range` as they are in the file; the range is clipped to the samples there are.
    pub fn samples_at(&self, range: Range<usize>) -> Tensor {
        let end = range.end.min(self.samples());
        let mut shape = self.shape.clone();
        shape[0] = end - range.start.min(end);
        decode(self.dtype, shape, self.raw(range))
    }
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Owned(vec) => vec,
        }
    }
}

/// Element type, shape and offset of the first element.
fn parse_header(bytes: &[u8]) -> Result<(ElemType, Vec<usize>, usize), String> {
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err("the file is not a .npy array".into());
    }
    let short = "the file is truncated inside its header";
    let (text_at, length) = match bytes.get(6..12) {
        Some([1, _, a, b, ..]) => (10, usize::from(u16::from_le_bytes([*a, *b]))),
        Some(&[_, _, a, b, c, d]) => (12, u32::from_le_bytes([a, b, c, d]) as usize),
        _ => return Err(short.into()),
    };
    if length > MAX_HEADER {
        return Err(format!("the header claims {length} bytes, more than the {MAX_HEADER} allowed"));
    }
    let offset = text_at + length;
    let text = bytes.get(text_at..offset).ok_or(short)?;
    if nesting(text) > MAX_NESTING {
        return Err("the header nests too deeply".into());
    }
    // The parser multiplies the dimensions unchecked, which panics in builds with overflow checks.
    let header = guard::contained(|| NpyHeader::from_reader(&bytes[..offset]))
        .map_err(|_| "the array's size overflows".to_string())?
        .map_err(|e| format!("the header is malformed: {e}"))?;
    let shape: Option<Vec<usize>> = header.shape().iter().map(|&d| usize::try_from(d).ok()).collect();
    let shape = shape.ok_or("the array's size overflows")?;
    if shape.is_empty() {
        return Err("the array is a scalar; its first axis must count samples".into());
    }
    // For one axis the two orders are the same, and numpy may write either.
    if header.order() == Order::Fortran && shape.len() > 1 {
        return Err("the array is in Fortran order; save np.ascontiguousarray(x)".into());
    }
    Ok((element_type(&header.dtype())?, shape, offset))
}

fn nesting(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for byte in text {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn element_type(dtype: &npyz::DType) -> Result<ElemType, String> {
    let unsupported = || format!("elements of type {} are not supported", dtype.descr());
    let npyz::DType::Plain(plain) = dtype else { return Err(unsupported()) };
    if plain.endianness() == Endianness::Big {
        return Err(format!("elements are big-endian ({plain}); save x.astype(x.dtype.newbyteorder('<'))"));
    }
    Ok(match (plain.type_char(), plain.size_field()) {
        (TypeChar::Float, 2) => ElemType::F16,
        (TypeChar::Float, 4) => ElemType::F32,
        (TypeChar::Float, 8) => ElemType::F64,
        (TypeChar::Int, 1) => ElemType::I8,
        (TypeChar::Int, 2) => ElemType::I16,
        (TypeChar::Int, 4) => ElemType::I32,
        (TypeChar::Int, 8) => ElemType::I64,
        (TypeChar::Uint, 1) => ElemType::U8,
        (TypeChar::Uint, 2) => ElemType::U16,
        (TypeChar::Uint, 4) => ElemType::U32,
        (TypeChar::Uint, 8) => ElemType::U64,
        (TypeChar::Bool, _) => ElemType::Bool,
        _ => return Err(unsupported()),
    })
}

/// Little-endian elements, as tensors have them too; a bool may be any byte in the file.
fn decode(dtype: ElemType, shape: Vec<usize>, raw: &[u8]) -> Tensor {
    match dtype {
        ElemType::Bool => Tensor::bools(&shape, raw.iter().map(|&b| u8::from(b != 0)).collect()),
        _ => Tensor::from_bytes(dtype, shape, raw.to_vec()).aligned(),
    }
}

fn invalid(label: &str, title: impl Into<String>) -> Box<Diagnostic> {
    Diagnostic::new(Code::D001, title).at("file", label)
}
