//! Fixtures quantized through the command.

use serde_json::Value;

use super::{Desk, fixture, npy};

/// How the images are prepared.
pub const PREPARED: &str = "--scale 1/255 --mean 0.2860 --std 0.3530";
/// Rounding without many passes over the samples.
pub const QUICK: &str = "--rounding feedback";

/// A desk with 64 calibration images, 200 others, and a fixture's path.
pub fn desk(model: &str) -> (Desk, String) {
    let desk = Desk::new();
    for (name, file, count) in [("x.npy", "fashion_calib_x.npy", 64), ("t.npy", "fashion_test_x.npy", 200)] {
        let bytes = std::fs::read(fixture(file)).unwrap();
        let all = if count == 64 { 512 } else { 4000 };
        let data = &bytes[bytes.len() - all * 784..];
        desk.put(name, npy("|u1", &[count, 1, 28, 28], &data[..count * 784]));
    }
    (desk, fixture(model).display().to_string())
}

/// Quantizes; gives the file's size.
pub fn quantize(desk: &Desk, model: &str, out: &str, more: &str) -> usize {
    desk.done(&format!("quantize {model} -o out/{out}.onnx --calib x.npy {PREPARED} {more}"));
    std::fs::metadata(desk.path(&format!("out/{out}.onnx"))).unwrap().len() as usize
}

/// Share of the test samples on which a model agrees with the original.
pub fn agreement(desk: &Desk, model: &str, out: &str) -> f64 {
    let line = format!("verify {model} out/{out}.onnx --data t.npy {PREPARED} --json");
    let report: Value = serde_json::from_str(&desk.done(&line).out).unwrap();
    report["comparison"]["outputs"][0]["top1"]["agreement"].as_f64().unwrap()
}

/// Squared error of a model's outputs on the test samples, a share of the original's power.
pub fn error(desk: &Desk, model: &str, out: &str, prepared: &str) -> f64 {
    let line = format!("verify {model} out/{out}.onnx --data t.npy {prepared} --json");
    let report: Value = serde_json::from_str(&desk.done(&line).out).unwrap();
    10f64.powf(-report["comparison"]["outputs"][0]["sqnr_db"].as_f64().unwrap() / 10.0)
}
