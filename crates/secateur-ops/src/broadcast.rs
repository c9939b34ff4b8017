//! Alignment of the operands of elementwise operators, before and after numpy broadcasting.
//!
//! Since opset 7 shapes are aligned at the last axis. Before it, `broadcast=1` lays input 1 over input 0 from
//! `axis` on, or at the last axis where that is left out.

use secateur_diag::{Code, Result, diag};

use crate::forms::{broadcast, broadcast_inputs, pointwise};
use crate::{CoupleCx, InferCx, Port, Relations};
use secateur_ir::dim::{Dim, Shape};
use secateur_ir::graph::Node;
use secateur_ir::norm_axis;

/// The number of axes of input 0 (rank `a`) that lie behind the last one of input 1 (rank `b`).
pub fn trailing(node: &Node, opset: i64, a: usize, b: usize) -> Result<usize> {
    if opset >= 7 || node.int_or("broadcast", 0)? == 0 {
        return Ok(0);
    }
    let Some(axis) = node.int("axis")? else { return Ok(0) };
    if a == 0 || b == 0 {
        return Ok(0);
    }
    let first = norm_axis(axis, a)?;
    a.checked_sub(first + b).ok_or_else(|| {
        diag(Code::S002, format!("{b} axes do not fit into rank {a} from axis {first} on")).at("attr", "axis")
    })
}

/// Whether every size is 1; such an operand fits anywhere.
fn single(shape: &[Dim]) -> bool {
    shape.iter().all(|d| d.is(1))
}

/// The shape that all inputs broadcast to, `None` where a shape is unknown.
pub fn shape(cx: &InferCx) -> Result<Option<Shape>> {
    if let (Some(a), Some(b), 2) = (cx.shape(0), cx.shape(1), cx.node.inputs.len()) {
        let behind = if single(b) { 0 } else { trailing(cx.node, cx.opset(), a.len(), b.len())? };
        if behind > 0 {
            let b = [b, &vec![Dim::fixed(1); behind]].concat();
            return broadcast(a, &b).map(Some);
        }
    }
    broadcast_inputs(cx)
}

/// Couple: `y[a][i] = x[a][i]` for every input; a side of size 1 says nothing.
pub fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let (a, b, y) = (Port::In(0), Port::In(1), Port::Out(0));
    let (Some(sa), Some(sb), 2) = (cx.shape(a), cx.shape(b), cx.node.inputs.len()) else {
        return pointwise(cx, r);
    };
    let behind = if single(sb) { 0 } else { trailing(cx.node, cx.opset(), sa.len(), sb.len())? };
    if behind == 0 {
        return pointwise(cx, r);
    }
    let first = sa.len() - behind - sb.len();
    for (port, shape, at) in [(a, sa, 0), (b, sb, first)] {
        for (i, d) in shape.iter().enumerate() {
            match d.is(1) {
                true => r.free(port, i),
                false => r.tie(cx, (port, i), (y, at + i))?,
            }
        }
    }
    for i in 0..cx.rank(y)? {
        if cx.size(y, i)? == Some(1) {
            r.free(y, i);
        }
    }
    Ok(())
}
