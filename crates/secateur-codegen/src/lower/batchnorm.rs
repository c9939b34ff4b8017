//! BatchNormalization that no convolution has taken up.
//! <https://onnx.ai/onnx/operators/onnx__BatchNormalization.html>

use secateur_diag::Result;

use super::{Lower, Row, unsupported};
use crate::op::Op;

/// The rows of this file.
pub const ROWS: &[Row] = &[Row { name: "BatchNormalization", lower }];

fn lower(cx: &mut Lower) -> Result<()> {
    if cx.node.int_or("training_mode", 0)? != 0 {
        return Err(unsupported("training_mode=1"));
    }
    let dims = cx.out_dims(0)?;
    let epsilon = f64::from(cx.node.float("epsilon")?.unwrap_or(1e-5));
    let [gamma, beta, mean, var] = [1, 2, 3, 4].map(|i| cx.need_constant(i, "a parameter"));
    let (gamma, beta, mean, var) = (gamma?, beta?, mean?, var?);
    let n = gamma.len();
    if [&beta, &mean, &var].iter().any(|p| p.len() != n) || dims.get(1) != Some(&n) {
        return Err(unsupported("parameters of different lengths"));
    }
    let scale: Vec<f64> =
        gamma.iter().zip(&var).map(|(g, v)| f64::from(*g) / (f64::from(*v) + epsilon).sqrt()).collect();
    let shift = (0..n).map(|c| (f64::from(beta[c]) - f64::from(mean[c]) * scale[c]) as f32).collect();
    let mut shape = vec![1; dims.len()];
    shape[1] = n;
    let scale = cx.p.constant("scale", &shape, scale.into_iter().map(|s| s as f32).collect());
    let shift = cx.p.constant("shift", &shape, shift);
    let (scale, shift) = (cx.broadcast(&scale, &dims)?, cx.broadcast(&shift, &dims)?);
    let x = cx.input(0)?;
    cx.result(Op::MulAdd(vec![]), vec![x, scale, shift])
}
