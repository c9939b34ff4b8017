//! The command: exit codes, JSON, silence, what is written and that it is always the same.

mod common;
use common::*;
use secateur_ir::Module;
use serde_json::Value;

/// A desk with the small model and a fixture's path.
fn desk() -> (Desk, String) {
    let desk = Desk::new();
    desk.put("small.onnx", encode(small()));
    desk.put("x.npy", npy("<f4", &[4, 3, 8, 8], &bytes_of(&noise(4 * 3 * 64, 5))));
    (desk, fixture("fashion_resnet20.onnx").display().to_string())
}

fn dims(m: &Module, name: &str) -> Vec<usize> {
    m.graph.init(m.graph.find(name).unwrap()).unwrap().dims.clone()
}

/// Shapes of all convolution weights, by name, in the order of the nodes.
fn convolutions(m: &Module) -> Vec<(String, Vec<usize>)> {
    let g = &m.graph;
    let weights = g.nodes.iter().filter(|n| n.op() == "Conv").map(|n| n.input(1).unwrap());
    weights.map(|w| (g.value(w).name.clone(), g.init(w).unwrap().dims.clone())).collect()
}

#[test]
fn exit_codes() {
    let (desk, _) = desk();
    for (line, code) in [
        ("--version", 0),
        ("prune --help", 0),
        ("targets", 0),
        ("", 2),
        ("prunes", 2),
        ("prune small.onnx", 2),
        ("prune small.onnx -o p.onnx --macs 50% --no-such-option", 2),
        ("prune small.onnx -o p.onnx --macs 50% --criterion best", 2),
        ("targets toaster", 2),
        ("verify small.onnx small.onnx --data absent.npy", 2),
        ("verify small.onnx small.onnx --data x.npy --batch 0", 2),
        ("verify small.onnx small.onnx --data x.npy --min-fidelity nice", 2),
        ("verify small.onnx small.onnx --data x.npy --min-fidelity 99%", 0),
        ("prune small.onnx -o p.onnx --macs 50%", 0),
        ("verify small.onnx p.onnx --data x.npy --min-fidelity 200dB", 1),
        ("prune small.onnx -o q.onnx --macs 1%", 1),
        ("compile small.onnx --target rpi4 -o q --macs 1%", 1),
    ] {
        let run = desk.line(line);
        assert_eq!(run.code, code, "{line}\n{}{}", run.out, run.err);
        assert_eq!(run.err.is_empty(), code == 0, "{line}\n{}", run.err);
    }
    assert_eq!(names(&desk.path("")), ["out", "p.onnx", "small.onnx", "x.npy"]);
    // With --force the smallest model is written, and the code still says that the budget was missed.
    assert_eq!(desk.line("prune small.onnx -o q.onnx --macs 1% --force").code, 1);
    assert_eq!(dims(&secateur::open(&desk.path("q.onnx")).unwrap(), "w1"), [1, 3, 3, 3]);
    assert_eq!(desk.line("compile small.onnx --target rpi4 -o q --macs 1% --force").code, 1);
    let bundle = ["libsmall.a", "report.json", "small.h", "small.o", "small.onnx", "small.py", "small.rs"];
    assert_eq!(names(&desk.path("q")), bundle);
}

#[test]
fn json_on_every_command() {
    let (desk, _) = desk();
    let json = |line: &str| -> Value {
        let run = desk.done(&format!("{line} --json"));
        assert!(run.err.is_empty(), "{line}: {}", run.err);
        serde_json::from_str(&run.out).unwrap_or_else(|e| panic!("{line}: {e}\n{}", run.out))
    };
    let inspected = json("inspect small.onnx");
    assert_eq!(inspected["inputs"][0], serde_json::json!(["x", "f32[N,3,8,8]"]));
    assert_eq!(inspected["cost"]["macs"], 8 * 27 * 64 + 4 * 8 * 64);
    assert_eq!(inspected["groups"][0]["classes"], 8);
    let pruned = json("prune small.onnx -o out/p.onnx --macs 50%");
    assert_eq!(pruned["before"]["macs"], 15872);
    assert_eq!(pruned["after"]["macs"], 15872 / 2);
    assert_eq!(pruned["removed"], serde_json::json!([4, 8]));
    assert_eq!(pruned["layers"][0]["weight_after"], serde_json::json!([4, 3, 3, 3]));
    let compiled = json("compile small.onnx --target rpi4 -o out --macs 50% --round-to 1");
    assert_eq!(compiled["prune"], pruned);
    let report = std::fs::read_to_string(desk.path("out/report.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&report).unwrap(), compiled);
    let verified = json("verify small.onnx out/p.onnx --data x.npy");
    assert_eq!(verified["comparison"]["samples"], 4);
    assert_eq!(verified["inputs"][0]["shape"], serde_json::json!([4, 3, 8, 8]));
    assert!(json("targets").as_array().is_some_and(|t| t.len() >= 4));
    assert_eq!(json("targets rpi4")["name"], "rpi4");
}

#[test]
fn silence() {
    let (desk, _) = desk();
    for line in [
        "inspect small.onnx",
        "prune small.onnx -o out/p.onnx --macs 50%",
        "compile small.onnx --target rpi4 -o out",
        "verify small.onnx out/p.onnx --data x.npy",
        "targets",
    ] {
        assert!(!desk.done(line).out.is_empty(), "{line}");
        let run = desk.done(&format!("{line} -q"));
        assert_eq!((run.out.as_str(), run.err.as_str()), ("", ""), "{line}");
    }
    // What was asked for is printed all the same.
    assert!(desk.done("inspect small.onnx --ir -q").out.starts_with("graph small opset("));
}

#[test]
fn two_runs_write_the_same_bytes() {
    let (desk, resnet) = desk();
    let mobilenet = fixture("fashion_mobilenetv2_bn.onnx").display().to_string();
    for (i, (model, options)) in [
        (&resnet, "--macs 50%"),
        (&resnet, "--params 40% --criterion random --seed 7 --scope layer"),
        (&mobilenet, "--size 300kB --criterion fpgm"),
        (&mobilenet, "--macs 60% --params 60% --criterion bn-scale"),
    ]
    .into_iter()
    .enumerate()
    {
        let run = |name: &str| {
            let path = format!("{name}{i}.onnx");
            let run = desk.done(&format!("prune {model} -o {path} --masked m{path} {options}"));
            let read = |p: &str| std::fs::read(desk.path(p)).unwrap();
            (run.out, read(&path), read(&format!("m{path}")))
        };
        assert!(run("a") == run("b"), "{options}");
    }
    let seeds = [1, 2].map(|seed| {
        desk.done(&format!("prune {resnet} -o s{seed}.onnx --macs 50% --criterion random --seed {seed}"));
        std::fs::read(desk.path(&format!("s{seed}.onnx"))).unwrap()
    });
    assert!(seeds[0] != seeds[1]);
    let data = format!("--data {} --scale 1/255 --first 60", fixture("fashion_test_x.npy").display());
    let verified =
        [1, 2, 5].map(|n| desk.done(&format!("verify {resnet} a0.onnx {data} --threads {n} --json")).out);
    assert!(verified[0] == verified[1] && verified[0] == verified[2]);
}

#[test]
fn compile_writes_a_folder() {
    let (desk, resnet) = desk();
    let run = desk.done(&format!("compile {resnet} --target rpi4 -o new/deep --macs 50% --scale 1/255"));
    assert!(run.out.contains("wrote new/deep/fashion_resnet20.onnx"), "{}", run.out);
    let files = ["h", "o", "onnx", "py", "rs"].map(|e| format!("fashion_resnet20.{e}"));
    let more = ["libfashion_resnet20.a".to_owned(), "report.json".to_owned()];
    assert_eq!(names(&desk.path("new/deep")), [files.as_slice(), &more].concat());
    let report = std::fs::read_to_string(desk.path("new/deep/report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["target"], &report["model"]), (&"rpi4".into(), &"fashion_resnet20.onnx".into()));
    let layers = report["code"]["layers"].as_array().unwrap();
    assert!(
        layers.iter().all(|l| l["kernel"].is_string() && l["instructions"].as_u64().is_some_and(|n| n > 0))
    );
    let share = |k: &str| {
        report["prune"]["after"][k].as_f64().unwrap() / report["prune"]["before"][k].as_f64().unwrap()
    };
    assert!((0.45..=0.5).contains(&share("macs")), "{}", share("macs"));
    // The board prefers multiples of eight.
    for (name, d) in convolutions(&secateur::open(&desk.path("new/deep/fashion_resnet20.onnx")).unwrap()) {
        assert_eq!(d[0] % 8, 0, "{name}: {d:?}");
    }
    // Without a budget the model is written at its size.
    desk.done(&format!("compile {resnet} --target rpi-zero-2w -o whole --onnx-only"));
    assert_eq!(names(&desk.path("whole")), ["fashion_resnet20.onnx", "report.json"]);
    let whole = convolutions(&secateur::open(&desk.path("whole/fashion_resnet20.onnx")).unwrap());
    assert_eq!(whole, convolutions(&secateur::open(&fixture("fashion_resnet20.onnx")).unwrap()));
}

#[test]
fn the_model_itself_is_not_replaced() {
    let (desk, _) = desk();
    let before = std::fs::read(desk.path("small.onnx")).unwrap();
    for folder in [".", "out/..", &desk.path("").display().to_string()] {
        let run = desk.line(&format!("compile small.onnx --target rpi4 -o {folder}"));
        assert_eq!(run.code, 2, "{}", run.err);
        assert!(run.err.starts_with("error[L007]: the output would replace the model itself"), "{}", run.err);
    }
    assert_eq!(std::fs::read(desk.path("small.onnx")).unwrap(), before);
    assert_eq!(names(&desk.path("")), ["out", "small.onnx", "x.npy"]);
}

#[test]
fn verify_knows_the_accuracy() {
    let (desk, resnet) = desk();
    let [x, y] = ["fashion_test_x.npy", "fashion_test_y.npy"].map(|n| fixture(n).display().to_string());
    let line = format!(
        "verify {resnet} {} --data {x} --labels {y} --first 500 --scale 1/255 --mean 0.2860 --std 0.3530",
        fixture("fashion_resnet20_bn.onnx").display()
    );
    let json: Value =
        serde_json::from_str(&desk.done(&format!("{line} --json --min-fidelity 100dB")).out).unwrap();
    let top1 = &json["comparison"]["outputs"][0]["top1"];
    assert_eq!(top1["accuracy"]["reference_correct"], 469);
    assert_eq!(top1["accuracy"]["candidate_correct"], 469);
    assert_eq!(top1["agreeing"], 500);
    let text = desk.done(&line).out;
    let last = "logits: top-1 accuracy 0.9380 of the reference, 0.9380 of the candidate, on 500 samples\n";
    assert!(text.ends_with(last), "{text}");
    let run = desk.line(&format!("{line} --min-fidelity 300dB"));
    assert_eq!(run.code, 1);
    assert!(run.err.starts_with("error[X003]: the fidelity of output logits is "), "{}", run.err);
}

#[test]
fn selections_hold() {
    let (desk, resnet) = desk();
    let whole = convolutions(&secateur::open(&fixture("fashion_resnet20.onnx")).unwrap());
    let prune = |options: &str| {
        desk.done(&format!("prune {resnet} -o p.onnx {options}"));
        convolutions(&secateur::open(&desk.path("p.onnx")).unwrap())
    };
    let of = |list: &[(String, Vec<usize>)], name: &str| list.iter().find(|c| c.0 == name).unwrap().1.clone();
    // The first convolution of the second block: inside the residual, so that only its own channels move with it.
    let inner = &whole[1].0;
    assert!(of(&prune("--macs 50%"), inner)[0] < 16);
    assert_eq!(of(&prune(&format!("--macs 50% --pin {inner}.0")), inner)[0], 16);
    assert_eq!(of(&prune(&format!("--macs 50% --pin @{inner}.0")), inner)[0], 16);
    let skipped = prune(&format!("--macs 50% --skip {inner}"));
    assert_eq!(of(&skipped, inner)[0], 16);
    assert!(skipped.iter().zip(&whole).any(|(a, b)| a.1[0] < b.1[0]));
    // A pattern means the groups that a weight takes part in: those of its outputs and of its inputs.
    assert_eq!(of(&skipped, inner)[1], 16);
    let only = prune(&format!("--macs 80% --only {inner}"));
    assert!(of(&only, inner)[0] < 16 && of(&only, inner)[1] < 16);
    assert_eq!(only.iter().zip(&whole).filter(|(a, b)| a.1[0] < b.1[0]).count(), 5, "{only:?}");
    assert!(only.iter().all(|(_, d)| d[0] >= 32 || d[0] <= 16), "{only:?}");
    for n in [4, 8, 16] {
        for (name, d) in prune(&format!("--macs 60% --round-to {n}")) {
            assert!(d[0] % n == 0 && (d[1] % n == 0 || d[1] == 1), "{name}: {d:?} at multiples of {n}");
        }
    }
    for (name, d) in prune("--macs 50% --min-keep 11") {
        assert!(d[0] >= 11, "{name}: {d:?}");
    }
    let layered = prune("--macs 50% --scope layer");
    for ((name, d), (_, w)) in layered.iter().zip(&whole) {
        let share = d[0] as f64 / w[0] as f64;
        assert!((0.6..0.85).contains(&share), "{name}: {share}");
    }
}

#[test]
fn the_masked_model_computes_what_the_pruned_one_does() {
    let (desk, resnet) = desk();
    let x = fixture("fashion_test_x.npy").display().to_string();
    desk.done(&format!("prune {resnet} -o p.onnx --macs 40% --masked m.onnx"));
    let data = format!("--data {x} --first 100 --scale 1/255 --mean 0.286 --std 0.353");
    desk.done(&format!("verify m.onnx p.onnx {data} --min-fidelity 100dB"));
    assert_eq!(desk.line(&format!("verify {resnet} p.onnx {data} --min-fidelity 60dB")).code, 1);
    let sizes = |n: &str| convolutions(&secateur::open(&desk.path(n)).unwrap());
    assert_eq!(sizes("m.onnx"), convolutions(&secateur::open(&fixture("fashion_resnet20.onnx")).unwrap()));
    assert!(sizes("p.onnx") != sizes("m.onnx"));
}

/// A limit is of the file as it came, whatever simplification does to it before.
#[test]
fn every_limit_is_kept() {
    let (desk, _) = desk();
    for model in ["fashion_resnet20_bn", "fashion_mobilenetv2_bn", "fashion_shufflenet"] {
        let path = fixture(&format!("{model}.onnx")).display().to_string();
        for (limit, key) in [("macs", "macs"), ("params", "params"), ("size", "bytes")] {
            let run = desk.done(&format!("prune {path} -o p.onnx --{limit} 60% --json"));
            let json: Value = serde_json::from_str(&run.out).unwrap();
            let figure = |when: &str| json[when][key].as_f64().unwrap();
            let share = figure("after") / figure("before");
            assert!((0.5..=0.6).contains(&share), "{model}: {limit} {share}");
        }
    }
}
