//! Functions of two numbers with broadcasting, and those of many. <https://onnx.ai/onnx/repo-docs/Broadcasting.html>

use secateur_diag::Result;

use super::{Lower, Row, unsupported};
use crate::op::{Binary, Op};
use crate::unary::Unary;
use crate::view::View;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row { name: "Add", lower: |cx| arithmetic(cx, Binary::Add) },
    Row { name: "Sub", lower: |cx| arithmetic(cx, Binary::Sub) },
    Row { name: "Mul", lower: |cx| arithmetic(cx, Binary::Mul) },
    Row { name: "Div", lower: |cx| arithmetic(cx, Binary::Div) },
    Row { name: "Pow", lower: |cx| arithmetic(cx, Binary::Pow) },
    Row { name: "PRelu", lower: |cx| binary(cx, Binary::PRelu) },
    Row { name: "Equal", lower: |cx| binary(cx, Binary::Equal) },
    Row { name: "Less", lower: |cx| binary(cx, Binary::Less) },
    Row { name: "LessOrEqual", lower: |cx| binary(cx, Binary::LessOrEqual) },
    Row { name: "Greater", lower: |cx| binary(cx, Binary::Greater) },
    Row { name: "GreaterOrEqual", lower: |cx| binary(cx, Binary::GreaterOrEqual) },
    // Of zeros and ones.
    Row { name: "And", lower: |cx| binary(cx, Binary::Min) },
    Row { name: "Or", lower: |cx| binary(cx, Binary::Max) },
    Row { name: "Min", lower: |cx| many(cx, Binary::Min, false) },
    Row { name: "Max", lower: |cx| many(cx, Binary::Max, false) },
    Row { name: "Sum", lower: |cx| many(cx, Binary::Add, false) },
    Row { name: "Mean", lower: |cx| many(cx, Binary::Add, true) },
];

/// Arithmetic, which integers do otherwise than floats.
fn arithmetic(cx: &mut Lower, b: Binary) -> Result<()> {
    if cx.is_int(0) && matches!(b, Binary::Div | Binary::Pow) {
        return Err(unsupported("this operator on integers"));
    }
    binary(cx, b)
}

fn binary(cx: &mut Lower, b: Binary) -> Result<()> {
    let dims = cx.out_dims(0)?;
    let (l, r) = (cx.input(0)?, cx.input(1)?);
    let out = pair(cx, b, &l, &r, &dims)?;
    cx.bind(0, out)
}

fn many(cx: &mut Lower, b: Binary, mean: bool) -> Result<()> {
    let dims = cx.out_dims(0)?;
    let n = cx.node.inputs.len();
    let mut sum = cx.input(0)?;
    for i in 1..n {
        let r = cx.input(i)?;
        sum = pair(cx, b, &sum, &r, &dims)?;
    }
    if mean && n > 1 {
        let chain = vec![Unary::Affine { scale: 1.0 / n as f32, shift: 0.0 }];
        sum = cx.emit(Op::Map(chain), vec![sum], &dims);
    }
    let out = cx.broadcast(&sum, &dims)?;
    cx.bind(0, out)
}

fn pair(cx: &mut Lower, b: Binary, l: &View, r: &View, dims: &[usize]) -> Result<View> {
    let (l, r) = (cx.broadcast(l, dims)?, cx.broadcast(r, dims)?);
    if let Some(u) = cx.p.scalar(&r).and_then(|s| with_right(b, s)) {
        return Ok(cx.emit(Op::Map(vec![u]), vec![l], dims));
    }
    if let Some(chain) = cx.p.scalar(&l).and_then(|s| with_left(b, s)) {
        return Ok(cx.emit(Op::Map(chain), vec![r], dims));
    }
    if b == Binary::Pow && cx.p.scalar(&r) == Some(2.0) {
        return Ok(cx.emit(Op::Binary(Binary::Mul, vec![]), vec![l.clone(), l], dims));
    }
    Ok(cx.emit(Op::Binary(b, vec![]), vec![l, r], dims))
}

/// The function of `x` in `x op s`.
fn with_right(b: Binary, s: f32) -> Option<Unary> {
    Some(match b {
        Binary::Add => Unary::Affine { scale: 1.0, shift: s },
        Binary::Sub => Unary::Affine { scale: 1.0, shift: -s },
        Binary::Mul => Unary::Affine { scale: s, shift: 0.0 },
        // Where the reciprocal is not exact the result may differ in its last bit.
        Binary::Div if s != 0.0 => Unary::Affine { scale: 1.0 / s, shift: 0.0 },
        Binary::Min => Unary::Clip { min: f32::NEG_INFINITY, max: s },
        Binary::Max => Unary::Clip { min: s, max: f32::INFINITY },
        Binary::PRelu => Unary::LeakyRelu { alpha: s },
        Binary::Pow if s == 0.5 => Unary::Sqrt,
        Binary::Pow if s == -1.0 => Unary::Reciprocal,
        Binary::Pow if s == 1.0 => Unary::Affine { scale: 1.0, shift: 0.0 },
        Binary::Pow if s != 2.0 => Unary::Pow { exponent: s },
        _ => return None,
    })
}

/// The functions of `x` in `s op x`.
fn with_left(b: Binary, s: f32) -> Option<Vec<Unary>> {
    Some(match b {
        Binary::Add | Binary::Mul | Binary::Min | Binary::Max => vec![with_right(b, s)?],
        Binary::Sub => vec![Unary::Affine { scale: -1.0, shift: s }],
        Binary::Div if s == 1.0 => vec![Unary::Reciprocal],
        Binary::Div => vec![Unary::Reciprocal, Unary::Affine { scale: s, shift: 0.0 }],
        _ => return None,
    })
}
