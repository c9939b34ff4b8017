//! Layers in parts: any order of the parts, on threads or not, gives the bytes of the undivided call, and these are
//! what the reference computes.

mod common;

use common::{FIXTURES, Linked, Sizes, difference, dims, fixture, link, load, options};
use proptest::prelude::*;
use secateur_codegen::bundle::{self, Bundle, Options};
use secateur_codegen::divide::Cores;
use secateur_codegen::interp;
use secateur_ir::parse;
use secateur_neon::Core;

/// Compiles with layers of any length divided.
fn divided(text: &str, count: usize) -> Bundle {
    let graph = parse::graph(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let options = Options { cores: Cores { count, dispatch: 0 }, ..options(Core::A72, &[]) };
    bundle::compile(&graph, &options).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Runs parts in all orders; the largest difference from the reference, a share of the largest number.
fn off(bundle: &Bundle) -> f32 {
    let linked: Linked = link(bundle, Core::A72);
    let p = &bundle.program;
    let size = |port: &secateur_codegen::Port| port.dims.iter().product::<usize>();
    let inputs: Vec<Vec<f32>> = p
        .inputs
        .iter()
        .enumerate()
        .map(|(i, port)| (0..size(port)).map(|k| ((k * 37 + i * 11) % 101) as f32 / 50.0 - 1.0).collect())
        .collect();
    linked.put(&inputs);
    let bytes = |ports: &[secateur_codegen::Port]| ports.iter().map(|p| 4 * size(p)).collect();
    let sizes = Sizes { inputs: bytes(&p.inputs), outputs: bytes(&p.outputs) };
    let found = linked.run("divided", 1, &sizes, false).1;
    let want: Vec<u8> = interp::run(p, &inputs).iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
    let largest = common::absolute(&vec![0; want.len()], &want);
    common::absolute(&found, &want) / largest
}

fn parts(bundle: &Bundle) -> usize {
    bundle.report.layers.iter().map(|l| l.parts).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn convolutions(
        (kernel, stride, dilation) in ([1usize..4, 1usize..4], 1usize..3, 1usize..3),
        pads in [0usize..3, 0usize..3, 0usize..3, 0usize..3],
        (groups, ins, outs) in prop_oneof![
            (Just(1usize), 1usize..7, 1usize..20),
            (2usize..9, Just(1usize), Just(1usize)),
            (2usize..4, 1usize..3, 1usize..5),
        ],
        (height, width) in (6usize..21, 6usize..21),
        residual in any::<bool>(),
        padded in any::<bool>(),
        count in 2usize..6,
    ) {
        let out = |n: usize, k: usize, p: usize| (n + p).checked_sub((k - 1) * dilation + 1).map(|v| v / stride + 1);
        let (h, w) = (out(height, kernel[0], pads[0] + pads[2]), out(width, kernel[1], pads[1] + pads[3]));
        let (Some(h), Some(w)) = (h, w) else { return Ok(()) };
        let (c, o) = (groups * ins, groups * outs);
        // Behind another layer the input lies in the workspace, with a border; else it is the caller's.
        let (first, from) = match padded {
            true => (format!("  %s: f32[N,{c},{height},{width}] = Neg(%x)\n"), "s"),
            false => (String::new(), "x"),
        };
        let sum = match residual {
            true => format!("  %d: f32[N,{o},{h},{w}] = Add(%c, %r)\n  %y: f32[N,{o},{h},{w}] = Relu(%d)\n"),
            false => format!("  %y: f32[N,{o},{h},{w}] = Sub(%c, %r)\n"),
        };
        let text = format!(
            "graph g opset(\"\"=17) (%x: f32[N,{c},{height},{width}], %r: f32[N,{o},{h},{w}]) -> (%y) {{\n\
             \x20 @w: f32[{o},{ins},{},{}] = rand(1)\n  @b: f32[{o}] = rand(2)\n{first}\
             \x20 %c: f32[N,{o},{h},{w}] = Conv(%{from}, @w, @b) {{dilations=[{dilation}, {dilation}], group={groups}, \
             kernel_shape=[{}, {}], pads=[{}, {}, {}, {}], strides=[{stride}, {stride}]}}\n{sum}}}\n",
            kernel[0], kernel[1], kernel[0], kernel[1], pads[0], pads[1], pads[2], pads[3],
        );
        let bundle = divided(&text, count);
        // Where there is more than one row and more than one vector of outputs there is something to divide.
        prop_assert!(parts(&bundle) > 1 || h == 1 || bundle.report.instructions < 2000, "not divided\n{text}");
        let d = off(&bundle);
        // Winograd's transforms: up to 1e-5.
        prop_assert!(d <= 2e-5, "{d}\n{text}");
    }
}

/// A divided bundle refuses what any other does, and says how many cores it is for.
#[test]
fn wrong_calls_return_errors() {
    let text = r#"graph g opset(""=17) (%x: f32[N,4,9,11]) -> (%y) {
  @w: f32[8,4,3,3] = rand(1)
  %c: f32[N,8,7,9] = Conv(%x, @w) {kernel_shape=[3, 3]}
  %y: f32[N,8,7,9] = Softmax(%c) {axis=3}
}
"#;
    let bundle = divided(text, 3);
    assert_eq!(parts(&bundle), 3);
    let linked = link(&bundle, Core::A72);
    linked.put(&[vec![0.5; 5 * 396]]);
    let sizes = Sizes { inputs: vec![4 * 396], outputs: vec![4 * 504] };
    let about: serde_json::Value = serde_json::from_str(&linked.run("errors", 5, &sizes, false).0).unwrap();
    assert_eq!(about["cores"], 3);
}

/// Every other operator that is divided.
#[test]
fn operators() {
    for (name, text) in [
        (
            "elementwise, sums of rows, softmax, normalization",
            r#"graph g opset(""=17) (%x: f32[N,7,9,11]) -> (%a, %b, %c, %d) {
  %e: f32[N,7,9,11] = Sigmoid(%x)
  %a: f32[N,7,9,11] = Mul(%e, %x)
  %b: f32[N,7,9] = ReduceMean(%x) {axes=[3], keepdims=0}
  %c: f32[N,7,9,11] = Softmax(%x) {axis=3}
  @s: f32[11] = rand(1)
  @t: f32[11] = rand(2)
  %d: f32[N,7,9,11] = LayerNormalization(%a, @s, @t) {axis=-1}
}
"#,
        ),
        (
            "windows and resampling",
            r#"graph g opset(""=17) (%x: f32[N,5,13,10]) -> (%a, %b, %c, %d) {
  %a: f32[N,5,7,5] = MaxPool(%x) {kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]}
  %b: f32[N,5,12,9] = AveragePool(%x) {kernel_shape=[2, 2]}
  @s: f32[4] = [1.0, 1.0, 2.0, 3.0]
  %c: f32[N,5,26,30] = Resize(%x, _, @s) {mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"}
  %d: f32[N,5,26,30] = Resize(%x, _, @s) {mode="linear"}
}
"#,
        ),
        (
            "products",
            r#"graph g opset(""=17) (%x: f32[N,3,6,10], %z: f32[N,3,10,9], %v: f32[N,30]) -> (%a, %b, %c) {
  %a: f32[N,3,6,9] = MatMul(%x, %z)
  @w: f32[10,23] = rand(1)
  %p: f32[N,3,6,23] = MatMul(%x, @w)
  @t: f32[23] = rand(2)
  %b: f32[N,3,6,23] = Add(%p, @t)
  @g: f32[41,30] = rand(3)
  @h: f32[41] = rand(4)
  %c: f32[N,41] = Gemm(%v, @g, @h) {transB=1}
}
"#,
        ),
        (
            "transposed convolution, rows of a table",
            r#"graph g opset(""=17) (%x: f32[N,6,5,7], %q: f32[N,17]) -> (%a, %b) {
  @w: f32[6,9,2,2] = rand(1)
  @k: f32[9] = rand(2)
  %a: f32[N,9,10,14] = ConvTranspose(%x, @w, @k) {kernel_shape=[2, 2], strides=[2, 2]}
  %i: i64[N,17] = Cast(%q) {to=7}
  @e: f32[5,8] = rand(3)
  %b: f32[N,17,8] = Gather(@e, %i)
}
"#,
        ),
    ] {
        for count in [2, 3, 5] {
            let bundle = divided(text, count);
            assert_eq!(parts(&bundle), count, "{name}");
            let d = off(&bundle);
            assert!(d <= 2e-6, "{name}, {count} parts: {d}");
        }
    }
}

/// Every fixture on four cores: onnxruntime's results, and the workspace near its bound. Of a network of some size less than half
/// of the instructions are one after the other; recurrent layers, which are most of fashion_gru, are not divided.
#[test]
fn fixtures() {
    for name in FIXTURES.iter().filter(|n| !n.ends_with("_bn")) {
        let path = fixture(&format!("{name}.onnx"));
        let options = Options { cores: Cores::of(4), ..options(Core::A72, dims(name)) };
        let bundle = bundle::compile(&load(&path).graph, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
        let r = &bundle.report;
        let share = r.critical as f64 / r.instructions as f64;
        println!("{name}: {} instructions, {:.1} % in a row", r.instructions, 100.0 * share);
        assert!(r.workspace_bytes as f64 <= 1.15 * r.workspace_bound as f64, "{name}");
        if r.instructions > 1_000_000 && *name != "fashion_gru" {
            assert!(share < 0.5, "{name}: {share}");
        }
        let linked = link(&bundle, Core::A72);
        let Some((sizes, expected)) = linked.expect(&path, 2, dims(name)) else { return };
        let found = linked.run("divided", 2, &sizes, false).1;
        let (d, absolute) = (difference(&found, &expected), common::absolute(&found, &expected));
        assert!(d <= 1e-4 || absolute <= 5e-7, "{name}: {d} relative, {absolute} absolute");
    }
}
