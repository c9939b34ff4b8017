//! Every fixture: its lowered program, and its bundle under the emulator against onnxruntime.

mod common;

use common::{FIXTURES, difference, dims, fixture, link, load, options};
use secateur_codegen::bundle::Options;
use secateur_codegen::{bundle, interp, lower_graph, print};
use secateur_neon::Core;

#[test]
fn lowered() {
    for name in FIXTURES.iter().filter(|n| !n.ends_with("_bn")) {
        let module = load(&fixture(&format!("{name}.onnx")));
        let dims: Vec<(String, usize)> = dims(name).iter().map(|(n, k)| ((*n).to_owned(), *k)).collect();
        let p = lower_graph(&module.graph, &dims).unwrap_or_else(|e| panic!("{name}: {e}"));
        insta::assert_snapshot!(format!("lowered__{name}"), print::program(&p));
    }
}

/// Compiles and runs; the largest difference from onnxruntime, and what was counted.
fn check(name: &str, core: Core, batch: usize) {
    let path = fixture(&format!("{name}.onnx"));
    let bundle = bundle::compile(&load(&path).graph, &options(core, dims(name)));
    let bundle = bundle.unwrap_or_else(|e| panic!("{name}: {e}"));
    let r = &bundle.report;
    assert!(
        r.workspace_bytes as f64 <= 1.15 * r.workspace_bound as f64,
        "{name}: {} bytes of workspace, {} needed",
        r.workspace_bytes,
        r.workspace_bound
    );
    let object = bundle.files.iter().find(|(n, _)| n == "m.o").map_or(0, |(_, b)| b.len());
    assert!(
        object <= r.constant_bytes + 300 * 1024,
        "{name}: {object} bytes, {} of constants",
        r.constant_bytes
    );
    let linked = link(&bundle, core);
    let Some((sizes, expected)) = linked.expect(&path, batch, dims(name)) else { return };
    let (_, found, counts) = linked.run("run", batch, &sizes, true);
    let (d, absolute) = (difference(&found, &expected), common::absolute(&found, &expected));
    let counted = counts.map_or(0, |c| c.total());
    println!("{name} {}: {d:.1e} off, {counted} instructions, {} estimated", core.name(), r.instructions);
    // Where all numbers are tiny, onnxruntime's sigmoid resolves no more than its rounding near one.
    assert!(d <= 1e-4 || absolute <= 5e-7, "{name} on {}: {d} relative, {absolute} absolute", core.name());
    if core == Core::A72 {
        // The reference, with its sums in f64, is close in any case.
        let inputs: Vec<Vec<f32>> =
            bundle.program.inputs.iter().enumerate().map(|(i, p)| linked.sample(i, p)).collect();
        let bytes: Vec<u8> =
            interp::run(&bundle.program, &inputs).iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
        let first: Vec<u8> = sizes
            .outputs
            .iter()
            .scan(0, |at, n| Some(&found[std::mem::replace(at, *at + n * batch)..][..*n]))
            .flatten()
            .copied()
            .collect();
        let d = difference(&first, &bytes);
        assert!(d <= 1e-4, "{name}: {d} from the reference");
    }
    let off = (counted as f64 - r.instructions as f64).abs() / counted as f64;
    assert!(off <= 0.05, "{name}: {counted} instructions, {} estimated", r.instructions);
}

/// Without kernels that transform their weights an object file is the weights and little more.
#[test]
fn compact() {
    for name in ["fashion_resnet20", "fashion_mobilenetv2", "ppocr_cls_v2"] {
        let graph = load(&fixture(&format!("{name}.onnx"))).graph;
        let bundle = bundle::compile(&graph, &Options { compact: true, ..options(Core::A72, dims(name)) });
        let bundle = bundle.unwrap_or_else(|e| panic!("{name}: {e}"));
        let object = bundle.files.iter().find(|(n, _)| n == "m.o").map_or(0, |(_, b)| b.len());
        let weights = bundle.report.weight_bytes;
        println!("{name}: {object} bytes, {weights} of weights");
        assert!(object <= weights + 300 * 1024, "{name}: {object} bytes, {weights} of weights");
    }
}

#[test]
fn cortex_a72() {
    FIXTURES.iter().for_each(|name| check(name, Core::A72, 3));
}

#[test]
fn cortex_a53() {
    FIXTURES.iter().filter(|n| !n.ends_with("_bn")).for_each(|name| check(name, Core::A53, 1));
}

#[test]
fn cortex_a76() {
    FIXTURES.iter().filter(|n| !n.ends_with("_bn")).for_each(|name| check(name, Core::A76, 1));
}
