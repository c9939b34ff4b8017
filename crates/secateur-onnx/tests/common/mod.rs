//! A small model that uses a bit of everything, and helpers to damage it.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::path::Path;

use prost::bytes::Bytes;
use secateur_onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, ValueInfoProto, tensor_proto::DataLocation,
};
use secateur_onnx::{ExternalFiles, Extras, Model};

pub fn raw(name: &str, dims: &[i64], data_type: i32, bytes: impl Into<Bytes>) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        dims: dims.to_vec(),
        data_type: Some(data_type),
        raw_data: Some(bytes.into()),
        ..Default::default()
    }
}

pub fn external(name: &str, dims: &[i64], entries: &[(&str, &str)]) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        dims: dims.to_vec(),
        data_type: Some(1),
        data_location: Some(DataLocation::External as i32),
        external_data: entries
            .iter()
            .map(|(k, v)| StringStringEntryProto { key: Some((*k).into()), value: Some((*v).into()) })
            .collect(),
        ..Default::default()
    }
}

/// A model of one node that reads `initializers` and holds one tensor in an attribute.
pub fn model(initializers: Vec<TensorProto>) -> ModelProto {
    let inputs = initializers.iter().map(|t| t.name().to_owned()).collect();
    let attribute = AttributeProto {
        name: Some("value".into()),
        r#type: Some(4),
        t: Some(raw("inner", &[2], 2, vec![1, 2])),
        ..Default::default()
    };
    let node = NodeProto {
        input: inputs,
        output: vec!["y".into()],
        op_type: Some("Mystery".into()),
        domain: Some("com.example".into()),
        attribute: vec![attribute],
        ..Default::default()
    };
    let output = ValueInfoProto { name: Some("y".into()), ..Default::default() };
    ModelProto {
        ir_version: Some(10),
        producer_name: Some("test".into()),
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(17) }],
        graph: Some(GraphProto {
            name: Some("g".into()),
            node: vec![node],
            initializer: initializers,
            output: vec![output],
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub fn parts(proto: ModelProto, dir: Option<&Path>) -> Model {
    Model::from_parts(proto, Extras::default(), ExternalFiles::new(dir))
}

pub fn floats(n: usize) -> Vec<u8> {
    (0..n).flat_map(|i| (i as f32).to_le_bytes()).collect()
}

pub fn initializer(model: &Model, i: usize) -> &TensorProto {
    &model.proto().graph.as_ref().unwrap().initializer[i]
}

/// The rendered error, with temporary folders' names taken out.
pub fn rendered<T>(result: secateur_diag::Result<T>, dir: &Path) -> String {
    let error = result.err().expect("should be refused").to_string();
    error.replace(&dir.display().to_string(), "DIR")
}
