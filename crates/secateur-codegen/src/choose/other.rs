//! Rows at run-time indices, the place of the largest, recurrent layers.

use secateur_diag::Result;
use secateur_neon::{self as neon, Element};

use super::operands::Operands;
use super::{Candidate, Cx};
use crate::lower::unsupported;
use crate::op::{Cell, Op, Recurrent};
use crate::program::Step;
use crate::view::View;

pub fn candidates(cx: &Cx, step: &Step) -> Result<Vec<Candidate>> {
    match &step.op {
        Op::Gather => gather(cx, step),
        Op::ArgReduce { max, last } => arg(cx, step, *max, *last),
        Op::Recurrent(r) => recurrent(cx, step, r),
        _ => Err(unsupported("this step")),
    }
}

/// A kernel that is given plain pointers to the first elements of its operands; constants among them as well.
fn pointers(
    cx: &Cx,
    step: &Step,
    label: &str,
    spec: neon::KernelSpec,
    constants: Vec<Vec<f32>>,
) -> Result<Candidate> {
    let at = |v: &View| cx.span(v).map(|s| usize::try_from(s.offset).unwrap_or(0));
    Ok(Candidate {
        label: label.into(),
        spec,
        operands: (0..step.inputs.len()).collect(),
        constants,
        output_at: at(&step.output)?,
        operands_at: step.inputs.iter().map(at).collect::<Result<_>>()?,
        in_place: vec![],
    })
}

fn gather(cx: &Cx, step: &Step) -> Result<Vec<Candidate>> {
    let (table, index) = (&step.inputs[0], &step.inputs[1]);
    let spec = neon::GatherRows {
        count: index.len(),
        rows: table.dims[0],
        width: table.dims[1],
        index: Element::F32,
    };
    Ok(vec![pointers(cx, step, "rows of a table", spec.into(), vec![])?])
}

fn arg(cx: &Cx, step: &Step, max: bool, last: bool) -> Result<Vec<Candidate>> {
    let mut operands = Operands::default();
    let x = &step.inputs[0];
    let input = operands.input(cx, step, 0, x)?;
    let mut y = step.output.clone();
    y.dims.pop();
    y.strides.pop();
    let output = Operands::output(cx, &y)?;
    let (axis, outer) = x.dims.split_last().ok_or_else(|| unsupported("a scalar"))?;
    let spec = neon::ArgMax { outer: outer.to_vec(), axis: *axis, output, input, smallest: !max, last };
    Ok(vec![operands.candidate("place of the extreme", spec, false)])
}

fn recurrent(cx: &Cx, step: &Step, r: &Recurrent) -> Result<Vec<Candidate>> {
    let row = |v: &View| cx.span(v).map(|s| s.strides[0].unsigned_abs());
    let spec = neon::Recurrent {
        cell: match r.cell {
            Cell::Rnn => neon::Cell::Rnn,
            Cell::Gru => neon::Cell::Gru { linear_before_reset: r.linear_before_reset },
            Cell::Lstm => neon::Cell::Lstm,
        },
        steps: step.output.dims[0],
        hidden: r.hidden,
        input_row: row(&step.inputs[0])?,
        output_row: row(&step.output)?,
        reverse: r.reverse,
        initial: r.initial,
    };
    let mut constants = vec![r.recurrence.clone()];
    if r.cell == Cell::Gru && r.linear_before_reset {
        constants.push(if r.bias.is_empty() { vec![0.0; r.hidden] } else { r.bias.clone() });
    }
    Ok(vec![pointers(cx, step, "recurrent", spec.into(), constants)?])
}
