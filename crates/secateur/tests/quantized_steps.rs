//! The integers inside of quantized models, as `verify` computes them and as onnxruntime does, its optimizer off: equal up
//! to one step on 999 of 1000 elements.
//!
//! It needs a Python with what `xtask/py/requirements.txt` lists, named by `SECATEUR_PYTHON`; `cargo xtask test` sets it.
//! Without the variable the test says so and looks at nothing.

use std::path::Path;
use std::process::Command;

use secateur_data::{InputSet, Recipe, parse_data_args};
use secateur_ir::{Module, ValueId};
use secateur_oracle::Oracle as Executor;
use secateur_quant::{Calibration, Options};
use secateur_run::Engine;
use secateur_tensor::Tensor;
use serde_json::Value;

const SAMPLES: usize = 32;

fn fixture(name: &str) -> String {
    format!("{}/../../fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn data(executor: &Executor, name: &str) -> InputSet {
    let recipe = Recipe::parse("scale = \"1/255\"\nmean = 0.2860\nstd = 0.3530").unwrap();
    InputSet::open(&parse_data_args(&[fixture(name)]).unwrap(), executor.inputs(), &recipe).unwrap()
}

#[test]
fn integers_inside_are_those_of_onnxruntime() {
    let Some(python) = std::env::var_os("SECATEUR_PYTHON") else {
        println!("SECATEUR_PYTHON is not set: nothing is compared; run cargo xtask test");
        return;
    };
    for name in ["fashion_resnet20", "fashion_mobilenetv2", "fashion_shufflenet", "fashion_transformer"] {
        let path = fixture(&format!("{name}.onnx"));
        let float = Executor::from_path(Path::new(&path)).unwrap();
        let calib = data(&float, "fashion_calib_x.npy");
        let options = Options::default();
        let calibration = Calibration { data: &calib, batch: 32, threads: 2 };
        let module = secateur::open(Path::new(&path)).unwrap();
        let (model, _, _) =
            secateur::quantize(module, &options, false, Some(&calibration), &mut || ()).unwrap();
        let mut graph = Module::import(model).unwrap().graph;
        let inside: Vec<ValueId> =
            graph.nodes.iter().filter(|n| n.is("QuantizeLinear")).map(|n| n.output(0).unwrap()).collect();
        assert!(inside.len() > 15, "{name}: {}", inside.len());
        graph.outputs = inside;
        let (model, _) = Module::from_graph(graph).export();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("m.onnx");
        std::fs::write(&file, model.encode()).unwrap();
        let (_, x) = data(&float, "fashion_test_x.npy").batch(0..SAMPLES).unwrap().remove(0);
        let bytes: Vec<u8> = x.slice::<f32>().unwrap().iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(dir.path().join("x.bin"), bytes).unwrap();
        let executor = Executor::from_path(&file).unwrap();
        let input = executor.inputs()[0].name.clone();
        let ours: Vec<(String, Tensor)> = executor.run(&[(&input, x)]).unwrap();
        for (n, (_, t)) in ours.iter().enumerate() {
            let bytes: Vec<u8> =
                t.to_f64().unwrap_or_default().iter().flat_map(|v| (*v as i32).to_le_bytes()).collect();
            std::fs::write(dir.path().join(format!("{n}.bin")), bytes).unwrap();
        }
        let mut c = Command::new(&python);
        c.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/py/steps.py"));
        let said = c.arg(&file).arg(dir.path().join("x.bin")).arg(dir.path()).output().unwrap();
        assert!(said.status.success(), "{name}: {}", String::from_utf8_lossy(&said.stderr));
        let found: Value = serde_json::from_slice(&said.stdout).unwrap();
        println!("{name}: {found}");
        let count = |k: &str| found[k].as_u64().unwrap();
        assert!(count("elements") > 100_000, "{name}: {found}");
        assert!(1000 * count("beyond") <= count("elements"), "{name}: {found}");
        assert!(10 * count("same") >= 9 * count("elements"), "{name}: {found}");
    }
}
