//! Matrix products.

use secateur_diag::Result;
use secateur_neon as neon;

use super::elementwise::chain;
use super::operands::Operands;
use super::{Candidate, Cx};
use crate::lower::unsupported;
use crate::op::MatMul;
use crate::program::Step;

pub fn candidates(cx: &Cx, step: &Step, m: &MatMul) -> Result<Vec<Candidate>> {
    let (a, b, y) = (&step.inputs[0], &step.inputs[1], &step.output);
    let Some(lead) = y.dims.len().checked_sub(2) else { return Err(unsupported("this rank")) };
    if m.alpha != 1.0 && m.add {
        return Err(unsupported("a factor and an addend"));
    }
    let mut operands = Operands::default();
    let (sa, sb) = (operands.input(cx, step, 0, a)?, operands.input(cx, step, 1, b)?);
    let add = if m.add { Some(operands.input(cx, step, 2, &step.inputs[2])?) } else { None };
    let mut after = vec![neon::Step::Input(0)];
    if m.alpha != 1.0 {
        after.push(neon::Step::Number(m.alpha));
        after.push(neon::Step::Binary(neon::Binary::Mul, 0, 1));
    }
    chain(&mut after, &m.chain)?;
    let output = Operands::output(cx, y)?;
    let spec = neon::MatMul {
        batch: y.dims[..lead].to_vec(),
        rows: y.dims[lead],
        columns: y.dims[lead + 1],
        inner: a.dims[lead + 1],
        a: sa,
        b: sb,
        output,
        add,
        after: neon::Program(after),
    };
    Ok(vec![operands.candidate("matrix product", spec, false)])
}
