//! What windows read, as a few shifted copies of each plane.

use super::windows::Windows;

/// One copy of a plane for each tap of the last axis, with padding in place, so that what a tap of the first axis
/// reads through it is one run: a third of what im2col copies for a window of three by three.
///
/// Rows that are `stride` apart lie next to each other: `[tap, row % stride, row / stride, output column]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copies {
    windows: Windows,
    /// Remainders of row numbers that are read.
    phases: usize,
    /// Rows of one remainder.
    rows: usize,
}

impl Copies {
    pub fn new(windows: Windows) -> Self {
        let y = windows.y;
        let reach = (y.taps - 1) * y.dilation;
        Self { windows, phases: y.stride.min(reach + 1), rows: y.output + reach / y.stride }
    }

    /// Elements of one copy.
    pub fn len(&self) -> usize {
        self.phases * self.rows * self.windows.x.output
    }

    /// Where the run of a tap of the first axis begins, in every copy.
    pub fn run(&self, tap: usize) -> usize {
        let shift = tap * self.windows.y.dilation;
        let stride = self.windows.y.stride;
        (shift % stride * self.rows + shift / stride) * self.windows.x.output
    }

    /// Whether rows of the copies are whole rows of the plane, moved to a side.
    fn straight(&self) -> bool {
        let (x, y) = (self.windows.x, self.windows.y);
        x.stride == 1 && x.output == x.input && y.stride == 1
    }

    /// Fills the copies of a plane; `to` holds them one after the other.
    pub fn fill(&self, plane: &[f32], to: &mut [f32]) {
        let (x, y) = (self.windows.x, self.windows.y);
        for (tap, to) in to.chunks_exact_mut(self.len()).enumerate() {
            let (first, end) = x.inside(tap);
            if first == end {
                to.fill(0.0);
            } else if self.straight() {
                // One long run is faster than many short ones; the ends of rows are put right afterwards.
                let shift = (y.pad * x.output + x.pad) as isize - (tap * x.dilation) as isize;
                let start = shift.clamp(0, to.len() as isize) as usize;
                let from = (-shift).clamp(0, plane.len() as isize) as usize;
                let n = (plane.len() - from).min(to.len() - start);
                to[..start].fill(0.0);
                to[start..start + n].copy_from_slice(&plane[from..from + n]);
                to[start + n..].fill(0.0);
                if end - first < x.output {
                    for row in to.chunks_exact_mut(x.output) {
                        row[..first].fill(0.0);
                        row[end..].fill(0.0);
                    }
                }
            } else {
                to.fill(0.0);
                self.each_row(tap, |row, at, n| {
                    let to = &mut to[row..row + n];
                    match x.stride {
                        1 => to.copy_from_slice(&plane[at..at + n]),
                        s => to.iter_mut().zip(plane[at..].iter().step_by(s)).for_each(|(a, b)| *a = *b),
                    }
                });
            }
        }
    }

    /// Adds copies back to the plane: the transpose of [`Copies::fill`].
    pub fn fold(&self, from: &[f32], plane: &mut [f32]) {
        let x = self.windows.x;
        for (tap, from) in from.chunks_exact(self.len()).enumerate() {
            self.each_row(tap, |row, at, n| {
                let from = &from[row..row + n];
                match x.stride {
                    1 => plane[at..at + n].iter_mut().zip(from).for_each(|(a, b)| *a += b),
                    s => plane[at..].iter_mut().step_by(s).zip(from).for_each(|(a, b)| *a += b),
                }
            });
        }
    }

    /// For every row of the plane that the copy of a tap holds: where its first element lies in the copy and in the
    /// plane, and how many follow.
    fn each_row(&self, tap: usize, mut each: impl FnMut(usize, usize, usize)) {
        let (x, y) = (self.windows.x, self.windows.y);
        let (first, end) = x.inside(tap);
        if first == end {
            return;
        }
        for phase in 0..self.phases {
            for i in 0..self.rows {
                let Some(row) = (i * y.stride + phase).checked_sub(y.pad).filter(|r| *r < y.input) else {
                    continue;
                };
                let to = (phase * self.rows + i) * x.output + first;
                each(to, row * x.input + x.at(first, tap), end - first);
            }
        }
    }
}
