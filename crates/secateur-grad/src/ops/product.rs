//! Products of matrices.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::{Cx, Made, Make, Op};
use crate::array::{Array, Broadcast};

/// Stacks of matrices: `[.., m, k]` and `[.., k, n]` give `[.., m, n]`.
struct MatMul {
    m: usize,
    k: usize,
    n: usize,
    /// By product: number of the left, right and resulting matrix.
    stacks: Vec<(usize, usize)>,
    out: Vec<usize>,
}

fn at(data: &[f32], i: usize, rows: usize, columns: usize) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice(&data[i * rows * columns..][..rows * columns], rows, columns)
}

fn to(data: &mut [f32], i: usize, rows: usize, columns: usize) -> MatMut<'_, f32> {
    MatMut::from_row_major_slice_mut(&mut data[i * rows * columns..][..rows * columns], rows, columns)
}

impl Op for MatMul {
    fn forward(&self, x: &[&Array]) -> Vec<Array> {
        let (m, k, n) = (self.m, self.k, self.n);
        let mut out = vec![0.0; self.out.iter().product()];
        for (i, &(a, b)) in self.stacks.iter().enumerate() {
            let (a, b) = (at(&x[0].data, a, m, k), at(&x[1].data, b, k, n));
            matmul(to(&mut out, i, m, n), Accum::Replace, a, b, 1.0, Par::Seq);
        }
        vec![Array::new(&self.out, out)]
    }

    fn backward(&self, x: &[&Array], _: &[Array], dy: &[Option<Array>], want: &[bool]) -> Vec<Option<Array>> {
        let Some(d) = &dy[0] else { return vec![None, None] };
        let (m, k, n) = (self.m, self.k, self.n);
        let mut da = vec![0.0; x[0].len()];
        let mut db = vec![0.0; x[1].len()];
        for (i, &(a, b)) in self.stacks.iter().enumerate() {
            let d = at(&d.data, i, m, n);
            if want[0] {
                let right = at(&x[1].data, b, k, n).transpose();
                matmul(to(&mut da, a, m, k), Accum::Add, d, right, 1.0, Par::Seq);
            }
            if want[1] {
                let left = at(&x[0].data, a, m, k).transpose();
                matmul(to(&mut db, b, k, n), Accum::Add, left, d, 1.0, Par::Seq);
            }
        }
        let made = [(0, da), (1, db)];
        made.map(|(i, d)| want[i].then(|| Array::new(&x[i].shape, d))).into()
    }
}

fn product(cx: &Cx) -> Option<Made> {
    let (a, b, out) = (cx.shape(0)?, cx.shape(1)?, cx.out(0)?);
    if a.len() < 2 || b.len() < 2 || out.len() < 2 {
        return None;
    }
    let (sa, sb, so) = (a.split_at(a.len() - 2), b.split_at(b.len() - 2), out.split_at(out.len() - 2));
    let (m, k, n) = (sa.1[0], sa.1[1], sb.1[1]);
    if sb.1[0] != k || so.1 != [m, n] {
        return None;
    }
    let mut stacks = Vec::new();
    Broadcast::new(so.0, &[sa.0, sb.0])?.runs(|len, p| {
        stacks.extend((0..len).map(|i| (p[0].0 + i * p[0].1, p[1].0 + i * p[1].1)));
    });
    // One weight for a stack of rows is one product.
    if sb.0.iter().all(|s| *s == 1) && sa.0.iter().product::<usize>() == stacks.len() {
        let m = m * stacks.len();
        return Made::new(MatMul { m, k, n, stacks: vec![(0, 0)], out: out.to_vec() }, &[0, 1]);
    }
    Made::new(MatMul { m, k, n, stacks, out: out.to_vec() }, &[0, 1])
}

/// `alpha A B + beta C`, either transposed.
struct Gemm {
    a: bool,
    b: bool,
    alpha: f32,
    beta: f32,
    addend: bool,
    out: Vec<usize>,
}

fn matrix(x: &Array, transposed: bool) -> MatRef<'_, f32> {
    let m = MatRef::from_row_major_slice(&x.data[..], x.shape[0], x.shape[1]);
    if transposed { m.transpose() } else { m }
}

impl Op for Gemm {
    fn forward(&self, x: &[&Array]) -> Vec<Array> {
        let mut out = Vec::with_capacity(self.out.iter().product());
        if self.addend
            && let Some(walk) = Broadcast::new(&self.out, &[&x[2].shape])
        {
            let c = &x[2].data;
            walk.runs(|n, at| out.extend((0..n).map(|k| self.beta * c[at[0].0 + k * at[0].1])));
        }
        out.resize(self.out.iter().product(), 0.0);
        let (a, b) = (matrix(x[0], self.a), matrix(x[1], self.b));
        matmul(to(&mut out, 0, self.out[0], self.out[1]), Accum::Add, a, b, self.alpha, Par::Seq);
        vec![Array::new(&self.out, out)]
    }

    fn backward(&self, x: &[&Array], _: &[Array], dy: &[Option<Array>], want: &[bool]) -> Vec<Option<Array>> {
        let Some(dy) = &dy[0] else { return vec![None; x.len()] };
        let d = matrix(dy, false);
        let made = |i: usize, transposed: bool, l: MatRef<f32>, r: MatRef<f32>| {
            let mut out = vec![0.0; x[i].len()];
            let whole = to(&mut out, 0, x[i].shape[0], x[i].shape[1]);
            let whole = if transposed { whole.transpose_mut() } else { whole };
            matmul(whole, Accum::Replace, l, r, self.alpha, Par::Seq);
            Array::new(&x[i].shape, out)
        };
        let (a, b) = (matrix(x[0], self.a), matrix(x[1], self.b));
        let mut out = vec![
            want[0].then(|| made(0, self.a, d, b.transpose())),
            want[1].then(|| made(1, self.b, a.transpose(), d)),
        ];
        if self.addend {
            out.push(want[2].then(|| {
                let mut c = vec![0.0; x[2].len()];
                let mut from = 0;
                if let Some(walk) = Broadcast::new(&self.out, &[&x[2].shape]) {
                    walk.runs(|n, at| {
                        for k in 0..n {
                            c[at[0].0 + k * at[0].1] += self.beta * dy.data[from + k];
                        }
                        from += n;
                    });
                }
                Array::new(&x[2].shape, c)
            }));
        }
        out
    }
}

fn gemm(cx: &Cx) -> Option<Made> {
    let (a, b, out) = (cx.shape(0)?, cx.shape(1)?, cx.out(0)?);
    let (ta, tb) = (cx.int("transA", 0)? != 0, cx.int("transB", 0)? != 0);
    if a.len() != 2 || b.len() != 2 {
        return None;
    }
    let (m, k) = if ta { (a[1], a[0]) } else { (a[0], a[1]) };
    let (l, n) = if tb { (b[1], b[0]) } else { (b[0], b[1]) };
    let addend = cx.has(2);
    if k != l || out != [m, n] || (addend && Broadcast::new(out, &[cx.shape(2)?]).is_none()) {
        return None;
    }
    let (alpha, beta) = (cx.float("alpha", 1.0)?, cx.float("beta", 1.0)?);
    let op = Gemm { a: ta, b: tb, alpha, beta, addend, out: out.to_vec() };
    Made::new(op, if addend { &[0, 1, 2] } else { &[0, 1] })
}

pub(super) const OPS: &[(&str, Make)] = &[("MatMul", product), ("Gemm", gemm)];
