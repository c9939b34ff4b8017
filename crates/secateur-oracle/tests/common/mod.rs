//! Small `.npy` files and ONNX models, made on the spot.
#![allow(dead_code, reason = "each test file uses some of it")]

use prost::Message;
use secateur_data::*;
use std::path::PathBuf;
use tract_onnx::pb::{self, type_proto::Value as TypeValue};
use tract_onnx::pb::{tensor_shape_proto::Dimension, tensor_shape_proto::dimension::Value as DimValue};

/// A version 1.0 file with this header text and these bytes of data.
pub fn npy_raw(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16 + 1).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.push(b'\n');
    bytes.extend(data);
    bytes
}

/// `npy("<f4", "(2, 3)", ..)`
pub fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    npy_raw(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"), data)
}

pub fn npy_file(descr: &str, shape: &str, data: &[u8]) -> NpyFile {
    NpyFile::from_bytes("x.npy", npy(descr, shape, data)).unwrap()
}

pub fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The named file in the workspace's `fixtures` folder.
pub fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "fixtures", name].iter().collect()
}

/// A declared value; a dimension of -1 is the symbol `N`.
pub fn value(name: &str, elem_type: i32, dims: &[i64]) -> pb::ValueInfoProto {
    let dim = |&n: &i64| Dimension {
        value: Some(if n < 0 { DimValue::DimParam("N".into()) } else { DimValue::DimValue(n) }),
        ..Default::default()
    };
    let shape = Some(pb::TensorShapeProto { dim: dims.iter().map(dim).collect() });
    let tensor = pb::type_proto::Tensor { elem_type, shape };
    let r#type = Some(pb::TypeProto { value: Some(TypeValue::TensorType(tensor)), ..Default::default() });
    pb::ValueInfoProto { name: name.into(), r#type, ..Default::default() }
}

pub fn node(op: &str, domain: &str, inputs: &[&str], outputs: &[&str]) -> pb::NodeProto {
    let own = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
    pb::NodeProto {
        op_type: op.into(),
        domain: domain.into(),
        name: format!("{}_{op}", outputs.first().unwrap_or(&"none")),
        input: own(inputs),
        output: own(outputs),
        ..Default::default()
    }
}

/// The bytes of an opset 17 model.
pub fn model(
    inputs: Vec<pb::ValueInfoProto>,
    nodes: Vec<pb::NodeProto>,
    outputs: Vec<pb::ValueInfoProto>,
) -> Vec<u8> {
    let graph = pb::GraphProto {
        name: "g".into(),
        input: inputs,
        node: nodes,
        output: outputs,
        ..Default::default()
    };
    let opset = pb::OperatorSetIdProto { domain: String::new(), version: 17 };
    pb::ModelProto { ir_version: 8, graph: Some(graph), opset_import: vec![opset], ..Default::default() }
        .encode_to_vec()
}

pub const F32: i32 = 1;
pub const I32: i32 = 6;
pub const I64: i32 = 7;
