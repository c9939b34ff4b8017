//! QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear.
//! <https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html>,
//! <https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html>,
//! <https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html>
//!
//! All axes pass through. Scale and zero point are one number, or one for each element of an axis, which then
//! goes with it, or one for each block of an axis, which then stays. The dynamic scale depends on everything.

use secateur_diag::{Code, Result, diag};
use secateur_onnx::ElemType;

use crate::{CoupleCx, InferCx, Op, Port, Relations};
use secateur_ir::graph::Node;

const LINEAR: &[i64] = &[10, 13, 19, 21, 23];

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op::plain("QuantizeLinear", LINEAR, infer_quantize, couple),
    Op::plain("DequantizeLinear", LINEAR, infer_dequantize, couple),
    Op::plain_in("com.microsoft", "QuantizeLinear", &[1], infer_quantize, couple),
    Op::plain_in("com.microsoft", "DequantizeLinear", &[1], infer_dequantize, couple),
    Op::plain("DynamicQuantizeLinear", &[11], infer_dynamic, couple_dynamic),
];

const X: Port = Port::In(0);
const Y: Port = Port::Out(0);

/// A scale or zero point: one number for all, or one for each element of an axis.
pub(super) fn per_element(cx: &CoupleCx, r: &mut Relations, q: Port, of: (Port, usize)) -> Result<()> {
    match cx.shape(q) {
        Some([d]) if d.is(1) => r.free(q, 0),
        Some([_]) => r.tie(cx, (q, 0), of)?,
        _ => {}
    }
    Ok(())
}

/// The type that an attribute names, if it names one.
fn named(node: &Node, attr: &str) -> Result<Option<ElemType>> {
    match node.int_or(attr, 0)? {
        0 => Ok(None),
        t => i32::try_from(t)
            .ok()
            .and_then(ElemType::from_i32)
            .map(Some)
            .ok_or_else(|| diag(Code::S002, format!("{attr} = {t} is no element type"))),
    }
}

fn infer_as(cx: &mut InferCx, elem: Option<ElemType>) -> Result<()> {
    if let (Some(x), Some([n])) = (cx.shape(0), cx.shape(1))
        && !n.is(1)
    {
        let axis = cx.node.axis_or("axis", 1, x.len())?;
        let blocked = cx.node.int_or("block_size", 0)? != 0;
        if !blocked && n.constant().zip(x[axis].constant()).is_some_and(|(a, b)| a != b) {
            return Err(diag(Code::S001, format!("{n} scales for {} elements of axis {axis}", x[axis])));
        }
    }
    if let Some(elem) = elem {
        cx.set(0, elem, cx.shape(0).map(<[_]>::to_vec));
    }
    Ok(())
}

fn infer_quantize(cx: &mut InferCx) -> Result<()> {
    // Without a zero point to say it, and without the attribute of opset 21, the result is u8.
    let elem = match (cx.node.input(2), named(cx.node, "output_dtype")?) {
        (Some(_), _) => cx.elem(2),
        (None, named) => named.or(Some(ElemType::U8)),
    };
    infer_as(cx, elem)
}

fn infer_dequantize(cx: &mut InferCx) -> Result<()> {
    let elem = named(cx.node, "output_dtype")?.or(cx.elem(1));
    infer_as(cx, elem)
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let rank = cx.rank(X)?;
    let blocked = match cx.node.int_or("block_size", 0)? {
        0 => None,
        _ => Some(cx.node.axis_or("axis", 1, rank)?),
    };
    for a in 0..rank {
        if blocked == Some(a) {
            [X, Y].into_iter().for_each(|p| r.pin(p, a, "a scale is shared by a block of it"));
        } else {
            r.tie(cx, (X, a), (Y, a))?;
        }
    }
    for q in [Port::In(1), Port::In(2)] {
        let Some(shape) = cx.shape(q) else { continue };
        match (blocked, shape) {
            (None, [d]) if !d.is(1) => {
                let axis = cx.node.axis_or("axis", 1, rank)?;
                per_element(cx, r, q, (X, axis))?;
            }
            (None, _) => shape.iter().enumerate().filter(|(_, d)| d.is(1)).for_each(|(i, _)| r.free(q, i)),
            (Some(axis), _) => {
                if shape.len() != rank {
                    return Err(diag(Code::S001, format!("blocked scales have rank {}", shape.len())));
                }
                for a in (0..rank).filter(|&a| a != axis) {
                    r.tie(cx, (q, a), (X, a))?;
                }
            }
        }
    }
    Ok(())
}

fn infer_dynamic(cx: &mut InferCx) -> Result<()> {
    cx.set(0, ElemType::U8, cx.shape(0).map(<[_]>::to_vec));
    cx.set(1, ElemType::F32, Some(vec![]));
    cx.set(2, ElemType::U8, Some(vec![]));
    Ok(())
}

fn couple_dynamic(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    for a in 0..cx.rank(X)? {
        r.tie(cx, (X, a), (Y, a))?;
        r.inexact(X, a, "the scale is taken from all elements");
    }
    Ok(())
}
