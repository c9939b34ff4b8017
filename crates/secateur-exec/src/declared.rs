//! What a model says about its inputs and outputs.

use crate::DType;
use serde::Serialize;
use std::fmt;
use tract_onnx::pb::{
    self, tensor_shape_proto::dimension::Value as DimValue, type_proto::Value as TypeValue,
};

/// One declared axis length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Dim {
    /// A number.
    Fixed(usize),
    /// A name, or the empty string when the model leaves it open.
    Symbol(String),
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(n) => write!(f, "{n}"),
            Dim::Symbol(name) if name.is_empty() => f.write_str("?"),
            Dim::Symbol(name) => f.write_str(name),
        }
    }
}

/// A graph input or output as declared in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ValueInfo {
    /// Its name.
    pub name: String,
    /// Element type; `None` if it is not declared or is a type this crate cannot carry (strings, bfloat16).
    pub dtype: Option<DType>,
    /// Axis lengths; `None` if the rank is not declared.
    pub shape: Option<Vec<Dim>>,
}

impl ValueInfo {
    pub(crate) fn from_proto(info: &pb::ValueInfoProto) -> Self {
        let tensor = info.r#type.as_ref().and_then(|t| t.value.as_ref()).map(|TypeValue::TensorType(t)| t);
        Self {
            name: info.name.clone(),
            dtype: tensor.and_then(|t| dtype(t.elem_type)),
            shape: tensor.and_then(|t| t.shape.as_ref()).map(|s| s.dim.iter().map(dim).collect()),
        }
    }

    /// Length of the first axis, if it is a number.
    pub fn fixed_batch(&self) -> Option<usize> {
        match self.shape.as_deref() {
            Some([Dim::Fixed(n), ..]) => Some(*n),
            _ => None,
        }
    }
}

impl fmt::Display for ValueInfo {
    /// `%input: f32[N,3,32,32]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}: ", self.name)?;
        match self.dtype {
            Some(dtype) => write!(f, "{dtype}")?,
            None => f.write_str("?")?,
        }
        match &self.shape {
            Some(shape) => {
                write!(f, "[{}]", shape.iter().map(Dim::to_string).collect::<Vec<_>>().join(","))
            }
            None => f.write_str("[..]"),
        }
    }
}

fn dim(dim: &pb::tensor_shape_proto::Dimension) -> Dim {
    match &dim.value {
        // Exporters write -1 or 0 for "any" now and then.
        Some(DimValue::DimValue(n)) if *n > 0 => Dim::Fixed(usize::try_from(*n).unwrap_or(usize::MAX)),
        Some(DimValue::DimParam(name)) => Dim::Symbol(name.clone()),
        _ => Dim::Symbol(String::new()),
    }
}

/// Numbers of `TensorProto.DataType`.
fn dtype(elem_type: i32) -> Option<DType> {
    Some(match elem_type {
        1 => DType::F32,
        2 => DType::U8,
        3 => DType::I8,
        4 => DType::U16,
        5 => DType::I16,
        6 => DType::I32,
        7 => DType::I64,
        9 => DType::Bool,
        10 => DType::F16,
        11 => DType::F64,
        12 => DType::U32,
        13 => DType::U64,
        _ => return None,
    })
}
