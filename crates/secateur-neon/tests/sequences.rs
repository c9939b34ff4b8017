//! Recurrent cells and transposed convolutions against f64.

mod common;

use common::{Numbers, Runner, bytes, close};
use proptest::prelude::*;
use secateur_neon::{Activation, Cell, ConvTranspose, Core, KernelSpec, Planes, Recurrent, WindowAxis};
use secateur_qemu::Argument;
use std::cell::RefCell;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn recurrent(runner: &mut Runner, r: &Recurrent) {
    let (hidden, gates) = (r.hidden, r.cell.gates());
    let mut numbers = Numbers(hidden as u64);
    let input = numbers.floats(r.input_row * (r.steps - 1) + gates * hidden, 2.0);
    let weights = numbers.floats(gates * hidden * hidden, 0.5);
    let bias = numbers.floats(hidden, 1.0);
    let (state, memory) = (numbers.floats(hidden, 1.0), numbers.floats(hidden, 1.0));
    let before = numbers.floats(r.output_row * (r.steps - 1) + hidden, 1.0);
    let mut expected = before.clone();
    let first = |given: &[f32]| -> Vec<f64> {
        if r.initial { given.iter().map(|x| *x as f64).collect() } else { vec![0.0; hidden] }
    };
    let (mut h, mut m) = (first(&state), first(&memory));
    for turn in 0..r.steps {
        let step = if r.reverse { r.steps - 1 - turn } else { turn };
        let x = |gate: usize, i: usize| input[step * r.input_row + gate * hidden + i] as f64;
        let w = |gate: usize, i: usize, from: &[f64]| -> f64 {
            (0..hidden).map(|k| weights[(gate * hidden + i) * hidden + k] as f64 * from[k]).sum()
        };
        let new: Vec<(f64, f64)> = (0..hidden)
            .map(|i| match r.cell {
                Cell::Gru { linear_before_reset } => {
                    let z = sigmoid(x(0, i) + w(0, i, &h));
                    let inner = if linear_before_reset {
                        sigmoid(x(1, i) + w(1, i, &h)) * (w(2, i, &h) + bias[i] as f64)
                    } else {
                        let reset: Vec<f64> =
                            (0..hidden).map(|k| sigmoid(x(1, k) + w(1, k, &h)) * h[k]).collect();
                        w(2, i, &reset)
                    };
                    ((1.0 - z) * (x(2, i) + inner).tanh() + z * h[i], 0.0)
                }
                Cell::Lstm => {
                    let gate = |n: usize| x(n, i) + w(n, i, &h);
                    let memory = sigmoid(gate(2)) * m[i] + sigmoid(gate(0)) * gate(3).tanh();
                    (sigmoid(gate(1)) * memory.tanh(), memory)
                }
                Cell::Rnn => ((x(0, i) + w(0, i, &h)).tanh(), 0.0),
            })
            .collect();
        (h, m) = new.into_iter().unzip();
        for i in 0..hidden {
            expected[step * r.output_row + i] = h[i] as f32;
        }
    }
    let spec = KernelSpec::Recurrent(r.clone());
    let raw = [bytes(&input), bytes(&state), bytes(&memory)];
    let mut inputs: Vec<Argument> = raw.iter().map(|r| Argument::Input(r)).collect();
    if !r.initial {
        inputs.truncate(1);
    }
    let constants: &[&[f32]] = match r.cell {
        Cell::Gru { linear_before_reset: true } => &[&weights, &bias],
        _ => &[&weights],
    };
    let found = runner.call(&spec, Argument::InOut(&bytes(&before)), inputs, constants).unwrap();
    close(&found.floats(), &expected, 1e-5);
}

#[test]
fn recurrent_cells() {
    let cells = [
        Cell::Gru { linear_before_reset: true },
        Cell::Gru { linear_before_reset: false },
        Cell::Lstm,
        Cell::Rnn,
    ];
    for mut runner in Runner::all() {
        for cell in cells {
            for hidden in [1, 3, 4, 7, 16, 21, 33] {
                for (reverse, initial, gap) in [(false, false, 0), (true, true, 5)] {
                    let input_row = cell.gates() * hidden + gap;
                    let r = Recurrent {
                        cell,
                        steps: 5,
                        hidden,
                        input_row,
                        output_row: hidden + gap,
                        reverse,
                        initial,
                    };
                    recurrent(&mut runner, &r);
                }
            }
        }
    }
}

fn conv_transpose(runner: &mut Runner, t: ConvTranspose) {
    let mut numbers = Numbers(t.input.width as u64);
    let reach = |p: &Planes| p.index(p.channels - 1, p.height - 1, p.width - 1) + 1;
    let (inputs, outputs) = (t.input.channels / t.groups, t.output.channels / t.groups);
    let (kh, kw) = (t.rows.kernel, t.columns.kernel);
    let input = numbers.floats(reach(&t.input), 1.0);
    let before = numbers.floats(reach(&t.output), 1.0);
    let weights = numbers.floats(t.input.channels * outputs * kh * kw, 1.0);
    let bias = numbers.floats(t.output.channels, 1.0);
    let mut expected = before.clone();
    for o in 0..t.output.channels {
        let group = o / outputs;
        for y in 0..t.output.height {
            for x in 0..t.output.width {
                let mut sum = if t.bias { bias[o] as f64 } else { 0.0 };
                for c in group * inputs..(group + 1) * inputs {
                    for (i, j) in (0..kh).flat_map(|i| (0..kw).map(move |j| (i, j))) {
                        let from = |a: &WindowAxis, at: usize, tap: usize, size: usize| {
                            let n = (at + a.before).checked_sub(tap * a.dilation)?;
                            (n % a.stride == 0 && n / a.stride < size).then_some(n / a.stride)
                        };
                        let v = from(&t.rows, y, i, t.input.height);
                        let u = from(&t.columns, x, j, t.input.width);
                        if let (Some(v), Some(u)) = (v, u) {
                            let w = weights[((c * outputs + o % outputs) * kh + i) * kw + j];
                            sum += w as f64 * input[t.input.index(c, v, u)] as f64;
                        }
                    }
                }
                expected[t.output.index(o, y, x)] =
                    if t.activation == Activation::Relu { sum.max(0.0) as f32 } else { sum as f32 };
            }
        }
    }
    let raw = bytes(&input);
    let spec = KernelSpec::ConvTranspose(t);
    let found = runner
        .call(&spec, Argument::InOut(&bytes(&before)), vec![Argument::Input(&raw)], &[&weights, &bias])
        .unwrap();
    close(&found.floats(), &expected, 1e-5);
}

thread_local! {
    static RUNNERS: RefCell<Vec<Runner>> = RefCell::new(Runner::all());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_conv_transpose(
        groups in 1usize..4, inputs in 1usize..4, outputs in 1usize..7,
        height in 1usize..6, width in 1usize..12,
        kernel in (1usize..5, 1usize..5), stride in (1usize..4, 1usize..4), dilation in 1usize..3,
        before in (0usize..3, 0usize..3), extra in 0usize..2, borders in (0usize..2, 0usize..2),
        bias in any::<bool>(), relu in any::<bool>(), core in 0usize..3,
    ) {
        let axis = |kernel, stride, before| WindowAxis { kernel, stride, dilation, before, after: 0 };
        let (rows, columns) = (axis(kernel.0, stride.0, before.0), axis(kernel.1, stride.1, before.1));
        let size = |a: &WindowAxis, n: usize| {
            ((n - 1) * a.stride + (a.kernel - 1) * a.dilation + 1 + extra).checked_sub(2 * a.before).filter(|n| *n > 0)
        };
        let (Some(h), Some(w)) = (size(&rows, height), size(&columns, width)) else { return Ok(()) };
        let activation = if relu { Activation::Relu } else { Activation::None };
        let t = ConvTranspose {
            input: Planes::padded(groups * inputs, height, width, borders.0),
            output: Planes::padded(groups * outputs, h, w, borders.1),
            rows, columns, groups, bias, activation,
        };
        RUNNERS.with_borrow_mut(|r| conv_transpose(&mut r[core], t));
    }
}

/// Kernel and stride of 2: both results of a pixel come together.
#[test]
fn doubling() {
    let axis = WindowAxis { kernel: 2, stride: 2, dilation: 1, before: 0, after: 0 };
    for mut runner in Runner::all() {
        for width in (1..=17).chain([33, 40]) {
            for (outputs, border) in [(1, 0), (2, 1), (5, 0), (7, 2)] {
                let activation = if width % 2 == 1 { Activation::Relu } else { Activation::None };
                let t = ConvTranspose {
                    input: Planes::padded(3, 3, width, border),
                    output: Planes::padded(outputs, 6, 2 * width, border),
                    rows: axis,
                    columns: axis,
                    groups: 1,
                    bias: border == 0,
                    activation,
                };
                conv_transpose(&mut runner, t);
            }
        }
    }
}

#[test]
fn estimates_are_exact() {
    let mut runner = Runner::counting(Core::A72);
    let r = Recurrent {
        cell: Cell::Gru { linear_before_reset: true },
        steps: 4,
        hidden: 19,
        input_row: 57,
        output_row: 19,
        reverse: false,
        initial: false,
    };
    let weights = vec![0.0; 57 * 19];
    let spec = KernelSpec::Recurrent(r);
    let found = runner.run(&spec, 4 * 4 * 19, &[&vec![0; 4 * 4 * 57]], &[&weights, &[0.0; 19]]).unwrap();
    assert_eq!(found.counts.unwrap().total(), spec.estimate(Core::A72).instructions + 1);
}
