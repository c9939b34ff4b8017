//! Pooling. <https://onnx.ai/onnx/operators/onnx__MaxPool.html>,
//! <https://onnx.ai/onnx/operators/onnx__AveragePool.html>, <https://onnx.ai/onnx/operators/onnx__LpPool.html>,
//! <https://onnx.ai/onnx/operators/onnx__GlobalAveragePool.html>,
//! <https://onnx.ai/onnx/operators/onnx__MaxUnpool.html>
//!
//! Every channel is pooled by itself, so that batch and channels pass through; windows slide over the rest.

use secateur_diag::{Code, Result, diag};
use secateur_onnx::ElemType;

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_cost, no_fold, no_shrink, pinned};
use crate::{CoupleCx, InferCx, InferFn, Op, Port, Relations, conv};
use secateur_ir::dim::{Dim, Shape};

const fn row(name: &'static str, opsets: &'static [i64], infer: InferFn) -> Op {
    Op {
        domain: "",
        name,
        opsets,
        infer,
        couple,
        shrink: no_shrink,
        cost: no_cost,
        fold: no_fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    }
}

/// The rows of this file.
pub const OPS: &[Op] = &[
    row("MaxPool", &[1, 8, 10, 11, 12, 22], infer),
    row("AveragePool", &[1, 7, 10, 11, 19, 22], infer),
    row("LpPool", &[1, 2, 11, 18, 22], infer),
    row("GlobalAveragePool", &[1, 22], infer_global),
    row("GlobalMaxPool", &[1, 22], infer_global),
    row("GlobalLpPool", &[1, 2, 22], infer_global),
    Op { couple: pinned, ..row("MaxUnpool", &[9, 11, 22], infer_unpool) },
];

const X: Port = Port::In(0);

/// The lengths of `input` after pooling; the first of them is axis `first` of output 0.
pub(super) fn pooled(cx: &InferCx, input: &[Dim], first: usize) -> Result<Shape> {
    let Some(kernel) = cx.node.ints("kernel_shape")? else {
        return Err(diag(Code::S002, "kernel_shape is missing"));
    };
    let ceil = cx.node.int_or("ceil_mode", 0)? != 0;
    let mut out = conv::slide(cx, input, first, kernel, ceil)?;
    if !ceil {
        return Ok(out);
    }
    let strides = conv::list(cx.node, "strides", kernel.len(), 1)?;
    let auto = cx.node.string("auto_pad")?.unwrap_or("NOTSET");
    let head = match auto {
        "NOTSET" | "" => conv::list(cx.node, "pads", 2 * kernel.len(), 0)?,
        _ => vec![0; 2 * kernel.len()],
    };
    for (i, d) in out.iter_mut().enumerate() {
        // A window that would start in the padding behind the input is left out.
        if let (Some(n), Some(len)) = (d.constant(), input[i].constant())
            && n > 1
            && (n - 1).saturating_mul(strides[i]) >= len.saturating_add(head[i])
        {
            *d = Dim::fixed(n - 1);
        }
    }
    Ok(out)
}

fn infer(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let shape = match cx.shape(0) {
        Some(x) if x.len() < 3 => {
            return Err(diag(Code::S001, format!("the input has rank {}, pooling needs 3 or more", x.len())));
        }
        Some(x) => Some([&x[..2], &pooled(cx, &x[2..], 2)?].concat()),
        None => None,
    };
    cx.set(0, elem, shape.clone());
    cx.set(1, ElemType::I64, shape);
    Ok(())
}

fn infer_global(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let shape = match cx.shape(0) {
        Some(x) if x.len() < 2 => {
            return Err(diag(Code::S001, format!("the input has rank {}, pooling needs 2 or more", x.len())));
        }
        Some(x) => Some([&x[..2], &vec![Dim::fixed(1); x.len() - 2]].concat()),
        None => None,
    };
    cx.set(0, elem, shape);
    Ok(())
}

/// The inverse of a MaxPool, unless the third input says the shape.
fn infer_unpool(cx: &mut InferCx) -> Result<()> {
    let (Some(elem), Some(x)) = (cx.elem(0), cx.shape(0)) else { return Ok(()) };
    if x.len() < 3 {
        return Err(diag(Code::S001, format!("the input has rank {}, pooling needs 3 or more", x.len())));
    }
    let Some(kernel) = cx.node.ints("kernel_shape")? else {
        return Err(diag(Code::S002, "kernel_shape is missing"));
    };
    let n = kernel.len();
    if n + 2 != x.len() {
        return Err(diag(Code::S001, format!("a window of {n} axes for an input of rank {}", x.len())));
    }
    let strides = conv::list(cx.node, "strides", n, 1)?;
    let pads = conv::list(cx.node, "pads", 2 * n, 0)?;
    let shape = if cx.node.input(2).is_some() {
        match cx.ints(2) {
            Some(want) if want.elems.len() == x.len() => want.elems,
            Some(want) => {
                return Err(diag(Code::S002, format!("output_shape holds {} numbers", want.elems.len())));
            }
            None => cx.unknowns(0, x.len()),
        }
    } else {
        let spatial = (0..n).map(|i| {
            let len = x[i + 2].constant()?.checked_sub(1)?.checked_mul(strides[i])?;
            let len = len.checked_add(kernel[i])?.checked_sub(pads[i].checked_add(pads[i + n])?)?;
            (len > 0).then(|| Dim::fixed(len))
        });
        let spatial = spatial.enumerate().map(|(i, d)| d.unwrap_or_else(|| cx.unknown(0, i + 2)));
        x[..2].iter().cloned().chain(spatial).collect()
    };
    cx.set(0, elem, Some(shape));
    Ok(())
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(X)?;
    let indices = cx.node.output(1);
    // Indices count through all channels: where they are read, a missing channel changes them.
    if indices.is_some_and(|v| cx.graph.is_output(v) || !cx.graph.links().uses(v).is_empty()) {
        return Ok(());
    }
    for y in (0..cx.node.outputs.len().min(2)).map(Port::Out) {
        let Some(shape) = cx.shape(y) else { continue };
        for a in 0..rank.min(2) {
            r.tie(cx, (X, a), (y, a))?;
        }
        for (a, d) in shape.iter().enumerate().skip(2) {
            match d.is(1) {
                true => r.free(y, a),
                false => r.pin(y, a, "a window slides along it"),
            }
        }
    }
    for a in 2..rank {
        r.pin(X, a, "a window slides along it");
    }
    Ok(())
}
