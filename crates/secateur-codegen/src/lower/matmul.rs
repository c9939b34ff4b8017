//! MatMul. <https://onnx.ai/onnx/operators/onnx__MatMul.html>

use secateur_diag::{Code, Result, diag};

use super::{Lower, Row};
use crate::op::{MatMul, Op};

/// The rows of this file.
pub const ROWS: &[Row] = &[Row { name: "MatMul", lower }];

fn lower(cx: &mut Lower) -> Result<()> {
    let (mut a, mut b) = (cx.input(0)?, cx.input(1)?);
    let rank = a.dims.len().max(b.dims.len()).max(2);
    if a.dims.is_empty() || b.dims.is_empty() {
        return Err(diag(Code::S001, "a product of scalars"));
    }
    if a.dims.len() == 1 {
        a = a.to_rank(2).unwrap_or(a);
    }
    if b.dims.len() == 1 {
        b = cx.reshape(&b, &[b.dims[0], 1])?;
    }
    let (m, k, n) = (a.dims[a.dims.len() - 2], a.dims[a.dims.len() - 1], b.dims[b.dims.len() - 1]);
    if b.dims[b.dims.len() - 2] != k {
        return Err(diag(Code::S001, "the inner sizes differ"));
    }
    let (la, lb) = (a.dims.len() - 2, b.dims.len() - 2);
    let mut lead = vec![1; rank - 2];
    for (dims, len) in [(&a.dims, la), (&b.dims, lb)] {
        let skip = lead.len() - len;
        lead[skip..].iter_mut().zip(dims).for_each(|(l, &d)| *l = (*l).max(d));
    }
    let with = |r: usize, c: usize| [lead.as_slice(), &[r, c]].concat();
    let op = Op::MatMul(MatMul { alpha: 1.0, add: false, chain: vec![] });
    // One matrix on the right for all on the left: one product of more rows.
    if lb == 0 && la > 0 {
        let rows = a.len() / k.max(1);
        let flat = cx.reshape(&a, &[rows, k])?;
        let out = cx.emit(op, vec![flat, b], &[rows, n]);
        return cx.bind(0, out);
    }
    let (a, b) = (cx.broadcast(&a, &with(m, k))?, cx.broadcast(&b, &with(k, n))?);
    let out = cx.emit(op, vec![a, b], &with(m, n));
    cx.bind(0, out)
}
