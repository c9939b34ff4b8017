//! The one-dimensional transforms of F(m, 3), applied along rows and then columns: Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks" (2015), equations 8, 12 and the appendix of their code; interpolation points 0, 1, -1,
//! (2, -2, (1/2, -1/2,)) and infinity.

use crate::block::{Block, Val};

/// Outputs of a tile along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tile {
    /// F(2, 3): 2.25 times fewer products than the direct sum.
    Two,
    /// F(4, 3): 4 times fewer.
    Four,
    /// F(6, 3): 5.06 times fewer, with the largest rounding error.
    Six,
}

impl Tile {
    /// All of them.
    pub const ALL: [Tile; 3] = [Tile::Two, Tile::Four, Tile::Six];

    /// Outputs along an axis.
    pub fn outputs(self) -> usize {
        match self {
            Tile::Two => 2,
            Tile::Four => 4,
            Tile::Six => 6,
        }
    }

    /// Inputs along an axis.
    pub fn inputs(self) -> usize {
        self.outputs() + 2
    }

    /// The rows of the weights' transform.
    pub(super) fn weights(self) -> Vec<[f64; 3]> {
        let (s, n) = (1.0 / 6.0, 2.0 / 9.0);
        match self {
            Tile::Two => vec![[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]],
            Tile::Four => vec![
                [0.25, 0.0, 0.0],
                [-s, -s, -s],
                [-s, s, -s],
                [s / 4.0, s / 2.0, s],
                [s / 4.0, -s / 2.0, s],
                [0.0, 0.0, 1.0],
            ],
            Tile::Six => vec![
                [1.0, 0.0, 0.0],
                [-n, -n, -n],
                [-n, n, -n],
                [n / 20.0, n / 10.0, n / 5.0],
                [n / 20.0, -n / 10.0, n / 5.0],
                [n * 3.2, n * 1.6, n * 0.8],
                [n * 3.2, -n * 1.6, n * 0.8],
                [0.0, 0.0, 1.0],
            ],
        }
    }

    /// Transform of the input.
    pub(super) fn input(self) -> (Block, Vec<Val>) {
        let mut b = Block::default();
        let x: Vec<Val> = (0..self.inputs()).map(|i| b.input(i)).collect();
        let y = match self {
            Tile::Two => vec![b.sub(x[0], x[2]), b.add(x[1], x[2]), b.sub(x[2], x[1]), b.sub(x[1], x[3])],
            Tile::Four => {
                let four = b.number(4.0);
                let r = b.sub(x[4], x[2]);
                let p = b.mul_sub(x[4], x[2], four);
                let s = b.sub(x[3], x[1]);
                let last = b.sub(x[5], x[3]);
                let q = b.mul_sub(x[3], x[1], four);
                let first = b.sub(x[0], x[2]);
                let last = b.mul_sub(last, s, four);
                let twice = b.add(s, s);
                let (one, two) = (b.add(p, q), b.sub(p, q));
                let (three, minus) = (b.add(r, twice), b.sub(r, twice));
                vec![b.mul_add(r, first, four), one, two, three, minus, last]
            }
            Tile::Six => {
                let [a, c, quarter, half] = [5.25, 4.25, 0.25, 0.5].map(|n| b.number(n));
                let [two, four, five] = [2.0, 4.0, 5.0].map(|n| b.number(n));
                let (d, e) = (b.sub(x[4], x[2]), b.sub(x[0], x[6]));
                let first = b.mul_add(e, d, a);
                let (d, e) = (b.sub(x[3], x[5]), b.sub(x[7], x[1]));
                let last = b.mul_add(e, d, a);
                let (even, odd) = (b.add(x[2], x[6]), b.add(x[1], x[5]));
                let (even, odd) = (b.mul_sub(even, x[4], c), b.mul_sub(odd, x[3], c));
                let (y1, y2) = (b.add(even, odd), b.sub(even, odd));
                // x6 + (x2 - 5 x4) / 4 and x1 / 2 - 5/2 x3 + 2 x5
                let inner = b.mul_sub(x[2], x[4], five);
                let even = b.mul_add(x[6], inner, quarter);
                let inner = b.mul_sub(x[1], x[3], five);
                let twice = b.mul(x[5], two);
                let odd = b.mul_add(twice, inner, half);
                let (y3, y4) = (b.add(even, odd), b.sub(even, odd));
                // x6 + 4 x2 - 5 x4 and 2 x1 - 5/2 x3 + x5 / 2
                let even = b.mul_add(x[6], x[2], four);
                let even = b.mul_sub(even, x[4], five);
                let inner = b.mul_sub(x[5], x[3], five);
                let twice = b.mul(x[1], two);
                let odd = b.mul_add(twice, inner, half);
                let (y5, y6) = (b.add(even, odd), b.sub(even, odd));
                vec![first, y1, y2, y3, y4, y5, y6, last]
            }
        };
        (b, y)
    }

    /// Transform of the products. The column of point 1 is all ones: a bias is added there, once.
    pub(super) fn output(self) -> (Block, Vec<Val>) {
        let mut b = Block::default();
        let m: Vec<Val> = (0..self.inputs()).map(|i| b.input(i)).collect();
        let (s, d) = (b.add(m[1], m[2]), b.sub(m[1], m[2]));
        let y = match self {
            Tile::Two => vec![b.add(m[0], s), b.sub(d, m[3])],
            Tile::Four => {
                let [two, four, eight] = [2.0, 4.0, 8.0].map(|n| b.number(n));
                let (t, e) = (b.add(m[3], m[4]), b.sub(m[3], m[4]));
                let first = b.add(m[0], s);
                let first = b.add(first, t);
                let last = b.add(m[5], d);
                vec![first, b.mul_add(d, e, two), b.mul_add(s, t, four), b.mul_add(last, e, eight)]
            }
            Tile::Six => {
                let (t, e) = (b.add(m[3], m[4]), b.sub(m[3], m[4]));
                let (u, f) = (b.add(m[5], m[6]), b.sub(m[5], m[6]));
                let first = b.add(m[0], s);
                let first = b.add(first, t);
                let first = b.add(first, u);
                let mut y = vec![first];
                for (power, last) in [(1, false), (2, false), (3, false), (4, false), (5, true)] {
                    let up = b.number((1 << power) as f32);
                    let down = b.number(1.0 / (1 << power) as f32);
                    let (mut sum, large, small) = if power % 2 == 0 { (s, t, u) } else { (d, e, f) };
                    if last {
                        sum = b.add(sum, m[7]);
                    }
                    let sum = b.mul_add(sum, large, up);
                    y.push(b.mul_add(sum, small, down));
                }
                y
            }
        };
        (b, y)
    }
}

#[cfg(test)]
mod tests {
    use super::Tile;

    /// The transforms of a row make the correlation of the row with three weights.
    #[test]
    fn identities() {
        for tile in Tile::ALL {
            let (m, a) = (tile.outputs(), tile.inputs());
            let x: Vec<f32> = (0..a).map(|i| ((7 * i + 3) % 11) as f32 - 5.0).collect();
            let g = [2.0, -3.0, 1.5];
            let (block, results) = tile.input();
            let v: Vec<f32> = results.iter().map(|r| block.eval(&x, *r)).collect();
            let u = tile.weights().into_iter().map(|r| r[0] * g[0] + r[1] * g[1] + r[2] * g[2]);
            let products: Vec<f32> = v.iter().zip(u).map(|(v, u)| v * u as f32).collect();
            let (block, results) = tile.output();
            let y: Vec<f32> = results.iter().map(|r| block.eval(&products, *r)).collect();
            for i in 0..m {
                let direct = (0..3).map(|k| x[i + k] * g[k] as f32).sum::<f32>();
                assert!((y[i] - direct).abs() < 1e-3, "{tile:?} output {i}: {} instead of {direct}", y[i]);
            }
        }
    }
}
