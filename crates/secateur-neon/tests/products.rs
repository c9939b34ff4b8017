//! Matrix products against sums in f64, and ArgMax.

mod common;

use common::{Numbers, Runner, bytes, close};
use proptest::prelude::*;
use secateur_neon::{
    Activation, ArgMax, Base, Binary, Core, Element, KernelSpec, MatMul, Program, Step, Strided, Unary,
};
use secateur_qemu::Argument;
use std::cell::RefCell;

thread_local! {
    static RUNNERS: RefCell<Vec<Runner>> = RefCell::new(Runner::all());
}

fn product(batch: usize, rows: usize, inner: usize, columns: usize, layout: usize) -> MatMul {
    let (m, k, n) = (rows as isize, inner as isize, columns as isize);
    let a = [[m * k, k, 1], [m * k, 1, m], [0, k, 1], [m * (k + 3), k + 3, 1]][layout % 4];
    let b = [[k * n, n, 1], [k * n, 1, k], [0, n, 1], [k * n * 2, 2 * n, 2]][layout / 4 % 4];
    let output = [[m * n, n, 1], [m * n, 1, m]][layout / 16 % 2];
    let add = [None, Some([0, 0, 1]), Some([0, 1, 0]), Some(output)][layout / 32 % 4];
    let after = [
        Program::copy(),
        Program::unary(Unary::Activation(Activation::Relu)),
        Program::unary(Unary::Activation(Activation::Gelu)),
        Program(vec![Step::Input(0), Step::Number(0.5), Step::Binary(Binary::Mul, 0, 1)]),
    ][layout / 128 % 4]
        .clone();
    MatMul {
        batch: vec![batch],
        rows,
        columns,
        inner,
        a: Strided::f32(Base::Input(0), layout % 2, &a),
        b: Strided::f32(if layout.is_multiple_of(3) { Base::Constants } else { Base::Input(1) }, 0, &b),
        output: Strided::f32(Base::Output, 0, &output),
        add: add.map(|steps| Strided::f32(Base::Input(2), 0, &steps)),
        after,
    }
}

fn check(runner: &mut Runner, m: MatMul) {
    let mut numbers = Numbers(m.rows as u64);
    let extents = |x: usize, y: usize| [m.batch.clone(), vec![x, y]].concat();
    let a = numbers.floats(m.a.bytes(&extents(m.rows, m.inner)) / 4, 1.0);
    let b = numbers.floats(m.b.bytes(&extents(m.inner, m.columns)) / 4, 1.0);
    let add =
        m.add.as_ref().map_or(vec![], |x| numbers.floats(x.bytes(&extents(m.rows, m.columns)) / 4, 1.0));
    let mut expected = vec![0.0; m.output.bytes(&extents(m.rows, m.columns)) / 4];
    let at = |x: &Strided, i: usize, r: usize, c: usize| {
        x.offset + i * x.steps[0] as usize + r * x.steps[1] as usize + c * x.steps[2] as usize
    };
    for i in 0..m.batch[0] {
        for r in 0..m.rows {
            for c in 0..m.columns {
                let mut sum = m.add.as_ref().map_or(0.0, |x| add[at(x, i, r, c)] as f64);
                for j in 0..m.inner {
                    sum += a[at(&m.a, i, r, j)] as f64 * b[at(&m.b, i, j, c)] as f64;
                }
                expected[at(&m.output, i, r, c)] = m.after.eval(&[sum as f32]).unwrap();
            }
        }
    }
    let constants = m.b.base == Base::Constants;
    let raw = [bytes(&a), if constants { vec![] } else { bytes(&b) }, bytes(&add)];
    let inputs: Vec<&[u8]> = raw.iter().map(Vec::as_slice).collect();
    let packed: Vec<&[f32]> = if constants { vec![&b] } else { vec![] };
    let found = runner.run(&m.into(), 4 * expected.len(), &inputs, &packed).unwrap();
    close(&found.floats(), &expected, 2e-5);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_product(
        batch in 1usize..4, rows in 1usize..10, inner in 0usize..40, columns in 1usize..40,
        layout in 0usize..512, core in 0usize..3,
    ) {
        RUNNERS.with_borrow_mut(|r| check(&mut r[core], product(batch, rows, inner, columns, layout)));
    }
}

#[test]
fn every_tail() {
    for mut runner in Runner::all() {
        for layout in [0, 4, 1, 32 * 3 + 128] {
            for columns in 1..=17 {
                for rows in [1, 3, 6] {
                    check(&mut runner, product(1, rows, columns, columns, layout));
                }
            }
        }
    }
}

/// What a multiply-add costs in a fully connected layer of one row and in a square product.
#[test]
fn instructions_per_multiply_add() {
    let mut runner = Runner::counting(Core::A72);
    for (rows, inner, columns, most) in [(1, 256, 256, 0.45), (64, 64, 64, 0.35)] {
        let spec: KernelSpec = product(1, rows, inner, columns, 2).into();
        let found = runner
            .run(&spec, 4 * rows * columns, &[&vec![0; 4 * rows * inner], &vec![0; 4 * inner * columns]], &[])
            .unwrap();
        let total = found.counts.unwrap().total();
        assert_eq!(total, spec.estimate(Core::A72).instructions + 1);
        let each = total as f64 / (rows * inner * columns) as f64;
        println!("{rows}x{inner}x{columns}: {each:.3}");
        assert!(each < most, "{each}");
    }
}

#[test]
fn argmax() {
    for mut runner in Runner::all() {
        for axis in 1..12 {
            for (smallest, last) in [(false, false), (false, true), (true, false), (true, true)] {
                let mut numbers = Numbers(axis as u64);
                // Few different numbers: ties.
                let mut data: Vec<f32> = (0..3 * axis).map(|_| numbers.below(4) as f32 - 2.0).collect();
                data[axis / 2] = f32::NAN;
                let mut expected = vec![];
                for row in 0..3 {
                    let mut best: Option<(f32, i64)> = None;
                    for j in 0..axis {
                        let x = data[j * 3 + row];
                        let better = best.is_none_or(|(b, _)| {
                            if smallest { x < b || last && x == b } else { x > b || last && x == b }
                        });
                        if better && !x.is_nan() {
                            best = Some((x, j as i64));
                        }
                    }
                    expected.push(best.map_or(0, |(_, j)| j));
                }
                let spec = ArgMax {
                    outer: vec![3],
                    axis,
                    output: Strided { element: Element::I64, ..Strided::f32(Base::Output, 0, &[1]) },
                    input: Strided::f32(Base::Input(0), 0, &[1, 3]),
                    smallest,
                    last,
                };
                let raw = bytes(&data);
                let found = runner
                    .call(&spec.into(), Argument::Output(24), vec![Argument::Input(&raw)], &[])
                    .unwrap();
                let expected: Vec<u8> = expected.iter().flat_map(|i| i.to_le_bytes()).collect();
                assert_eq!(found.outputs[0], expected);
            }
        }
    }
}
