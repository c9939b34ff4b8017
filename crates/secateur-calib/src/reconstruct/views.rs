//! Other views of the same samples: shifted by a few pixels, and mirrored.

/// How the samples of one run are seen.
pub struct Views {
    /// By sample: shift down and to the right as shares of the longest shift, and whether it is mirrored.
    views: Vec<(f32, f32, bool)>,
}

/// The longest shift, a share of an axis.
const REACH: f32 = 0.125;
/// Axes that are shorter stay as they are.
const SHORTEST: usize = 8;

impl Views {
    /// Draws views of `samples` samples.
    pub fn new(seed: u64, samples: usize) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut one = || (2.0 * rng.f32() - 1.0, 2.0 * rng.f32() - 1.0, rng.bool());
        Self { views: (0..samples).map(|_| one()).collect() }
    }

    /// Whether samples of this shape have views.
    pub fn fit(shape: &[usize]) -> bool {
        matches!(shape, &[_, h, w] if h >= SHORTEST && w >= SHORTEST)
    }

    /// Appends a view of sample `i`, `[channels, height, width]`; other shapes are taken as they are. What is
    /// shifted in is the image reflected at its border.
    pub fn append(&self, to: &mut Vec<f32>, sample: &[f32], shape: &[usize], i: usize) {
        let (&[_, h, w], Some(&(down, right, mirrored))) = (shape, self.views.get(i)) else {
            return to.extend_from_slice(sample);
        };
        if !Self::fit(shape) {
            return to.extend_from_slice(sample);
        }
        let shift = |share: f32, n: usize| (share * REACH * n as f32).round() as isize;
        let read = |n: usize, shift: isize| -> Vec<usize> {
            (0..n as isize).map(|i| reflected(i + shift, n as isize)).collect()
        };
        let rows = read(h, shift(down, h));
        let mut columns = read(w, shift(right, w));
        if mirrored {
            columns.reverse();
        }
        for plane in sample.chunks_exact(h * w) {
            for r in &rows {
                let row = &plane[r * w..][..w];
                to.extend(columns.iter().map(|c| row[*c]));
            }
        }
    }
}

/// Where position `i` of an axis of `n` is, reflected at both ends.
fn reflected(i: isize, n: isize) -> usize {
    let i = if i < 0 { -i } else { i };
    (if i >= n { 2 * (n - 1) - i } else { i }) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_holds_pixels_of_the_sample() {
        let x: Vec<f32> = (0..2 * 16 * 16).map(|i| i as f32).collect();
        let mut out = Vec::new();
        Views::new(3, 1).append(&mut out, &x, &[2, 16, 16], 0);
        assert_eq!(out.len(), x.len());
        assert_ne!(out, x);
        // Both planes are seen alike.
        assert!(out[..256].iter().zip(&out[256..]).all(|(a, b)| a + 256.0 == *b));
        // Reflection at both ends.
        let at: Vec<usize> = (-2..6).map(|i| reflected(i, 4)).collect();
        assert_eq!(at, [2, 1, 0, 1, 2, 3, 2, 1]);
        let mut same = Vec::new();
        Views::new(3, 1).append(&mut same, &x[..16], &[16], 0);
        assert_eq!(same, x[..16]);
    }
}
