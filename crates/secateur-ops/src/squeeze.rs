//! Squeeze and Unsqueeze. <https://onnx.ai/onnx/operators/onnx__Squeeze.html>,
//! <https://onnx.ai/onnx/operators/onnx__Unsqueeze.html>
//!
//! Axes of size 1 go or come; all others stay in order. `axes` is an attribute before opset 13.

use secateur_diag::{Code, Result, diag};

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_cost, no_shrink};
use crate::moves::{Param, X, Y, norm_axes, out_dims, set_ints};
use crate::{CoupleCx, FoldCx, InferCx, Op, Port, Relations, ShrinkCx};
use secateur_ir::dim::{Dim, Shape};
use secateur_ir::graph::Ints;
use secateur_tensor::Tensor;

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op {
        domain: "",
        name: "Squeeze",
        opsets: &[1, 11, 13, 21, 23, 24],
        infer: squeeze,
        couple,
        shrink,
        cost: no_cost,
        fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
    Op {
        domain: "",
        name: "Unsqueeze",
        opsets: &[1, 11, 13, 21, 23, 24],
        infer: unsqueeze,
        couple,
        shrink: no_shrink,
        cost: no_cost,
        fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
];

/// States the shape, and the contents of a vector that became a scalar or the other way round.
fn set(cx: &mut InferCx, shape: Option<Shape>) {
    let Some(elem) = cx.elem(0) else { return };
    let rank = shape.as_ref().map(Vec::len);
    cx.set(0, elem, shape);
    if let (Some(ints), Some(rank @ 0..=1)) = (cx.ints(0), rank)
        && (rank == 1 || ints.elems.len() == 1)
    {
        cx.set_ints(0, elem, Ints { scalar: rank == 0, elems: ints.elems });
    }
}

fn squeeze(cx: &mut InferCx) -> Result<()> {
    let axes = Param::infer(cx, 1, "axes")?;
    let Some(x) = cx.shape(0) else {
        set(cx, None);
        return Ok(());
    };
    let gone = match axes {
        Param::Known(axes) => norm_axes(&axes, x.len())?,
        // Every axis of size 1 goes; a symbol may turn out to be one.
        Param::Absent if x.iter().all(|d| d.constant().is_some()) => {
            (0..x.len()).filter(|&a| x[a].is(1)).collect()
        }
        _ => {
            set(cx, None);
            return Ok(());
        }
    };
    if let Some(&a) = gone.iter().find(|&&a| differ_from_one(&x[a])) {
        return Err(diag(Code::S001, format!("axis {a} has length {}, not 1", x[a])));
    }
    let shape = (0..x.len()).filter(|a| !gone.contains(a)).map(|a| x[a].clone()).collect();
    set(cx, Some(shape));
    Ok(())
}

fn differ_from_one(d: &Dim) -> bool {
    d.constant().is_some_and(|n| n != 1)
}

fn unsqueeze(cx: &mut InferCx) -> Result<()> {
    let (x, axes) = match (cx.shape(0), Param::infer(cx, 1, "axes")?) {
        (_, Param::Absent) => return Err(diag(Code::S002, "axes are missing")),
        (Some(x), Param::Known(axes)) => (x, axes),
        (Some(x), Param::Unknown) => {
            // Only the number of axes may be known.
            let extra = cx.shape(1).and_then(|s| s.first().map_or(Some(1), Dim::size));
            let shape = extra.filter(|&n| n <= 64).map(|n| cx.unknowns(0, x.len() + n));
            set(cx, shape);
            return Ok(());
        }
        (None, _) => {
            set(cx, None);
            return Ok(());
        }
    };
    let rank = x.len() + axes.len();
    let new = norm_axes(&axes, rank)?;
    let mut old = x.iter().cloned();
    let shape = (0..rank)
        .map(|a| if new.contains(&a) { Dim::fixed(1) } else { old.next().unwrap_or_else(|| Dim::fixed(1)) })
        .collect();
    set(cx, Some(shape));
    Ok(())
}

/// Axes of the side with more of them that the other lacks; they must stay 1 and are left to their pins.
fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let (long, short): (Port, Port) = if cx.node.is("Squeeze") { (X, Y) } else { (Y, X) };
    let shape = cx.need(long)?;
    let lone = match Param::couple(cx, 1, "axes")? {
        Param::Known(axes) => norm_axes(&axes, shape.len())?,
        Param::Absent => (0..shape.len()).filter(|&a| shape[a].is(1)).collect(),
        Param::Unknown => return Ok(()),
    };
    for (to, from) in (0..shape.len()).filter(|a| !lone.contains(a)).enumerate() {
        r.tie(cx, (long, from), (short, to))?;
    }
    Ok(())
}

/// Without `axes` a Squeeze would also take an axis that is cut down to 1.
fn shrink(cx: &mut ShrinkCx) -> Result<()> {
    if Param::shrink(cx, 1, "axes")? != Param::Absent {
        return Ok(());
    }
    let before = cx.before(X)?;
    let cut_to_one = |a: usize| cx.kept(X, a).is_some_and(|k| k.len() == 1);
    if !(0..before.len()).any(cut_to_one) {
        return Ok(());
    }
    let axes: Vec<i64> = (0..before.len()).filter(|&a| before[a].is(1)).map(|a| a as i64).collect();
    if axes.is_empty() {
        // No axes and an empty list of them are the same to runtimes.
        cx.node_mut().proto.op_type = Some("Identity".into());
    } else if cx.opset() < 13 {
        cx.node_mut().set_ints("axes", axes);
    } else {
        set_ints(cx, 1, &[axes.len()], &axes)?;
    }
    Ok(())
}

fn fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    Ok(out_dims(cx, 0).zip(cx.input(0)).map(|(dims, t)| vec![Tensor { dims, ..t.clone() }]))
}
