//! Pruning with calibration data, through the command: what it brings, that it is always the same, and what it says
//! of data that will not do.

mod common;
use common::*;
use secateur_ir::Module;
use serde_json::Value;

const PREPARED: &str = "--scale 1/255 --mean 0.2860 --std 0.3530";

/// A desk with 48 calibration images and a fixture's path.
fn desk() -> (Desk, String) {
    let desk = Desk::new();
    let file = std::fs::read(fixture("fashion_calib_x.npy")).unwrap();
    let data = &file[file.len() - 512 * 784..];
    desk.put("x.npy", npy("|u1", &[48, 1, 28, 28], &data[..48 * 784]));
    (desk, fixture("fashion_mobilenetv2.onnx").display().to_string())
}

fn weights(m: &Module) -> Vec<f32> {
    let g = &m.graph;
    g.value_ids().filter_map(|v| g.init(v)?.to_f32()).flatten().collect()
}

#[test]
fn compensation_and_sensitivity_lower_the_error() {
    let (desk, model) = desk();
    let error = |more: &str| -> f64 {
        let line = format!(
            "prune {model} -o out/p.onnx --macs 50% --calib x.npy {PREPARED} --no-cache --steps 1 --json {more}"
        );
        let report: Value = serde_json::from_str(&desk.done(&line).out).unwrap();
        let (before, after) = (&report["before"]["macs"], &report["after"]["macs"]);
        assert!(after.as_f64().unwrap() <= 0.5 * before.as_f64().unwrap());
        assert_eq!(report["calibrated"]["samples"], 48);
        assert!(weights(&secateur::open(&desk.path("out/p.onnx")).unwrap()).iter().all(|w| w.is_finite()));
        report["calibrated"]["output_error"].as_f64().unwrap()
    };
    let full = error("");
    let repaired = error("--without compensation");
    let plain = error("--without compensation,repair");
    let weights = error("--criterion l2 --scope global --without compensation,repair");
    assert!(full < 0.5 * repaired, "full {full}, repaired {repaired}");
    assert!(repaired < plain, "repaired {repaired}, plain {plain}");
    assert!(plain < weights, "plain {plain}, by weights alone {weights}");
}

#[test]
fn the_result_is_the_same_at_any_thread_count_and_from_the_cache() {
    let (desk, model) = desk();
    let run = |out: &str, more: &str| {
        let line =
            format!("prune {model} -o out/{out}.onnx --macs 40% --calib x.npy {PREPARED} --steps 2 {more}");
        desk.done(&format!("{line} --sparsity 50% --pattern 4x1"));
        std::fs::read(desk.path(&format!("out/{out}.onnx"))).unwrap()
    };
    let one = run("one", "--calib-threads 1 --cache kept");
    assert!(names(&desk.path("kept")).iter().all(|n| n.starts_with("curves-") && n.ends_with(".json")));
    assert_eq!(names(&desk.path("kept")).len(), 2, "one a step");
    assert!(one == run("two", "--calib-threads 2 --no-cache"), "threads");
    assert!(one == run("kept", "--cache kept"), "cache");
    // A damaged cache is not believed.
    for name in names(&desk.path("kept")) {
        std::fs::write(desk.path("kept").join(name), "[{\"group\":0").unwrap();
    }
    assert!(one == run("damaged", "--cache kept"), "damaged cache");
}

/// The time holds as the compiler counts it. A time that zeros cannot reach is refused.
#[test]
fn zeros_bring_the_time_down_to_a_limit() {
    let (desk, model) = desk();
    let prune = |name: &str, more: &str| {
        let options = "--target rpi4 --no-cache --json --without reconstruction";
        desk.line(&format!("prune {model} -o out/{name}.onnx --calib x.npy {PREPARED} {options} {more}"))
    };
    let run = |name: &str, more: &str| -> Value {
        let run = prune(name, more);
        assert_eq!(run.code, 0, "{}", run.err);
        let report: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!(report["removed"][0], 0);
        report
    };
    let kept = |r: &Value| {
        let cycles = |when: &str| r["latency"][when].as_f64().unwrap();
        cycles("cycles_after") / cycles("cycles_before")
    };
    let zeros = |r: &Value| r["calibrated"]["zeros"].as_f64().unwrap();
    let compiled = |name: &str| {
        desk.done(&format!("compile out/{name}.onnx --target rpi4 -o out/{name}"));
        let report = std::fs::read_to_string(desk.path(&format!("out/{name}/report.json"))).unwrap();
        let report: Value = serde_json::from_str(&report).unwrap();
        report["code"]["instructions"].as_u64().unwrap()
    };
    let timed = run("timed", "--sparse-latency 70%");
    assert!((0.66..=0.7).contains(&kept(&timed)), "{}", kept(&timed));
    // As many zeros without regard to time save less of it.
    run("even", &format!("--sparsity {}", zeros(&timed)));
    let (with, without) = (compiled("timed"), compiled("even"));
    assert!(with < without, "{with} instructions, {without} where time is not looked at");
    let refused = prune("refused", "--sparse-latency 5%");
    assert!(refused.code == 1 && refused.err.contains("P001"), "{}", refused.err);
    assert!(refused.err.contains("nothing but zeros takes"), "{}", refused.err);
    assert!(!desk.path("out/refused.onnx").exists());
}

#[test]
fn zeros_are_counted_over_all_weights() {
    let (desk, model) = desk();
    let line =
        format!("prune {model} -o out/p.onnx --calib x.npy {PREPARED} --sparsity 70% --no-cache --json");
    let report: Value = serde_json::from_str(&desk.done(&line).out).unwrap();
    let zeros = report["calibrated"]["zeros"].as_f64().unwrap();
    assert!((zeros - 0.7).abs() < 0.005, "{zeros}");
    assert_eq!(report["removed"][0], 0);
}

#[test]
fn sensitivity_is_printed() {
    let (desk, model) = desk();
    let run = desk.done(&format!("inspect {model} --sensitivity --calib x.npy {PREPARED} --no-cache"));
    assert!(run.out.trim_start().starts_with("group"), "{}", run.out);
    let json =
        desk.done(&format!("inspect {model} --sensitivity --calib x.npy {PREPARED} --no-cache --json"));
    let curves: Vec<Value> = serde_json::from_str(&json.out).unwrap();
    assert_eq!(run.out.lines().count(), curves.len() + 2);
    for c in &curves {
        assert!(c["measured"].as_array().is_some_and(|m| !m.is_empty()), "{c}");
    }
}

#[test]
fn data_that_will_not_do() {
    let (desk, model) = desk();
    let mut bad = vec![0.5f32; 4 * 784];
    bad[1000] = f32::NAN;
    desk.put("nan.npy", npy("<f4", &[4, 1, 28, 28], &bytes_of(&bad)));
    desk.put("shape.npy", npy("|u1", &[4, 3, 28, 28], &[7; 4 * 3 * 784]));
    desk.put("text.npy", "no array");
    let refused = |line: &str| desk.refused(2, &format!("prune {model} -o out/p.onnx {line}"));
    for (line, code) in [
        ("--macs 50% --calib nan.npy", "D004"),
        ("--macs 50% --calib shape.npy", "D002"),
        ("--macs 50% --calib text.npy", "D001"),
        ("--macs 50% --calib absent.npy", "D001"),
        ("--macs 50% --criterion obs", "P005"),
        ("--macs 50% --scope sensitivity", "P005"),
        ("--calib x.npy --sparsity 130%", "P005"),
        ("--calib x.npy --sparsity 20% --pattern 2:4", "P005"),
        ("--calib x.npy --sparsity 60% --pattern 4y1", "P005"),
        ("--calib x.npy --pattern 4x1 --macs 50%", "P005"),
        ("--calib x.npy --sparse-latency 50%", "P005"),
        ("--calib x.npy --sparse-latency 50% --target rpi4 --scope layer", "P005"),
        ("--calib x.npy --sparse-latency 5furlongs --target rpi4", "P005"),
        ("--calib x.npy", "P005"),
    ] {
        let error = refused(line);
        assert!(error.contains(code), "{line}: {error}");
    }
    assert!(
        desk.refused(1, &format!("prune {model} -o out/p.onnx --macs 0.1k --calib x.npy")).contains("P001")
    );
}

#[test]
fn poor_data_end_in_finite_weights_and_a_warning() {
    let (desk, model) = desk();
    desk.put("one.npy", npy("|u1", &[1, 1, 28, 28], &[9; 784]));
    desk.put("same.npy", npy("|u1", &[20, 1, 28, 28], &[200; 20 * 784]));
    for data in ["one.npy", "same.npy"] {
        let run = desk
            .line(&format!("prune {model} -o out/p.onnx --macs 60% --calib {data} {PREPARED} --no-cache"));
        assert_eq!(run.code, 0, "{data}: {}", run.err);
        assert!(run.err.contains("D005"), "{data}: {}", run.err);
        assert!(
            weights(&secateur::open(&desk.path("out/p.onnx")).unwrap()).iter().all(|w| w.is_finite()),
            "{data}"
        );
    }
}
