//! Windows that slide over one or two spatial axes.

use super::Cx;

/// One axis of a window's movement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slide {
    pub input: usize,
    pub output: usize,
    pub taps: usize,
    pub stride: usize,
    pub dilation: usize,
    pub pad: usize,
}

impl Slide {
    /// Outputs whose tap `t` is inside of the input: first and one past the last.
    pub fn inside(&self, t: usize) -> (usize, usize) {
        let shift = t * self.dilation;
        let first = self.pad.saturating_sub(shift).div_ceil(self.stride);
        // o * stride + shift - pad <= input - 1
        let last = match (self.input + self.pad).checked_sub(shift + 1) {
            Some(room) => (room / self.stride + 1).min(self.output),
            None => 0,
        };
        (first.min(last), last)
    }

    /// What output `o` reads through tap `t`, which is inside.
    pub fn at(&self, o: usize, t: usize) -> usize {
        o * self.stride + t * self.dilation - self.pad
    }
}

/// Two axes; a window over one axis has a first axis of one element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    pub y: Slide,
    pub x: Slide,
}

impl Windows {
    /// Elements of an input plane and of an output plane, and taps.
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.y.input * self.x.input, self.y.output * self.x.output, self.y.taps * self.x.taps)
    }

    /// Whether every output reads the one input under it.
    pub fn pointwise(&self) -> bool {
        [self.y, self.x].iter().all(|s| s.taps == 1 && s.stride == 1 && s.pad == 0 && s.input == s.output)
    }

    /// Calls `each` for every tap and row of outputs that reads inside: tap, first output, first input, length.
    /// Inputs are `x.stride` apart.
    pub fn rows(&self, mut each: impl FnMut(usize, usize, usize, usize)) {
        for ty in 0..self.y.taps {
            let (y0, y1) = self.y.inside(ty);
            for tx in 0..self.x.taps {
                let (x0, x1) = self.x.inside(tx);
                if x1 == x0 {
                    continue;
                }
                for oy in y0..y1 {
                    let from = self.y.at(oy, ty) * self.x.input + self.x.at(x0, tx);
                    each(ty * self.x.taps + tx, oy * self.x.output + x0, from, x1 - x0);
                }
            }
        }
    }

    /// Windows over outputs that reach the inputs which the taps, from last to first, come from: a convolution's
    /// transpose as a convolution. `None` where it is none.
    pub fn turned(&self) -> Option<Self> {
        let turn = |s: Slide| {
            let pad = ((s.taps - 1) * s.dilation).checked_sub(s.pad).filter(|_| s.stride == 1)?;
            Some(Slide { input: s.output, output: s.input, pad, ..s })
        };
        Some(Self { y: turn(self.y)?, x: turn(self.x)? })
    }

    /// The windows of a node: `data` is the longer side that is slid over, `out` the shorter.
    pub fn of(cx: &Cx, taps: &[usize], data: &[usize], out: &[usize]) -> Option<Self> {
        let n = taps.len();
        if !(1..=2).contains(&n) || data.len() != n + 2 || out.len() != n + 2 {
            return None;
        }
        let list = |name: &str, len: usize, or: i64| {
            let v = cx.node.ints(name).ok()?.map_or_else(|| vec![or; len], <[i64]>::to_vec);
            v.iter().map(|x| usize::try_from(*x).ok()).collect::<Option<Vec<_>>>().filter(|v| v.len() == len)
        };
        let (strides, dilations) = (list("strides", n, 1)?, list("dilations", n, 1)?);
        let auto = cx.node.string("auto_pad").ok()?.unwrap_or("NOTSET").to_owned();
        let pads = if auto == "NOTSET" { list("pads", 2 * n, 0)? } else { vec![0; 2 * n] };
        let slide = |a: usize| {
            let (input, output, taps, stride) = (data[a + 2], out[a + 2], taps[a], strides[a]);
            if taps == 0 || stride == 0 || output == 0 || input == 0 {
                return None;
            }
            let reach = (taps - 1) * dilations[a] + 1;
            let total = ((output - 1) * stride + reach).saturating_sub(input);
            let pad = match auto.as_str() {
                "SAME_UPPER" => total / 2,
                "SAME_LOWER" => total.div_ceil(2),
                _ => pads[a],
            };
            Some(Slide { input, output, taps, stride, dilation: dilations[a], pad })
        };
        let one = Slide { input: 1, output: 1, taps: 1, stride: 1, dilation: 1, pad: 0 };
        Some(match n {
            1 => Self { y: one, x: slide(0)? },
            _ => Self { y: slide(0)?, x: slide(1)? },
        })
    }
}
