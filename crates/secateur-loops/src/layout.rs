//! How a tensor lies in memory: dense, or as planes with a border of zeros that convolutions read as their padding.
//!
//! The pixels right of a row are at the same time those left of the next one, so a border costs one row above, one
//! below, and one gap a row: `row = width + max(left, right)`.

use crate::view::{View, dense, split};

/// Pixels of zeros around every plane: top, left, bottom, right.
pub type Pads = [usize; 4];

/// A tensor in memory, in floats from its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Sizes of the tensor.
    pub dims: Vec<usize>,
    /// Floats between neighbours along each axis.
    pub strides: Vec<isize>,
    /// Floats before the first element.
    pub origin: usize,
    /// Floats it takes.
    pub floats: usize,
    /// The border; all zeros for a dense tensor.
    pub pads: Pads,
}

/// A view in memory, in floats from the start of its tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first element.
    pub offset: isize,
    /// Sizes.
    pub dims: Vec<usize>,
    /// Floats between neighbours along each axis.
    pub strides: Vec<isize>,
}

impl Layout {
    /// Without borders.
    pub fn dense(dims: &[usize]) -> Self {
        let floats = dims.iter().product();
        Self { dims: dims.to_vec(), strides: dense(dims), origin: 0, floats, pads: [0; 4] }
    }

    /// With borders around the last two axes, of which there are at least that many.
    pub fn padded(dims: &[usize], pads: Pads) -> Self {
        let rank = dims.len();
        if pads == [0; 4] || rank < 2 {
            return Self::dense(dims);
        }
        let [top, left, bottom, right] = pads;
        let (h, w) = (dims[rank - 2], dims[rank - 1]);
        let row = w + left.max(right);
        let plane = (top + h + bottom) * row + left;
        let mut strides = vec![1isize; rank];
        strides[rank - 2] = row as isize;
        let mut s = plane as isize;
        for a in (0..rank - 2).rev() {
            strides[a] = s;
            s *= dims[a].max(1) as isize;
        }
        Self { dims: dims.to_vec(), strides, origin: top * row + left, floats: s as usize, pads }
    }

    /// Whether there is no border.
    pub fn is_dense(&self) -> bool {
        self.pads == [0; 4]
    }

    /// Where the elements of a view are; `None` where the view runs over the end of a row with a border.
    pub fn locate(&self, v: &View) -> Option<Span> {
        if self.is_dense() {
            return Some(Span { offset: v.offset, dims: v.dims.clone(), strides: v.strides.clone() });
        }
        let (start, axes) = split(v, &self.dims, &dense(&self.dims))?;
        let at: isize = start.iter().zip(&self.strides).map(|(&c, s)| c as isize * s).sum();
        let strides = axes.iter().map(|axis| axis.map_or(0, |(a, k)| self.strides[a] * k)).collect();
        Some(Span { offset: self.origin as isize + at, dims: v.dims.clone(), strides })
    }
}
