//! Pooling and resampling of the reference.

use crate::op::{Pool, Resize};

fn planes(dims: &[usize]) -> [usize; 3] {
    let r = dims.len();
    [dims[..r - 2].iter().product(), dims[r - 2], dims[r - 1]]
}

pub fn pool(p: &Pool, x: &[f32], dims: &[usize], out: &[usize]) -> Vec<f32> {
    let [c, h, w] = planes(dims);
    let [_, oh, ow] = planes(out);
    let mut y = Vec::with_capacity(c * oh * ow);
    // Zeros that count are those of the stated padding, not of what ceil_mode adds.
    let extent = [h + p.pads[0] + p.pads[2], w + p.pads[1] + p.pads[3]];
    for i in 0..c {
        for oy in 0..oh {
            for ox in 0..ow {
                let (mut max, mut sum, mut inside, mut padded) = (f32::NEG_INFINITY, 0f64, 0, 0);
                for ky in 0..p.kernel[0] {
                    for kx in 0..p.kernel[1] {
                        let at = [
                            oy * p.strides[0] + ky * p.dilations[0],
                            ox * p.strides[1] + kx * p.dilations[1],
                        ];
                        padded += usize::from(at[0] < extent[0] && at[1] < extent[1]);
                        let (Some(py), Some(px)) =
                            (at[0].checked_sub(p.pads[0]), at[1].checked_sub(p.pads[1]))
                        else {
                            continue;
                        };
                        if py < h && px < w {
                            let v = x[(i * h + py) * w + px];
                            max = max.max(v);
                            sum += f64::from(v);
                            inside += 1;
                        }
                    }
                }
                let count = if p.count_pad { padded } else { inside };
                y.push(if p.max { max } else { (sum / count.max(1) as f64) as f32 });
            }
        }
    }
    y
}

pub fn resize(r: &Resize, x: &[f32], dims: &[usize], out: &[usize]) -> Vec<f32> {
    let [c, h, w] = planes(dims);
    let mut y = Vec::with_capacity(out.iter().product());
    for i in 0..c {
        let at = |yy: usize, xx: usize| f64::from(x[(i * h + yy) * w + xx]);
        for row in &r.rows {
            for col in &r.columns {
                let (wr, wc) = (f64::from(row.weight), f64::from(col.weight));
                let line = |yy| {
                    if wc == 0.0 {
                        at(yy, col.low)
                    } else {
                        at(yy, col.low) * (1.0 - wc) + at(yy, col.high) * wc
                    }
                };
                y.push(if wr == 0.0 {
                    line(row.low)
                } else {
                    line(row.low) * (1.0 - wr) + line(row.high) * wr
                } as f32);
            }
        }
    }
    y
}
