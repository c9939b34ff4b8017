//! Windows over an axis: which taps of which output fall into the input, and runs of outputs for which they are the same.

/// One axis of a window that moves over an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WindowAxis {
    /// Taps.
    pub kernel: usize,
    /// Inputs from one output to the next.
    pub stride: usize,
    /// Inputs from tap to tap.
    pub dilation: usize,
    /// Positions before the first input that the first output's window begins at.
    pub before: usize,
    /// Positions behind the last input that count as padding.
    pub after: usize,
}

/// Outputs one after the other whose taps in the input are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: usize,
    pub(crate) count: usize,
    /// Taps that fall into the input.
    pub(crate) taps: std::ops::Range<usize>,
    /// Taps that fall into the input or its padding.
    pub(crate) counted: usize,
}

impl WindowAxis {
    /// Runs of the outputs, in order.
    pub(crate) fn runs(&self, input: usize, output: usize) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for o in 0..output {
            let start = (o * self.stride) as isize - self.before as isize;
            let position = |tap: usize| start + (tap * self.dilation) as isize;
            let inside = |tap: &usize| (0..input as isize).contains(&position(*tap));
            let first = (0..self.kernel).find(inside).unwrap_or(0);
            let last = (0..self.kernel).rev().find(inside).map_or(first, |t| t + 1);
            let counted = (0..self.kernel).filter(|t| position(*t) < (input + self.after) as isize).count();
            match runs.last_mut() {
                Some(run) if run.taps == (first..last) && run.counted == counted => run.count += 1,
                _ => runs.push(Run { first: o, count: 1, taps: first..last, counted }),
            }
        }
        runs
    }

    /// The input position of an output's tap; only for taps in the input.
    pub(crate) fn position(&self, output: usize, tap: usize) -> isize {
        (output * self.stride + tap * self.dilation) as isize - self.before as isize
    }
}
