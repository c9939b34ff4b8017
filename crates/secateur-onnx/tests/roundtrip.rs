//! What is loaded is written back: fixtures byte for byte, unknown fields at every depth.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::path::PathBuf;

use common::{floats, model, parts, raw};
use prost::Message;
use prost::bytes::Bytes;
use secateur_onnx::{ExternalOut, Extras, Model, encode_with_extras, field, for_each_tensor};

/// Every fixture, through the source and through the encoder.
#[test]
fn fixtures_come_back_byte_for_byte() {
    let folder = std::env::var_os("SECATEUR_FIXTURES")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures")), PathBuf::from);
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let out = tempfile::tempdir().unwrap();
    for path in entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "onnx")) {
        let source = std::fs::read(&path).unwrap();
        let mut model = Model::load(&path).unwrap();
        assert!(model.extras().is_empty(), "{path:?} has unknown fields");
        for_each_tensor(model.proto(), &mut |t| {
            if t.data_type() != 8 {
                model.tensor_bytes(t).unwrap_or_else(|e| panic!("{path:?}: {e}"));
            }
        });
        let saved = out.path().join("untouched.onnx");
        model.save(&saved, &ExternalOut::Keep).unwrap();
        assert!(std::fs::read(&saved).unwrap() == source, "{path:?} changed on its way through");

        model.proto_mut();
        assert!(model.source().is_none());
        assert!(model.encode() == source, "{path:?} is encoded differently");
        model.save(&saved, &ExternalOut::Keep).unwrap();
        assert!(std::fs::read(&saved).unwrap() == source, "{path:?} is written differently");
    }
}

/// Field 1000 + `n`, a string.
fn unknown(n: u8) -> Bytes {
    let mut out = Vec::new();
    prost::encoding::encode_key(1000 + u32::from(n), prost::encoding::WireType::LengthDelimited, &mut out);
    out.extend_from_slice(&[3, b'x', b'y', n]);
    out.into()
}

fn own(n: u8) -> Extras {
    let mut extras = Extras::default();
    extras.push_own(unknown(n));
    extras
}

/// Unknown fields of the model, its graph, a node, an attribute, the attribute's tensor, and the
/// second initializer.
fn everywhere() -> Extras {
    let mut attribute = own(4);
    attribute.set_child(field::attribute_proto::T, 0, own(5));
    let mut node = own(3);
    node.set_child(field::node_proto::ATTRIBUTE, 0, attribute);
    let mut graph = own(2);
    graph.set_child(field::graph_proto::NODE, 0, node);
    graph.set_child(field::graph_proto::INITIALIZER, 1, own(6));
    let mut extras = own(1);
    extras.set_child(field::model_proto::GRAPH, 0, graph);
    extras
}

fn two_tensors() -> secateur_onnx::proto::ModelProto {
    model(vec![raw("a", &[2000], 1, floats(2000)), raw("b", &[2000], 1, floats(2000))])
}

#[test]
fn unknown_fields_survive_a_change() {
    let file = Bytes::from(encode_with_extras(&two_tensors(), &everywhere()));
    let mut loaded = Model::from_bytes(file.clone(), None).unwrap();
    assert_eq!(*loaded.extras(), everywhere());
    assert_eq!(loaded.encode(), file);

    loaded.proto_mut().producer_name = Some("somebody else, with a longer name".into());
    loaded.proto_mut().graph.as_mut().unwrap().node[0].name = Some("renamed".into());
    let again = Model::from_bytes(loaded.encode(), None).unwrap();
    assert_eq!(*again.extras(), everywhere());
    assert_eq!(again.proto(), loaded.proto());

    // Once more without unknown fields: the rest is what it was.
    *loaded.extras_mut() = Extras::default();
    assert_eq!(loaded.encode(), loaded.proto().encode_to_vec());
}

#[test]
fn unknown_fields_move_with_their_node() {
    let mut proto = two_tensors();
    let mut extras = everywhere();
    let graph = proto.graph.as_mut().unwrap();
    graph.node.insert(0, Default::default());
    let mut graph_extras = extras.take_child(field::model_proto::GRAPH, 0);
    let node = graph_extras.take_child(field::graph_proto::NODE, 0);
    assert!(graph_extras.child(field::graph_proto::NODE, 0).is_none());
    graph_extras.set_child(field::graph_proto::NODE, 1, node.clone());
    extras.set_child(field::model_proto::GRAPH, 0, graph_extras);

    let loaded = Model::from_bytes(encode_with_extras(&proto, &extras).into(), None).unwrap();
    assert_eq!(*loaded.extras(), extras);
    let graph_extras = loaded.extras().child(field::model_proto::GRAPH, 0).unwrap();
    assert_eq!(graph_extras.child(field::graph_proto::NODE, 1), Some(&node));
}

/// Unknown fields of every wire type, between known ones and in groups.
#[test]
fn every_wire_type_is_kept() {
    let mut file = Vec::new();
    let number = 999u32;
    let key =
        |wire: u32, out: &mut Vec<u8>| prost::encoding::encode_varint(u64::from(number << 3 | wire), out);
    key(0, &mut file);
    file.extend([0x96, 0x01]);
    file.extend(two_tensors().encode_to_vec());
    key(1, &mut file);
    file.extend([1; 8]);
    key(5, &mut file);
    file.extend([2; 4]);
    key(3, &mut file);
    key(0, &mut file);
    file.push(7);
    key(4, &mut file);

    let mut model = Model::from_bytes(file.clone().into(), None).unwrap();
    assert_eq!(model.encode(), file, "unchanged, even with a field out of order");
    model.proto_mut();
    let kept: usize = model.extras().own().iter().map(Bytes::len).sum();
    assert_eq!(model.encode().len(), file.len());
    assert_eq!(kept, file.len() - two_tensors().encoded_len());
}

/// A graph given in two pieces is one graph.
#[test]
fn pieces_of_a_message_are_merged() {
    let whole = encode_with_extras(&two_tensors(), &everywhere());
    let mut tail = Vec::new();
    prost::encoding::encode_key(7, prost::encoding::WireType::LengthDelimited, &mut tail);
    prost::encoding::encode_varint(unknown(9).len() as u64, &mut tail);
    tail.extend(unknown(9));
    let model = Model::from_bytes([whole, tail].concat().into(), None).unwrap();
    let graph = model.extras().child(field::model_proto::GRAPH, 0).unwrap();
    assert_eq!(graph.own(), [unknown(2), unknown(9)]);
}

#[test]
fn large_tensors_are_not_copied() {
    let file: Bytes = two_tensors().encode_to_vec().into();
    let model = Model::from_bytes(file.clone(), None).unwrap();
    let bytes = model.tensor_bytes(common::initializer(&model, 0)).unwrap();
    assert!(file.as_ptr_range().contains(&bytes.as_ptr()));
}

#[test]
fn a_built_model_can_be_saved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.onnx");
    parts(two_tensors(), None).save(&path, &ExternalOut::Keep).unwrap();
    assert_eq!(Model::load(&path).unwrap().proto(), &two_tensors());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
