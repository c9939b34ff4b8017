//! Recurrent layers of the reference, by the equations of the ONNX operators.

use crate::op::{Cell, Recurrent};

pub fn run(r: &Recurrent, x: &[Vec<f32>], dims: &[usize]) -> Vec<f32> {
    let (steps, rows, h) = (dims[0], dims[1], r.hidden);
    let mut out = vec![0f32; steps * h];
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
    let state = |i: usize| match x.get(i).filter(|_| r.initial) {
        Some(s) => s.iter().map(|&v| f64::from(v)).collect(),
        None => vec![0f64; h],
    };
    let (mut hidden, mut cell): (Vec<f64>, Vec<f64>) = (state(1), state(2));
    for t in 0..steps {
        let at = if r.reverse { steps - 1 - t } else { t };
        let wx = |row: usize| f64::from(x[0][at * rows + row]);
        let uh = |row: usize, hidden: &[f64]| -> f64 {
            r.recurrence[row * h..][..h].iter().zip(hidden).map(|(a, b)| f64::from(*a) * b).sum()
        };
        let sum = |row: usize| wx(row) + uh(row, &hidden);
        let next: Vec<f64> = match r.cell {
            Cell::Rnn => (0..h).map(|i| sum(i).tanh()).collect(),
            Cell::Gru => {
                let reset: Vec<f64> = (0..h).map(|i| sigmoid(sum(h + i))).collect();
                let gated: Vec<f64> = hidden.iter().zip(&reset).map(|(h, r)| h * r).collect();
                let new = |i: usize| match r.linear_before_reset {
                    true => {
                        let bias = f64::from(r.bias.get(i).copied().unwrap_or(0.0));
                        wx(2 * h + i) + reset[i] * (uh(2 * h + i, &hidden) + bias)
                    }
                    false => wx(2 * h + i) + uh(2 * h + i, &gated),
                };
                (0..h)
                    .map(|i| {
                        let z = sigmoid(sum(i));
                        (1.0 - z) * new(i).tanh() + z * hidden[i]
                    })
                    .collect()
            }
            Cell::Lstm => (0..h)
                .map(|i| {
                    // ONNX's order: input, output, forget, cell.
                    let [i_gate, o, f, c] = [0, 1, 2, 3].map(|k| sum(k * h + i));
                    cell[i] = sigmoid(f) * cell[i] + sigmoid(i_gate) * c.tanh();
                    sigmoid(o) * cell[i].tanh()
                })
                .collect(),
        };
        hidden = next;
        for i in 0..h {
            out[at * h + i] = hidden[i] as f32;
        }
    }
    out
}
