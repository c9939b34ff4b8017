//! Convolution channel by channel against a scalar reference, between guard pages, on all cores.

mod common;

use common::conv::{Shape, check_spec, conv, shapes};
use common::{Runner, property};
use secateur_neon::{Activation, Core, Depthwise, KernelSpec, listing};

fn check(runner: &mut Runner, s: &Shape, seed: u64) -> u64 {
    check_spec(runner, s, Depthwise::of(&conv(s)).unwrap().into(), seed, 2e-5)
}

fn per_channel(s: Shape, multiplier: usize) -> Shape {
    Shape { groups: s.channels, outputs: s.channels * multiplier, ..s }
}

#[test]
fn layers_of_mobilenet() {
    let mut runner = Runner::counting(Core::A72);
    for (channels, size, kernel, stride, most) in [
        (96, 16, 3, 1, 0.45),
        (160, 8, 3, 1, 0.50),
        (320, 4, 3, 1, 0.60),
        (96, 16, 3, 2, 0.60),
        (160, 8, 3, 2, 0.80),
        (72, 28, 5, 1, 0.40),
        (72, 28, 5, 2, 0.50),
    ] {
        let activation = Activation::Clip { min: 0.0, max: 6.0 };
        let s = per_channel(
            Shape { activation, stride: [stride; 2], ..Shape::plain(channels, channels, size, kernel) },
            1,
        );
        let per = check(&mut runner, &s, 1) as f64 / conv(&s).multiply_adds() as f64;
        println!("{channels}x{size}x{size}, {kernel}x{kernel} stride {stride}: {per:.3} per multiply-add");
        assert!(per < most);
    }
}

#[test]
fn any_shape() {
    property(100, (shapes(), 1..=3usize), |runner, (s, multiplier), seed| {
        check(runner, &per_channel(s, multiplier), seed);
    });
}

#[test]
fn listings() {
    let s = per_channel(Shape::plain(8, 8, 8, 3), 1);
    let spec = KernelSpec::from(Depthwise::of(&conv(&s)).unwrap());
    for core in Core::ALL {
        insta::assert_snapshot!(format!("depthwise_{}", core.name()), listing(&spec.generate(core).unwrap()));
    }
}
