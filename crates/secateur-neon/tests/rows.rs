//! Softmax and normalization against f64, along any axis.

mod common;

use common::{Numbers, Runner, bytes, close};
use secateur_neon::{Base, Core, Element, KernelSpec, Norm, Softmax, Strided};
use secateur_qemu::Argument;

/// Rows of `axis` elements: along the last of three axes, the middle one, or with gaps.
fn arrays(kind: usize, rows: usize, axis: usize) -> (Vec<usize>, Strided, Strided) {
    let (outer, input, output): (Vec<usize>, Vec<isize>, Vec<isize>) = match kind {
        0 => (vec![rows], vec![axis as isize, 1], vec![axis as isize, 1]),
        // Channels first: rows side by side.
        1 => (
            vec![2, rows],
            vec![(rows * axis) as isize, 1, rows as isize],
            vec![(rows * axis) as isize, 1, rows as isize],
        ),
        // A gap between elements of the input only.
        2 => (vec![rows], vec![2 * axis as isize, 2], vec![axis as isize, 1]),
        // From rows to columns.
        _ => (vec![rows], vec![axis as isize, 1], vec![1, rows as isize]),
    };
    (outer, Strided::f32(Base::Input(0), 0, &input), Strided::f32(Base::Output, 0, &output))
}

fn points(extents: &[usize]) -> Vec<Vec<usize>> {
    extents.iter().fold(vec![vec![]], |points, extent| {
        points.into_iter().flat_map(|p| (0..*extent).map(move |i| [p.clone(), vec![i]].concat())).collect()
    })
}

fn at(array: &Strided, point: &[usize]) -> usize {
    array.offset + array.steps.iter().zip(point).map(|(s, p)| *s as usize * p).sum::<usize>()
}

fn softmax(runner: &mut Runner, kind: usize, rows: usize, axis: usize, log: bool, size: f32) {
    let (outer, input, output) = arrays(kind, rows, axis);
    let extents = [outer.clone(), vec![axis]].concat();
    let data = Numbers((rows * 100 + axis) as u64).floats(input.bytes(&extents) / 4, size);
    let mut expected = vec![0.0; output.bytes(&extents) / 4];
    for point in points(&outer) {
        let row: Vec<f64> =
            (0..axis).map(|j| data[at(&input, &[point.clone(), vec![j]].concat())] as f64).collect();
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
        for (j, x) in row.iter().enumerate() {
            let y = if log { x - max - sum.ln() } else { (x - max).exp() / sum };
            expected[at(&output, &[point.clone(), vec![j]].concat())] = y as f32;
        }
    }
    let spec = KernelSpec::Softmax(Softmax { outer, axis, output, input, log });
    let found = runner.run(&spec, 4 * expected.len(), &[&bytes(&data)], &[]).unwrap();
    close(&found.floats(), &expected, if log { 1e-6 } else { 3e-7 });
}

#[test]
fn softmax_along_any_axis() {
    for mut runner in Runner::all() {
        for kind in 0..4 {
            for (rows, axis) in [(1, 1), (3, 2), (2, 5), (5, 10), (4, 16), (7, 33), (9, 3), (1, 100)] {
                softmax(&mut runner, kind, rows, axis, axis % 2 == 0, 5.0);
                softmax(&mut runner, kind, rows, axis, axis % 2 == 1, 60.0);
            }
        }
    }
}

#[test]
fn softmax_in_place_and_of_infinities() {
    let mut runner = Runner::new(Core::A53);
    let array = |base| Strided::f32(base, 0, &[1]);
    let spec = Softmax {
        outer: vec![],
        axis: 6,
        output: array(Base::Output),
        input: array(Base::Input(0)),
        log: false,
    };
    let data = bytes(&[1.0, f32::NEG_INFINITY, -1e9, 1.0, f32::NEG_INFINITY, 1.0]);
    let found =
        runner.call(&spec.into(), Argument::InOut(&data), vec![Argument::Same(0)], &[]).unwrap().floats();
    let third = 1.0 / 3.0;
    close(&found, &[third, 0.0, 0.0, third, 0.0, third], 1e-7);
}

struct Case {
    outer: Vec<usize>,
    axes: Vec<usize>,
    input: Vec<isize>,
    /// Steps of scale and bias, if there are any.
    parameters: Option<Vec<isize>>,
    center: bool,
}

fn norm(runner: &mut Runner, case: &Case) {
    let extents = [case.outer.clone(), case.axes.clone()].concat();
    let mut numbers = Numbers(extents.len() as u64);
    let input = Strided::f32(Base::Input(0), 3, &case.input);
    let output = Strided::f32(Base::Output, 0, &Strided::dense_steps(&extents));
    let mut data = numbers.floats(input.bytes(&extents) / 4, 2.0);
    data.iter_mut().for_each(|x| *x += 10.0);
    let scale = case.parameters.as_ref().map(|s| Strided::f32(Base::Constants, 0, s));
    let count = scale.as_ref().map_or(0, |s| s.bytes(&extents) / 4);
    let bias = case.parameters.as_ref().map(|s| Strided::f32(Base::Constants, count, s));
    let (scales, biases) = (numbers.floats(count, 1.0), numbers.floats(count, 1.0));
    let mut expected = vec![0.0; output.bytes(&extents) / 4];
    for group in points(&case.outer) {
        let elements: Vec<Vec<usize>> =
            points(&case.axes).into_iter().map(|j| [group.clone(), j].concat()).collect();
        let values: Vec<f64> = elements.iter().map(|p| data[at(&input, p)] as f64).collect();
        let count = values.len() as f64;
        let mean = if case.center { values.iter().sum::<f64>() / count } else { 0.0 };
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        for (p, x) in elements.iter().zip(values) {
            let mut y = (x - mean) / (variance + 1e-5).sqrt();
            if let Some(scale) = &scale {
                y = y * scales[at(scale, p)] as f64 + biases[at(scale, p)] as f64;
            }
            expected[at(&output, p)] = y as f32;
        }
    }
    let spec = Norm {
        outer: case.outer.clone(),
        axes: case.axes.clone(),
        output,
        input,
        scale,
        bias,
        epsilon: 1e-5,
        center: case.center,
    };
    let found = runner.run(&spec.into(), 4 * expected.len(), &[&bytes(&data)], &[&scales, &biases]).unwrap();
    close(&found.floats(), &expected, 1e-5);
}

#[test]
fn norms_of_every_kind() {
    for mut runner in Runner::all() {
        for n in (1..20).chain([64]) {
            let step = n as isize;
            // LayerNorm and RMS norm over the last axis.
            for center in [true, false] {
                norm(
                    &mut runner,
                    &Case {
                        outer: vec![5],
                        axes: vec![n],
                        input: vec![step, 1],
                        parameters: Some(vec![0, 1]),
                        center,
                    },
                );
            }
            // InstanceNorm: scale by channel, rows with a border.
            norm(
                &mut runner,
                &Case {
                    outer: vec![3],
                    axes: vec![4, n],
                    input: vec![6 * (step + 2), step + 2, 1],
                    parameters: Some(vec![1, 0, 0]),
                    center: true,
                },
            );
            // GroupNorm: scale by channel within a group.
            norm(
                &mut runner,
                &Case {
                    outer: vec![2],
                    axes: vec![3, n],
                    input: vec![3 * step, step, 1],
                    parameters: Some(vec![3, 1, 0]),
                    center: true,
                },
            );
            // Over channels of a planar image: LayerNorm2d.
            norm(
                &mut runner,
                &Case {
                    outer: vec![7],
                    axes: vec![n],
                    input: vec![1, 7],
                    parameters: Some(vec![0, 1]),
                    center: true,
                },
            );
        }
        norm(
            &mut runner,
            &Case { outer: vec![], axes: vec![30], input: vec![1], parameters: None, center: true },
        );
    }
}

#[test]
fn estimates_are_exact() {
    let mut runner = Runner::counting(Core::A76);
    let (outer, input, output) = arrays(1, 6, 11);
    let softmax: KernelSpec = Softmax { outer, axis: 11, output, input, log: true }.into();
    let dense = |base| Strided::f32(base, 0, &[11, 1]);
    let norm = Norm {
        outer: vec![12],
        axes: vec![11],
        output: dense(Base::Output),
        input: dense(Base::Input(0)),
        scale: None,
        bias: None,
        epsilon: 1e-5,
        center: true,
    };
    for spec in [softmax, norm.into()] {
        let found = runner.run(&spec, 4 * 132, &[&vec![0; 4 * 132]], &[]).unwrap();
        assert_eq!(found.counts.unwrap().total(), spec.estimate(Core::A76).instructions + 1);
    }
}

#[test]
fn what_cannot_be_made() {
    let array = |base| Strided { element: Element::I32, ..Strided::f32(base, 0, &[1]) };
    let spec = Softmax {
        outer: vec![],
        axis: 6,
        output: array(Base::Output),
        input: array(Base::Input(0)),
        log: false,
    };
    assert_eq!(
        KernelSpec::Softmax(spec).generate(Core::A53).unwrap_err().reason,
        "softmax of anything but f32"
    );
}
