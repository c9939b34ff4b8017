//! Dense convolution against a scalar reference, between guard pages, on all cores.

mod common;

use common::conv::{Shape, check_spec};
use common::{Runner, property};
use proptest::prelude::*;
use secateur_neon::{Activation, Conv, Core, Epilogue, KernelSpec, listing};

fn spec(s: &Shape) -> Conv {
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

/// Runs and compares; gives the instructions executed, if counted.
fn check(runner: &mut Runner, s: &Shape, seed: u64) -> u64 {
    check_spec(runner, s, spec(s).into(), seed, 2e-5)
}

#[test]
fn the_reference_problem() {
    let s = Shape { activation: Activation::None, ..Shape::plain(256, 256, 28, 1) };
    let mut runner = Runner::counting(Core::A72);
    let counted = check(&mut runner, &s, 1);
    let per = counted as f64 / spec(&s).multiply_adds() as f64;
    println!("{counted} instructions, {per:.4} per multiply-add");
    assert!(per < 0.305, "{per}");
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

fn shapes() -> impl Strategy<Value = Shape> {
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

#[test]
fn any_shape() {
    property(150, shapes(), |runner, s, seed| {
        check(runner, &s, seed);
    });
}

#[test]
fn pointwise_tails() {
    let mut runner = Runner::counting(Core::A53);
    for pixels in 1..=17 {
        for outputs in [1, 3, 8, 13] {
            let s = Shape { size: [1, pixels], residual: true, ..Shape::plain(5, outputs, 1, 1) };
            check(&mut runner, &s, pixels as u64);
        }
    }
}

#[test]
fn what_cannot_be() {
    let good = spec(&Shape::plain(4, 4, 8, 3));
    let why = |c: Conv| KernelSpec::from(c).generate(Core::A72).unwrap_err().reason;
    insta::assert_snapshot!(
        [
            why(Conv { pad: [2, 1], ..good }),
            why(Conv { groups: 3, ..good }),
            why(Conv { stride: [0, 1], ..good }),
            why(Conv { kernel: [4, 3], ..good }),
        ]
        .join("\n")
    );
}

#[test]
fn listings() {
    for core in Core::ALL {
        let s = Shape { residual: true, ..Shape::plain(16, 12, 8, 1) };
        let code = KernelSpec::from(spec(&s)).generate(core).unwrap();
        insta::assert_snapshot!(format!("conv_{}", core.name()), listing(&code));
    }
}
