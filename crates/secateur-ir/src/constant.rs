//! Arithmetic on constant tensors.

use crate::tensor::Tensor;

/// `f` over two `f32` tensors with broadcasting; `None` where types or shapes do not fit.
pub fn zip_f32(a: &Tensor, b: &Tensor, f: impl Fn(f32, f32) -> f32) -> Option<Tensor> {
    let (x, y) = (a.to_f32()?, b.to_f32()?);
    if a.elem != b.elem {
        return None;
    }
    let rank = a.dims.len().max(b.dims.len());
    let pad = |t: &Tensor| [vec![1; rank - t.dims.len()], t.dims.clone()].concat();
    let (da, db) = (pad(a), pad(b));
    let dims: Vec<usize> = da
        .iter()
        .zip(&db)
        .map(|(&p, &q)| if p == q || q == 1 { Some(p) } else { (p == 1).then_some(q) })
        .collect::<Option<_>>()?;
    let total = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= 1 << 28)?;
    let strides = |d: &[usize]| {
        let mut s = vec![0; rank];
        let mut step = 1;
        for i in (0..rank).rev() {
            s[i] = if d[i] == 1 { 0 } else { step };
            step *= d[i];
        }
        s
    };
    let (sa, sb) = (strides(&da), strides(&db));
    let mut index = vec![0usize; rank];
    let mut out = Vec::with_capacity(total);
    for _ in 0..total {
        let at = |s: &[usize]| index.iter().zip(s).map(|(i, s)| i * s).sum::<usize>();
        out.push(f(x[at(&sa)], y[at(&sb)]));
        for i in (0..rank).rev() {
            index[i] += 1;
            if index[i] < dims[i] {
                break;
            }
            index[i] = 0;
        }
    }
    a.with_f32(dims, &out)
}
