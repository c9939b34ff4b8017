//! Functions of one float, element by element. <https://onnx.ai/onnx/operators/> under each name.
//!
//! `y[i] = f(x[i])`: whatever goes from `x` goes from `y`.

use secateur_diag::{Code, Result, diag};
use secateur_onnx::ElemType;

use crate::forms::{NO_DERIVATIVE, NOT_YET, broadcast, no_cost, no_shrink, pointwise, same_as_input};
use crate::{FoldCx, InferCx, Op, broadcast as align, scalar};
use secateur_ir::dim::Dim;
use secateur_tensor::Tensor;

macro_rules! unary {
    ($name:literal $opsets:expr) => {
        unary!($name $opsets, same_as_input, |cx| scalar::fold(cx, None))
    };
    ($name:literal $opsets:expr, $infer:expr, $fold:expr) => {
        Op {
            domain: "",
            name: $name,
            opsets: &$opsets,
            infer: $infer,
            couple: pointwise,
            shrink: no_shrink,
            cost: no_cost,
            fold: $fold,
            eval: NOT_YET,
            derive: NO_DERIVATIVE,
        }
    };
}

/// The rows of this file.
pub const OPS: &[Op] = &[
    unary!("Acos" [7, 22]),
    unary!("Acosh" [9, 22]),
    unary!("Asin" [7, 22]),
    unary!("Asinh" [9, 22]),
    unary!("Atan" [7, 22]),
    unary!("Atanh" [9, 22]),
    unary!("Celu"[12]),
    unary!("Cos" [7, 22]),
    unary!("Cosh" [9, 22]),
    unary!("Elu" [1, 6, 22]),
    unary!("Erf" [9, 13]),
    unary!("Exp" [1, 6, 13]),
    unary!("Gelu"[20]),
    unary!("HardSigmoid" [1, 6, 22]),
    unary!("HardSwish" [14, 22]),
    unary!("IsInf" [10, 20], truth, |cx| scalar::fold(cx, Some(ElemType::Bool))),
    unary!("IsNaN" [9, 13, 20], truth, |cx| scalar::fold(cx, Some(ElemType::Bool))),
    unary!("LeakyRelu" [1, 6, 16]),
    unary!("Log" [1, 6, 13]),
    unary!("Mish" [18, 22]),
    unary!("Reciprocal" [1, 6, 13]),
    unary!("Relu" [1, 6, 13, 14], follow, |cx| scalar::fold(cx, None)),
    unary!("Selu" [1, 6, 22]),
    unary!("Shrink"[9]),
    unary!("Sigmoid" [1, 6, 13]),
    unary!("Sin" [7, 22]),
    unary!("Sinh" [9, 22]),
    unary!("Softplus" [1, 22]),
    unary!("Softsign" [1, 22]),
    unary!("Sqrt" [1, 6, 13], follow, |cx| scalar::fold(cx, None)),
    unary!("Swish"[24]),
    unary!("Tan" [7, 22]),
    unary!("Tanh" [1, 6, 13]),
    unary!("ThresholdedRelu" [10, 22]),
    Op {
        domain: "",
        name: "PRelu",
        opsets: &[1, 6, 7, 9, 16],
        infer: prelu_infer,
        couple: prelu::couple,
        shrink: no_shrink,
        cost: no_cost,
        fold: prelu::fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
];

fn truth(cx: &mut InferCx) -> Result<()> {
    let shape = cx.shape(0).map(<[Dim]>::to_vec);
    cx.set(0, ElemType::Bool, shape);
    Ok(())
}

fn follow(cx: &mut InferCx) -> Result<()> {
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    scalar::infer(cx, elem)
}

/// The slope is broadcast to the data, never the other way round.
fn prelu_infer(cx: &mut InferCx) -> Result<()> {
    if let (Some(x), Some(slope)) = (cx.shape(0), cx.shape(1)) {
        let behind = prelu::behind(cx.opset(), x, slope);
        if slope.len() > x.len() {
            return Err(diag(
                Code::S001,
                format!("a slope of rank {} does not fit data of rank {}", slope.len(), x.len()),
            ));
        }
        let y = broadcast(x, &[slope, &vec![Dim::fixed(1); behind]].concat())?;
        if x.iter().zip(&y).any(|(x, y)| x.is(1) && !y.is(1)) {
            return Err(diag(Code::S001, "the slope must broadcast to the data, not the data to the slope"));
        }
    }
    same_as_input(cx)
}

/// PRelu. <https://onnx.ai/onnx/operators/onnx__PRelu.html>
///
/// Before opset 7 the slope has one number, or one for each channel; since then it is broadcast as numpy does.
mod prelu {
    use super::{Dim, FoldCx, Result, Tensor, align, scalar};
    use crate::{CoupleCx, Port, Relations};

    /// Axes of the data behind those of the slope.
    pub fn behind(opset: i64, x: &[Dim], slope: &[Dim]) -> usize {
        match slope {
            [d] if opset < 7 && !d.is(1) => x.len().saturating_sub(2),
            _ => 0,
        }
    }

    pub fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
        let (x, slope, y) = (Port::In(0), Port::In(1), Port::Out(0));
        if behind(cx.opset(), cx.need(x)?, cx.need(slope)?) == 0 {
            return align::couple(cx, r);
        }
        crate::forms::same_axes(cx, r)?;
        r.tie(cx, (slope, 0), (y, 1))
    }

    pub fn fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
        if cx.opset() < 7 { Ok(None) } else { scalar::fold(cx, None) }
    }
}
