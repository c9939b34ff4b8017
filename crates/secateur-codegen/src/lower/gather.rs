//! Gather. Constant places are views and copies; a shuffle of channels is one transposed copy, which the forwarding of
//! copies turns into being written shuffled. <https://onnx.ai/onnx/operators/onnx__Gather.html>

use secateur_diag::{Code, Result, diag};

use super::{Lower, Row, unsupported};
use crate::op::Op;
use crate::view::View;

/// The rows of this file.
pub const ROWS: &[Row] = &[Row { name: "Gather", lower }];

fn lower(cx: &mut Lower) -> Result<()> {
    let x = cx.input(0)?;
    let axis = cx.node.axis_or("axis", 0, x.dims.len())?;
    let n = x.dims[axis];
    let place = |i: f32| {
        let i = if i < 0.0 { i + n as f32 } else { i };
        (i >= 0.0 && (i as usize) < n).then_some(i as usize)
    };
    let Some(index) = cx.constant(1)? else { return dynamic(cx, x, axis) };
    let index: Option<Vec<usize>> = index.into_iter().map(place).collect();
    let index = index.ok_or_else(|| diag(Code::S002, "an index is out of range"))?;
    // The indices' axes as one; `bind` gives them their shape.
    let step = index.windows(2).next().map_or(1, |w| w[1] as isize - w[0] as isize);
    if index.windows(2).all(|w| w[1] as isize - w[0] as isize == step) {
        let start = index.first().copied().unwrap_or(0);
        return cx.bind(0, x.slice(axis, start, index.len(), step));
    }
    let mut dims = x.dims.clone();
    dims[axis] = index.len();
    let out = cx.temp(&dims);
    if let Some(inner) = shuffle(&index).filter(|_| index.len() == n) {
        // Place i of the input goes to place (i mod outer)·inner + i div outer.
        let outer = n / inner;
        let split = |v: &View, sizes: [usize; 2]| {
            let mut d = v.dims.clone();
            d.splice(axis..=axis, sizes);
            v.reshape(&d)
        };
        if let (Some(from), Some(to)) = (split(&x, [inner, outer]), split(&out, [outer, inner])) {
            let mut perm: Vec<usize> = (0..to.dims.len()).collect();
            perm.swap(axis, axis + 1);
            cx.step(Op::Copy, vec![from], to.transpose(&perm));
            return cx.bind(0, out);
        }
    }
    let mut i = 0;
    while i < index.len() {
        let mut len = 1;
        while i + len < index.len() && index[i + len] == index[i] + len {
            len += 1;
        }
        cx.step(Op::Copy, vec![x.slice(axis, index[i], len, 1)], out.slice(axis, i, len, 1));
        i += len;
    }
    cx.bind(0, out)
}

/// The inner length of a shuffle `index[i·inner + j] = j·outer + i`.
fn shuffle(index: &[usize]) -> Option<usize> {
    let n = index.len();
    let outer = *index.get(1)?;
    if *index.first()? != 0 || outer < 2 || !n.is_multiple_of(outer) {
        return None;
    }
    let inner = n / outer;
    index.iter().enumerate().all(|(k, &v)| v == k % inner * outer + k / inner).then_some(inner)
}

fn dynamic(cx: &mut Lower, x: View, axis: usize) -> Result<()> {
    if axis != 0 && x.dims[..axis].iter().any(|&n| n != 1) {
        return Err(unsupported("indices that are not constant, along an inner axis"));
    }
    let rows = x.dims[axis];
    let len = x.dims[axis + 1..].iter().product();
    let table = cx.reshape(&x, &[rows, len])?;
    let index = cx.input(1)?;
    let count = index.len();
    let index = cx.reshape(&index, &[count])?;
    let out = cx.emit(Op::Gather, vec![table, index], &[count, len]);
    cx.bind(0, out)
}
