//! Resize and Upsample along the last two axes, to the nearest element or linear.
//! <https://onnx.ai/onnx/operators/onnx__Resize.html>

use secateur_diag::{Result, Code, diag};

use super::{Lower, Row, unsupported};
use crate::op::{Op, Resize, Taps};

/// The rows of this file.
pub const ROWS: &[Row] = &[Row { name: "Resize", lower }, Row { name: "Upsample", lower }];

fn lower(cx: &mut Lower) -> Result<()> {
    let x = cx.input(0)?;
    let out = cx.out_dims(0)?;
    let rank = x.dims.len();
    if rank < 3 || x.dims[..rank - 2] != out[..rank - 2] {
        return Err(unsupported("resampling other than of height and width"));
    }
    let old = cx.node.is("Upsample") || cx.graph.opset("") < 11;
    let scales = cx.constant(if old { 1 } else { 2 })?.filter(|s| !s.is_empty());
    let axes = cx.node.ints("axes")?.map(<[i64]>::to_vec);
    let scale = |a: usize| -> Result<f64> {
        let given = match (&scales, &axes) {
            (Some(s), None) => s.get(a).copied(),
            (Some(s), Some(axes)) => {
                let at = axes.iter().position(|&x| x == a as i64 || x + rank as i64 == a as i64);
                at.and_then(|i| s.get(i).copied())
            }
            _ => None,
        };
        Ok(given.map_or(out[a] as f64 / x.dims[a] as f64, f64::from))
    };
    let mode = match cx.node.string("mode")?.unwrap_or("nearest") {
        "nearest" => Mode::Nearest,
        "linear" | "bilinear" => Mode::Linear,
        other => return Err(unsupported(format!("mode={other:?}"))),
    };
    if cx.node.int_or("antialias", 0)? != 0 {
        return Err(unsupported("antialias=1"));
    }
    let default = if old { "asymmetric" } else { "half_pixel" };
    let transform = cx.node.string("coordinate_transformation_mode")?.unwrap_or(default).to_owned();
    let rounding = cx.node.string("nearest_mode")?.unwrap_or(if old { "floor" } else { "round_prefer_floor" }).to_owned();
    let axis = |a: usize| -> Result<Vec<Taps>> {
        let s = scale(a)?;
        if s <= 0.0 || x.dims[a] == 0 {
            return Err(diag(Code::S002, "a scale is not positive"));
        }
        taps(x.dims[a], out[a], s, &transform, &rounding, mode)
    };
    let op = Resize { nearest: mode == Mode::Nearest, rows: axis(rank - 2)?, columns: axis(rank - 1)? };
    let planes = |d: &[usize]| [d[..rank - 2].iter().product(), d[rank - 2], d[rank - 1]];
    let x3 = cx.reshape(&x, &planes(&x.dims))?;
    let y = cx.emit(Op::Resize(op), vec![x3], &planes(&out));
    cx.bind(0, y)
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Nearest,
    Linear,
}

/// For each place of an axis of `n` elements stretched by `scale` to `m` the places it comes from.
fn taps(n: usize, m: usize, scale: f64, transform: &str, rounding: &str, mode: Mode) -> Result<Vec<Taps>> {
    let place = |i: usize| -> Result<f64> {
        let i = i as f64;
        Ok(match transform {
            "half_pixel" => (i + 0.5) / scale - 0.5,
            "pytorch_half_pixel" => if m > 1 { (i + 0.5) / scale - 0.5 } else { 0.0 },
            "align_corners" => if m > 1 { i * (n as f64 - 1.0) / (m as f64 - 1.0) } else { 0.0 },
            "asymmetric" => i / scale,
            "half_pixel_symmetric" => {
                let exact = n as f64 * scale;
                let center = n as f64 / 2.0;
                center * (1.0 - m as f64 / exact) + (i + 0.5) / scale - 0.5
            }
            "tf_half_pixel_for_nn" => (i + 0.5) / scale,
            other => return Err(unsupported(format!("coordinate_transformation_mode={other:?}"))),
        })
    };
    let last = n - 1;
    (0..m)
        .map(|i| {
            let x = place(i)?;
            let at = |v: f64| (v.max(0.0) as usize).min(last);
            if mode == Mode::Linear {
                let x = x.clamp(0.0, last as f64);
                let low = at(x.floor());
                return Ok(Taps { low, high: (low + 1).min(last), weight: (x - low as f64) as f32 });
            }
            let v = match rounding {
                "round_prefer_floor" => (x - 0.5).ceil(),
                "round_prefer_ceil" => (x + 0.5).floor(),
                "floor" => x.floor(),
                "ceil" => x.ceil(),
                other => return Err(unsupported(format!("nearest_mode={other:?}"))),
            };
            Ok(Taps { low: at(v), high: at(v), weight: 0.0 })
        })
        .collect()
}
