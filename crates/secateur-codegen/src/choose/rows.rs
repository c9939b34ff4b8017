//! Reductions, softmax and normalization: loops over results around loops over what is put together.

use secateur_diag::Result;
use secateur_neon::{self as neon, Binary, Program, Reduction, Unary};

use super::elementwise::chain;
use super::operands::Operands;
use super::{Candidate, Cx};
use crate::lower::unsupported;
use crate::op::{Op, Reduce};
use crate::program::Step;
use crate::view::View;

pub fn candidates(cx: &Cx, step: &Step) -> Result<Vec<Candidate>> {
    match &step.op {
        Op::Reduce(r, c) => reduce(cx, step, *r, c),
        Op::Softmax { log } => softmax(cx, step, *log),
        Op::Norm { epsilon, rms } => norm(cx, step, *epsilon, *rms),
        _ => Err(unsupported("this step")),
    }
}

fn reduce(cx: &Cx, step: &Step, r: Reduce, functions: &[crate::unary::Unary]) -> Result<Vec<Candidate>> {
    let (x, y) = (&step.inputs[0], &step.output);
    let (mut kept, mut over): (Vec<usize>, Vec<usize>) = (vec![], vec![]);
    for a in 0..x.dims.len() {
        if y.dims[a] == x.dims[a] { kept.push(a) } else { over.push(a) }
    }
    let count: usize = over.iter().map(|&a| x.dims[a]).product();
    let pick = |axes: &[usize]| axes.iter().map(|&a| x.dims[a]).collect::<Vec<_>>();
    let mut operands = Operands::default();
    let input = operands.input(cx, step, 0, &x.transpose(&[kept.clone(), over.clone()].concat()))?;
    let output = Operands::output(cx, &view_of(y, &kept))?;
    let square = Program(vec![neon::Step::Input(0), neon::Step::Binary(Binary::Mul, 0, 0)]);
    let (reduction, before) = match r {
        Reduce::Sum | Reduce::Mean => (Reduction::Sum, Program::copy()),
        Reduce::Max => (Reduction::Max, Program::copy()),
        Reduce::Min => (Reduction::Min, Program::copy()),
        Reduce::Prod => (Reduction::Product, Program::copy()),
        Reduce::SumSquare | Reduce::L2 => (Reduction::Sum, square),
        Reduce::L1 => (Reduction::Sum, Program::unary(Unary::Abs)),
    };
    let mut after = vec![neon::Step::Input(0)];
    match r {
        Reduce::Mean => {
            after.push(neon::Step::Number(1.0 / count as f32));
            after.push(neon::Step::Binary(Binary::Mul, 0, 1));
        }
        Reduce::L2 => after.push(neon::Step::Unary(Unary::Sqrt, 0)),
        _ => {}
    }
    chain(&mut after, functions)?;
    let spec = neon::Reduce {
        kept: pick(&kept),
        reduced: pick(&over),
        output,
        input,
        reduction,
        before,
        after: Program(after),
    };
    Ok(vec![operands.candidate("reduction", spec, false)])
}

fn view_of(v: &View, axes: &[usize]) -> View {
    let at = |f: &dyn Fn(usize) -> isize| axes.iter().map(|&a| f(a)).collect::<Vec<_>>();
    let dims = axes.iter().map(|&a| v.dims[a]).collect();
    View { tensor: v.tensor, offset: v.offset, dims, strides: at(&|a| v.strides[a]) }
}

fn softmax(cx: &Cx, step: &Step, log: bool) -> Result<Vec<Candidate>> {
    let mut operands = Operands::default();
    let input = operands.input(cx, step, 0, &step.inputs[0])?;
    let output = Operands::output(cx, &step.output)?;
    let (axis, outer) = step.output.dims.split_last().ok_or_else(|| unsupported("a scalar"))?;
    let spec = neon::Softmax { outer: outer.to_vec(), axis: *axis, output, input, log };
    Ok(vec![operands.candidate("softmax", spec, true)])
}

fn norm(cx: &Cx, step: &Step, epsilon: f32, rms: bool) -> Result<Vec<Candidate>> {
    let mut operands = Operands::default();
    let input = operands.input(cx, step, 0, &step.inputs[0])?;
    let output = Operands::output(cx, &step.output)?;
    let (axis, outer) = step.output.dims.split_last().ok_or_else(|| unsupported("a scalar"))?;
    let mut optional = |i: usize, idle: f32| match step.inputs.get(i) {
        Some(v) if cx.p.scalar(v) != Some(idle) => operands.input(cx, step, i, v).map(Some),
        _ => Ok(None),
    };
    let (scale, bias) = (optional(1, 1.0)?, optional(2, 0.0)?);
    let spec = neon::Norm {
        outer: outer.to_vec(),
        axes: vec![*axis],
        output,
        input,
        scale,
        bias,
        epsilon,
        center: !rms,
    };
    Ok(vec![operands.candidate("normalization", spec, true)])
}
