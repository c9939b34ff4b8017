//! Strided windows onto tensors: what makes Reshape, Transpose, Slice, Split and Concat cost nothing.

use crate::program::TensorId;

/// A strided window onto a tensor. Element `(i₀, i₁, ..)` is at `offset + Σ iₐ·strides[a]`, in elements of the
/// tensor's dense row-major order; [`crate::layout`] maps it to the order in memory. A stride of 0 repeats.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The tensor that is looked at.
    pub tensor: TensorId,
    /// The first element.
    pub offset: isize,
    /// Sizes, outermost axis first.
    pub dims: Vec<usize>,
    /// Elements between neighbours along each axis.
    pub strides: Vec<isize>,
}

/// Strides of a dense row-major tensor.
pub fn dense(dims: &[usize]) -> Vec<isize> {
    let mut strides = vec![1isize; dims.len()];
    for a in (0..dims.len().saturating_sub(1)).rev() {
        strides[a] = strides[a + 1] * dims[a + 1].max(1) as isize;
    }
    strides
}

impl View {
    /// All of a dense tensor.
    pub fn whole(tensor: TensorId, dims: &[usize]) -> Self {
        Self { tensor, offset: 0, dims: dims.to_vec(), strides: dense(dims) }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the elements lie one after the other.
    pub fn is_dense(&self) -> bool {
        let want = dense(&self.dims);
        self.dims.iter().zip(&self.strides).zip(&want).all(|((&n, s), w)| n <= 1 || s == w)
    }

    /// Whether this is all of the tensor of that many elements, in order.
    pub fn is_whole(&self, len: usize) -> bool {
        self.offset == 0 && self.len() == len && self.is_dense()
    }

    /// The same elements in another shape of as many elements, `None` where strides cannot say it.
    pub fn reshape(&self, dims: &[usize]) -> Option<View> {
        if dims.iter().product::<usize>() != self.len() {
            return None;
        }
        if self.is_empty() {
            return Some(View { dims: dims.to_vec(), strides: dense(dims), ..self.clone() });
        }
        let mut strides = vec![1isize; dims.len()];
        let from: Vec<(usize, isize)> =
            self.dims.iter().copied().zip(self.strides.iter().copied()).filter(|(n, _)| *n != 1).collect();
        let mut f = 0;
        let mut t = 0;
        while f < from.len() {
            // The smallest runs of axes on both sides with equally many elements.
            let (f0, t0) = (f, t);
            let (mut nf, mut nt) = (from[f].0, 1);
            f += 1;
            while nf != nt {
                if nt < nf {
                    nt *= *dims.get(t)?;
                    t += 1;
                } else {
                    nf *= from.get(f)?.0;
                    f += 1;
                }
            }
            let run = &from[f0..f];
            if run.windows(2).any(|w| w[0].1 != w[1].1 * w[1].0 as isize) {
                return None;
            }
            let mut s = run[run.len() - 1].1;
            for a in (t0..t).rev() {
                strides[a] = s;
                s *= dims[a] as isize;
            }
        }
        Some(View { dims: dims.to_vec(), strides, ..self.clone() })
    }

    /// Axes in another order: axis `a` of the result is axis `perm[a]` of this.
    pub fn transpose(&self, perm: &[usize]) -> View {
        View {
            dims: perm.iter().map(|&p| self.dims[p]).collect(),
            strides: perm.iter().map(|&p| self.strides[p]).collect(),
            ..self.clone()
        }
    }

    /// `len` elements from `start` on along an axis, `step` apart (may be negative).
    pub fn slice(&self, axis: usize, start: usize, len: usize, step: isize) -> View {
        let mut v = self.clone();
        v.offset += start as isize * v.strides[axis];
        v.dims[axis] = len;
        v.strides[axis] *= step;
        v
    }

    /// Repeated as ONNX broadcasts, `None` where the shapes do not fit.
    pub fn broadcast(&self, dims: &[usize]) -> Option<View> {
        let lead = dims.len().checked_sub(self.dims.len())?;
        let mut strides = vec![0; dims.len()];
        for (a, (&n, &s)) in self.dims.iter().zip(&self.strides).enumerate() {
            let to = dims[lead + a];
            if n != to && n != 1 {
                return None;
            }
            strides[lead + a] = if n == to { s } else { 0 };
        }
        Some(View { dims: dims.to_vec(), strides, ..self.clone() })
    }

    /// Without axes of size 1 at the front, down to `rank` axes; axes of size 1 are added where there are fewer.
    /// `None` where an axis in front is longer.
    pub fn to_rank(&self, rank: usize) -> Option<View> {
        let mut v = self.clone();
        while v.dims.len() > rank {
            if v.dims[0] != 1 {
                return None;
            }
            v.dims.remove(0);
            v.strides.remove(0);
        }
        while v.dims.len() < rank {
            v.dims.insert(0, 1);
            v.strides.insert(0, 0);
        }
        Some(v)
    }

    /// Positions of the elements, in row-major order of the view.
    pub fn positions(&self) -> Vec<isize> {
        let mut out = Vec::with_capacity(self.len());
        if self.is_empty() {
            return out;
        }
        let mut index = vec![0usize; self.dims.len()];
        let mut at = self.offset;
        loop {
            out.push(at);
            let mut a = self.dims.len();
            loop {
                if a == 0 {
                    return out;
                }
                a -= 1;
                index[a] += 1;
                at += self.strides[a];
                if index[a] < self.dims[a] {
                    break;
                }
                at -= self.strides[a] * self.dims[a] as isize;
                index[a] = 0;
            }
        }
    }

    /// What `inner`, a view of a tensor of sizes `dims`, becomes when that tensor is this view of another one.
    /// `None` where strides cannot say it.
    pub fn compose(&self, inner: &View, dims: &[usize]) -> Option<View> {
        let base = dense(dims);
        let (start, axes) = split(inner, dims, &base)?;
        let at = start.iter().zip(&self.strides).map(|(&c, s)| c as isize * s).sum::<isize>();
        let strides = axes.iter().map(|axis| axis.map_or(0, |(a, k)| self.strides[a] * k)).collect();
        Some(View { tensor: self.tensor, offset: self.offset + at, dims: inner.dims.clone(), strides })
    }
}

/// For each axis of a view the axis of the tensor that it runs along, and how many of its elements a step takes.
pub type Axes = Vec<Option<(usize, isize)>>;

/// The view in coordinates of a dense tensor: where it starts, and along which axis each of its axes runs.
/// `None` where an axis of the view runs over the end of an axis of the tensor.
pub fn split(view: &View, dims: &[usize], base: &[isize]) -> Option<(Vec<usize>, Axes)> {
    let mut rest = view.offset;
    let mut start = vec![0usize; dims.len()];
    for a in 0..dims.len() {
        if dims[a] > 1 {
            start[a] = usize::try_from(rest / base[a]).ok()?;
            rest %= base[a];
            if start[a] >= dims[a] {
                return None;
            }
        }
    }
    if rest != 0 {
        return None;
    }
    let mut used = vec![(0isize, 0isize); dims.len()];
    let mut axes = Vec::with_capacity(view.dims.len());
    for (&n, &s) in view.dims.iter().zip(&view.strides) {
        if n <= 1 || s == 0 {
            axes.push(None);
            continue;
        }
        let fits = |a: &usize| dims[*a] > 1 && s % base[*a] == 0 && (s / base[*a]).unsigned_abs() < dims[*a];
        let a = (0..dims.len()).find(fits)?;
        let k = s / base[a];
        let reach = k * (n as isize - 1);
        used[a].0 += reach.min(0);
        used[a].1 += reach.max(0);
        axes.push(Some((a, k)));
    }
    let inside = |a: usize| {
        let c = start[a] as isize;
        c + used[a].0 >= 0 && c + used[a].1 < dims[a].max(1) as isize
    };
    (0..dims.len()).all(inside).then_some((start, axes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(dims: &[usize]) -> View {
        View::whole(TensorId(0), dims)
    }

    #[test]
    fn reshape_follows_strides() {
        let t = whole(&[2, 3, 4]);
        assert_eq!(t.reshape(&[6, 4]).unwrap().strides, [4, 1]);
        assert_eq!(t.reshape(&[2, 12]).unwrap().strides, [12, 1]);
        assert!(t.transpose(&[1, 0, 2]).reshape(&[6, 4]).is_none());
        assert_eq!(t.slice(2, 0, 2, 1).reshape(&[3, 2, 2]).unwrap().strides, [8, 4, 1]);
        assert_eq!(t.slice(1, 2, 3, -1).positions()[..5], [8, 9, 10, 11, 4]);
    }

    #[test]
    fn views_of_views() {
        // Channels 2..4 of a tensor of 5 channels, seen as 2x3 pixels each.
        let outer = whole(&[5, 2, 3]).slice(0, 2, 2, 1);
        let inner = whole(&[2, 2, 3]);
        assert_eq!(outer.compose(&inner, &[2, 2, 3]).unwrap(), outer);
        let row = inner.slice(1, 1, 1, 1);
        assert_eq!(outer.compose(&row, &[2, 2, 3]).unwrap().offset, 15);
        // All pixels in one axis run over the end of a row.
        assert!(outer.compose(&inner.reshape(&[2, 6]).unwrap(), &[2, 2, 3]).is_none());
    }
}
