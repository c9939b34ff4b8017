//! Cast and CastLike. <https://onnx.ai/onnx/operators/onnx__Cast.html>,
//! <https://onnx.ai/onnx/operators/onnx__CastLike.html>
//!
//! Element by element; the type comes from `to`, or from the second input.

use secateur_diag::{Code, Result, diag};
use secateur_onnx::ElemType;

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_cost, no_shrink};
use crate::moves::{X, Y, tie_others};
use crate::{CoupleCx, FoldCx, InferCx, Op, Port, Relations};
use secateur_ir::graph::Node;
use secateur_tensor::Tensor;
use secateur_tensor::{int_range, is_float, is_int, map_floats, map_ints};

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op {
        domain: "",
        name: "Cast",
        opsets: &[1, 6, 9, 13, 19, 21, 23, 24],
        infer,
        couple,
        shrink: no_shrink,
        cost: no_cost,
        fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
    Op {
        domain: "",
        name: "CastLike",
        opsets: &[15, 19, 21, 23, 24],
        infer,
        couple,
        shrink: no_shrink,
        cost: no_cost,
        fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
];

/// The type of a Cast. Before opset 6 it was spelled out (`"FLOAT"`).
fn target(node: &Node) -> Result<ElemType> {
    let unknown = |what: String| diag(Code::S002, format!("{what} is not an element type")).at("attr", "to");
    if let Ok(Some(name)) = node.string("to") {
        return proto_name(name).ok_or_else(|| unknown(format!("{name:?}")));
    }
    let n = node.int("to")?.ok_or_else(|| diag(Code::S002, "to is missing"))?;
    i32::try_from(n).ok().and_then(ElemType::from_i32).ok_or_else(|| unknown(n.to_string()))
}

/// A type by its name in ONNX's messages.
fn proto_name(name: &str) -> Option<ElemType> {
    Some(match name {
        "FLOAT" => ElemType::F32,
        "DOUBLE" => ElemType::F64,
        "FLOAT16" => ElemType::F16,
        "INT8" => ElemType::I8,
        "INT16" => ElemType::I16,
        "INT32" => ElemType::I32,
        "INT64" => ElemType::I64,
        "UINT8" => ElemType::U8,
        "UINT16" => ElemType::U16,
        "UINT32" => ElemType::U32,
        "UINT64" => ElemType::U64,
        "BOOL" => ElemType::Bool,
        "STRING" => ElemType::String,
        _ => return None,
    })
}

fn infer(cx: &mut InferCx) -> Result<()> {
    let elem = if cx.node.is("CastLike") {
        let Some(elem) = cx.elem(1) else { return Ok(()) };
        elem
    } else {
        target(cx.node)?
    };
    cx.set(0, elem, cx.shape(0).map(<[_]>::to_vec));
    // Sizes pass where the type holds them all; a symbol is taken for a size, which is far below 2^31.
    let holds = |n: i64| match elem {
        ElemType::F32 | ElemType::F64 => n.unsigned_abs() <= 1 << 24,
        _ => int_range(elem).is_some_and(|(lo, hi)| lo <= n.into() && i128::from(n) <= hi),
    };
    let wide = matches!(elem, ElemType::F32 | ElemType::F64) || elem.bits() >= 32;
    if let Some(ints) = cx.ints(0).filter(|t| t.elems.iter().all(|d| d.constant().map_or(wide, holds))) {
        cx.set_ints(0, elem, ints);
    }
    Ok(())
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    tie_others(cx, r, X, Y, &[])?;
    // CastLike reads nothing but the type of its second input.
    for a in 0..cx.shape(Port::In(1)).map_or(0, <[_]>::len) {
        r.free(Port::In(1), a);
    }
    Ok(())
}

/// Between integers and floats; conversions that runtimes do not agree on are left to them.
fn fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    let Some(t) = cx.input(0) else { return Ok(None) };
    let elem = match cx.input(1) {
        Some(like) => like.elem,
        None => target(cx.node)?,
    };
    let out = match (t.elem, elem) {
        (a, b) if a == b => Some(t.clone()),
        (a, ElemType::Bool) if is_int(a) => map_ints(&[t], elem, |x| Some((x[0] != 0).into())),
        (a, b) if is_int(a) && is_int(b) => map_ints(&[t], elem, |x| Some(x[0])),
        // Integers beyond 2^53 would be rounded twice; half floats saturate in some runtimes.
        (a, ElemType::F32 | ElemType::F64) if is_int(a) && a.bits() <= 32 => map_floats(&[t], elem, |x| x[0]),
        (ElemType::I64, ElemType::F32 | ElemType::F64)
            if t.to_i64().is_some_and(|v| v.iter().all(|n| n.unsigned_abs() < 1 << 53)) =>
        {
            map_floats(&[t], elem, |x| x[0])
        }
        (a, b) if is_float(a) && is_float(b) => float_to_float(t, b),
        (ElemType::F32 | ElemType::F16 | ElemType::Bf16, b) if is_int(b) => float_to_int(t, b),
        _ => None,
    };
    Ok(out.map(|t| vec![t]))
}

fn float_to_float(t: &Tensor, to: ElemType) -> Option<Tensor> {
    // Narrowing a double by way of a single would round twice.
    if t.elem == ElemType::F64 && to != ElemType::F32 {
        return None;
    }
    map_floats(&[t], to, |x| x[0])
}

/// Toward zero; `None` where a value does not fit, as runtimes differ there.
fn float_to_int(t: &Tensor, to: ElemType) -> Option<Tensor> {
    let values = t.to_f32()?;
    if to == ElemType::Bool {
        let bytes: Vec<u8> = values.iter().map(|v| u8::from(*v != 0.0)).collect();
        return Some(Tensor::from_bytes(to, t.dims.clone(), bytes));
    }
    let (least, most) = int_range(to)?;
    let mut bytes = Vec::with_capacity(values.len() * to.bits() / 8);
    for v in values {
        // The cast saturates, hence the test on the float.
        let n = v.is_finite().then_some(v.trunc() as i128)?;
        if n < least || n > most {
            return None;
        }
        bytes.extend_from_slice(&n.to_le_bytes()[..to.bits() / 8]);
    }
    Some(Tensor::from_bytes(to, t.dims.clone(), bytes))
}
