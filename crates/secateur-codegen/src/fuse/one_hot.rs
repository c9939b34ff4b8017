//! A product of one-hot rows and a constant matrix picks rows of the matrix; what is then done to each row alone is
//! done to the matrix at compile time.

use super::{only_for, producer, replace};
use crate::interp::binary;
use crate::op::{Binary, Op};
use crate::program::{Program, Step, Uses};
use crate::unary::{Unary, eval_chain};
use crate::view::View;

pub(super) fn run(p: &mut Program) -> bool {
    let uses = p.uses();
    (0..p.steps.len()).any(|s| pick(p, &uses, s) || rows(p, &uses, s))
}

/// `(x == [0, 1, ..]) · W` becomes rows of W, with a row of zeros for all other x on either side.
fn pick(p: &mut Program, uses: &[Uses], s: usize) -> bool {
    let Op::MatMul(m) = &p.steps[s].op else { return false };
    let (a, w) = (&p.steps[s].inputs[0], &p.steps[s].inputs[1]);
    let (&[.., k, n], Some(data)) = (&w.dims[..], p.values(w)) else { return false };
    if w.len() != k * n || m.alpha != 1.0 || m.add {
        return false;
    }
    let Some(eq) = producer(p, uses, a).filter(|&e| p.steps[e].op == Op::Binary(Binary::Equal, vec![]))
    else {
        return false;
    };
    let [l, r] = &p.steps[eq].inputs[..] else { return false };
    let (x, c) = if p.is_const(l) { (r, l) } else { (l, r) };
    let end = x.dims.len() - 1;
    let first = View { dims: vec![k], strides: vec![c.strides[end]], ..c.clone() };
    let counts = c.strides[..end].iter().zip(&c.dims).all(|(&s, &d)| s == 0 || d == 1)
        && p.values(&first).is_some_and(|v| v.iter().enumerate().all(|(i, &v)| v == i as f32));
    if x.dims[end] != k || x.strides[end] != 0 || !counts {
        return false;
    }
    let count = x.len() / k;
    let index = View { dims: x.dims[..end].to_vec(), strides: x.strides[..end].to_vec(), ..x.clone() };
    let Some(index) = index.reshape(&[count]) else { return false };
    let Some(output) = p.steps[s].output.reshape(&[count, n]) else { return false };
    let zeros = vec![0.0; n];
    let chain = m.chain.clone();
    let table: Vec<f32> =
        [&zeros, &data, &zeros].into_iter().flatten().map(|&v| eval_chain(&chain, v)).collect();
    let name = p.steps[s].name.clone();
    let table = p.constant(&name, &[k + 2, n], table);
    let place = p.add(&name, &[count], crate::Kind::Temp);
    let shift = vec![Unary::Affine { scale: 1.0, shift: 1.0 }, Unary::Clip { min: 0.0, max: (k + 1) as f32 }];
    let clip = Step { name: name.clone(), op: Op::Map(shift), inputs: vec![index], output: place.clone() };
    p.steps[s] = Step { name, op: Op::Gather, inputs: vec![table, place], output };
    p.steps.insert(s, clip);
    true
}

/// Functions of picked rows, with constants that are the same for every row.
fn rows(p: &mut Program, uses: &[Uses], s: usize) -> bool {
    let step = &p.steps[s];
    let (x, other) = match (&step.op, &step.inputs[..]) {
        (Op::Map(_), [x]) => (x, None),
        (Op::Binary(..), [l, r]) if p.is_const(l) => (r, Some((l, true))),
        (Op::Binary(..), [l, r]) if p.is_const(r) => (l, Some((r, false))),
        _ => return false,
    };
    let Some(from) = only_for(p, uses, x).filter(|&f| p.steps[f].op == Op::Gather) else { return false };
    let table = &p.steps[from].inputs[0];
    let (Some(data), &[_, n]) = (p.values(table), &table.dims[..]) else { return false };
    let row = match other {
        None => vec![0.0; n],
        Some((c, _)) => {
            let mut c = c.clone();
            while let Some(&d) = c.dims.first().filter(|_| c.dims.len() > 1) {
                if d != 1 && c.strides[0] != 0 {
                    return false;
                }
                c.dims.remove(0);
                c.strides.remove(0);
            }
            match p.values(&c) {
                Some(v) if v.len() == n => v,
                _ => return false,
            }
        }
    };
    let one = |(i, &v): (usize, &f32)| {
        let c = row[i % n];
        match &step.op {
            Op::Map(chain) => eval_chain(chain, v),
            Op::Binary(b, chain) => {
                let (l, r) = if other.is_some_and(|o| o.1) { (c, v) } else { (v, c) };
                eval_chain(chain, binary(*b, l, r))
            }
            _ => v,
        }
    };
    let data = data.iter().enumerate().map(one).collect();
    let dims = table.dims.clone();
    let Some(output) = step.output.reshape(&p.steps[from].output.dims) else { return false };
    let index = p.steps[from].inputs[1].clone();
    let name = step.name.clone();
    let table = p.constant(&name, &dims, data);
    replace(p, s, Step { name, op: Op::Gather, inputs: vec![table, index], output }, &[from]);
    true
}
