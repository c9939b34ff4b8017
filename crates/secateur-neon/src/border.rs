//! Writes zeros around the planes of an image: what convolutions read as their padding.

use crate::asm::{Asm, V, X};
use crate::{Code, Core, Estimate, Family, Planes, Unsupported};

/// Everything of the image that is not a pixel becomes zero: what lies before the first row, the gaps behind the rows,
/// and what lies behind the last row of each plane. The image is at x0; there is no input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Border {
    /// The image.
    pub planes: Planes,
}

/// Gaps of up to this many rows are written without a loop.
const UNROLLED: usize = 64;

impl Border {
    /// Floats before the first pixel, in a gap between rows, and behind the last pixel of a plane.
    fn runs(&self) -> Option<[usize; 3]> {
        let p = &self.planes;
        let last = p.origin + p.height.checked_sub(1)? * p.row + p.width;
        Some([p.origin, p.row.checked_sub(p.width)?, p.plane.checked_sub(last)?])
    }
}

/// Stores `count` zeros from `base + offset` bytes on.
fn zeros(a: &mut Asm, base: X, offset: i64, count: usize) {
    let mut at = 0;
    while at < count {
        let to = offset + 4 * at as i64;
        at += match count - at {
            8.. if to % 16 == 0 && to < 1024 => {
                a.stp_q(V(0), V(0), base, to);
                8
            }
            4.. => {
                a.str_q(V(0), base, to);
                4
            }
            2.. => {
                a.str_d(V(0), base, to);
                2
            }
            _ => {
                a.str_s(V(0), base, to);
                1
            }
        };
    }
}

/// How many instructions [`zeros`] takes.
fn stores(offset: i64, count: usize) -> u64 {
    let mut a = Asm::new();
    zeros(&mut a, X(1), offset, count);
    (a.position() / 4) as u64
}

impl Family for Border {
    fn symbol(&self, _: Core) -> String {
        let p = &self.planes;
        format!("border_{}x{}x{}_{}_{}_{}", p.channels, p.height, p.width, p.row, p.plane, p.origin)
    }

    fn generate(&self, core: Core) -> Result<Code, Unsupported> {
        let p = &self.planes;
        let [before, gap, behind] = self.runs().ok_or_else(|| Unsupported::new("planes that overlap"))?;
        let (image, row) = (X(0), X(9));
        let mut a = Asm::new();
        a.zero(V(0));
        a.repeat(X(10), p.channels, |a| {
            zeros(a, image, 0, before);
            let end = 4 * (p.origin + p.width) as i64;
            if gap > 0 && p.height - 1 <= UNROLLED {
                for y in 0..p.height - 1 {
                    zeros(a, image, end + 4 * (y * p.row) as i64, gap);
                }
            } else if gap > 0 {
                a.add_imm(row, image, end);
                a.repeat(X(11), p.height - 1, |a| {
                    zeros(a, row, 0, gap);
                    a.add_imm(row, row, 4 * p.row as i64);
                });
            }
            zeros(a, image, end + 4 * ((p.height - 1) * p.row) as i64, behind);
            a.add_imm(image, image, 4 * p.plane as i64);
        });
        a.finish(self.symbol(core))
    }

    fn estimate(&self, _: Core) -> Estimate {
        let p = &self.planes;
        let Some([before, gap, behind]) = self.runs() else { return Estimate::default() };
        let end = 4 * (p.origin + p.width) as i64;
        let rows: u64 = match gap {
            0 => 0,
            _ if p.height - 1 <= UNROLLED => {
                (0..p.height - 1).map(|y| stores(end + 4 * (y * p.row) as i64, gap)).sum()
            }
            _ => (p.height as u64 - 1) * (stores(0, gap) + 3) + 2,
        };
        let last = stores(end + 4 * ((p.height - 1) * p.row) as i64, behind);
        let instructions = 4 + p.channels as u64 * (stores(0, before) + rows + last + 3);
        Estimate { instructions, code_bytes: 4 * (rows + last) + 64, cycles: instructions }
    }
}
