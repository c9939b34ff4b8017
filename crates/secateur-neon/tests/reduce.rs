//! Reductions against sums in f64, any strides and axes.

mod common;

use common::{Numbers, Runner, bytes, close};
use proptest::prelude::*;
use secateur_neon::{
    Base, Binary, Core, Element, KernelSpec, Program, Reduce, Reduction, Step, Strided, Unary,
};
use secateur_qemu::Argument;
use std::cell::RefCell;

fn reference(r: &Reduce, output: &mut [f32], input: &[f32]) {
    let all = |extents: &[usize]| {
        let mut points = vec![vec![]];
        for extent in extents {
            points = points
                .into_iter()
                .flat_map(|p: Vec<usize>| (0..*extent).map(move |i| [p.clone(), vec![i]].concat()))
                .collect();
        }
        points
    };
    let at = |offset: usize, steps: &[isize], point: &[usize]| {
        (offset as isize + steps.iter().zip(point).map(|(s, p)| s * *p as isize).sum::<isize>()) as usize
    };
    for point in all(&r.kept) {
        let mut sum = r.reduction.identity() as f64;
        for inner in all(&r.reduced) {
            let x = input[at(r.input.offset, &r.input.steps, &[point.clone(), inner].concat())];
            let x = r.before.eval(&[x]).unwrap() as f64;
            sum = match r.reduction {
                Reduction::Sum => sum + x,
                Reduction::Product => sum * x,
                Reduction::Max => sum.max(x),
                Reduction::Min => sum.min(x),
            };
        }
        output[at(r.output.offset, &r.output.steps, &point)] = r.after.eval(&[sum as f32]).unwrap();
    }
}

fn check(runner: &mut Runner, r: Reduce, seed: u64) {
    let mut numbers = Numbers(seed);
    let extents = [r.kept.clone(), r.reduced.clone()].concat();
    let input = numbers.floats(r.input.bytes(&extents) / 4, 1.5);
    let before = numbers.floats(r.output.bytes(&r.kept) / 4, 1.0);
    let mut expected = before.clone();
    reference(&r, &mut expected, &input);
    let spec = KernelSpec::Reduce(r);
    let raw = bytes(&input);
    let found =
        runner.call(&spec, Argument::InOut(&bytes(&before)), vec![Argument::Input(&raw)], &[]).unwrap();
    close(&found.floats(), &expected, 1e-5);
}

fn square() -> Program {
    Program(vec![Step::Input(0), Step::Binary(Binary::Mul, 0, 0)])
}

fn scaled(by: f32) -> Program {
    Program(vec![Step::Input(0), Step::Number(by), Step::Binary(Binary::Mul, 0, 1)])
}

fn dense(kept: &[usize], reduced: &[usize], reduction: Reduction) -> Reduce {
    let extents = [kept, reduced].concat();
    Reduce {
        kept: kept.to_vec(),
        reduced: reduced.to_vec(),
        output: Strided::f32(Base::Output, 0, &Strided::dense_steps(kept)),
        input: Strided::f32(Base::Input(0), 0, &Strided::dense_steps(&extents)),
        reduction,
        before: Program::copy(),
        after: Program::copy(),
    }
}

thread_local! {
    static RUNNERS: RefCell<Vec<Runner>> = RefCell::new(Runner::all());
}

/// Sums of many numbers of one sign, in lanes and across them: an error of a few units in the last place, whatever their
/// number, where one addition after the other would leave one that grows with it.
#[test]
fn long_sums_keep_their_last_digits() {
    let mut runner = Runner::new(Core::A72);
    for n in [33, 64, 65, 100, 511, 2048, 5003] {
        for (columns, width) in [(true, 3), (true, 16), (true, 21), (false, 2)] {
            let mut r = dense(&[width], &[n], Reduction::Sum);
            if columns {
                r.input.steps = vec![1, width as isize];
            }
            let mut numbers = Numbers(n as u64);
            let input: Vec<f32> = numbers.floats(n * width, 0.5).iter().map(|x| x + 0.75).collect();
            let mut expected = vec![0.0; width];
            reference(&r, &mut expected, &input);
            let (before, raw) = (bytes(&vec![0.0; width]), bytes(&input));
            let spec = KernelSpec::Reduce(r);
            let found = runner
                .call(&spec, Argument::InOut(&before), vec![Argument::Input(&raw)], &[])
                .unwrap()
                .floats();
            let off = found.iter().zip(&expected).map(|(f, e)| ((f - e) / e).abs()).fold(0.0, f32::max);
            assert!(off <= 1e-6, "{n} numbers, {width} results, columns {columns}: {off:.1e}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_axes(
        extents in prop::collection::vec(prop_oneof![1usize..20, 1usize..5], 1..5),
        reduced in 0usize..16,
        order in 0u64..1000,
        gap in 0usize..3,
        reduction in prop_oneof![
            Just(Reduction::Sum), Just(Reduction::Product), Just(Reduction::Max), Just(Reduction::Min)
        ],
        program in 0usize..3,
        core in 0usize..3,
    ) {
        prop_assume!(extents.iter().product::<usize>() < 3000);
        // Axes in memory in any order; which are reduced is any set.
        let mut axes: Vec<usize> = (0..extents.len()).collect();
        let mut numbers = Numbers(order);
        for i in (1..axes.len()).rev() {
            axes.swap(i, numbers.below(i + 1));
        }
        let mut steps = vec![0; extents.len()];
        let mut size = 1;
        for axis in axes {
            steps[axis] = size as isize;
            size = size * extents[axis] + gap;
        }
        let (inside, outside): (Vec<usize>, Vec<usize>) = (0..extents.len()).partition(|i| reduced >> i & 1 == 1);
        let pick = |which: &[usize]| which.iter().map(|i| extents[*i]).collect::<Vec<_>>();
        let mut r = dense(&pick(&outside), &pick(&inside), reduction);
        r.input.steps = [outside, inside].concat().into_iter().map(|i| steps[i]).collect();
        r.input.offset = gap;
        (r.before, r.after) = match program {
            0 => (Program::copy(), Program::copy()),
            1 => (square(), Program::unary(Unary::Sqrt)),
            _ => (Program::unary(Unary::Exp), scaled(0.125)),
        };
        RUNNERS.with_borrow_mut(|runners| check(&mut runners[core], r, order));
    }
}

#[test]
fn global_pooling_of_every_size() {
    let mut runner = Runner::new(Core::A53);
    for pixels in 1..70 {
        let mut r = dense(&[3], &[pixels], Reduction::Sum);
        r.after = scaled(1.0 / pixels as f32);
        check(&mut runner, r, pixels as u64);
    }
    // Rows with a border.
    let mut r = dense(&[5], &[7, 7], Reduction::Max);
    r.input = Strided::f32(Base::Input(0), 9, &[80, 8, 1]);
    check(&mut runner, r, 1);
}

#[test]
fn nothing_is_the_identity() {
    let mut runner = Runner::new(Core::A53);
    let mut r = dense(&[3], &[0], Reduction::Sum);
    r.input.steps = vec![0, 1];
    let found = runner.run(&KernelSpec::Reduce(r), 12, &[&[]], &[]).unwrap();
    assert_eq!(found.floats(), [0.0; 3]);
}

#[test]
fn integers_are_summed() {
    let mut runner = Runner::new(Core::A53);
    let mut r = dense(&[2], &[7], Reduction::Sum);
    r.input.element = Element::I32;
    let data: Vec<u8> = (0..14i32).flat_map(|i| i.to_le_bytes()).collect();
    let found = runner.run(&KernelSpec::Reduce(r), 8, &[&data], &[]).unwrap();
    assert_eq!(found.floats(), [21.0, 70.0]);
}

#[test]
fn estimates_are_exact() {
    let mut runner = Runner::counting(Core::A72);
    for (kept, reduced) in
        [(vec![64], vec![64]), (vec![3, 5], vec![7, 9]), (vec![], vec![33]), (vec![40], vec![])]
    {
        for reduction in [Reduction::Sum, Reduction::Product, Reduction::Max] {
            let r = dense(&kept, &reduced, reduction);
            let size: usize = kept.iter().chain(&reduced).product();
            let spec = KernelSpec::Reduce(r);
            let found =
                runner.run(&spec, 4 * kept.iter().product::<usize>(), &[&vec![0; 4 * size]], &[]).unwrap();
            assert_eq!(found.counts.unwrap().total(), spec.estimate(Core::A72).instructions + 1);
        }
    }
}
