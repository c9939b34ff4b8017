//! Convolutions of the reference.

use crate::op::Conv;
use crate::unary::eval_chain;

/// Bias, residual and activation on sums that are complete.
fn finish(c: &Conv, sums: Vec<f64>, residual: Option<&[f32]>, plane: usize) -> Vec<f32> {
    let one = |(i, s): (usize, f64)| {
        let bias = c.bias.get(i / plane.max(1)).copied().unwrap_or(0.0);
        let r = if c.residual { residual.map_or(0.0, |r| r[i]) } else { 0.0 };
        eval_chain(&c.chain, (s + f64::from(bias) + f64::from(r)) as f32)
    };
    sums.into_iter().enumerate().map(one).collect()
}

/// Places along one axis where the window's tap `k` meets the input: (from, to) of the output, and the input's first.
fn meet(out: usize, input: usize, k: usize, stride: usize, dilation: usize, pad: usize) -> (usize, usize) {
    let shift = k * dilation;
    let from = pad.saturating_sub(shift).div_ceil(stride);
    let to = if input + pad > shift { ((input + pad - shift - 1) / stride + 1).min(out) } else { 0 };
    (from.min(to), to)
}

pub fn conv(c: &Conv, x: &[f32], dims: &[usize], residual: Option<&[f32]>, out: &[usize]) -> Vec<f32> {
    let [channels, h, w] = [0, 1, 2].map(|a| dims[dims.len() - 3 + a]);
    let [oc, oh, ow] = [0, 1, 2].map(|a| out[out.len() - 3 + a]);
    let (ci, co) = (channels / c.groups, oc / c.groups);
    let mut sums = vec![0f64; oc * oh * ow];
    for o in 0..oc {
        for i in 0..ci {
            let plane = &x[(o / co * ci + i) * h * w..][..h * w];
            for ky in 0..c.kernel[0] {
                let (y0, y1) = meet(oh, h, ky, c.strides[0], c.dilations[0], c.pads[0]);
                for kx in 0..c.kernel[1] {
                    let weight = f64::from(c.weights[((o * ci + i) * c.kernel[0] + ky) * c.kernel[1] + kx]);
                    let (x0, x1) = meet(ow, w, kx, c.strides[1], c.dilations[1], c.pads[1]);
                    if weight == 0.0 || x0 >= x1 {
                        continue;
                    }
                    for y in y0..y1 {
                        let row = &plane[(y * c.strides[0] + ky * c.dilations[0] - c.pads[0]) * w..][..w];
                        let first = x0 * c.strides[1] + kx * c.dilations[1] - c.pads[1];
                        let to = &mut sums[(o * oh + y) * ow..][x0..x1];
                        let from = row[first..].iter().step_by(c.strides[1]);
                        to.iter_mut().zip(from).for_each(|(s, &v)| *s += weight * f64::from(v));
                    }
                }
            }
        }
    }
    finish(c, sums, residual, oh * ow)
}

pub fn transposed(c: &Conv, x: &[f32], dims: &[usize], residual: Option<&[f32]>, out: &[usize]) -> Vec<f32> {
    let [channels, h, w] = [0, 1, 2].map(|a| dims[dims.len() - 3 + a]);
    let [oc, oh, ow] = [0, 1, 2].map(|a| out[out.len() - 3 + a]);
    let (ci, co) = (channels / c.groups, oc / c.groups);
    let mut sums = vec![0f64; oc * oh * ow];
    let place = |i: usize, k: usize, a: usize, n: usize| {
        (i * c.strides[a] + k * c.dilations[a]).checked_sub(c.pads[a]).filter(|&p| p < n)
    };
    for i in 0..channels {
        for o in 0..co {
            let oo = i / ci * co + o;
            for ky in 0..c.kernel[0] {
                for kx in 0..c.kernel[1] {
                    let weight = f64::from(c.weights[((i * co + o) * c.kernel[0] + ky) * c.kernel[1] + kx]);
                    for y in 0..h {
                        let Some(py) = place(y, ky, 0, oh) else { continue };
                        for xx in 0..w {
                            if let Some(px) = place(xx, kx, 1, ow) {
                                sums[(oo * oh + py) * ow + px] += weight * f64::from(x[(i * h + y) * w + xx]);
                            }
                        }
                    }
                }
            }
        }
    }
    finish(c, sums, residual, oh * ow)
}
