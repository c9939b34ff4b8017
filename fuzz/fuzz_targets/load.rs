//! Any bytes as a model: loading must not panic, and what loads must survive being written again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use secateur_onnx::{Model, for_each_tensor};

fuzz_target!(|data: &[u8]| {
    let Ok(mut model) = Model::from_bytes(Bytes::copy_from_slice(data), None) else { return };
    assert_eq!(model.encode(), data, "an unchanged model is written as it was read");
    for_each_tensor(model.proto(), &mut |t| _ = model.tensor_bytes(t));
    model.proto_mut(); // from here on the model counts as changed and is encoded anew
    let written = model.encode();
    let mut again = Model::from_bytes(written.clone(), None).expect("a written model can be read");
    again.proto_mut();
    assert_eq!(again.encode(), written, "writing is stable");
});
