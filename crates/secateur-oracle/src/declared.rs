//! What a model declares, from the engine's form of the file.

use secateur_data::{Dim, ValueInfo};
use secateur_tensor::ElemType;
use tract_onnx::pb::{
    self, tensor_shape_proto::dimension::Value as DimValue, type_proto::Value as TypeValue,
};

pub(crate) fn value(info: &pb::ValueInfoProto) -> ValueInfo {
    let tensor = info.r#type.as_ref().and_then(|t| t.value.as_ref()).map(|TypeValue::TensorType(t)| t);
    ValueInfo {
        name: info.name.clone(),
        dtype: tensor.and_then(|t| dtype(t.elem_type)),
        shape: tensor.and_then(|t| t.shape.as_ref()).map(|s| s.dim.iter().map(dim).collect()),
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
fn dtype(elem_type: i32) -> Option<ElemType> {
    Some(match elem_type {
        1 => ElemType::F32,
        2 => ElemType::U8,
        3 => ElemType::I8,
        4 => ElemType::U16,
        5 => ElemType::I16,
        6 => ElemType::I32,
        7 => ElemType::I64,
        9 => ElemType::Bool,
        10 => ElemType::F16,
        11 => ElemType::F64,
        12 => ElemType::U32,
        13 => ElemType::U64,
        _ => return None,
    })
}
