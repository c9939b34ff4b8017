//! Compiling, linking and running bundles under the emulator, with onnxruntime's results to compare.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::path::{Path, PathBuf};
use std::process::Command;

use secateur_codegen::Port;
use secateur_codegen::bundle::{self, Bundle, Options};
use secateur_codegen::divide::Cores;
use secateur_diag::Result;
use secateur_ir::{ElemType, Module, parse};
use secateur_neon::Core;
use secateur_qemu::Counts;

/// The named file in the workspace's `fixtures` folder.
pub fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "fixtures", name].iter().collect()
}

/// Sizes that a fixture needs, small where the network allows it.
pub fn dims(name: &str) -> &'static [(&'static str, usize)] {
    match name {
        "ppocr_cls_v2" => &[("x.2", 48), ("x.3", 192)],
        "ppocr_det_v4" => &[("p2o.DynamicDimension.1", 64), ("p2o.DynamicDimension.2", 96)],
        _ => &[],
    }
}

/// All fixtures by name.
pub const FIXTURES: &[&str] = &[
    "fashion_gru",
    "fashion_mobilenetv2",
    "fashion_mobilenetv2_bn",
    "fashion_resnet20",
    "fashion_resnet20_bn",
    "fashion_shufflenet",
    "fashion_shufflenet_bn",
    "fashion_transformer",
    "magika_v3_3",
    "ppocr_cls_v2",
    "ppocr_det_v4",
];

pub fn options(core: Core, dims: &[(&str, usize)]) -> Options {
    Options {
        name: "m".into(),
        target: "test".into(),
        core,
        dims: dims.iter().map(|(n, k)| ((*n).to_owned(), *k)).collect(),
        code_budget: bundle::CODE_BUDGET,
        compact: false,
        cores: Cores::of(1),
    }
}

pub fn load(path: &Path) -> Module {
    secateur_onnx::Model::load(path).and_then(Module::import).unwrap_or_else(|e| panic!("{e}"))
}

/// A graph in the printed form, compiled.
pub fn compile_text(text: &str, dims: &[(&str, usize)]) -> Result<Bundle> {
    let graph = parse::graph(text).unwrap_or_else(|e| panic!("{e}"));
    bundle::compile(&graph, &options(Core::A72, dims))
}

/// A bundle as a program that the emulator can run.
pub struct Linked {
    pub dir: tempfile::TempDir,
    pub core: Core,
    pub workspace: usize,
}

fn done(command: &mut Command) -> String {
    let output =
        command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; run cargo xtask setup --cross"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}\n{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

pub fn link(bundle: &Bundle, core: Core) -> Linked {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in &bundle.files {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/driver.c");
    let mut gcc = Command::new("aarch64-linux-gnu-gcc");
    gcc.args(["-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o"])
        .arg(dir.path().join("driver"))
        .arg(driver);
    done(gcc.arg(dir.path().join("libm.a")).arg("-lpthread"));
    Linked { dir, core, workspace: bundle.report.workspace_bytes }
}

/// Bytes of one sample of each input and output.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct Sizes {
    pub inputs: Vec<usize>,
    pub outputs: Vec<usize>,
}

fn list(sizes: &[usize]) -> String {
    sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl Linked {
    /// What onnxruntime makes of random inputs, which are left in the folder. `None` without a Python to ask.
    pub fn expect(&self, model: &Path, batch: usize, dims: &[(&str, usize)]) -> Option<(Sizes, Vec<u8>)> {
        let Some(python) = std::env::var_os("SECATEUR_PYTHON") else {
            println!("SECATEUR_PYTHON is not set: nothing is compared; run cargo xtask test");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/py/outputs.py");
        let mut c = Command::new(python);
        c.arg(script).arg("make").arg(model).arg(self.dir.path()).args(["--samples", &batch.to_string()]);
        let text = done(c.args(dims.iter().map(|(n, k)| format!("--dim={n}={k}"))));
        let expected = std::fs::read(self.dir.path().join("expected.bin")).unwrap();
        Some((serde_json::from_str(&text).unwrap(), expected))
    }

    /// Writes the inputs of the next runs.
    pub fn put(&self, inputs: &[Vec<f32>]) {
        for (i, x) in inputs.iter().enumerate() {
            let bytes: Vec<u8> = x.iter().flat_map(|v| v.to_le_bytes()).collect();
            std::fs::write(self.dir.path().join(format!("in{i}.bin")), bytes).unwrap();
        }
    }

    /// The first sample of an input, as `f32`.
    pub fn sample(&self, i: usize, port: &Port) -> Vec<f32> {
        let bytes = std::fs::read(self.dir.path().join(format!("in{i}.bin"))).unwrap();
        let n = port.dims.iter().product();
        match port.elem {
            ElemType::I32 => bytes
                .chunks_exact(4)
                .take(n)
                .map(|c| i32::from_le_bytes(c.try_into().unwrap()) as f32)
                .collect(),
            _ => floats(&bytes).into_iter().take(n).collect(),
        }
    }

    /// Runs the driver; its output, the bytes of the results, and what one sample executed where that is counted.
    pub fn run(
        &self,
        mode: &str,
        batch: usize,
        sizes: &Sizes,
        count: bool,
    ) -> (String, Vec<u8>, Option<Counts>) {
        let file = |n: &str| self.dir.path().join(n);
        let mut c = Command::new("qemu-aarch64");
        c.args(["-cpu", self.core.name()]);
        let counts = file("counts");
        if count {
            let plugin = secateur_qemu::plugin().unwrap_or_else(|e| panic!("{e}"));
            c.arg("-plugin").arg(format!("{},out={}", plugin.display(), counts.display()));
        }
        c.arg(file("driver")).args([mode, &batch.to_string(), &self.workspace.to_string()]);
        c.args([list(&sizes.inputs), list(&sizes.outputs)]).arg(file("out.bin"));
        c.args((0..sizes.inputs.len()).map(|i| file(&format!("in{i}.bin"))));
        let text = done(&mut c);
        let out = std::fs::read(file("out.bin")).unwrap_or_default();
        let counted = count.then(|| {
            let text = std::fs::read_to_string(&counts).unwrap();
            let regions = text.lines().filter_map(Counts::parse).filter(|(name, _)| name == "region");
            regions.map(|(_, c)| c).next_back().expect("a region")
        });
        (text, out, counted)
    }
}

fn floats(b: &[u8]) -> Vec<f32> {
    b.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect()
}

/// The largest difference.
pub fn absolute(found: &[u8], expected: &[u8]) -> f32 {
    let (f, e) = (floats(found), floats(expected));
    f.iter().zip(&e).map(|(f, e)| (f - e).abs()).fold(0.0, f32::max)
}

/// The largest difference, relative to the size of the expected number but to no less than a thousandth of the largest.
pub fn difference(found: &[u8], expected: &[u8]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let (f, e) = (floats(found), floats(expected));
    let least = e.iter().fold(0f32, |m, v| m.max(v.abs())) * 1e-3;
    let one = |(f, e): (&f32, &f32)| if f == e { 0.0 } else { (f - e).abs() / e.abs().max(least) };
    f.iter().zip(&e).map(one).fold(0.0, |m, d| if d.is_nan() { f32::INFINITY } else { m.max(d) })
}
