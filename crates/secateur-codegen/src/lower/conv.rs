//! Conv and ConvTranspose in one and two dimensions. <https://onnx.ai/onnx/operators/onnx__Conv.html>,
//! <https://onnx.ai/onnx/operators/onnx__ConvTranspose.html>

use secateur_diag::{Code, Result, diag};
use secateur_ir::Node;

use super::{Lower, Row, unsupported};
use crate::op::{Conv, Op};
use crate::view::View;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row { name: "Conv", lower: |cx| lower(cx, false) },
    Row { name: "ConvTranspose", lower: |cx| lower(cx, true) },
];

/// A pair of positive sizes; one size is that of the second axis.
fn pair(node: &Node, name: &str, rank: usize) -> Result<[usize; 2]> {
    let Some(v) = node.ints(name)? else { return Ok([1, 1]) };
    let v: Option<Vec<usize>> = v.iter().map(|&n| usize::try_from(n).ok().filter(|&n| n > 0)).collect();
    match v.as_deref() {
        Some([x]) if rank == 1 => Ok([1, *x]),
        Some([y, x]) if rank == 2 => Ok([*y, *x]),
        _ => Err(diag(Code::S002, format!("attribute {name} does not fit"))),
    }
}

/// The window of a convolution or pooling: sizes and pads (top, left, bottom, right) for a given input and output.
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Down and right.
    pub strides: [usize; 2],
    /// Down and right.
    pub dilations: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
}

impl Window {
    /// Reads the attributes; `rank` is the number of spatial axes, `input` and `out` their sizes.
    pub fn of(node: &Node, kernel: [usize; 2], rank: usize, input: [usize; 2], out: [usize; 2]) -> Result<Self> {
        let strides = pair(node, "strides", rank)?;
        let dilations = pair(node, "dilations", rank)?;
        let mut pads = [0; 4];
        let same = match node.string("auto_pad")?.unwrap_or("NOTSET") {
            "NOTSET" | "" => {
                let given = node.ints("pads")?.unwrap_or(&[]);
                let given: Option<Vec<usize>> = given.iter().map(|&p| usize::try_from(p).ok()).collect();
                match given.as_deref() {
                    Some([]) => {}
                    Some([a, b]) if rank == 1 => pads = [0, *a, 0, *b],
                    Some(&[t, l, b, r]) if rank == 2 => pads = [t, l, b, r],
                    _ => return Err(unsupported("negative pads")),
                }
                None
            }
            "VALID" => None,
            "SAME_UPPER" => Some(false),
            "SAME_LOWER" => Some(true),
            other => return Err(diag(Code::S002, format!("auto_pad={other:?}"))),
        };
        if let Some(lower) = same {
            for a in 0..2 {
                let need = (out[a] - 1) * strides[a] + (kernel[a] - 1) * dilations[a] + 1;
                let total = need.saturating_sub(input[a]);
                let less = total / 2;
                (pads[a], pads[a + 2]) = if lower { (total - less, less) } else { (less, total - less) };
            }
        }
        Ok(Self { kernel, strides, dilations, pads })
    }
}

/// `[N,C,..]` with one or two spatial axes as `[N,C,H,W]`.
pub fn planes(cx: &mut Lower, x: &View) -> Result<View> {
    match x.dims.as_slice() {
        &[n, c, w] => cx.reshape(x, &[n, c, 1, w]),
        [_, _, _, _] => Ok(x.clone()),
        other => Err(unsupported(format!("{} spatial axes", other.len().saturating_sub(2)))),
    }
}

/// Sizes `[N,C,..]` as `[N,C,H,W]`.
pub fn plane_dims(dims: &[usize]) -> Result<[usize; 4]> {
    match *dims {
        [n, c, w] => Ok([n, c, 1, w]),
        [n, c, h, w] => Ok([n, c, h, w]),
        _ => Err(unsupported("this rank")),
    }
}

fn lower(cx: &mut Lower, transposed: bool) -> Result<()> {
    let wdims = cx.dims(1)?;
    let weights = cx.need_constant(1, "a weight")?;
    let bias = if cx.has(2) { cx.need_constant(2, "a bias")? } else { vec![] };
    let rank = wdims.len().saturating_sub(2);
    let x = cx.input(0)?;
    let x = planes(cx, &x)?;
    let out = plane_dims(&cx.out_dims(0)?)?;
    let kernel = plane_dims(&wdims).map(|d| [d[2], d[3]])?;
    let input = [x.dims[2], x.dims[3]];
    let mut window = Window::of(cx.node, kernel, rank, input, [out[2], out[3]])?;
    if transposed {
        transposed_pads(cx.node, &mut window, input, [out[2], out[3]])?;
    }
    let groups = usize::try_from(cx.node.int_or("group", 1)?).unwrap_or(0);
    let (per, outputs) = if transposed { (wdims[0], wdims[1] * groups) } else { (wdims[1] * groups, wdims[0]) };
    if groups == 0 || per != x.dims[1] || outputs != out[1] || !outputs.is_multiple_of(groups) {
        return Err(diag(Code::S001, "weight, channels and groups do not fit"));
    }
    let Window { kernel, strides, dilations, pads } = window;
    // A row of pixels is worth more than a column.
    let column = x.dims[3] == 1 && kernel[1] == 1 && pads[1] == 0 && pads[3] == 0 && x.dims[2] > 1;
    let turn = |v: [usize; 2]| if column { [v[1], v[0]] } else { v };
    let (kernel, strides, dilations) = (turn(kernel), turn(strides), turn(dilations));
    let pads = if column { [0, pads[0], 0, pads[2]] } else { pads };
    let conv = Conv {
        weights,
        bias,
        outputs,
        kernel,
        strides,
        dilations,
        pads,
        groups,
        residual: false,
        chain: vec![],
    };
    let conv = Box::new(conv);
    let op = if transposed { Op::ConvTranspose(conv) } else { Op::Conv(conv) };
    let y = cx.temp(&out);
    for n in 0..out[0] {
        let one = |v: &View| {
            let v = v.slice(0, n, 1, 1).to_rank(3)?;
            Some(if column { v.transpose(&[0, 2, 1]) } else { v })
        };
        let (Some(x), Some(y)) = (one(&x), one(&y)) else { return Err(unsupported("this batch")) };
        cx.step(op.clone(), vec![x], y);
    }
    cx.bind(0, y)
}

/// The output's size says how much was cut off where `output_shape` or `auto_pad` is given.
fn transposed_pads(node: &Node, w: &mut Window, input: [usize; 2], out: [usize; 2]) -> Result<()> {
    let auto = node.string("auto_pad")?.unwrap_or("NOTSET");
    if node.ints("output_shape")?.is_some() || auto.starts_with("SAME") {
        for (a, out) in out.into_iter().enumerate() {
            let full = (input[a] - 1) * w.strides[a] + (w.kernel[a] - 1) * w.dilations[a] + 1;
            let total = full.saturating_sub(out);
            let less = total / 2;
            let upper = auto == "SAME_UPPER";
            (w.pads[a], w.pads[a + 2]) = if upper { (less, total - less) } else { (total - less, less) };
        }
    }
    Ok(())
}
