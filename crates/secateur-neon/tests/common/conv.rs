//! Convolutions for tests: a scalar reference, images with borders, comparison.
#![allow(dead_code)]

use super::{Numbers, Runner, bytes, close};
use proptest::prelude::*;
use secateur_neon::{Activation, Conv, Epilogue, KernelSpec, Planes};

/// What a convolution computes, without how.
#[derive(Clone, Debug)]
pub struct Shape {
    pub channels: usize,
    pub outputs: usize,
    pub size: [usize; 2],
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    pub groups: usize,
    pub bias: bool,
    pub residual: bool,
    pub activation: Activation,
    /// Borders that nobody needs around output and residual.
    pub border: usize,
}

impl Shape {
    pub fn plain(channels: usize, outputs: usize, size: usize, kernel: usize) -> Shape {
        Shape {
            channels,
            outputs,
            size: [size; 2],
            kernel: [kernel; 2],
            stride: [1; 2],
            dilation: [1; 2],
            pads: [kernel / 2; 4],
            groups: 1,
            bias: true,
            residual: false,
            activation: Activation::Relu,
            border: 0,
        }
    }

    pub fn out(&self, axis: usize) -> usize {
        let reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
        (self.size[axis] + self.pads[axis] + self.pads[axis + 2]).saturating_sub(reach) / self.stride[axis]
            + 1
    }

    pub fn valid(&self) -> bool {
        (0..2)
            .all(|a| (self.kernel[a] - 1) * self.dilation[a] < self.size[a] + self.pads[a] + self.pads[a + 2])
    }

    /// The input with just the border that the padding needs.
    pub fn input(&self) -> Planes {
        let [top, left, bottom, right] = self.pads;
        let row = self.size[1] + left.max(right);
        let plane = (top + self.size[0] + bottom) * row + left;
        let origin = top * row + left;
        Planes { channels: self.channels, height: self.size[0], width: self.size[1], row, plane, origin }
    }

    pub fn output(&self) -> Planes {
        Planes::padded(self.outputs, self.out(0), self.out(1), self.border)
    }

    pub fn residual(&self) -> Option<Planes> {
        self.residual.then(|| Planes::padded(self.outputs, self.out(0), self.out(1), 2 * self.border))
    }

    pub fn weights(&self) -> usize {
        self.outputs * self.channels / self.groups * self.kernel[0] * self.kernel[1]
    }

    /// The convolution in f64; input, weights, bias and residual dense.
    pub fn reference(&self, x: &[f32], w: &[f32], bias: &[f32], residual: &[f32]) -> Vec<f32> {
        let (h, wd) = (self.out(0), self.out(1));
        let (cg, og) = (self.channels / self.groups, self.outputs / self.groups);
        let mut y = Vec::new();
        for o in 0..self.outputs {
            for oy in 0..h {
                for ox in 0..wd {
                    let mut sum = if self.bias { f64::from(bias[o]) } else { 0.0 };
                    for c in 0..cg {
                        for ky in 0..self.kernel[0] {
                            for kx in 0..self.kernel[1] {
                                let iy =
                                    (oy * self.stride[0] + ky * self.dilation[0]).wrapping_sub(self.pads[0]);
                                let ix =
                                    (ox * self.stride[1] + kx * self.dilation[1]).wrapping_sub(self.pads[1]);
                                if iy < self.size[0] && ix < self.size[1] {
                                    let ch = o / og * cg + c;
                                    let weight =
                                        w[((o * cg + c) * self.kernel[0] + ky) * self.kernel[1] + kx];
                                    sum += f64::from(weight)
                                        * f64::from(x[(ch * self.size[0] + iy) * self.size[1] + ix]);
                                }
                            }
                        }
                    }
                    if self.residual {
                        sum += f64::from(residual[y.len()]);
                    }
                    y.push(activate(self.activation, sum) as f32);
                }
            }
        }
        y
    }
}

fn activate(a: Activation, x: f64) -> f64 {
    match a {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::Clip { min, max } => x.clamp(f64::from(min), f64::from(max)),
        Activation::LeakyRelu(s) => {
            if x < 0.0 {
                f64::from(s) * x
            } else {
                x
            }
        }
        Activation::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::HardSigmoid { alpha, beta } => (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
        Activation::Gelu => panic!("no reference"),
    }
}

/// A dense array as planes; what lies between is `fill`.
pub fn spread(planes: &Planes, dense: &[f32], fill: f32) -> Vec<f32> {
    let mut all = vec![fill; planes.floats()];
    let mut values = dense.iter();
    for c in 0..planes.channels {
        for y in 0..planes.height {
            for x in 0..planes.width {
                all[planes.index(c, y, x)] = *values.next().unwrap();
            }
        }
    }
    all
}

/// The elements of planes; panics if what lies between is not all ones, as the runner left it.
#[track_caller]
pub fn gather(planes: &Planes, all: &[f32]) -> Vec<f32> {
    let mut left: Vec<bool> = vec![true; all.len()];
    let mut dense = Vec::new();
    for c in 0..planes.channels {
        for y in 0..planes.height {
            for x in 0..planes.width {
                left[planes.index(c, y, x)] = false;
                dense.push(all[planes.index(c, y, x)]);
            }
        }
    }
    for (i, v) in all.iter().enumerate().filter(|(i, _)| left[*i]) {
        assert_eq!(v.to_bits(), u32::MAX, "float {i} of the border was written");
    }
    dense
}

/// Random operands of a shape.
pub struct Operands {
    pub x: Vec<f32>,
    pub w: Vec<f32>,
    pub bias: Vec<f32>,
    pub residual: Vec<f32>,
}

impl Operands {
    pub fn new(s: &Shape, seed: u64) -> Operands {
        let mut numbers = Numbers(seed);
        Operands {
            x: numbers.floats(s.channels * s.size[0] * s.size[1], 1.0),
            w: numbers.floats(s.weights(), 1.0),
            bias: numbers.floats(s.outputs, 1.0),
            residual: numbers.floats(s.outputs * s.out(0) * s.out(1), 1.0),
        }
    }

    /// As the reference has it.
    pub fn expected(&self, s: &Shape) -> Vec<f32> {
        s.reference(&self.x, &self.w, &self.bias, &self.residual)
    }
}

/// Runs a kernel for a shape and compares; gives the instructions executed, if counted, which must be those expected.
pub fn check_spec(runner: &mut Runner, s: &Shape, spec: KernelSpec, seed: u64, tolerance: f32) -> u64 {
    let v = Operands::new(s, seed);
    let (found, counted) = run_operands(runner, s, &spec, &v);
    close(&found, &v.expected(s), tolerance);
    counted
}

/// Outputs for given operands, and the instructions executed, if counted, which must be those expected.
pub fn run_operands(runner: &mut Runner, s: &Shape, spec: &KernelSpec, v: &Operands) -> (Vec<f32>, u64) {
    let input = bytes(&spread(&s.input(), &v.x, 0.0));
    let residual = s.residual().map(|r| bytes(&spread(&r, &v.residual, f32::NAN)));
    let mut inputs: Vec<&[u8]> = vec![&input];
    inputs.extend(residual.as_deref());
    let mut constants: Vec<&[f32]> = vec![&v.w];
    if s.bias {
        constants.push(&v.bias);
    }
    let results = runner.run(spec, 4 * s.output().floats(), &inputs, &constants);
    let results = results.unwrap_or_else(|e| panic!("{e}: {s:?}"));
    let counted = results.counts.map_or(0, |c| c.total() - 1);
    if counted > 0 {
        assert_eq!(counted, spec.estimate(runner.core).instructions, "{s:?}");
    }
    (gather(&s.output(), &results.floats()), counted)
}

/// The shape as a convolution.
pub fn conv(s: &Shape) -> Conv {
    Conv {
        input: s.input(),
        output: s.output(),
        kernel: s.kernel,
        stride: s.stride,
        dilation: s.dilation,
        pad: [s.pads[0], s.pads[1]],
        groups: s.groups,
        epilogue: Epilogue { bias: s.bias, residual: s.residual(), activation: s.activation },
    }
}

fn activations() -> impl Strategy<Value = Activation> {
    prop_oneof![
        Just(Activation::None),
        Just(Activation::Relu),
        Just(Activation::Clip { min: -0.5, max: 1.5 }),
        Just(Activation::HardSwish),
        Just(Activation::LeakyRelu(0.1)),
        Just(Activation::Sigmoid),
        Just(Activation::Silu),
        Just(Activation::Tanh),
        Just(Activation::HardSigmoid { alpha: 0.2, beta: 0.5 }),
    ]
}

/// Small shapes of any kind.
pub fn shapes() -> impl Strategy<Value = Shape> {
    let pair = |r: std::ops::RangeInclusive<usize>| [r.clone(), r];
    let channels = (1..=4usize, 1..=9usize, prop_oneof![1..=9usize, 1..=30usize]);
    let form = (pair(1..=20), pair(1..=5), pair(1..=3), pair(1..=2));
    let rest = ([0..=2usize, 0..=2, 0..=2, 0..=2], any::<[bool; 2]>(), activations(), 0..=2usize);
    (channels, form, rest)
        .prop_map(
            |(
                (groups, c, o),
                (size, kernel, stride, dilation),
                (pads, [bias, residual], activation, border),
            )| Shape {
                channels: groups * c,
                outputs: groups * o,
                size,
                kernel,
                stride,
                dilation,
                pads,
                groups,
                bias,
                residual,
                activation,
                border,
            },
        )
        .prop_filter("a kernel larger than the image", Shape::valid)
}
