//! Pooling and resampling of planes.

use secateur_diag::Result;
use secateur_neon::{self as neon, Pooling, Sampling, WindowAxis};

use super::{Candidate, Cx};
use crate::lower::unsupported;
use crate::op::{Op, Taps};
use crate::program::Step;

pub fn candidates(cx: &Cx, step: &Step) -> Result<Vec<Candidate>> {
    let (input, input_at) = cx.planes(&step.inputs[0])?;
    let (output, output_at) = cx.planes(&step.output)?;
    let (label, spec): (&str, neon::KernelSpec) = match &step.op {
        Op::Pool(p) => {
            let axis = |a: usize| WindowAxis {
                kernel: p.kernel[a],
                stride: p.strides[a],
                dilation: p.dilations[a],
                before: p.pads[a],
                after: p.pads[a + 2],
            };
            let pooling = match (p.max, p.count_pad) {
                (true, _) => Pooling::Max,
                (false, true) => Pooling::AverageWithPadding,
                (false, false) => Pooling::Average,
            };
            ("pooling", neon::Pool { input, output, rows: axis(0), columns: axis(1), pooling }.into())
        }
        Op::Resize(r) => {
            let axis = |taps: &[Taps]| match r.nearest {
                true => Sampling::Nearest(taps.iter().map(|t| t.low).collect()),
                false => Sampling::Linear(taps.iter().map(|t| (t.low, t.high, t.weight)).collect()),
            };
            (
                "resampling",
                neon::Resize { input, output, rows: axis(&r.rows), columns: axis(&r.columns) }.into(),
            )
        }
        _ => return Err(unsupported("this step")),
    };
    let constants = vec![];
    Ok(vec![Candidate {
        label: label.into(),
        spec,
        operands: vec![0],
        constants,
        output_at,
        operands_at: vec![input_at],
        in_place: vec![],
    }])
}
