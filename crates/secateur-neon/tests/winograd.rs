//! Minimal filtering against a scalar reference, between guard pages, on all cores.

mod common;

use common::conv::{Operands, Shape, check_spec, conv, run_operands};
use common::{Runner, property};
use proptest::prelude::*;
use secateur_neon::{Activation, Core, KernelSpec, Tile, Winograd, listing};

/// Errors grow with the tile and with the size of the sums.
fn tolerance(tile: Tile, s: &Shape) -> f32 {
    let each = match tile {
        Tile::Two => 2e-6,
        Tile::Four => 1e-5,
        Tile::Six => 3e-5,
    };
    each * (9.0 * s.channels as f32).sqrt().max(8.0)
}

fn check(runner: &mut Runner, s: &Shape, tile: Tile, seed: u64) -> u64 {
    let spec = Winograd::of(&conv(s), tile).unwrap_or_else(|| panic!("{tile:?} for {s:?}"));
    check_spec(runner, s, spec.into(), seed, tolerance(tile, s))
}

#[test]
fn layers_of_resnet20() {
    let mut runner = Runner::counting(Core::A72);
    for (channels, size, most) in [(16, 32, 0.15), (32, 16, 0.12), (64, 8, 0.11)] {
        let s = Shape { residual: true, ..Shape::plain(channels, channels, size, 3) };
        let served = Tile::ALL.into_iter().filter(|t| Winograd::of(&conv(&s), *t).is_some());
        let counts: Vec<(Tile, u64)> = served.map(|t| (t, check(&mut runner, &s, t, 1))).collect();
        let best = counts.iter().map(|c| c.1).min().unwrap();
        let per = best as f64 / conv(&s).multiply_adds() as f64;
        println!("{channels}x{size}x{size}: {counts:?}, {per:.4} per multiply-add");
        assert!(per < most);
    }
}

/// Largest error over the largest output, 64 channels, operands between -1 and 1.
#[test]
fn errors_of_the_tiles() {
    let s = Shape { activation: Activation::None, ..Shape::plain(64, 16, 24, 3) };
    let v = Operands::new(&s, 5);
    let expected = v.expected(&s);
    let largest = expected.iter().fold(0.0f32, |m, y| m.max(y.abs()));
    let mut runner = Runner::new(Core::A72);
    let mut error = |spec: KernelSpec| {
        let found = run_operands(&mut runner, &s, &spec, &v).0;
        let differences = found.iter().zip(&expected).map(|(f, e)| (f - e).abs());
        differences.fold(0.0f32, f32::max) / largest
    };
    let direct = error(conv(&s).into());
    let of = Tile::ALL.map(|t| error(Winograd::of(&conv(&s), t).unwrap().into()));
    println!("direct {direct:.1e}, F(2,3) {:.1e}, F(4,3) {:.1e}, F(6,3) {:.1e}", of[0], of[1], of[2]);
    assert!(of[0] < 1e-6 && of[1] < 1e-5 && of[2] < 2e-5, "{of:?}");
}

#[test]
fn any_shape() {
    let activation = prop_oneof![
        Just(Activation::None),
        Just(Activation::Relu),
        Just(Activation::Clip { min: -0.5, max: 1.5 })
    ];
    let size = (4..=30usize, 4..=30usize);
    let channels = (1..=9usize, 1..=30usize);
    let tile = prop_oneof![Just(Tile::Two), Just(Tile::Four), Just(Tile::Six)];
    let pads = [0..=2usize, 0..=2, 0..=2, 0..=2];
    let strategy = (tile, channels, size, pads, any::<[bool; 2]>(), activation, 0..=2usize).prop_map(
        |(tile, (channels, outputs), (h, w), pads, [bias, residual], activation, border)| {
            let plain = Shape::plain(channels, outputs, 1, 3);
            (tile, Shape { size: [h, w], pads, bias, residual, activation, border, ..plain })
        },
    );
    let served = std::cell::Cell::new(0);
    property(100, strategy, |runner, (tile, s), seed| {
        if s.valid() && Winograd::of(&conv(&s), tile).is_some() {
            check(runner, &s, tile, seed);
            served.set(served.get() + 1);
        }
    });
    assert!(served.get() > 60, "{}", served.get());
}

#[test]
fn listings() {
    let s = Shape { residual: true, ..Shape::plain(16, 16, 8, 3) };
    let spec = KernelSpec::from(Winograd::of(&conv(&s), Tile::Two).unwrap());
    for core in Core::ALL {
        insta::assert_snapshot!(format!("winograd_{}", core.name()), listing(&spec.generate(core).unwrap()));
    }
}
