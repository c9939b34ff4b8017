//! BatchNormalization and the normalizations over a set of elements.

use secateur_diag::Result;

use super::forms::{no_cost, no_fold, no_shrink, same_as_input};
use super::{CoupleCx, Op, Port, Relations};

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op {
        domain: "",
        name: "BatchNormalization",
        opsets: &[1, 6, 7, 9, 14, 15],
        infer: same_as_input,
        couple: batch,
        shrink: no_shrink,
        cost: no_cost,
        fold: no_fold,
    },
    Op {
        domain: "",
        name: "LayerNormalization",
        opsets: &[17],
        infer: same_as_input,
        couple: layer,
        shrink: no_shrink,
        cost: no_cost,
        fold: no_fold,
    },
];

/// <https://onnx.ai/onnx/operators/onnx__BatchNormalization.html>: each channel by its own statistics.
fn batch(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let (x, y) = (Port::In(0), Port::Out(0));
    for a in 0..cx.rank(x)? {
        r.tie(cx, (x, a), (y, a))?;
    }
    for p in 1..5 {
        r.tie(cx, (Port::In(p), 0), (y, 1))?;
    }
    Ok(())
}

/// <https://onnx.ai/onnx/operators/onnx__LayerNormalization.html>: all elements of the last axes together.
fn layer(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let (x, y) = (Port::In(0), Port::Out(0));
    let rank = cx.rank(x)?;
    let first = cx.node.axis_or("axis", -1, rank)?;
    for a in 0..rank {
        r.tie(cx, (x, a), (y, a))?;
        if a >= first {
            r.inexact(x, a, "mean and variance are taken over it");
        }
    }
    for p in [Port::In(1), Port::In(2)] {
        let Some(shape) = cx.shape(p) else { continue };
        for (i, d) in shape.iter().enumerate() {
            match d.is(1) {
                true => r.free(p, i),
                false => r.tie(cx, (p, i), (y, i + rank - shape.len()))?,
            }
        }
    }
    Ok(())
}
