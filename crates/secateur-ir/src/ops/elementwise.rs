//! Operators that work element by element, with broadcasting where they take several inputs.
//!
//! <https://onnx.ai/onnx/operators/> under each name.

use secateur_diag::Result;
use secateur_onnx::ElemType;

use super::forms::{broadcasting, no_cost, no_shrink, pointwise, same_as_input};
use super::{FoldCx, InferCx, Op};
use crate::dim::Dim;
use crate::graph::Ints;
use crate::tensor::Tensor;

macro_rules! unary {
    ($name:literal, $opsets:expr) => {
        Op {
            domain: "",
            name: $name,
            opsets: $opsets,
            infer: same_as_input,
            couple: pointwise,
            shrink: no_shrink,
            cost: no_cost,
            fold: fold_float,
        }
    };
}

macro_rules! binary {
    ($name:literal, $opsets:expr) => {
        Op {
            domain: "",
            name: $name,
            opsets: $opsets,
            infer: arithmetic,
            couple: pointwise,
            shrink: no_shrink,
            cost: no_cost,
            fold: fold_float,
        }
    };
}

/// The rows of this file.
pub const OPS: &[Op] = &[
    unary!("Relu", &[1, 6, 13, 14]),
    unary!("Sigmoid", &[1, 6, 13]),
    unary!("Sqrt", &[1, 6, 13]),
    binary!("Add", &[1, 6, 7, 13, 14]),
    binary!("Sub", &[1, 6, 7, 13, 14]),
    binary!("Mul", &[1, 6, 7, 13, 14]),
    binary!("Div", &[1, 6, 7, 13, 14]),
];

/// Broadcasting arithmetic, followed element by element on small integer tensors.
fn arithmetic(cx: &mut InferCx) -> Result<()> {
    broadcasting(cx)?;
    let (Some(a), Some(b), Some(elem)) = (cx.ints(0), cx.ints(1), cx.elem(0)) else { return Ok(()) };
    let n = a.elems.len().max(b.elems.len());
    if [&a, &b].iter().any(|x| x.elems.len() != n && x.elems.len() != 1) {
        return Ok(());
    }
    let at = |x: &Ints, i: usize| x.elems[if x.elems.len() == 1 { 0 } else { i }].clone();
    let unknown = |i: usize| cx.unknown(0, i);
    let op = cx.node.op();
    let elems = (0..n)
        .map(|i| {
            let (x, y) = (at(&a, i), at(&b, i));
            let known = match (op, x.constant(), y.constant()) {
                ("Mul", _, _) => x.mul(&y),
                ("Add", Some(p), Some(q)) => p.checked_add(q).map(Dim::fixed),
                ("Add", Some(0), _) => Some(y),
                ("Add" | "Sub", _, Some(0)) => Some(x),
                ("Sub", Some(p), Some(q)) => p.checked_sub(q).map(Dim::fixed),
                ("Div", Some(p), Some(q)) if q != 0 => p.checked_div(q).map(Dim::fixed),
                ("Div", _, _) => x.div(&y),
                _ => None,
            };
            known.unwrap_or_else(|| unknown(i))
        })
        .collect();
    cx.set_ints(0, elem, Ints { scalar: a.scalar && b.scalar, elems });
    Ok(())
}

/// Constant evaluation on floats, through broadcasting.
fn fold_float(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    let Some(a) = cx.input(0).filter(|t| t.elem == ElemType::F32) else { return Ok(None) };
    let f: fn(f32, f32) -> f32 = match cx.node.op() {
        "Relu" => |x, _| x.max(0.0),
        "Sqrt" => |x, _| x.sqrt(),
        "Add" => |x, y| x + y,
        "Sub" => |x, y| x - y,
        "Mul" => |x, y| x * y,
        "Div" => |x, y| x / y,
        _ => return Ok(None),
    };
    let b = cx.input(1).unwrap_or(a);
    Ok(crate::constant::zip_f32(a, b, f).map(|t| vec![t]))
}

