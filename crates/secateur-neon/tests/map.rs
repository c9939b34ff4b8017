//! Elementwise kernels against the scalar evaluation of their program: every bit, any strides, any tails.

mod common;

use common::{Numbers, Runner, bytes, close, floats, same};
use proptest::prelude::*;
use secateur_neon::{
    Activation, Base, Binary, Core, Element, KernelSpec, Map, Program, Step, Strided, Unary,
};
use secateur_qemu::Argument;
use std::cell::RefCell;

/// Indices of all points, last axis fastest.
fn points(extents: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for extent in extents {
        all =
            all.into_iter().flat_map(|p| (0..*extent).map(move |i| [p.clone(), vec![i]].concat())).collect();
    }
    all
}

fn at(array: &Strided, point: &[usize]) -> usize {
    let moved: isize = array.steps.iter().zip(point).map(|(s, i)| s * *i as isize).sum();
    (array.offset as isize + moved) as usize
}

fn reference(map: &Map, output: &mut [f32], inputs: &[&[f32]]) {
    for point in points(&map.extents) {
        let values: Vec<f32> = map
            .inputs
            .iter()
            .map(|i| match i.base {
                Base::Input(n) => inputs[n as usize][at(i, &point)],
                _ => inputs[3][at(i, &point)],
            })
            .collect();
        output[at(&map.output, &point)] = map.program.eval(&values).unwrap();
    }
}

fn check(runner: &mut Runner, map: Map, seed: u64) {
    let mut numbers = Numbers(seed);
    let size = |base: Base| {
        let arrays = map.inputs.iter().filter(|i| i.base == base);
        arrays.map(|i| i.bytes(&map.extents)).max().unwrap_or(0) / 4
    };
    let data: Vec<Vec<f32>> = [Base::Input(0), Base::Input(1), Base::Input(2), Base::Constants]
        .map(|b| numbers.floats(size(b), 6.0))
        .to_vec();
    let before = numbers.floats(map.output.bytes(&map.extents) / 4, 1.0);
    let mut expected = before.clone();
    reference(&map, &mut expected, &data.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let raw: Vec<Vec<u8>> = data.iter().map(|d| bytes(d)).collect();
    let inputs = raw[..3].iter().map(|r| Argument::Input(r)).collect();
    let spec = KernelSpec::Map(map);
    let found = runner.call(&spec, Argument::InOut(&bytes(&before)), inputs, &[&data[3]]).unwrap();
    same(&found.floats(), &expected);
}

fn programs() -> Vec<Program> {
    let unary = [
        Unary::Neg,
        Unary::Exp,
        Unary::Erf,
        Unary::Sin,
        Unary::Cos,
        Unary::Softplus,
        Unary::Sign,
        Unary::Elu(0.7),
        Unary::GeluTanh,
        Unary::Activation(Activation::Silu),
        Unary::Activation(Activation::Tanh),
        Unary::Activation(Activation::HardSwish),
        Unary::Activation(Activation::Clip { min: -1.0, max: 2.0 }),
    ];
    let binary =
        [Binary::Add, Binary::Div, Binary::Pow, Binary::PRelu, Binary::LessOrEqual, Binary::Xor, Binary::Min];
    let long = Program(vec![
        Step::Input(0),
        Step::Input(1),
        Step::Input(2),
        Step::Binary(Binary::Mul, 0, 1),
        Step::Binary(Binary::Add, 3, 2),
        Step::Unary(Unary::Activation(Activation::Gelu), 4),
        Step::Number(0.25),
        Step::Binary(Binary::Greater, 5, 6),
        Step::Where(7, 5, 0),
        Step::Unary(Unary::Log, 8),
        Step::Unary(Unary::IsNan, 9),
        Step::Binary(Binary::Sub, 8, 10),
    ]);
    let mut all = vec![Program::copy(), long];
    all.extend(unary.map(Program::unary));
    all.extend(binary.map(Program::binary));
    all
}

/// How many inputs a program has.
fn inputs(program: &Program) -> usize {
    program.0.iter().map(|s| if let Step::Input(n) = s { n + 1 } else { 0 }).max().unwrap_or(0)
}

/// Steps of an array of the loops' shape with its axes in another order, gaps between rows, and some axes broadcast.
fn steps(extents: &[usize], order: u64, gap: usize, broadcast: u64) -> Vec<isize> {
    let mut axes: Vec<usize> = (0..extents.len()).collect();
    let mut numbers = Numbers(order);
    if !order.is_multiple_of(3) {
        for i in (1..axes.len()).rev() {
            axes.swap(i, numbers.below(i + 1));
        }
    }
    let mut steps = vec![0; extents.len()];
    let mut size = 1;
    for axis in axes.iter().rev() {
        if broadcast >> axis & 1 == 0 {
            steps[*axis] = size as isize;
            size = size * extents[*axis] + gap;
        }
    }
    steps
}

thread_local! {
    static RUNNERS: RefCell<Vec<Runner>> = RefCell::new(Runner::all());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_nest(
        extents in prop::collection::vec(prop_oneof![1usize..20, 1usize..5], 1..5),
        which in 0usize..100,
        orders in prop::array::uniform4(0u64..1000),
        gaps in prop::array::uniform4(0usize..3),
        broadcasts in prop::array::uniform3(0u64..16),
        constant in any::<bool>(),
        core in 0usize..3,
    ) {
        prop_assume!(extents.iter().product::<usize>() < 3000);
        let programs = programs();
        let program = programs[which % programs.len()].clone();
        let arrays = (0..inputs(&program)).map(|n| {
            let base = if constant && n == 1 { Base::Constants } else { Base::Input(n as u8) };
            let broadcast = if orders[n] % 2 == 0 { broadcasts[n] } else { 0 };
            Strided::f32(base, gaps[n], &steps(&extents, orders[n], gaps[n], broadcast))
        });
        let map = Map {
            inputs: arrays.collect(),
            output: Strided::f32(Base::Output, gaps[3], &steps(&extents, orders[3], gaps[3], 0)),
            extents,
            program,
        };
        RUNNERS.with_borrow_mut(|runners| check(&mut runners[core], map, which as u64));
    }
}

fn flat(count: usize, program: Program) -> Map {
    let inputs = (0..inputs(&program)).map(|n| Strided::f32(Base::Input(n as u8), 0, &[1])).collect();
    Map { extents: vec![count], output: Strided::f32(Base::Output, 0, &[1]), inputs, program }
}

#[test]
fn every_length_and_function() {
    let mut runner = Runner::new(Core::A53);
    for program in programs() {
        for count in (0..=17).chain([63, 200]) {
            check(&mut runner, flat(count, program.clone()), count as u64);
        }
    }
}

#[test]
fn special_numbers() {
    let mut runner = Runner::new(Core::A72);
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -2.5,
        3.5,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        1e-40,
        -1e-40,
        88.5,
        89.5,
        -87.5,
        -103.0,
        -104.5,
        1e30,
        -1e30,
        f32::MAX,
        f32::MIN_POSITIVE,
    ];
    for program in programs().into_iter().filter(|p| inputs(p) <= 2) {
        let pairs: Vec<(f32, f32)> = special.iter().flat_map(|a| special.iter().map(|b| (*a, *b))).collect();
        let (left, right): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
        let expected: Vec<f32> = pairs.iter().map(|(a, b)| program.eval(&[*a, *b]).unwrap()).collect();
        let spec = KernelSpec::Map(flat(pairs.len(), program));
        let found = runner.run(&spec, 4 * pairs.len(), &[&bytes(&left), &bytes(&right)], &[]).unwrap();
        same(&found.floats(), &expected);
    }
}

#[test]
fn in_place() {
    let mut runner = Runner::new(Core::A76);
    for count in [1, 3, 4, 16, 37] {
        let data = Numbers(7).floats(count, 3.0);
        let other = Numbers(8).floats(count, 3.0);
        let spec = KernelSpec::Map(flat(count, Program::binary(Binary::Sub)));
        let raw = bytes(&other);
        let inputs = vec![Argument::Same(0), Argument::Input(&raw)];
        let found = runner.call(&spec, Argument::InOut(&bytes(&data)), inputs, &[]).unwrap();
        same(&found.floats(), &data.iter().zip(&other).map(|(a, b)| a - b).collect::<Vec<_>>());
    }
}

#[test]
fn casts() {
    let mut runner = Runner::new(Core::A53);
    let numbers: Vec<i64> = (-9..14).map(|i| i * 12345).collect();
    let count = numbers.len();
    let map = |from: Element, to: Element| {
        let mut map = flat(count, Program::copy());
        map.inputs[0].element = from;
        map.output.element = to;
        KernelSpec::Map(map)
    };
    let values: Vec<f32> = numbers.iter().map(|n| *n as f32).collect();
    let i64s: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    let i32s: Vec<u8> = numbers.iter().flat_map(|n| (*n as i32).to_le_bytes()).collect();
    let u8s: Vec<u8> = numbers.iter().map(|n| *n as u8).collect();
    let found = runner.run(&map(Element::I64, Element::F32), 4 * count, &[&i64s], &[]).unwrap();
    assert_eq!(found.floats(), values);
    let found = runner.run(&map(Element::I32, Element::F32), 4 * count, &[&i32s], &[]).unwrap();
    assert_eq!(found.floats(), values);
    let found = runner.run(&map(Element::U8, Element::F32), 4 * count, &[&u8s], &[]).unwrap();
    assert_eq!(found.floats(), u8s.iter().map(|b| *b as f32).collect::<Vec<_>>());
    let found = runner.run(&map(Element::F32, Element::I64), 8 * count, &[&bytes(&values)], &[]).unwrap();
    assert_eq!(found.outputs[0], i64s);
    let found = runner.run(&map(Element::F32, Element::I32), 4 * count, &[&bytes(&values)], &[]).unwrap();
    assert_eq!(found.outputs[0], i32s);
    let small: Vec<f32> = (0..count).map(|i| i as f32 + 0.75).collect();
    let found = runner.run(&map(Element::F32, Element::U8), count, &[&bytes(&small)], &[]).unwrap();
    assert_eq!(found.outputs[0], (0..count as u8).collect::<Vec<_>>());
    // One integer for all.
    let mut spec = flat(count, Program::copy());
    spec.inputs[0] = Strided { base: Base::Input(0), offset: 2, steps: vec![0], element: Element::I64 };
    let found = runner.run(&KernelSpec::Map(spec), 4 * count, &[&i64s], &[]).unwrap();
    assert_eq!(found.floats(), vec![values[2]; count]);
}

#[test]
fn reversed() {
    let mut runner = Runner::new(Core::A53);
    let data = Numbers(3).floats(11, 1.0);
    let mut map = flat(11, Program::copy());
    map.inputs[0] = Strided::f32(Base::Input(0), 10, &[-1]);
    let found = runner.run(&KernelSpec::Map(map), 44, &[&bytes(&data)], &[]).unwrap();
    close(&found.floats(), &data.iter().rev().copied().collect::<Vec<_>>(), 0.0);
    assert_eq!(floats(&bytes(&data)), data);
}

#[test]
fn estimates_are_exact() {
    let mut runner = Runner::counting(Core::A72);
    for (n, program) in programs().into_iter().enumerate() {
        let spec = KernelSpec::Map(flat(50 + n, program));
        let data = bytes(&vec![1.5; 50 + n]);
        let found = runner.run(&spec, 4 * (50 + n), &[&data, &data, &data], &[]).unwrap();
        // The counts include the call.
        assert_eq!(found.counts.unwrap().total(), spec.estimate(Core::A72).instructions + 1, "{spec:?}");
    }
}

#[test]
fn what_cannot_be_made() {
    let mut early = flat(4, Program::copy());
    early.inputs[0] = Strided::f32(Base::Input(0), 0, &[-1]);
    let missing = flat(4, Program(vec![Step::Input(0), Step::Unary(Unary::Neg, 3)]));
    let mut uneven = flat(4, Program::copy());
    uneven.output.steps = vec![4, 1];
    for (map, why) in [
        (early, "an array that begins before its base"),
        (missing, "step 1 of a program refers to what is not there"),
        (uneven, "an array whose steps are not as many as the loops"),
    ] {
        assert_eq!(KernelSpec::Map(map).generate(Core::A53).unwrap_err().reason, why);
    }
}
