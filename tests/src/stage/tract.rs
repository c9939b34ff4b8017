//! tract as an engine, for a baseline.

use secateur_exec::{Data, Executor, Tensor as ExecTensor};
use secateur_ir::{ElemType, Tensor};

use super::run::Engine;
use crate::{Case, Loaded, Outcome, Value};

/// The engine behind `secateur-exec`.
#[derive(Clone, Copy, Debug)]
pub struct Tract;

impl Engine for Tract {
    fn name(&self) -> &'static str {
        "tract"
    }

    fn run(&self, _: &Case, loaded: &Loaded, inputs: &[(String, Value)]) -> Result<Vec<Value>, Outcome> {
        let executor = Executor::from_bytes(&loaded.bytes)?;
        let fed = |(name, value): &(String, Value)| {
            let tensor = value.tensor().and_then(to_engine);
            tensor
                .map(|t| (name.clone(), t))
                .ok_or_else(|| Outcome::refused(format!("an input that is {}", value.describe())))
        };
        let fed = inputs.iter().map(fed).collect::<Result<Vec<_>, _>>()?;
        let outputs = executor.run(&fed)?;
        Ok(outputs.into_iter().map(|(_, t)| Value::Tensor(from_engine(t))).collect())
    }
}

macro_rules! conversions {
    ($($kind:ident $rust:ty;)*) => {
        fn to_engine(t: &Tensor) -> Option<ExecTensor> {
            let bytes = t.bytes()?;
            let data = match t.elem {
                $(ElemType::$kind => Data::$kind(
                    bytes.chunks_exact(size_of::<$rust>()).map(|c| <$rust>::from_le_bytes(c.try_into().unwrap())).collect(),
                ),)*
                ElemType::Bool => Data::Bool(bytes.iter().map(|b| *b != 0).collect()),
                _ => return None,
            };
            Some(ExecTensor { shape: t.dims.clone(), data })
        }

        fn from_engine(t: ExecTensor) -> Tensor {
            let (elem, bytes): (ElemType, Vec<u8>) = match t.data {
                $(Data::$kind(v) => (ElemType::$kind, v.iter().flat_map(|x| x.to_le_bytes()).collect()),)*
                Data::Bool(v) => (ElemType::Bool, v.iter().map(|x| u8::from(*x)).collect()),
            };
            Tensor::from_bytes(elem, t.shape, bytes)
        }
    };
}

conversions! {
    F32 f32;
    F64 f64;
    F16 half::f16;
    I8 i8;
    I16 i16;
    I32 i32;
    I64 i64;
    U8 u8;
    U16 u16;
    U32 u32;
    U64 u64;
}
