//! Pooling and resizing of planar images, borders untouched; gathering.

mod common;

use common::{Numbers, Runner, bytes, close, same};
use proptest::prelude::*;
use secateur_neon::{
    Core, Element, GatherRows, KernelSpec, Planes, Pool, Pooling, Resize, Sampling, WindowAxis,
};
use secateur_qemu::Argument;
use std::cell::RefCell;

fn pool_reference(p: &Pool, output: &mut [f32], input: &[f32]) {
    for c in 0..p.output.channels {
        for y in 0..p.output.height {
            for x in 0..p.output.width {
                let (mut max, mut sum, mut inside, mut counted) = (f32::NEG_INFINITY, 0.0f64, 0, 0);
                for ky in 0..p.rows.kernel {
                    for kx in 0..p.columns.kernel {
                        let at = |a: &WindowAxis, o: usize, k: usize| {
                            (o * a.stride + k * a.dilation) as isize - a.before as isize
                        };
                        let (iy, ix) = (at(&p.rows, y, ky), at(&p.columns, x, kx));
                        let (h, w) = (p.input.height as isize, p.input.width as isize);
                        if iy < h + p.rows.after as isize && ix < w + p.columns.after as isize {
                            counted += 1;
                        }
                        if (0..h).contains(&iy) && (0..w).contains(&ix) {
                            let v = input[p.input.index(c, iy as usize, ix as usize)];
                            max = max.max(v);
                            sum += v as f64;
                            inside += 1;
                        }
                    }
                }
                output[p.output.index(c, y, x)] = match p.pooling {
                    Pooling::Max => max,
                    _ if inside == 0 => 0.0,
                    Pooling::Average => (sum / inside as f64) as f32,
                    Pooling::AverageWithPadding => (sum / counted as f64) as f32,
                };
            }
        }
    }
}

/// Floats from the pointer to behind the last pixel: nothing beyond may be touched.
fn reach(p: &Planes) -> usize {
    p.index(p.channels - 1, p.height - 1, p.width - 1) + 1
}

fn check_pool(runner: &mut Runner, p: Pool, seed: u64) {
    let mut numbers = Numbers(seed);
    let input = numbers.floats(reach(&p.input), 3.0);
    let before = numbers.floats(reach(&p.output), 3.0);
    let mut expected = before.clone();
    pool_reference(&p, &mut expected, &input);
    let raw = bytes(&input);
    let found =
        runner.call(&p.into(), Argument::InOut(&bytes(&before)), vec![Argument::Input(&raw)], &[]).unwrap();
    close(&found.floats(), &expected, 1e-6);
}

thread_local! {
    static RUNNERS: RefCell<Vec<Runner>> = RefCell::new(Runner::all());
}

fn axis() -> impl Strategy<Value = WindowAxis> {
    (1usize..6, 1usize..4, 1usize..3, 0usize..3, 0usize..3).prop_map(
        |(kernel, stride, dilation, before, after)| WindowAxis { kernel, stride, dilation, before, after },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_pool(
        channels in 1usize..4, height in 1usize..14, width in 1usize..24,
        rows in axis(), columns in axis(), ceil in any::<bool>(), square in any::<bool>(),
        borders in (0usize..3, 0usize..3),
        pooling in prop_oneof![Just(Pooling::Max), Just(Pooling::Average), Just(Pooling::AverageWithPadding)],
        core in 0usize..3,
    ) {
        let columns = if square { rows } else { columns };
        let size = |a: &WindowAxis, n: usize| {
            let span = (a.kernel - 1) * a.dilation + 1;
            let room = (n + a.before + a.after).checked_sub(span)?;
            Some(if ceil { room.div_ceil(a.stride) } else { room / a.stride } + 1)
        };
        let (Some(h), Some(w)) = (size(&rows, height), size(&columns, width)) else { return Ok(()) };
        let input = Planes::padded(channels, height, width, borders.0);
        let output = Planes::padded(channels, h, w, borders.1);
        RUNNERS.with_borrow_mut(|r| check_pool(&mut r[core], Pool { input, output, rows, columns, pooling }, width as u64));
    }
}

#[test]
fn large_windows() {
    let axis = WindowAxis { kernel: 9, stride: 1, dilation: 1, before: 4, after: 4 };
    for pooling in [Pooling::Max, Pooling::Average] {
        let planes = Planes::dense(2, 11, 13);
        let pool = Pool { input: planes, output: planes, rows: axis, columns: axis, pooling };
        check_pool(&mut Runner::new(Core::A53), pool, 1);
    }
}

fn check_resize(runner: &mut Runner, r: Resize) {
    let mut numbers = Numbers(5);
    let input = numbers.floats(reach(&r.input), 3.0);
    let before = numbers.floats(reach(&r.output), 3.0);
    let mut expected = before.clone();
    for c in 0..r.output.channels {
        for y in 0..r.output.height {
            for x in 0..r.output.width {
                let at = |y: usize, x: usize| input[r.input.index(c, y, x)];
                let lerp = |a: f32, b: f32, w: f32| (b - a).mul_add(w, a);
                expected[r.output.index(c, y, x)] = match (&r.rows, &r.columns) {
                    (Sampling::Nearest(rows), Sampling::Nearest(columns)) => at(rows[y], columns[x]),
                    (Sampling::Linear(rows), Sampling::Linear(columns)) => {
                        let ((top, bottom, wy), (left, right, wx)) = (rows[y], columns[x]);
                        lerp(
                            lerp(at(top, left), at(bottom, left), wy),
                            lerp(at(top, right), at(bottom, right), wy),
                            wx,
                        )
                    }
                    _ => unreachable!(),
                };
            }
        }
    }
    let raw = bytes(&input);
    let found =
        runner.call(&r.into(), Argument::InOut(&bytes(&before)), vec![Argument::Input(&raw)], &[]).unwrap();
    same(&found.floats(), &expected);
}

#[test]
fn resizing() {
    for mut runner in Runner::all() {
        for (height, width, h, w) in [
            (3, 4, 6, 8),
            (2, 7, 8, 28),
            (5, 5, 3, 2),
            (4, 9, 7, 13),
            (1, 1, 2, 2),
            (6, 3, 6, 3),
            (2, 3, 5, 12),
        ] {
            for border in [0, 1] {
                let input = Planes::padded(2, height, width, border);
                let output = Planes::padded(2, h, w, border);
                let nearest =
                    |from: usize, to: usize| Sampling::Nearest((0..to).map(|i| i * from / to).collect());
                let linear = |from: usize, to: usize| {
                    let one = |i: usize| {
                        let x =
                            ((i as f32 + 0.5) * from as f32 / to as f32 - 0.5).clamp(0.0, from as f32 - 1.0);
                        (x as usize, (x as usize + 1).min(from - 1), x.fract())
                    };
                    Sampling::Linear((0..to).map(one).collect())
                };
                check_resize(
                    &mut runner,
                    Resize { input, output, rows: nearest(height, h), columns: nearest(width, w) },
                );
                check_resize(
                    &mut runner,
                    Resize { input, output, rows: linear(height, h), columns: linear(width, w) },
                );
            }
        }
    }
}

#[test]
fn tables_are_checked() {
    let planes = Planes::dense(1, 2, 2);
    let rows = Sampling::Nearest(vec![0, 1]);
    let wrong =
        Resize { input: planes, output: planes, rows: rows.clone(), columns: Sampling::Nearest(vec![0, 2]) };
    assert!(KernelSpec::Resize(wrong).generate(Core::A53).is_err());
    let mixed =
        Resize { input: planes, output: planes, rows, columns: Sampling::Linear(vec![(0, 1, 0.5); 2]) };
    assert!(KernelSpec::Resize(mixed).generate(Core::A53).is_err());
}

#[test]
fn gathering() {
    let mut runner = Runner::new(Core::A72);
    for width in (1..18).chain([40]) {
        let table = Numbers(1).floats(5 * width, 1.0);
        let indices = [3i64, 0, -1, 4, 2, -5, 9, -9];
        let rows = [3, 0, 4, 4, 2, 0, 4, 0];
        let expected: Vec<f32> =
            rows.iter().flat_map(|r| table[r * width..(r + 1) * width].to_vec()).collect();
        let as_bytes: [(Element, Vec<u8>); 3] = [
            (Element::I64, indices.iter().flat_map(|i| i.to_le_bytes()).collect()),
            (Element::I32, indices.iter().flat_map(|i| (*i as i32).to_le_bytes()).collect()),
            (Element::F32, indices.iter().flat_map(|i| (*i as f32).to_le_bytes()).collect()),
        ];
        for (index, data) in as_bytes {
            let spec = KernelSpec::GatherRows(GatherRows { count: indices.len(), rows: 5, width, index });
            let found = runner.run(&spec, 4 * expected.len(), &[&bytes(&table), &data], &[]).unwrap();
            same(&found.floats(), &expected);
        }
    }
}

#[test]
fn estimates_are_exact() {
    let mut runner = Runner::counting(Core::A53);
    let axis = WindowAxis { kernel: 3, stride: 2, dilation: 1, before: 1, after: 1 };
    let (input, output) = (Planes::dense(3, 15, 17), Planes::dense(3, 8, 9));
    let pool = Pool { input, output, rows: axis, columns: axis, pooling: Pooling::Max };
    let nearest = |n: usize| Sampling::Nearest((0..2 * n).map(|i| i / 2).collect());
    let resize = Resize { input, output: Planes::dense(3, 30, 34), rows: nearest(15), columns: nearest(17) };
    for (spec, size) in [(KernelSpec::from(pool), 3 * 8 * 9), (resize.into(), 3 * 30 * 34)] {
        let found = runner.run(&spec, 4 * size, &[&vec![0; 4 * 3 * 15 * 17]], &[]).unwrap();
        assert_eq!(found.counts.unwrap().total(), spec.estimate(Core::A53).instructions + 1);
    }
}
