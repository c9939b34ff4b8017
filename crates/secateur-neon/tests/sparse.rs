//! Sparse convolution against a scalar reference, at every density, between guard pages, on all cores.

mod common;

use common::conv::{Operands, Shape, gather, spread};
use common::{Numbers, Runner, bytes, close, property};
use proptest::prelude::*;
use secateur_neon::{
    Activation, Conv, Core, Epilogue, KernelSpec, Planes, SparseConv, Tile, Winograd, listing,
};
use secateur_qemu::{Argument, CacheModel, Case};

fn dense(s: &Shape) -> Conv {
    Conv {
        input: input(s),
        output: s.output(),
        kernel: s.kernel,
        stride: s.stride,
        dilation: s.dilation,
        pad: [s.pads[0], s.pads[1]],
        groups: s.groups,
        epilogue: Epilogue { bias: s.bias, residual: s.residual(), activation: s.activation },
    }
}

/// Sets weights to zero, `block` outputs at a time, with this probability of keeping them.
fn thin(s: &Shape, w: &mut [f32], block: usize, density: f32, seed: u64) {
    let mut numbers = Numbers(seed);
    let k = w.len() / s.outputs;
    for first in (0..s.outputs).step_by(block) {
        for tap in 0..k {
            if numbers.float(1.0) * 0.5 + 0.5 >= density {
                (first..(first + block).min(s.outputs)).for_each(|o| w[o * k + tap] = 0.0);
            }
        }
    }
}

/// The input; with a stride it has a row more below, for loads that read on.
fn input(s: &Shape) -> Planes {
    let planes = s.input();
    let more = if s.stride[1] == 2 { planes.row } else { 0 };
    Planes { plane: planes.plane + more, ..planes }
}

/// Runs and compares; gives the specification and the instructions executed.
fn check(runner: &mut Runner, s: &Shape, block: usize, density: f32, seed: u64) -> (SparseConv, u64) {
    let mut v = Operands::new(s, seed);
    // Weights of single outputs, so that blocks are not full.
    let grain = if seed.is_multiple_of(2) { block } else { 1 };
    thin(s, &mut v.w, grain, density, seed);
    let sparse = SparseConv::new(dense(s), block, &v.w);
    let spec = KernelSpec::from(sparse.clone());
    let data = bytes(&spread(&input(s), &v.x, 0.0));
    let residual = s.residual().map(|r| bytes(&spread(&r, &v.residual, f32::NAN)));
    let mut inputs: Vec<&[u8]> = vec![&data];
    inputs.extend(residual.as_deref());
    let mut constants: Vec<&[f32]> = vec![&v.w];
    if s.bias {
        constants.push(&v.bias);
    }
    let results = runner.run(&spec, 4 * s.output().floats(), &inputs, &constants);
    let results = results.unwrap_or_else(|e| panic!("{e}: {s:?}"));
    close(&gather(&s.output(), &results.floats()), &v.expected(s), 2e-5);
    let counted = results.counts.map_or(0, |c| c.total() - 1);
    // Blocks without weights jump over their loop: what is executed is estimated exactly all the same.
    if counted > 0 {
        assert_eq!(counted, spec.estimate(runner.core).instructions, "{s:?}");
    }
    (sparse, counted)
}

/// The reference problem: 256 outputs, 256 inputs, 28 x 28 pixels.
fn reference() -> Shape {
    Shape { activation: Activation::None, ..Shape::plain(256, 256, 28, 1) }
}

#[test]
fn instructions_per_multiply_add() {
    let mut runner = Runner::counting(Core::A53);
    for (block, most) in [(1, 0.47), (2, 0.40), (4, 0.34)] {
        for (zeros, density) in [(50, 0.5), (70, 0.3), (80, 0.2), (90, 0.1), (95, 0.05)] {
            let (sparse, counted) = check(&mut runner, &reference(), block, density, 2);
            let each = counted as f64 / sparse.multiply_adds() as f64;
            println!("{block}x1, {zeros} % zeros: {counted} instructions, {each:.4} per multiply-add");
            assert!(zeros > 90 || each <= most, "{each}");
        }
    }
}

/// Lines missed in L1D and L2 in the models of the cores; XNNPACK's pipelined 32x1 kernel misses 97,867 in the A53's L1D.
#[test]
fn cache_misses() {
    for (core, cache) in
        [(Core::A53, CacheModel::A53), (Core::A72, CacheModel::A72), (Core::A76, CacheModel::A76)]
    {
        let s = reference();
        let mut v = Operands::new(&s, 2);
        thin(&s, &mut v.w, 1, 0.1, 2);
        let spec = KernelSpec::from(SparseConv::new(dense(&s), 1, &v.w));
        let code = spec.generate(core).unwrap();
        let packed = spec.pack(&[&v.w, &v.bias], core);
        let input = bytes(&spread(&input(&s), &v.x, 0.0));
        let mut runner = secateur_qemu::Runner::counting(core.name(), Some(cache)).unwrap();
        let arguments = vec![
            Argument::Output(4 * s.output().floats()),
            Argument::Input(&input),
            Argument::Null,
            Argument::Null,
            Argument::Input(&packed),
        ];
        let counts = runner.run(&Case::new(&code.bytes, arguments)).unwrap().counts.unwrap();
        println!("{}: L1I, L1D, L2 misses {:?}", core.name(), counts.misses);
        assert!(core != Core::A53 || counts.misses[1] <= 97_867 * 3 / 2, "{:?}", counts.misses);
    }
}

fn shapes() -> impl Strategy<Value = (Shape, usize, f32)> {
    let pair = |r: std::ops::RangeInclusive<usize>| [r.clone(), r];
    let channels = (1..=3usize, 1..=9usize, prop_oneof![1..=9usize, 1..=20usize]);
    let form = (pair(1..=40), pair(1..=4), pair(1..=2), pair(1..=2));
    let activation = prop_oneof![
        Just(Activation::None),
        Just(Activation::Relu),
        Just(Activation::Clip { min: -0.5, max: 1.5 }),
        Just(Activation::HardSwish),
        Just(Activation::Silu),
    ];
    let rest = ([0..=2usize, 0..=2, 0..=2, 0..=2], any::<[bool; 2]>(), activation, 0..=2usize);
    let sparse =
        (prop_oneof![Just(1usize), Just(2), Just(4)], prop_oneof![Just(0.0f32), Just(1.0), 0.0f32..1.0]);
    (channels, form, rest, sparse)
        .prop_map(
            |(
                (groups, c, o),
                (size, kernel, dilation, stride),
                (pads, [bias, residual], activation, border),
                (block, density),
            )| {
                let shape = Shape {
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
                };
                (shape, block, density)
            },
        )
        .prop_filter("a kernel larger than the image", |(s, ..)| s.valid())
}

#[test]
fn any_shape_and_density() {
    property(200, shapes(), |runner, (s, block, density), seed| {
        check(runner, &s, block, density, seed);
    });
}

#[test]
fn pointwise_tails() {
    let mut runner = Runner::counting(Core::A72);
    for pixels in 1..=40 {
        for block in [1, 2, 4] {
            let s = Shape { size: [1, pixels], residual: true, ..Shape::plain(7, 6, 1, 1) };
            check(&mut runner, &s, block, 0.4, pixels as u64);
        }
    }
}

/// Above which share of zeros the sparse kernel executes less than the dense one, and than the best there is (Winograd).
#[test]
fn where_sparse_wins() {
    let core = Core::A72;
    let cost = |spec: KernelSpec| spec.estimate(core).instructions;
    for (name, shape) in [
        ("1x1, 256 to 256, 28x28", reference()),
        ("3x3, 16 to 16, 32x32", Shape::plain(16, 16, 32, 3)),
        ("3x3, 32 to 32, 16x16", Shape::plain(32, 32, 16, 3)),
        ("3x3, 64 to 64, 8x8", Shape::plain(64, 64, 8, 3)),
    ] {
        let conv = dense(&shape);
        let plain = cost(conv.into());
        let tiles = Tile::ALL.into_iter().filter_map(|t| Winograd::of(&conv, t));
        let best = tiles.map(|w| cost(w.into())).fold(plain, u64::min);
        for block in [1, 4] {
            let from = |most: u64| {
                let wins = |zeros: &u32| {
                    let mut w = vec![1.0; shape.weights()];
                    thin(&shape, &mut w, block, 1.0 - *zeros as f32 / 100.0, 3);
                    cost(SparseConv::new(conv, block, &w).into()) < most
                };
                (0..100).step_by(2).find(wins).expect("sparse wins at some density")
            };
            let (dense, all) = (from(plain), from(best));
            println!("{name}, {block}x1: from {dense} % zeros, from {all} % against the best");
            assert!(dense <= 50 && all <= 85);
        }
    }
}

#[test]
fn what_cannot_be_made() {
    let good = SparseConv::new(dense(&Shape::plain(4, 4, 8, 3)), 1, &[1.0; 144]);
    let why = |s: SparseConv| KernelSpec::from(s).generate(Core::A72).unwrap_err().reason;
    let output = Shape { size: [8, 7], stride: [1, 3], ..Shape::plain(4, 4, 8, 3) }.output();
    let strided = SparseConv { conv: Conv { stride: [1, 3], output, ..good.conv }, ..good.clone() };
    assert_eq!(why(strided), "a sparse convolution with this stride");
    assert_eq!(why(SparseConv { block: 3, ..good.clone() }), "blocks of another size than 1, 2 or 4");
    assert_eq!(why(SparseConv { taps: vec![1], ..good }), "a table of weights for another number of outputs");
}

#[test]
fn listings() {
    let s = Shape { residual: true, ..Shape::plain(16, 12, 8, 1) };
    let mut v = Operands::new(&s, 1);
    thin(&s, &mut v.w, 4, 0.2, 1);
    let spec = KernelSpec::from(SparseConv::new(dense(&s), 4, &v.w));
    for core in Core::ALL {
        insta::assert_snapshot!(format!("sparse_{}", core.name()), listing(&spec.generate(core).unwrap()));
    }
}
