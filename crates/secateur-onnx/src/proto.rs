//! The messages of `proto/onnx-ml.proto`, generated at build time.
//!
//! `bytes` fields are [`bytes::Bytes`]: decoded from a mapped file they point into it. Field comments
//! are in the `.proto` file itself.
#![allow(missing_docs, clippy::all, clippy::pedantic)]

include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
