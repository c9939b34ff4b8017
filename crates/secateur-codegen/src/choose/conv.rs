//! Convolutions: dense planes, one pixel as a product of a row and a matrix.

use secateur_diag::Result;
use secateur_neon::{self as neon, Activation, Epilogue, Tile};

use super::elementwise::{activation, chain};
use super::operands::Operands;
use super::{Candidate, Cx};
use crate::op::Conv;
use crate::program::Step;
use crate::view::View;

/// Sparse kernels are tried below this share of weights that are not zero.
const MOST_SPARSE: f64 = 0.75;

pub fn candidates(cx: &Cx, step: &Step, c: &Conv) -> Result<Vec<Candidate>> {
    let mut out = Vec::new();
    out.extend(row(cx, step, c)?);
    out.extend(planes(cx, step, c)?);
    Ok(out)
}

/// What follows the sums, where one activation says it.
fn epilogue(cx: &Cx, step: &Step, c: &Conv) -> Result<Option<(Epilogue, Option<usize>)>> {
    let activation = match c.chain[..] {
        [] => Activation::None,
        [u] => match activation(u) {
            Some(a) => a,
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    let residual = if c.residual { Some(cx.planes(&step.inputs[1])?) } else { None };
    let epilogue = Epilogue { bias: !c.bias.is_empty(), residual: residual.map(|r| r.0), activation };
    Ok(Some((epilogue, residual.map(|r| r.1))))
}

fn planes(cx: &Cx, step: &Step, c: &Conv) -> Result<Vec<Candidate>> {
    let Some((epilogue, residual_at)) = epilogue(cx, step, c)? else { return Ok(vec![]) };
    let (input, input_at) = cx.planes(&step.inputs[0])?;
    let (output, output_at) = cx.planes(&step.output)?;
    let conv = neon::Conv {
        input,
        output,
        kernel: c.kernel,
        stride: c.strides,
        dilation: c.dilations,
        pad: [c.pads[0], c.pads[1]],
        groups: c.groups,
        epilogue,
    };
    let mut constants = vec![c.weights.clone()];
    if epilogue.bias {
        constants.push(c.bias.clone());
    }
    let mut operands = vec![0];
    let mut operands_at = vec![input_at];
    if let Some(at) = residual_at {
        operands.push(1);
        operands_at.push(at);
    }
    let over = epilogue.residual == Some(output) && residual_at == Some(output_at);
    let candidate = |label: &str, spec: neon::KernelSpec, in_place: bool| Candidate {
        label: label.into(),
        spec,
        operands: operands.clone(),
        constants: constants.clone(),
        output_at,
        operands_at: operands_at.clone(),
        in_place: if over && in_place { vec![1] } else { vec![] },
    };
    let mut all = vec![candidate("dense", conv.into(), conv.in_place())];
    for tile in Tile::ALL {
        if let Some(w) = neon::Winograd::of(&conv, tile) {
            let m = tile.outputs();
            all.push(candidate(&format!("winograd F({m},3)"), w.into(), w.in_place()));
        }
    }
    if let Some(d) = neon::Depthwise::of(&conv) {
        all.push(candidate("depthwise", d.into(), d.in_place()));
    }
    // Above this density a table has never been seen to win; it takes time to try.
    let density = c.weights.iter().filter(|w| **w != 0.0).count() as f64 / c.weights.len().max(1) as f64;
    if density < MOST_SPARSE && c.groups == 1 {
        for block in [1, 2, 4] {
            let sparse = neon::SparseConv::new(conv, block, &c.weights);
            all.push(candidate(&format!("sparse {block}x1"), sparse.into(), conv.in_place()));
        }
    }
    Ok(all)
}

/// Transposed convolution.
pub fn transposed_candidates(cx: &Cx, step: &Step, c: &Conv) -> Result<Vec<Candidate>> {
    let Some((epilogue, None)) = epilogue(cx, step, c)? else { return Ok(vec![]) };
    let (input, input_at) = cx.planes(&step.inputs[0])?;
    let (output, output_at) = cx.planes(&step.output)?;
    let axis = |a: usize| neon::WindowAxis {
        kernel: c.kernel[a],
        stride: c.strides[a],
        dilation: c.dilations[a],
        before: c.pads[a],
        after: c.pads[a + 2],
    };
    let spec = neon::ConvTranspose {
        input,
        output,
        rows: axis(0),
        columns: axis(1),
        groups: c.groups,
        bias: epilogue.bias,
        activation: epilogue.activation,
    };
    let mut constants = vec![c.weights.clone()];
    if epilogue.bias {
        constants.push(c.bias.clone());
    }
    Ok(vec![Candidate {
        label: "transposed".into(),
        spec: spec.into(),
        operands: vec![0],
        constants,
        output_at,
        operands_at: vec![input_at],
        in_place: vec![],
    }])
}

/// One pixel: a row times a matrix.
fn row(cx: &Cx, step: &Step, c: &Conv) -> Result<Vec<Candidate>> {
    let (x, y) = (&step.inputs[0], &step.output);
    let one = c.kernel == [1, 1] && c.groups == 1 && [1, 2].iter().all(|&a| x.dims[a] == 1 && y.dims[a] == 1);
    if !one || c.pads != [0; 4] {
        return Ok(vec![]);
    }
    let (k, n) = (x.dims[0], y.dims[0]);
    let line = |v: &View, rows: bool| View {
        dims: if rows { vec![1, v.dims[0]] } else { vec![v.dims[0]] },
        strides: if rows { vec![0, v.strides[0]] } else { vec![v.strides[0]] },
        ..v.clone()
    };
    let mut operands = Operands::default();
    let a = operands.input(cx, step, 0, &line(x, true))?;
    let b = operands.constant(transposed(&c.weights, n, k), &[n as isize, 1]);
    let add = match (c.residual, c.bias.is_empty()) {
        (true, true) => Some(operands.input(cx, step, 1, &line(&step.inputs[1], true))?),
        // Two addends are one too many for this kernel.
        (true, false) => return Ok(vec![]),
        (false, true) => None,
        (false, false) => Some(operands.constant(c.bias.clone(), &[0, 1])),
    };
    let mut after = vec![neon::Step::Input(0)];
    chain(&mut after, &c.chain)?;
    let output = Operands::output(cx, &line(y, true))?;
    let spec = neon::MatMul {
        batch: vec![],
        rows: 1,
        columns: n,
        inner: k,
        a,
        b,
        output,
        add,
        after: neon::Program(after),
    };
    Ok(vec![operands.candidate("row by matrix", spec, false)])
}

fn transposed(m: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| m[r * columns + c])).collect()
}
