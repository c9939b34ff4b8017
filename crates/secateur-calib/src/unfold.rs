//! A linear operator's input as rows of features: what im2col gives, for any number of axes.

use faer::Mat;
use secateur_diag::{Code, Result, diag};
use secateur_tensor::Tensor;

/// Where one tap of a window reads along one axis: by output position, the input position, or `None` for
/// padding.
type Reads = Vec<Option<usize>>;

/// Turns a batch of a linear operator's input into a matrix, one row for each place where the operator
/// computes outputs, one column for each weight of one output.
#[derive(Debug, Clone, PartialEq)]
pub enum Unfold {
    /// Windows over `[N, C, ...]`. Columns are channels times taps, row-major.
    Window {
        /// For each spatial axis its taps; for each tap what it reads.
        axes: Vec<Vec<Reads>>,
        /// Lengths of the spatial axes of the input.
        input: Vec<usize>,
    },
    /// Every index but that of one axis is a row; columns are the axis.
    Axis(usize),
}

/// A window's movement along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slide {
    /// Length of the input.
    pub input: usize,
    /// Number of taps.
    pub taps: usize,
    /// Step from output to output; of a transposed convolution, from input to input.
    pub stride: usize,
    /// Distance between taps.
    pub dilation: usize,
    /// Padding before the first element.
    pub pad: usize,
    /// Length of the output.
    pub output: usize,
}

impl Slide {
    /// What each tap of a convolution reads.
    fn forward(&self) -> Vec<Reads> {
        let read = |o: usize, t: usize| {
            (o * self.stride + t * self.dilation).checked_sub(self.pad).filter(|&i| i < self.input)
        };
        (0..self.taps).map(|t| (0..self.output).map(|o| read(o, t)).collect()).collect()
    }

    /// What each tap of a transposed convolution reads.
    fn transposed(&self) -> Vec<Reads> {
        let read = |o: usize, t: usize| {
            let at = (o + self.pad).checked_sub(t * self.dilation)?;
            (at.is_multiple_of(self.stride)).then_some(at / self.stride).filter(|&i| i < self.input)
        };
        (0..self.taps).map(|t| (0..self.output).map(|o| read(o, t)).collect()).collect()
    }
}

impl Unfold {
    /// The windows of a convolution.
    pub fn convolution(slides: &[Slide]) -> Self {
        let input = slides.iter().map(|s| s.input).collect();
        Self::Window { axes: slides.iter().map(Slide::forward).collect(), input }
    }

    /// The windows of a transposed convolution, seen from its outputs.
    pub fn transposed(slides: &[Slide]) -> Self {
        let input = slides.iter().map(|s| s.input).collect();
        Self::Window { axes: slides.iter().map(Slide::transposed).collect(), input }
    }

    /// The matrix of a batch, for channels (or columns) `range` of the input.
    ///
    /// Shapes: `[N, C, D1, ...]` gives `N * outputs` rows and `range.len() * taps` columns.
    ///
    /// # Errors
    /// `X002` where the tensor is not f32 or does not have the shape that was announced.
    pub fn rows(&self, x: &Tensor, range: std::ops::Range<usize>) -> Result<Mat<f32>> {
        let bad = || {
            diag(Code::X002, "a value that statistics are taken of has another form than expected")
                .at("value", x.describe())
        };
        let data = x.slice::<f32>().ok_or_else(bad)?;
        match self {
            Self::Axis(axis) => {
                let width = *x.dims.get(*axis).filter(|w| range.end <= **w).ok_or_else(bad)?;
                let inner: usize = x.dims[axis + 1..].iter().product();
                let outer: usize = x.dims[..*axis].iter().product();
                let mut out = Mat::zeros(outer * inner, range.len());
                for (f, c) in range.enumerate() {
                    let column = out.col_as_slice_mut(f);
                    for o in 0..outer {
                        let from = (o * width + c) * inner;
                        column[o * inner..][..inner].copy_from_slice(&data[from..][..inner]);
                    }
                }
                Ok(out)
            }
            Self::Window { axes, input } => {
                let fits = x.dims.len() == input.len() + 2 && x.dims[2..] == input[..];
                if !fits || range.end > x.dims[1] {
                    return Err(bad());
                }
                Ok(windows(data, x.dims[0], x.dims[1], range, axes, input))
            }
        }
    }
}

fn windows(
    data: &[f32],
    samples: usize,
    channels: usize,
    range: std::ops::Range<usize>,
    axes: &[Vec<Reads>],
    input: &[usize],
) -> Mat<f32> {
    let (last, front) = (&axes[axes.len() - 1], &axes[..axes.len() - 1]);
    let taps: usize = axes.iter().map(Vec::len).product();
    let outputs: usize = axes.iter().map(|a| a[0].len()).product();
    let width = input[input.len() - 1];
    let plane: usize = input.iter().product();
    let line = last[0].len();
    // A tap of the last axis reads a run of neighbours, or single elements.
    let runs: Vec<Option<(usize, usize, usize)>> = last.iter().map(run).collect();
    let mut out = Mat::zeros(samples * outputs, range.len() * taps);
    for (f, (c, tap)) in range.flat_map(|c| (0..taps).map(move |t| (c, t))).enumerate() {
        let column = out.col_as_slice_mut(f);
        let (tap_front, tap_last) = (tap / last.len(), tap % last.len());
        for n in 0..samples {
            let source = &data[(n * channels + c) * plane..][..plane];
            for l in 0..outputs / line {
                let Some(row) = front_row(front, input, tap_front, l) else { continue };
                let source = &source[row * width..][..width];
                let to = &mut column[n * outputs + l * line..][..line];
                match runs[tap_last] {
                    Some((start, from, len)) => {
                        to[start..start + len].copy_from_slice(&source[from..from + len]);
                    }
                    None => {
                        for (to, read) in to.iter_mut().zip(&last[tap_last]) {
                            if let Some(i) = read {
                                *to = source[*i];
                            }
                        }
                    }
                }
            }
        }
    }
    out
}

/// The line that output line `l` reads through tap `tap` of all axes but the last; `None` in the padding.
fn front_row(front: &[Vec<Reads>], input: &[usize], mut tap: usize, mut l: usize) -> Option<usize> {
    let mut row = 0;
    let mut scale = 1;
    for (axis, reads) in front.iter().enumerate().rev() {
        let (t, o) = (tap % reads.len(), l % reads[0].len());
        tap /= reads.len();
        l /= reads[0].len();
        row += reads[t][o]? * scale;
        scale *= input[axis];
    }
    Some(row)
}

/// First output, first input and length of a run of neighbours; `None` where reads are not one run.
fn run(reads: &Reads) -> Option<(usize, usize, usize)> {
    let Some(start) = reads.iter().position(Option::is_some) else { return Some((0, 0, 0)) };
    let len = reads[start..].iter().take_while(|r| r.is_some()).count();
    let from = reads[start]?;
    let straight = reads[start..start + len].iter().enumerate().all(|(i, r)| *r == Some(from + i));
    (straight && reads[start + len..].iter().all(Option::is_none)).then_some((start, from, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(x: &[f32], s: [Slide; 2], transposed: bool, c: usize, o: [usize; 2], t: [usize; 2]) -> f32 {
        let mut at = [0; 2];
        for a in 0..2 {
            let s = s[a];
            let i = if transposed {
                let i = o[a] as isize + s.pad as isize - (t[a] * s.dilation) as isize;
                if i.rem_euclid(s.stride as isize) != 0 {
                    return 0.0;
                }
                i.div_euclid(s.stride as isize)
            } else {
                (o[a] * s.stride + t[a] * s.dilation) as isize - s.pad as isize
            };
            if i < 0 || i >= s.input as isize {
                return 0.0;
            }
            at[a] = i as usize;
        }
        x[(c * s[0].input + at[0]) * s[1].input + at[1]]
    }

    #[test]
    fn windows_read_what_a_convolution_reads() {
        let (h, w) = (7, 6);
        let data: Vec<f32> = (0..2 * 3 * h * w).map(|i| i as f32 + 1.0).collect();
        let x = Tensor::of(&[2, 3, h, w], data.clone());
        for (stride, dilation, pad, transposed) in [
            (1, 1, 1, false),
            (2, 1, 1, false),
            (1, 2, 0, false),
            (2, 1, 1, true),
            (1, 2, 2, true),
            (3, 2, 0, true),
        ] {
            let slide = |input: usize, taps: usize| {
                let reach = (taps - 1) * dilation + 1;
                let output = match transposed {
                    false => (input + 2 * pad - reach) / stride + 1,
                    true => (input - 1) * stride + reach - 2 * pad,
                };
                Slide { input, taps, stride, dilation, pad, output }
            };
            let s = [slide(h, 3), slide(w, 2)];
            let unfold = if transposed { Unfold::transposed(&s) } else { Unfold::convolution(&s) };
            let m = unfold.rows(&x, 1..3).unwrap();
            assert_eq!((m.nrows(), m.ncols()), (2 * s[0].output * s[1].output, 2 * 6));
            for n in 0..2 {
                for (oy, ox) in (0..s[0].output).flat_map(|y| (0..s[1].output).map(move |x| (y, x))) {
                    for (c, ty, tx) in (0..2).flat_map(|c| (0..6).map(move |t| (c, t / 2, t % 2))) {
                        let want = naive(&data[n * 3 * h * w..], s, transposed, c + 1, [oy, ox], [ty, tx]);
                        let row = (n * s[0].output + oy) * s[1].output + ox;
                        assert_eq!(m[(row, c * 6 + ty * 2 + tx)], want, "{s:?} {n} {oy} {ox} {c} {ty} {tx}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_axis_becomes_columns() {
        let x = Tensor::of(&[2, 3, 2], (0..12).map(|i| i as f32).collect());
        let m = Unfold::Axis(1).rows(&x, 1..3).unwrap();
        assert_eq!((m.nrows(), m.ncols()), (4, 2));
        assert_eq!(m[(0, 0)], 2.0);
        assert_eq!(m[(3, 1)], 11.0);
        assert!(Unfold::Axis(1).rows(&x, 0..4).is_err());
        assert!(Unfold::Axis(3).rows(&x, 0..1).is_err());
    }
}
