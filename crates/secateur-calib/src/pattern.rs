//! Patterns of zeros in weights.

use std::fmt;

use faer::Mat;
use secateur_diag::{Code, Result, diag};

/// Which weights become zero together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Blocks of `outputs` neighbouring outputs times `channels` neighbouring input channels at the same tap;
    /// 1 x 1 is unstructured.
    Block {
        /// Outputs of a block.
        outputs: usize,
        /// Input channels of a block.
        channels: usize,
    },
    /// At most `kept` of `of` neighbouring input channels at the same tap of an output.
    NOfM {
        /// Weights that may stay.
        kept: usize,
        /// Size of the set.
        of: usize,
    },
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block { outputs: 1, channels: 1 } => f.write_str("unstructured"),
            Self::Block { outputs, channels } => write!(f, "{outputs}x{channels}"),
            Self::NOfM { kept, of } => write!(f, "{kept}:{of}"),
        }
    }
}

impl Pattern {
    /// Reads `unstructured`, `4x1` (outputs by input channels), `2:4`.
    ///
    /// # Errors
    /// [`Code::P005`].
    pub fn parse(text: &str) -> Result<Self> {
        let pair = |at: char| {
            let (a, b) = text.split_once(at)?;
            Some((a.parse::<usize>().ok()?, b.parse::<usize>().ok()?))
        };
        let found = match (text, pair('x'), pair(':')) {
            ("unstructured", ..) => Some(Self::Block { outputs: 1, channels: 1 }),
            (_, Some((o, c)), _) if (1..=64).contains(&o) && (1..=64).contains(&c) => {
                Some(Self::Block { outputs: o, channels: c })
            }
            (_, _, Some((n, m))) if n >= 1 && n < m && m <= 64 => Some(Self::NOfM { kept: n, of: m }),
            _ => None,
        };
        found.ok_or_else(|| {
            diag(Code::P005, format!("{text:?} is not a pattern"))
                .help("unstructured; 2x1, 4x1, 1x4 (outputs by input channels); 2:4, 4:8")
        })
    }

    /// The smallest share of zeros that the pattern has by itself.
    pub fn least_sparsity(self) -> f64 {
        match self {
            Self::Block { .. } => 0.0,
            Self::NOfM { kept, of } => 1.0 - kept as f64 / of as f64,
        }
    }

    /// Which weights stay: those with the largest sums of squares by the pattern, at most `keep` of all.
    ///
    /// `w` is `p x q`, rows are channels times `taps`.
    pub fn support(self, w: &Mat<f64>, taps: usize, keep: usize) -> Mat<bool> {
        let (p, q) = (w.nrows(), w.ncols());
        let channels = p / taps.max(1);
        let mut out = Mat::from_fn(p, q, |_, _| false);
        let (blocks, width) = match self {
            Self::Block { outputs, channels: c } => (blocks(q, outputs), c),
            Self::NOfM { of, .. } => (blocks(q, 1), of),
        };
        // Units that are kept or go as one: their weights, and mean square.
        let mut units: Vec<(f64, Vec<(usize, usize)>)> = Vec::new();
        for outputs in &blocks {
            for t in 0..taps {
                for range in self::blocks(channels, width) {
                    let cells = |r: std::ops::Range<usize>| -> Vec<(usize, usize)> {
                        r.flat_map(|c| outputs.clone().map(move |o| (c * taps + t, o))).collect()
                    };
                    let value = |cells: &[(usize, usize)]| {
                        let sum: f64 = cells.iter().map(|&(f, o)| w[(f, o)] * w[(f, o)]).sum();
                        sum / cells.len().max(1) as f64
                    };
                    match self {
                        Self::Block { .. } => {
                            let cells = cells(range);
                            units.push((value(&cells), cells));
                        }
                        Self::NOfM { kept, of } => {
                            // A set that is not whole keeps its share, rounded up.
                            let n = (range.len() * kept).div_ceil(of);
                            let mut own: Vec<_> =
                                range.map(|c| cells(c..c + 1)).map(|c| (value(&c), c)).collect();
                            own.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                            own.truncate(n);
                            units.extend(own);
                        }
                    }
                }
            }
        }
        units.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut left = keep;
        for (_, cells) in units {
            if cells.len() > left {
                break;
            }
            left -= cells.len();
            cells.into_iter().for_each(|(f, o)| out[(f, o)] = true);
        }
        out
    }
}

/// `0..n` in runs of `width`, the last one shorter.
fn blocks(n: usize, width: usize) -> Vec<std::ops::Range<usize>> {
    (0..n).step_by(width).map(|s| s..(s + width).min(n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_read_back() {
        for text in ["unstructured", "2x1", "4x1", "1x4", "2:4", "4:8"] {
            assert_eq!(Pattern::parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "4x", "0x1", "4:4", "3:2", "x", "a:b", "999x1"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn supports_have_their_form() {
        let (taps, q) = (9, 10);
        let w = Mat::from_fn(10 * taps, q, |i, j| ((i * 37 + j * 101) % 97) as f64 - 48.0);
        let all = w.nrows() * q;
        for (text, keep) in [
            ("unstructured", all / 5),
            ("4x1", all / 4),
            ("1x4", all / 3),
            ("2:4", all / 2),
            ("4:8", all / 10),
        ] {
            let pattern = Pattern::parse(text).unwrap();
            let s = pattern.support(&w, taps, keep);
            let kept = (0..all).filter(|i| s[(i % w.nrows(), i / w.nrows())]).count();
            assert!(kept <= keep && kept + 4 > keep.min(all / 2), "{text}: {kept} of {keep}");
            for (f, o) in (0..w.nrows()).flat_map(|f| (0..q).map(move |o| (f, o))) {
                let (c, t) = (f / taps, f % taps);
                match pattern {
                    Pattern::Block { outputs, channels } => {
                        assert_eq!(s[(f, o)], s[(f, o / outputs * outputs)]);
                        assert_eq!(s[(f, o)], s[(c / channels * channels * taps + t, o)]);
                    }
                    Pattern::NOfM { kept, of } => {
                        let set = c / of * of..(c / of * of + of).min(10);
                        let limit = (set.len() * kept).div_ceil(of);
                        assert!(set.filter(|c| s[(c * taps + t, o)]).count() <= limit);
                    }
                }
            }
        }
    }
}
