//! A model made ready by the engine for one set of input shapes, and tensors to and from it.

use secateur_data::{ValueInfo, guard};
use secateur_diag::{Code, Diagnostic, Result};
use secateur_tensor::{ElemType, Tensor, dispatch, f16};
use serde::Serialize;
use std::sync::Arc;
use tract_onnx::prelude::{
    DatumType, InferenceFact, InferenceModel, InferenceModelExt, IntoRunnable, TVec, TractResult,
    TypedRunnableModel,
};
use tract_onnx::tract_core::value::TValue;
use tract_onnx::{prelude::Tensor as EngineTensor, tract_hir::internal::TractError};

/// How far the engine rewrites a model before running it; when rewriting fails the next level is tried.
/// Every level computes the same function, but for integer operators (see [`crate::Oracle::with_level`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Operators replaced by the engine's fast kernels.
    Optimized,
    /// Graph simplified, plain kernels. Several times slower.
    Decluttered,
    /// Operators as they are in the file.
    Typed,
}

impl Level {
    /// The next one that rewrites less.
    pub(crate) fn lower(self) -> Option<Self> {
        match self {
            Self::Optimized => Some(Self::Decluttered),
            Self::Decluttered => Some(Self::Typed),
            Self::Typed => None,
        }
    }
}

/// Runs the model for fixed input shapes.
pub(crate) struct Plan {
    runnable: Arc<TypedRunnableModel>,
    pub level: Level,
    /// Why a higher level failed, if one did.
    refused: Option<String>,
}

impl Plan {
    /// Fixes the inputs' types and shapes (in the model's order) and prepares the model, at `level` or
    /// the next that works.
    pub fn build(model: &InferenceModel, inputs: &[(ElemType, Vec<usize>)], level: Level) -> Result<Self> {
        let mut first = None;
        for level in [Level::Optimized, Level::Decluttered, Level::Typed].into_iter().filter(|l| *l >= level)
        {
            match engine(|| prepare(model.clone(), inputs, level)) {
                Ok(runnable) => return Ok(Self { runnable, level, refused: first }),
                Err(reason) => first = first.or(Some(reason)),
            }
        }
        Err(unfit(first.as_deref().unwrap_or_default()))
    }

    /// Runs once. Outputs are in the model's order, cast to the declared types where these are known.
    pub fn run(&self, inputs: Vec<&Tensor>, outputs: &[ValueInfo]) -> Result<Vec<Tensor>> {
        let run = || -> TractResult<Vec<Tensor>> {
            let fed = inputs.into_iter().map(|t| Ok(TValue::from(to_engine(t)?)));
            let values = self.runnable.run(fed.collect::<TractResult<TVec<_>>>()?)?;
            values
                .iter()
                .enumerate()
                .map(|(i, v)| from_engine(v, outputs.get(i).and_then(|o| o.dtype)))
                .collect()
        };
        engine(run).map_err(|reason| match &self.refused {
            // A lower level may accept at first what a higher one saw to be wrong.
            Some(refused) => unfit(refused),
            None => explain(Code::X002, "the model failed while running", &reason),
        })
    }
}

fn unfit(reason: &str) -> Box<Diagnostic> {
    explain(Code::X001, "the model cannot be executed on these shapes", reason)
}

fn prepare(
    mut model: InferenceModel,
    inputs: &[(ElemType, Vec<usize>)],
    level: Level,
) -> TractResult<Arc<TypedRunnableModel>> {
    for (i, (dtype, shape)) in inputs.iter().enumerate() {
        model.set_input_fact(
            i,
            InferenceFact::dt_shape(datum_type(*dtype).ok_or_else(|| foreign(dtype))?, shape.as_slice()),
        )?;
    }
    let typed = model.into_typed()?;
    match level {
        Level::Optimized => typed.into_optimized()?.into_runnable(),
        Level::Decluttered => typed.into_decluttered()?.into_runnable(),
        Level::Typed => typed.into_runnable(),
    }
}

/// Runs the engine with panics contained; every failure becomes its chain of messages.
pub(crate) fn engine<T>(f: impl FnOnce() -> Result<T, TractError>) -> Result<T, String> {
    guard::contained(f)?.map_err(|e| format!("{e:#}"))
}

/// An error that carries the engine's message and the node it names.
pub(crate) fn explain(code: Code, title: &str, reason: &str) -> Box<Diagnostic> {
    const LONGEST: usize = 600;
    let mut error = Diagnostic::new(code, title);
    if let Some(node) = node_in(reason) {
        error = error.at("node", node);
    }
    let mut text: String = reason.chars().take(LONGEST).collect();
    if text.len() < reason.len() {
        text.push_str(" ...");
    }
    error.at("engine", text)
}

/// The engine writes nodes as `#7 "conv1" ConvHir`; gives `"conv1"`, as its operators are not the model's.
fn node_in(reason: &str) -> Option<String> {
    reason.match_indices('#').find_map(|(at, _)| {
        let rest = reason[at + 1..].trim_start_matches(|c: char| c.is_ascii_digit());
        let (name, _) = rest.strip_prefix(" \"")?.split_once('"')?;
        Some(format!("{name:?}"))
    })
}

/// The engine's name of a type; `None` where it has none or cannot be fed it.
fn datum_type(elem: ElemType) -> Option<DatumType> {
    Some(match elem {
        ElemType::F32 => DatumType::F32,
        ElemType::F64 => DatumType::F64,
        ElemType::F16 => DatumType::F16,
        ElemType::I8 => DatumType::I8,
        ElemType::I16 => DatumType::I16,
        ElemType::I32 => DatumType::I32,
        ElemType::I64 => DatumType::I64,
        ElemType::U8 => DatumType::U8,
        ElemType::U16 => DatumType::U16,
        ElemType::U32 => DatumType::U32,
        ElemType::U64 => DatumType::U64,
        ElemType::Bool => DatumType::Bool,
        _ => return None,
    })
}

fn foreign(elem: impl std::fmt::Debug) -> TractError {
    TractError::msg(format!("the engine is not fed elements of type {elem:?}"))
}

fn to_engine(tensor: &Tensor) -> TractResult<EngineTensor> {
    let shape = &tensor.dims;
    let tensor = tensor.clone().aligned();
    if let (ElemType::Bool, Some(v)) = (tensor.elem, tensor.octets()) {
        return EngineTensor::from_shape(shape, &v.iter().map(|&b| b != 0).collect::<Vec<bool>>());
    }
    dispatch!(tensor.elem, [F32 F64 F16 I8 I16 I32 I64 U8 U16 U32 U64], T => {
        EngineTensor::from_shape(shape, tensor.slice::<T>().unwrap_or_default())
    }, Err(foreign(tensor.elem)))
}

fn from_engine(value: &EngineTensor, declared: Option<ElemType>) -> TractResult<Tensor> {
    let want = match declared {
        Some(elem) => datum_type(elem).ok_or_else(|| foreign(elem))?,
        None if value.datum_type() == DatumType::TDim => DatumType::I64,
        None => value.datum_type().unquantized(),
    };
    let value = value.cast_to_dt(want)?;
    let view = value.try_as_plain_ram()?;
    let dims = view.shape();
    Ok(match want {
        DatumType::F32 => Tensor::of(dims, view.as_slice::<f32>()?.to_vec()),
        DatumType::F64 => Tensor::of(dims, view.as_slice::<f64>()?.to_vec()),
        DatumType::F16 => Tensor::of(dims, view.as_slice::<f16>()?.to_vec()),
        DatumType::I8 => Tensor::of(dims, view.as_slice::<i8>()?.to_vec()),
        DatumType::I16 => Tensor::of(dims, view.as_slice::<i16>()?.to_vec()),
        DatumType::I32 => Tensor::of(dims, view.as_slice::<i32>()?.to_vec()),
        DatumType::I64 => Tensor::of(dims, view.as_slice::<i64>()?.to_vec()),
        DatumType::U8 => Tensor::of(dims, view.as_slice::<u8>()?.to_vec()),
        DatumType::U16 => Tensor::of(dims, view.as_slice::<u16>()?.to_vec()),
        DatumType::U32 => Tensor::of(dims, view.as_slice::<u32>()?.to_vec()),
        DatumType::U64 => Tensor::of(dims, view.as_slice::<u64>()?.to_vec()),
        DatumType::Bool => Tensor::bools(dims, view.as_slice::<bool>()?.iter().map(|&b| b.into()).collect()),
        other => return Err(foreign(other)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_node_in_a_message() {
        assert_eq!(node_in("Evaluating #7 \"a/b\" ConvHir: oops").unwrap(), "\"a/b\"");
        assert_eq!(node_in("nothing # \"here"), None);
    }
}
