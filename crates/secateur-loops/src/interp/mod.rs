//! The reference: runs a lowered program on the host, plainly, with sums in `f64`. It folds constants, and tests
//! compare it with ONNX Runtime (is the lowering right?) and with the machine code (are the kernels right?).

mod conv;
mod pool;
mod recurrent;

use crate::op::{Binary, MatMul, Op, Reduce};
use crate::program::{Kind, Program, Step};
use crate::unary::eval_chain;

/// Runs one sample: dense inputs in, dense outputs out, in the model's order.
pub fn run(p: &Program, inputs: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut memory: Vec<Vec<f32>> = p
        .tensors
        .iter()
        .map(|t| match &t.kind {
            Kind::Input(i) => inputs[*i].clone(),
            Kind::Const(data) => data.to_vec(),
            _ => vec![f32::NAN; t.dims.iter().product()],
        })
        .collect();
    for step in &p.steps {
        let result = eval(step, &operands(step, |t| &memory[t]));
        let to = &mut memory[step.output.tensor.0];
        for (at, v) in step.output.positions().into_iter().zip(result) {
            to[at as usize] = v;
        }
    }
    p.outputs.iter().map(|o| memory[o.tensor.0].clone()).collect()
}

/// The step's result where all it reads is constant.
pub fn fold(p: &Program, step: &Step) -> Option<Vec<f32>> {
    let data = |t: usize| match &p.tensors[t].kind {
        Kind::Const(data) => &data[..],
        _ => &[],
    };
    step.inputs.iter().all(|v| p.is_const(v)).then(|| eval(step, &operands(step, data)))
}

fn operands<'a>(step: &Step, memory: impl Fn(usize) -> &'a [f32]) -> Vec<Vec<f32>> {
    let read = |v: &crate::View| {
        let m = memory(v.tensor.0);
        v.positions().into_iter().map(|p| m[p as usize]).collect()
    };
    step.inputs.iter().map(read).collect()
}

/// The elements of the output in the order of its view; `x` are the inputs' in the order of theirs.
fn eval(step: &Step, x: &[Vec<f32>]) -> Vec<f32> {
    let dims = |i: usize| step.inputs[i].dims.as_slice();
    let out = step.output.dims.as_slice();
    match &step.op {
        Op::Copy => x[0].clone(),
        Op::Fill(v) => vec![*v; step.output.len()],
        Op::Map(chain) => x[0].iter().map(|&v| eval_chain(chain, v)).collect(),
        Op::Binary(b, chain) => {
            x[0].iter().zip(&x[1]).map(|(&l, &r)| eval_chain(chain, binary(*b, l, r))).collect()
        }
        Op::MulAdd(chain) => {
            (0..x[0].len()).map(|i| eval_chain(chain, x[0][i] * x[1][i] + x[2][i])).collect()
        }
        Op::Select => (0..x[0].len()).map(|i| if x[0][i] != 0.0 { x[1][i] } else { x[2][i] }).collect(),
        Op::Conv(c) => conv::conv(c, &x[0], dims(0), x.get(1).map(Vec::as_slice), out),
        Op::ConvTranspose(c) => conv::transposed(c, &x[0], dims(0), x.get(1).map(Vec::as_slice), out),
        Op::MatMul(m) => matmul(m, x, dims(0), dims(1), out),
        Op::Pool(p) => pool::pool(p, &x[0], dims(0), out),
        Op::Reduce(r, chain) => {
            reduce(*r, &x[0], dims(0), out).into_iter().map(|v| eval_chain(chain, v)).collect()
        }
        Op::Softmax { log } => rows(&x[0], out).flat_map(|r| softmax(r, *log)).collect(),
        Op::Norm { epsilon, rms } => {
            let n = out[out.len() - 1];
            let normal = x[0].chunks(n).flat_map(|r| normalize(r, *epsilon, *rms));
            let zero = vec![0.0; x[1].len()];
            normal
                .zip(&x[1])
                .zip(x.get(2).unwrap_or(&zero))
                .map(|((v, s), b)| (v * f64::from(*s)) as f32 + b)
                .collect()
        }
        Op::Resize(r) => pool::resize(r, &x[0], dims(0), out),
        Op::Gather => {
            let (rows, len) = (dims(0)[0], dims(0)[1]);
            let row = |i: f32| (if i < 0.0 { i + rows as f32 } else { i }) as usize;
            x[1].iter()
                .flat_map(|&i| {
                    let at = row(i).min(rows.saturating_sub(1)) * len;
                    x[0][at..at + len].iter().copied()
                })
                .collect()
        }
        Op::ArgReduce { max, last } => {
            x[0].chunks(dims(0)[dims(0).len() - 1]).map(|r| arg(r, *max, *last)).collect()
        }
        Op::Recurrent(r) => recurrent::run(r, x, dims(0)),
        Op::CumSum { exclusive, reverse } => {
            rows(&x[0], out).flat_map(|r| cumsum(r, *exclusive, *reverse)).collect()
        }
    }
}

fn rows<'a>(x: &'a [f32], dims: &[usize]) -> std::slice::Chunks<'a, f32> {
    x.chunks(dims[dims.len() - 1].max(1))
}

/// The reference of [`Binary`].
pub fn binary(b: Binary, l: f32, r: f32) -> f32 {
    match b {
        Binary::Add => l + r,
        Binary::Sub => l - r,
        Binary::Mul => l * r,
        Binary::Div => l / r,
        Binary::Min => l.min(r),
        Binary::Max => l.max(r),
        Binary::Pow => f64::from(l).powf(f64::from(r)) as f32,
        Binary::PRelu => {
            if l < 0.0 {
                l * r
            } else {
                l
            }
        }
        Binary::Mod => l % r,
        Binary::Equal => f32::from(l == r),
        Binary::Less => f32::from(l < r),
        Binary::LessOrEqual => f32::from(l <= r),
        Binary::Greater => f32::from(l > r),
        Binary::GreaterOrEqual => f32::from(l >= r),
    }
}

fn matmul(op: &MatMul, x: &[Vec<f32>], a: &[usize], b: &[usize], out: &[usize]) -> Vec<f32> {
    let (m, n, k) = (out[out.len() - 2], out[out.len() - 1], a[a.len() - 1]);
    debug_assert_eq!(k, b[b.len() - 2]);
    let mut y = Vec::with_capacity(out.iter().product());
    for batch in 0..out[..out.len() - 2].iter().product() {
        let (xa, xb) = (&x[0][batch * m * k..][..m * k], &x[1][batch * k * n..][..k * n]);
        for i in 0..m {
            let mut row = vec![0f64; n];
            for (j, &l) in xa[i * k..][..k].iter().enumerate() {
                if l != 0.0 {
                    row.iter_mut().zip(&xb[j * n..]).for_each(|(s, &r)| *s += f64::from(l) * f64::from(r));
                }
            }
            y.extend(row.into_iter().map(|s| (s * f64::from(op.alpha)) as f32));
        }
    }
    if op.add {
        y.iter_mut().zip(&x[2]).for_each(|(y, a)| *y += a);
    }
    y.iter_mut().for_each(|y| *y = eval_chain(&op.chain, *y));
    y
}

fn reduce(op: Reduce, x: &[f32], dims: &[usize], out: &[usize]) -> Vec<f32> {
    let mut groups: Vec<Vec<f32>> = vec![Vec::new(); out.iter().product()];
    let mut index = vec![0usize; dims.len()];
    for &v in x {
        let at = (0..dims.len()).fold(0, |at, a| at * out[a] + if out[a] == 1 { 0 } else { index[a] });
        groups[at].push(v);
        for a in (0..dims.len()).rev() {
            index[a] += 1;
            if index[a] < dims[a] {
                break;
            }
            index[a] = 0;
        }
    }
    let sum = |g: &[f32], f: &dyn Fn(f64) -> f64| g.iter().map(|&v| f(f64::from(v))).sum::<f64>();
    let one = |g: &Vec<f32>| match op {
        Reduce::Sum => sum(g, &|v| v) as f32,
        Reduce::Mean => (sum(g, &|v| v) / g.len() as f64) as f32,
        Reduce::Max => g.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        Reduce::Min => g.iter().copied().fold(f32::INFINITY, f32::min),
        Reduce::Prod => g.iter().map(|&v| f64::from(v)).product::<f64>() as f32,
        Reduce::SumSquare => sum(g, &|v| v * v) as f32,
        Reduce::L1 => sum(g, &f64::abs) as f32,
        Reduce::L2 => sum(g, &|v| v * v).sqrt() as f32,
    };
    groups.iter().map(one).collect()
}

fn softmax(row: &[f32], log: bool) -> Vec<f32> {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let e: Vec<f64> = row.iter().map(|&v| f64::from(v - max).exp()).collect();
    let sum: f64 = e.iter().sum();
    let one =
        |(v, e): (&f32, &f64)| if log { (f64::from(v - max) - sum.ln()) as f32 } else { (e / sum) as f32 };
    row.iter().zip(&e).map(one).collect()
}

fn normalize(row: &[f32], epsilon: f32, rms: bool) -> Vec<f64> {
    let n = row.len() as f64;
    let mean = if rms { 0.0 } else { row.iter().map(|&v| f64::from(v)).sum::<f64>() / n };
    let var = row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
    let scale = 1.0 / (var + f64::from(epsilon)).sqrt();
    row.iter().map(|&v| (f64::from(v) - mean) * scale).collect()
}

fn arg(row: &[f32], max: bool, last: bool) -> f32 {
    let mut best = 0;
    for (i, v) in row.iter().enumerate().skip(1) {
        let better = if max { *v > row[best] } else { *v < row[best] };
        if better || (last && *v == row[best]) {
            best = i;
        }
    }
    best as f32
}

fn cumsum(row: &[f32], exclusive: bool, reverse: bool) -> Vec<f32> {
    let mut out = vec![0.0; row.len()];
    let mut sum = 0f64;
    for i in 0..row.len() {
        let at = if reverse { row.len() - 1 - i } else { i };
        let next = sum + f64::from(row[at]);
        out[at] = if exclusive { sum } else { next } as f32;
        sum = next;
    }
    out
}
