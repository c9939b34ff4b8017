//! Dense convolution against a scalar reference, between guard pages, on all cores.

mod common;

use common::conv::{Shape, check_spec, conv, shapes};
use common::{Runner, property};
use secateur_neon::{Activation, Conv, Core, KernelSpec, listing};

/// Runs and compares; gives the instructions executed, if counted.
fn check(runner: &mut Runner, s: &Shape, seed: u64) -> u64 {
    check_spec(runner, s, conv(s).into(), seed, 2e-5)
}

#[test]
fn the_reference_problem() {
    let s = Shape { activation: Activation::None, ..Shape::plain(256, 256, 28, 1) };
    let mut runner = Runner::counting(Core::A72);
    let counted = check(&mut runner, &s, 1);
    let per = counted as f64 / conv(&s).multiply_adds() as f64;
    println!("{counted} instructions, {per:.4} per multiply-add");
    assert!(per < 0.305, "{per}");
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
fn large_kernels() {
    let mut runner = Runner::counting(Core::A76);
    for (kernel, stride) in [([9, 9], [1, 1]), ([11, 7], [2, 2]), ([1, 70], [1, 1]), ([65, 1], [1, 3])] {
        let pads = [kernel[0] / 2, kernel[1] / 2, kernel[0] / 2, kernel[1] / 2];
        let s = Shape { kernel, stride, pads, size: [12, 19], ..Shape::plain(3, 13, 1, 1) };
        check(&mut runner, &s, 1);
        let code = KernelSpec::from(conv(&s)).generate(Core::A76).unwrap().bytes.len();
        assert!(code < 24 << 10, "{kernel:?}: {code} bytes");
    }
}

#[test]
fn what_cannot_be() {
    let good = conv(&Shape::plain(4, 4, 8, 3));
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
        let code = KernelSpec::from(conv(&s)).generate(core).unwrap();
        insta::assert_snapshot!(format!("conv_{}", core.name()), listing(&code));
    }
}
