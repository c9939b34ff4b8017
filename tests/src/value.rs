//! Values as stored beside a model: tensors, sequences and optionals.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use prost::Message;
use secateur_ir::{Tensor, module};
use secateur_onnx::ExternalFiles;
use secateur_onnx::proto::{TensorProto, TypeProto, type_proto::Value as TypeValue};

/// Anything that a model takes or gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A tensor.
    Tensor(Tensor),
    /// A list of values of one type.
    Sequence(Vec<Value>),
    /// A value or nothing.
    Optional(Option<Box<Value>>),
}

/// `onnx.SequenceProto`: the part that tests use.
#[derive(Clone, PartialEq, Message)]
struct SequenceProto {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(int32, optional, tag = "2")]
    elem_type: Option<i32>,
    #[prost(message, repeated, tag = "3")]
    tensor_values: Vec<TensorProto>,
    #[prost(message, repeated, tag = "5")]
    sequence_values: Vec<SequenceProto>,
    #[prost(message, repeated, tag = "7")]
    optional_values: Vec<OptionalProto>,
}

/// `onnx.OptionalProto`: the part that tests use.
#[derive(Clone, PartialEq, Message)]
struct OptionalProto {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(int32, optional, tag = "2")]
    elem_type: Option<i32>,
    #[prost(message, optional, tag = "3")]
    tensor_value: Option<TensorProto>,
    #[prost(message, optional, boxed, tag = "5")]
    sequence_value: Option<Box<SequenceProto>>,
    #[prost(message, optional, boxed, tag = "7")]
    optional_value: Option<Box<OptionalProto>>,
}

/// Numbers of `elem_type` in both messages.
const TENSOR: i32 = 1;
const SEQUENCE: i32 = 3;
const OPTIONAL: i32 = 5;

impl Value {
    /// Reads a stored value of a declared type.
    ///
    /// # Errors
    /// The bytes are no such message; the type is a map or a sparse tensor.
    pub fn decode(bytes: Bytes, declared: Option<&TypeProto>) -> Result<Value> {
        match declared.and_then(|t| t.value.as_ref()).context("a value without a type")? {
            TypeValue::TensorType(_) => tensor(&TensorProto::decode(bytes)?),
            TypeValue::SequenceType(_) => sequence(&SequenceProto::decode(bytes)?),
            TypeValue::OptionalType(_) => optional(&OptionalProto::decode(bytes)?),
            TypeValue::MapType(_) => bail!("a map"),
            TypeValue::SparseTensorType(_) => bail!("a sparse tensor"),
            TypeValue::OpaqueType(_) => bail!("an opaque value"),
        }
    }

    /// The tensor, if it is one.
    pub fn tensor(&self) -> Option<&Tensor> {
        match self {
            Value::Tensor(t) => Some(t),
            _ => None,
        }
    }

    /// `f32[2,3]`, `sequence of 3`, `nothing`.
    pub fn describe(&self) -> String {
        match self {
            Value::Tensor(t) => describe(t),
            Value::Sequence(s) => format!("sequence of {}", s.len()),
            Value::Optional(None) => "nothing".into(),
            Value::Optional(Some(v)) => format!("optional {}", v.describe()),
        }
    }
}

/// `f32[2,3]`.
pub(crate) fn describe(t: &Tensor) -> String {
    let dims: Vec<String> = t.dims.iter().map(usize::to_string).collect();
    format!("{}[{}]", t.elem, dims.join(","))
}

fn tensor(t: &TensorProto) -> Result<Value> {
    Ok(Value::Tensor(module::tensor(t, &ExternalFiles::new(None))?))
}

fn sequence(s: &SequenceProto) -> Result<Value> {
    let values: Result<Vec<Value>> = match s.elem_type() {
        _ if s.tensor_values.is_empty() && s.sequence_values.is_empty() && s.optional_values.is_empty() => {
            Ok(Vec::new())
        }
        TENSOR => s.tensor_values.iter().map(tensor).collect(),
        SEQUENCE => s.sequence_values.iter().map(sequence).collect(),
        OPTIONAL => s.optional_values.iter().map(optional).collect(),
        other => bail!("a sequence of elements of kind {other}"),
    };
    Ok(Value::Sequence(values?))
}

fn optional(o: &OptionalProto) -> Result<Value> {
    let inner = match (&o.tensor_value, &o.sequence_value, &o.optional_value) {
        (Some(t), ..) => Some(tensor(t)?),
        (_, Some(s), _) => Some(sequence(s)?),
        (_, _, Some(o)) => Some(optional(o)?),
        _ => None,
    };
    Ok(Value::Optional(inner.map(Box::new)))
}
