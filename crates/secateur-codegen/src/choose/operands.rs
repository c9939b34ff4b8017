//! Operands as strided kernels take them: pointers for memory, packed constants for the rest.

use secateur_diag::Result;
use secateur_ir::ElemType;
use secateur_neon::{Base, Element, KernelSpec, Strided};

use super::{Candidate, Cx};
use crate::lower::unsupported;
use crate::program::Step;
use crate::view::{View, dense};

/// Operands of one step, collected one by one.
#[derive(Default)]
pub struct Operands {
    operands: Vec<usize>,
    constants: Vec<Vec<f32>>,
    stored: usize,
    in_place: Vec<usize>,
}

fn element(e: ElemType) -> Result<Element> {
    Ok(match e {
        ElemType::F32 => Element::F32,
        ElemType::I32 => Element::I32,
        ElemType::I64 => Element::I64,
        ElemType::U8 | ElemType::Bool => Element::U8,
        other => return Err(unsupported(format!("data of type {other}"))),
    })
}

impl Operands {
    /// Input `i` of a step, seen as `view`.
    pub fn input(&mut self, cx: &Cx, step: &Step, i: usize, view: &View) -> Result<Strided> {
        if cx.is_const(view.tensor) {
            // Only what differs is stored.
            let mut small = view.clone();
            small.dims.iter_mut().zip(&view.strides).filter(|(_, s)| **s == 0).for_each(|(d, _)| *d = 1);
            let data = cx.p.values(&small).unwrap_or_default();
            let steps: Vec<isize> = dense(&small.dims)
                .iter()
                .zip(&view.strides)
                .map(|(&d, &s)| if s == 0 { 0 } else { d })
                .collect();
            return Ok(self.constant(data, &steps));
        }
        let span = cx.span(view)?;
        let out = cx.span(&step.output)?;
        let number = self.operands.len();
        let same = view.dims == step.output.dims && span.offset == out.offset && span.strides == out.strides;
        let plain = cx.elem(view.tensor) == ElemType::F32 && cx.elem(step.output.tensor) == ElemType::F32;
        if same && plain && view.tensor != step.output.tensor {
            self.in_place.push(number);
        }
        self.operands.push(i);
        Ok(Strided {
            base: Base::Input(number as u8),
            offset: usize::try_from(span.offset).unwrap_or(0),
            steps: span.strides,
            element: element(cx.elem(view.tensor))?,
        })
    }

    /// A constant with a step for each loop.
    pub fn constant(&mut self, data: Vec<f32>, steps: &[isize]) -> Strided {
        let at = self.stored;
        self.stored += data.len();
        self.constants.push(data);
        Strided::f32(Base::Constants, at, steps)
    }

    /// The output of a step, seen as `view`.
    pub fn output(cx: &Cx, view: &View) -> Result<Strided> {
        let span = cx.span(view)?;
        Ok(Strided {
            base: Base::Output,
            offset: usize::try_from(span.offset).unwrap_or(0),
            steps: span.strides,
            element: element(cx.elem(view.tensor))?,
        })
    }

    /// A candidate of these operands; `in_place` says whether the kernel reads each element before it writes it.
    pub fn candidate(self, label: &str, spec: impl Into<KernelSpec>, in_place: bool) -> Candidate {
        let n = self.operands.len();
        Candidate {
            label: label.into(),
            spec: spec.into(),
            operands: self.operands,
            constants: self.constants,
            output_at: 0,
            operands_at: vec![0; n],
            in_place: if in_place { self.in_place } else { vec![] },
        }
    }
}
