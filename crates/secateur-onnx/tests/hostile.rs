//! Files that are damaged, foreign or built to do harm: an error with a place, never a panic.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{floats, model, raw};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use secateur_diag::Code;
use secateur_onnx::proto::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto, ValueInfoProto};
use secateur_onnx::{Model, for_each_tensor};

fn error(bytes: impl Into<prost::bytes::Bytes>) -> String {
    Model::from_bytes(bytes.into(), None).expect_err("should be refused").to_string()
}

fn small() -> ModelProto {
    model(vec![raw("a", &[2, 3], 1, floats(6))])
}

/// Does everything that reads the file.
fn exercise(bytes: &[u8]) -> Option<Code> {
    match Model::from_bytes(bytes.to_vec().into(), None) {
        Err(e) => Some(e.code),
        Ok(mut model) => {
            for_each_tensor(model.proto(), &mut |t| drop(model.tensor_bytes(t)));
            model.proto_mut();
            model.encode();
            None
        }
    }
}

#[test]
fn truncated_anywhere() {
    let whole = small().encode_to_vec();
    for len in 0..whole.len() {
        let code = exercise(&whole[..len]);
        assert!(matches!(code, Some(Code::L002 | Code::L003 | Code::L008)), "{len} bytes: {code:?}");
    }
    assert_eq!(exercise(&whole), None);
    insta::assert_snapshot!(error(whole[..whole.len() / 2].to_vec()), @r#"
    error[L002]: the bytes are not a whole ONNX protobuf
      reason 104 bytes are announced, 50 are left
      byte   9 of 60
      in     ModelProto.graph
    "#);
    insta::assert_snapshot!(error(vec![]), @r#"
    error[L002]: the file is empty
    "#);
}

#[test]
fn every_byte_changed() {
    let whole = small().encode_to_vec();
    for at in 0..whole.len() {
        for flip in [0x01, 0x02, 0x04, 0x08, 0x10, 0x40, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            exercise(&bytes);
        }
    }
}

#[test]
fn foreign_files() {
    insta::assert_snapshot!(error("PK\u{3}\u{4} this is a zip file"), @r#"
    error[L002]: the bytes are not a whole ONNX protobuf
      reason 3 is not the tag of a field
      byte   2 of 23
      in     ModelProto
    "#);
    insta::assert_snapshot!(error(vec![0x98, 0x06, 0x01]), @r#"
    error[L002]: the file is a protobuf, but not of an ONNX model
    "#);
    insta::assert_snapshot!(error(vec![0x12, 0x02, 0xff, 0xff]), @r#"
    error[L002]: the bytes are not an ONNX protobuf
      reason failed to decode Protobuf message: ModelProto.producer_name: invalid string value: data is not UTF-8 encoded
    "#);
    insta::assert_snapshot!(error(vec![0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]), @r#"
    error[L002]: the bytes are not a whole ONNX protobuf
      reason a number is longer than 64 bits
      byte   1 of 11
      in     ModelProto.ir_version
    "#);
}

#[test]
fn missing_parts_and_unknown_versions() {
    let with = |change: &dyn Fn(&mut ModelProto)| {
        let mut proto = small();
        change(&mut proto);
        error(proto.encode_to_vec())
    };
    let graph = |m: &mut ModelProto, f: &dyn Fn(&mut GraphProto)| f(m.graph.as_mut().unwrap());
    insta::assert_snapshot!(with(&|m| m.graph = None), @r#"
    error[L003]: the model has no graph
    "#);
    insta::assert_snapshot!(with(&|m| graph(m, &|g| g.node.clear())), @r#"
    error[L003]: the model's graph has no node
    "#);
    insta::assert_snapshot!(with(&|m| graph(m, &|g| g.output.clear())), @r#"
    error[L003]: the model's graph has no output
    "#);
    insta::assert_snapshot!(with(&|m| m.opset_import[0].version = Some(29)), @r#"
    error[L008]: opset 29 is not supported
      range  1 to 28
      help   convert the model with onnx.version_converter or export it again
    "#);
    insta::assert_snapshot!(with(&|m| m.opset_import.clear()), @r#"
    error[L008]: the model states no operator set
      range  1 to 28
      help   convert the model with onnx.version_converter or export it again
    "#);
    insta::assert_snapshot!(with(&|m| m.ir_version = Some(15)), @r#"
    error[L008]: IR version 15 is not supported
      range  1 to 14
      help   convert the model with onnx.version_converter or export it again
    "#);
    assert!(with(&|m| m.ir_version = None).contains("states no IR version"));
    assert!(with(&|m| m.opset_import[0].version = None).contains("opset 0 is not supported"));
    let domain =
        |name: &str, version| OperatorSetIdProto { domain: Some(name.into()), version: Some(version) };
    assert!(with(&|m| m.opset_import.push(domain("ai.onnx", -1))).contains("opset -1"));

    let mut proto = small();
    proto.opset_import.push(domain("com.example", 1000));
    assert_eq!(exercise(&proto.encode_to_vec()), None, "other domains are nobody's business");
}

#[test]
fn files_that_cannot_be_opened() {
    let dir = tempfile::tempdir().unwrap();
    let load = |name: &str| common::rendered(Model::load(&dir.path().join(name)), dir.path());
    insta::assert_snapshot!(load("missing.onnx"), @r#"
    error[L001]: the model cannot be read
      reason No such file or directory (os error 2)
      file   DIR/missing.onnx
    "#);
    insta::assert_snapshot!(load(""), @r#"
    error[L001]: the model cannot be read
      reason it is a folder
      file   DIR/
    "#);
    std::fs::write(dir.path().join("empty.onnx"), "").unwrap();
    insta::assert_snapshot!(load("empty.onnx"), @r#"
    error[L002]: the file is empty
      file   DIR/empty.onnx
    "#);
    assert!(Model::load(Path::new("")).is_err());
}

/// `depth` graphs, each in an attribute of the one around it.
fn nested(depth: usize) -> Vec<u8> {
    let mut inner = Vec::new();
    for _ in 0..depth {
        for field in [6, 5, 1] {
            let mut outer = Vec::new();
            encode_key(field, WireType::LengthDelimited, &mut outer);
            encode_varint(inner.len() as u64, &mut outer);
            outer.extend(&inner);
            inner = outer;
        }
    }
    let mut file = vec![0x08, 0x0a];
    encode_key(7, WireType::LengthDelimited, &mut file);
    encode_varint(inner.len() as u64, &mut file);
    file.extend(inner);
    file
}

#[test]
fn nesting_is_limited() {
    insta::assert_snapshot!(error(nested(2000)), @r#"
    error[G006]: messages are nested too deeply
      byte   386 of 18459
      in     ModelProto.graph.node.attribute.g.node.attribute.g (and 89 deeper)
    "#);
    assert!(!error(nested(30)).contains("G006"), "30 loops inside each other are allowed");
    // An unknown field of 100 groups inside each other.
    assert!(error([0x9b, 0x06].repeat(100)).contains("groups are nested too deeply"));
}

/// Two bytes a node, a hundred times as much once decoded.
#[test]
fn swarms_of_empty_messages_are_refused() {
    let graph = GraphProto {
        node: vec![NodeProto::default(); 3 << 20],
        output: vec![ValueInfoProto::default()],
        ..Default::default()
    };
    let proto = ModelProto { graph: Some(graph), ..small() };
    insta::assert_snapshot!(error(proto.encode_to_vec()), @r#"
    error[G006]: too many messages for the file's size
      byte   3670031 of 6291477
      in     ModelProto.graph.node
    "#);
}
