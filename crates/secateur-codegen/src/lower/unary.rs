//! Functions of one number. <https://onnx.ai/onnx/operators/>

use secateur_diag::Result;

use super::{Lower, Row, unsupported};
use crate::op::Op;
use crate::unary::Unary;

macro_rules! rows {
    ($($name:literal $function:expr;)*) => {
        /// The rows of this file.
        pub const ROWS: &[Row] = &[$(Row { name: $name, lower: |cx| { let f: Unary = $function(cx)?; map(cx, f) } }),*];
    };
}

rows! {
    "Relu" |_: &Lower| plain(Unary::Relu);
    "Sigmoid" |_: &Lower| plain(Unary::Sigmoid);
    "Tanh" |_: &Lower| plain(Unary::Tanh);
    "HardSwish" |_: &Lower| plain(Unary::HardSwish);
    "Erf" |_: &Lower| plain(Unary::Erf);
    "Exp" |_: &Lower| plain(Unary::Exp);
    "Log" |_: &Lower| plain(Unary::Log);
    "Sqrt" |_: &Lower| plain(Unary::Sqrt);
    "Reciprocal" |_: &Lower| plain(Unary::Reciprocal);
    "Neg" |_: &Lower| plain(Unary::Neg);
    "Abs" |_: &Lower| plain(Unary::Abs);
    "Sign" |_: &Lower| plain(Unary::Sign);
    "Floor" |_: &Lower| plain(Unary::Floor);
    "Ceil" |_: &Lower| plain(Unary::Ceil);
    "Round" |_: &Lower| plain(Unary::Round);
    "Sin" |_: &Lower| plain(Unary::Sin);
    "Cos" |_: &Lower| plain(Unary::Cos);
    "Not" |_: &Lower| plain(Unary::Not);
    "Softplus" |_: &Lower| plain(Unary::Softplus);
    "Softsign" |_: &Lower| plain(Unary::Softsign);
    "Mish" |_: &Lower| plain(Unary::Mish);
    "Gelu" gelu;
    "Clip" clip;
    "HardSigmoid" |cx: &Lower| Ok::<_, Box<_>>(Unary::HardSigmoid { alpha: float(cx, "alpha", 0.2)?, beta: float(cx, "beta", 0.5)? });
    "LeakyRelu" |cx: &Lower| Ok::<_, Box<_>>(Unary::LeakyRelu { alpha: float(cx, "alpha", 0.01)? });
    "ThresholdedRelu" |cx: &Lower| Ok::<_, Box<_>>(Unary::ThresholdedRelu { alpha: float(cx, "alpha", 1.0)? });
    "Elu" |cx: &Lower| Ok::<_, Box<_>>(Unary::Elu { alpha: float(cx, "alpha", 1.0)? });
    "Celu" |cx: &Lower| Ok::<_, Box<_>>(Unary::Celu { alpha: float(cx, "alpha", 1.0)? });
    "Selu" |cx: &Lower| Ok::<_, Box<_>>(Unary::Selu {
        alpha: float(cx, "alpha", 1.673_263_2)?,
        gamma: float(cx, "gamma", 1.050_701)?,
    });
}

fn plain(u: Unary) -> Result<Unary> {
    Ok(u)
}

fn float(cx: &Lower, name: &str, default: f32) -> Result<f32> {
    Ok(cx.node.float(name)?.unwrap_or(default))
}

fn gelu(cx: &Lower) -> Result<Unary> {
    match cx.node.string("approximate")?.unwrap_or("none") {
        "none" => Ok(Unary::Gelu),
        "tanh" => Ok(Unary::GeluTanh),
        other => Err(unsupported(format!("approximate={other:?}"))),
    }
}

fn clip(cx: &mut Lower) -> Result<Unary> {
    let mut bound = |name: &str, i: usize, none: f32| -> Result<f32> {
        if let Some(v) = cx.node.float(name)? {
            return Ok(v);
        }
        match cx.has(i) {
            true => Ok(cx.need_constant(i, "a bound")?.first().copied().unwrap_or(none)),
            false => Ok(none),
        }
    };
    Ok(Unary::Clip { min: bound("min", 1, f32::NEG_INFINITY)?, max: bound("max", 2, f32::INFINITY)? })
}

fn map(cx: &mut Lower, f: Unary) -> Result<()> {
    let x = cx.input(0)?;
    cx.result(Op::Map(vec![f]), vec![x])
}
