//! Quantization through the command: sizes, agreement with the float model, always the same bytes, and what it says of
//! models and data that will not do.

mod common;
use common::quantizing::*;
use common::*;
use secateur_ir::Module;
use serde_json::Value;

#[test]
fn every_kind_is_smaller_and_agrees() {
    let (desk, model) = desk("fashion_resnet20.onnx");
    let whole = std::fs::metadata(&model).unwrap().len() as usize;
    // Shares of the float file, and of the samples.
    for (kind, size, agreeing) in
        [("int8", 0.27, 0.98), ("w8", 0.27, 0.98), ("int4", 0.16, 0.93), ("w4", 0.19, 0.93)]
    {
        let bytes = quantize(&desk, &model, kind, &format!("--weights {kind} {QUICK}"));
        let share = agreement(&desk, &model, kind);
        println!("{kind}: {:.4} of the size, {share:.3} agree", bytes as f64 / whole as f64);
        assert!((bytes as f64) < size * whole as f64, "{kind}: {bytes} of {whole} bytes");
        assert!(share >= agreeing, "{kind}: {share}");
    }
}

/// Many layers of few weights: scales, biases and names count here.
#[test]
fn a_text_detector_is_a_little_more_than_a_quarter() {
    let desk = Desk::new();
    let model = fixture("ppocr_det_v4.onnx").display().to_string();
    let bytes = std::fs::read(fixture("ocr_det_pages_x.npy")).unwrap();
    let page = 3 * 320 * 320;
    desk.put("x.npy", npy("|u1", &[1, 3, 320, 320], &bytes[bytes.len() - page..]));
    let prepared = "--scale 1/255 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225";
    desk.done(&format!("quantize {model} -o out/q.onnx --calib x.npy {prepared}"));
    let size = |path: &str| std::fs::metadata(desk.path(path)).unwrap().len();
    let (whole, small) = (size(&model), size("out/q.onnx"));
    println!("{small} of {whole} bytes, {:.2} %", 100.0 * small as f64 / whole as f64);
    assert!(100 * small <= 27 * whole);
}

#[test]
fn the_bytes_are_the_same_at_any_thread_count() {
    let (desk, model) = desk("fashion_mobilenetv2.onnx");
    for range in ["minmax", "percentile", "mse", "entropy"] {
        let one = format!("--method {range} --calib-threads 1");
        let two = format!("--method {range} --calib-threads 2");
        quantize(&desk, &model, "one", &one);
        quantize(&desk, &model, "two", &two);
        let read = |name: &str| std::fs::read(desk.path(&format!("out/{name}.onnx"))).unwrap();
        assert!(read("one") == read("two"), "{range}");
        let share = agreement(&desk, &model, "one");
        assert!(share >= 0.85, "{range}: {share}");
    }
}

/// Takes away what was written, for runs that must write nothing.
fn empty(desk: &Desk) {
    std::fs::remove_dir_all(desk.path("out")).unwrap();
    std::fs::create_dir(desk.path("out")).unwrap();
}

#[test]
fn weights_moved_together_lose_less_on_samples_never_seen() {
    let (desk, model) = desk("fashion_mobilenetv2.onnx");
    for kind in ["int4", "w4"] {
        for (name, rounding) in
            [("near", "nearest"), ("fed", "feedback"), ("moved", "reconstruct --epochs 3")]
        {
            quantize(
                &desk,
                &model,
                &format!("{kind}{name}"),
                &format!("--weights {kind} --rounding {rounding}"),
            );
        }
        let of = |name: &str| error(&desk, &model, &format!("{kind}{name}"), PREPARED);
        let (near, fed, moved) = (of("near"), of("fed"), of("moved"));
        println!("{kind}: {near:.4} {fed:.4} {moved:.4}");
        assert!(fed < 0.3 * near && moved < 1.05 * fed, "{kind}: {near} {fed} {moved}");
    }
    let again = "--weights int4 --rounding reconstruct --epochs 3 --calib-threads 1";
    quantize(&desk, &model, "again", again);
    let read = |name: &str| std::fs::read(desk.path(&format!("out/{name}.onnx"))).unwrap();
    assert!(read("int4moved") == read("again"), "the bytes depend on the number of threads");
}

/// What rounding adds to the error of the cut is little: each layer makes up for both.
#[test]
fn pruned_and_quantized_in_one_run() {
    let (desk, model) = desk("fashion_shufflenet.onnx");
    // Layers are fitted one by one then, and one sweep fits and rounds them.
    let cut = format!("--macs 60% --calib x.npy {PREPARED} --no-cache --steps 1 --without reconstruction");
    desk.done(&format!("prune {model} -o out/p.onnx {cut}"));
    let line = format!("prune {model} -o out/joint.onnx {cut} --quantize int4");
    let said = desk.done(&line).out;
    assert!(said.contains("layers with integer weights"), "{said}");
    let pruned = desk.path("out/p.onnx").display().to_string();
    quantize(&desk, &pruned, "fed", "--weights int4");
    quantize(&desk, &pruned, "near", "--weights int4 --rounding nearest");
    let [alone, joint, fed, near] =
        ["p", "joint", "fed", "near"].map(|name| error(&desk, &model, name, PREPARED));
    println!(
        "pruned {alone:.4}, in one run {joint:.4}, afterwards {fed:.4}, afterwards to nearest {near:.4}"
    );
    assert!(joint - alone < 0.4 * (near - alone) && joint < 1.1 * fed, "{alone} {joint} {fed} {near}");
    let bytes = |name: &str| std::fs::metadata(desk.path(&format!("out/{name}.onnx"))).unwrap().len();
    assert!(bytes("joint") < bytes("p") / 3);
    // Machine code is made of what the integers stand for.
    let line = format!("compile {model} --target rpi4 -o out/b {cut} --quantize int8");
    desk.done(&line);
    let module = secateur::open(&desk.path("out/b/fashion_shufflenet.onnx")).unwrap();
    assert!(module.graph.nodes.iter().any(|n| n.is("QuantizeLinear")));
    // What is quantized already is refused before any work.
    std::fs::rename(desk.path("out/joint.onnx"), desk.path("joint.onnx")).unwrap();
    empty(&desk);
    let said = desk.refused(2, &format!("prune joint.onnx -o out/no.onnx {cut} --quantize int8"));
    assert!(said.contains("error[Q002]"), "{said}");
}

/// A file that is quantized becomes the code of the float model, near enough; one of integer operators is refused.
#[test]
fn quantized_files_are_compiled_as_what_they_stand_for() {
    let (desk, model) = desk("fashion_shufflenet.onnx");
    quantize(&desk, &model, "q8", "--weights int8");
    quantize(&desk, &model, "w4", "--weights w4 --rounding nearest");
    let compiled = |file: &str, name: &str| -> u64 {
        let said = desk.done(&format!("compile {file} --target rpi4 -o out/{name}")).out;
        assert_eq!(said.contains("integers are computed as"), name != "float", "{said}");
        let report = std::fs::read_to_string(desk.path(&format!("out/{name}/report.json"))).unwrap();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        report["code"]["instructions"].as_u64().unwrap()
    };
    let float = compiled(&model, "float") as f64;
    for name in ["q8", "w4"] {
        let found = compiled(&format!("out/{name}.onnx"), name) as f64;
        println!("{name}: {found} instructions, float {float}");
        assert!(found < 1.1 * float, "{name}: {found} instructions, float {float}");
        assert!(desk.path(&format!("out/{name}/lib{name}.a")).exists());
    }
    let text = r#"graph g opset(""=17) (%x: u8[N,4]) -> (%y) {
        @w: i8[4,2] = [1, 2, 3, 4, 5, 6, 7, 8]
        %y: i32[N,2] = MatMulInteger(%x, @w)
    }"#;
    let graph = secateur_ir::parse::graph(text).unwrap();
    desk.put("integers.onnx", &Module::from_graph(graph).export().0.encode()[..]);
    let refused = desk.line("compile integers.onnx --target rpi4 -o out/integers");
    assert!(refused.code == 2 && refused.err.contains("Q003"), "{}", refused.err);
}

/// The first layer reads a column that is a thousand times as large as the others and counts as much.
#[test]
fn layers_that_lose_most_stay_float_where_asked() {
    let desk = Desk::new();
    let text = r#"graph g opset(""=17) (%x: f32[N,8]) -> (%y) {
        @a: f32[8,16] = rand(1)
        @b: f32[16,16] = rand(2)
        @c: f32[16,4] = rand(3)
        @d: f32[8,1] = [0.001, 1, 1, 1, 1, 1, 1, 1]
        %w: f32[8,16] = Mul(@a, @d)
        %h: f32[N,16] = MatMul(%x, %w)
        %r: f32[N,16] = Relu(%h)
        %i: f32[N,16] = MatMul(%r, @b)
        %t: f32[N,16] = Relu(%i)
        %y: f32[N,4] = MatMul(%t, @c)
    }"#;
    for (name, text) in [("m.onnx", text.to_owned()), ("even.onnx", text.replace("0.001", "1"))] {
        let bytes = Module::from_graph(secateur_ir::parse::graph(&text).unwrap()).export().0.encode();
        desk.put(name, &bytes[..]);
    }
    let number = |i: u32| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0;
    let x = |from: u32| -> Vec<u8> {
        let size = |i: u32| if i.is_multiple_of(8) { 1000.0 } else { 1.0 };
        (0..64 * 8).flat_map(|i| (size(i) * number(from + i)).to_le_bytes()).collect()
    };
    desk.put("x.npy", npy("<f4", &[64, 8], &x(0)));
    desk.put("t.npy", npy("<f4", &[64, 8], &x(1000)));
    desk.done("quantize m.onnx -o out/all.onnx --calib x.npy");
    let line = "quantize m.onnx -o out/auto.onnx --calib x.npy --keep-float auto --json";
    let report: Value = serde_json::from_str(&desk.done(line).out).unwrap();
    let (spared, float) = (report["report"]["auto"].as_array().unwrap(), &report["report"]["float"]);
    let of = |out: &str| error(&desk, "m.onnx", out, "");
    let (all, auto) = (of("all"), of("auto"));
    assert!(spared.len() == 1 && float.as_array().unwrap().len() == 1, "{report}");
    assert!(auto < 0.1 * all, "{spared:?}: {all} {auto}");
    // Where nothing stands out nothing stays float, and without data it is an error.
    let said = desk.done("quantize even.onnx -o out/w8.onnx --calib x.npy --weights w8 --keep-float auto");
    assert!(!said.out.contains("stays float"), "{}", said.out);
    empty(&desk);
    let said = desk.refused(2, "quantize m.onnx -o out/no.onnx --weights w8 --keep-float auto");
    assert!(said.contains("error[Q003]"), "{said}");
}

/// Values that are always the same or all but zero, weights that are zero or too small for a scale of their own.
#[test]
fn ranges_without_width_and_weights_without_size() {
    let desk = Desk::new();
    let text = r#"graph g opset(""=17) (%x: f32[N,4]) -> (%y) {
        @a: f32[4,6] = rand(1)
        @zero: f32[] = [0]
        @tiny: f32[] = [1e-38]
        @b: f32[6,6] = rand(2)
        @c: f32[6,3] = rand(3)
        @e: f32[3] = [1, -2, 0]
        %z: f32[4,6] = Mul(@a, @zero)
        %h: f32[N,6] = MatMul(%x, %z)
        %r: f32[N,6] = Relu(%h)
        %t: f32[6,6] = Mul(@b, @tiny)
        %i: f32[N,6] = MatMul(%r, %t)
        %j: f32[N,6] = Relu(%i)
        %k: f32[N,3] = MatMul(%j, @c)
        %y: f32[N,3] = Add(%k, @e)
    }"#;
    let bytes = Module::from_graph(secateur_ir::parse::graph(text).unwrap()).export().0.encode();
    desk.put("m.onnx", &bytes[..]);
    let x = |bad: f32| -> Vec<u8> {
        let one = |i: u16| match i {
            23 => bad,
            24 if bad == f32::MAX => -bad,
            i => f32::from(i) / 40.0,
        };
        (0..40).flat_map(|i| one(i).to_le_bytes()).collect()
    };
    desk.put("x.npy", npy("<f4", &[10, 4], &x(0.5)));
    for kind in ["int8", "int4", "w8", "w4"] {
        for rounding in ["nearest", "feedback", "reconstruct"] {
            let out = format!("{kind}{rounding}");
            let how = format!("--weights {kind} --rounding {rounding}");
            desk.done(&format!("quantize m.onnx -o out/{out}.onnx --calib x.npy {how}"));
            let line = format!("verify m.onnx out/{out}.onnx --data x.npy --json");
            let report: Value = serde_json::from_str(&desk.done(&line).out).unwrap();
            let error = report["comparison"]["outputs"][0]["max_abs_error"].as_f64();
            assert!(error.is_some_and(|e| e < 0.02), "{out}: {report}");
        }
    }
    empty(&desk);
    for (bad, code) in [(f32::NAN, "D004"), (f32::INFINITY, "D004"), (f32::MAX, "Q001")] {
        desk.put("bad.npy", npy("<f4", &[10, 4], &x(bad)));
        let said = desk.refused(2, "quantize m.onnx -o out/no.onnx --calib bad.npy");
        println!("{said}");
        assert!(said.contains(&format!("error[{code}]")), "{said}");
    }
    let half = r#"graph g opset(""=17) (%x: f16[N,2]) -> (%y) {
        @w: f16[2,2] = [1, 2, 3, 4]
        %y: f16[N,2] = MatMul(%x, @w)
    }"#;
    let bytes = Module::from_graph(secateur_ir::parse::graph(half).unwrap()).export().0.encode();
    desk.put("half.onnx", &bytes[..]);
    let said = desk.refused(2, "quantize half.onnx -o out/no.onnx --weights w8");
    assert!(said.contains("error[Q003]"), "{said}");
}

/// What pruning has removed stays removed.
#[test]
fn zeros_stay_zeros() {
    let (desk, model) = desk("fashion_mobilenetv2.onnx");
    let zeros = "--sparsity 60% --pattern 4x1 --without reconstruction --no-cache";
    desk.done(&format!("prune {model} -o out/z.onnx --calib x.npy {PREPARED} {zeros}"));
    let pruned = desk.path("out/z.onnx").display().to_string();
    quantize(&desk, &pruned, "q", "--weights int8 --rounding feedback");
    let count = |name: &str| -> usize {
        let m: Module = secateur::open(&desk.path(&format!("out/{name}.onnx"))).unwrap();
        let g = &m.graph;
        let wide = g.value_ids().filter_map(|v| g.init(v)).filter(|t| t.dims.len() == 4);
        let is_zero = |t: &secateur_ir::Tensor| match t.to_f32() {
            Some(w) => w.iter().filter(|w| **w == 0.0).count(),
            None => t.bytes().map_or(0, |b| b.iter().filter(|b| **b == 0).count()),
        };
        wide.map(is_zero).sum()
    };
    let (before, after) = (count("z"), count("q"));
    assert!(before > 50_000, "{before}");
    assert!(after >= before, "{after} of {before} zeros are left");
}

#[test]
fn what_is_quantized_already_is_refused_or_quantized_again() {
    let (desk, model) = desk("fashion_resnet20.onnx");
    for kind in ["int8", "int4", "w8", "w4"] {
        quantize(&desk, &model, kind, &format!("--weights {kind} {QUICK}"));
        std::fs::rename(desk.path(&format!("out/{kind}.onnx")), desk.path(&format!("{kind}.onnx"))).unwrap();
        let line = format!("quantize {kind}.onnx -o out/again.onnx --calib x.npy {PREPARED}");
        let said = desk.refused(2, &line);
        assert!(said.contains("error[Q002]: the model is quantized already"), "{kind}: {said}");
        desk.done(&format!("{line} --weights w8 --requantize"));
        // Integers of as many bits or fewer are taken up by 8 bits; what was rounded in activations is not any more.
        let share = agreement(&desk, &format!("{kind}.onnx"), "again");
        assert!(share >= 0.96, "{kind}: {share}");
        let module = secateur::open(&desk.path("out/again.onnx")).unwrap();
        assert!(module.graph.nodes.iter().all(|n| !n.is("QuantizeLinear")), "{kind}");
        std::fs::remove_file(desk.path("out/again.onnx")).unwrap();
    }
}

/// Where activations are left to the ends of a grid, the ends stay.
#[test]
fn a_rectifier_that_is_a_zero_point_stays() {
    let desk = Desk::new();
    let text = r#"graph g opset(""=21) (%x: f32[N,4]) -> (%y) {
        @s: f32[] = [0.5]
        @z: u8[] = [0]
        @w: i8[4,3] = [3, -2, 1, 4, 5, -6, 7, 8, -9, 1, -1, 2]
        @t: f32[3] = [0.5, 0.25, 1.0]
        %q: u8[N,4] = QuantizeLinear(%x, @s, @z)
        %f: u8[N,4] = Flatten(%q)
        %d: f32[N,4] = DequantizeLinear(%f, @s, @z)
        %v: f32[4,3] = DequantizeLinear(@w, @t) {axis=1}
        %y: f32[N,3] = MatMul(%d, %v)
    }"#;
    let bytes = Module::from_graph(secateur_ir::parse::graph(text).unwrap()).export().0.encode();
    desk.put("m.onnx", &bytes[..]);
    // Multiples of the scale lose nothing; the half of them that is negative becomes 0.
    let x: Vec<u8> = (0..80).flat_map(|i| ((i % 17 - 8) as f32 * 0.5).to_le_bytes()).collect();
    desk.put("x.npy", npy("<f4", &[20, 4], &x));
    desk.done("quantize m.onnx -o out/f.onnx --weights w8 --requantize");
    let line = "verify m.onnx out/f.onnx --data x.npy --json";
    let report: Value = serde_json::from_str(&desk.done(line).out).unwrap();
    let error = report["comparison"]["outputs"][0]["max_abs_error"].as_f64().unwrap();
    assert!(error < 0.3, "{report}");
}

/// Every kind passes the checker, and every level of onnxruntime's optimizer takes it, also where a Slice reads a pair.
#[test]
fn onnxruntime_takes_every_kind_at_every_level() {
    let Some(python) = std::env::var_os("SECATEUR_PYTHON") else {
        println!("SECATEUR_PYTHON is not set: nothing is checked; run cargo xtask test");
        return;
    };
    let (desk, fixture) = desk("fashion_shufflenet.onnx");
    for opset in [17, 21] {
        let graph = secateur_ir::parse::graph(&format!(
            r#"graph g opset(""={opset}) (%x: f32[N,1,28,28]) -> (%y) {{
                @v: f32[8,1,3,3] = rand(1)
                @w: f32[8,8,3,3] = rand(2)
                @s: i64[2] = [0, 0]
                @e: i64[2] = [28, 28]
                @k: i64[2] = [2, 3]
                @t: i64[2] = [2, 2]
                %a: ? = Conv(%x, @v) {{pads=[1, 1, 1, 1]}}
                %b: ? = Relu(%a)
                %c: ? = Conv(%b, @w) {{pads=[1, 1, 1, 1], strides=[2, 2]}}
                %d: ? = Slice(%b, @s, @e, @k, @t)
                %f: ? = Add(%c, %d)
                %g: ? = Relu(%f)
                %y: ? = Conv(%g, @w) {{pads=[1, 1, 1, 1]}}
            }}"#
        ));
        let mut graph = graph.unwrap();
        secateur_ops::infer(&mut graph).unwrap();
        desk.put(&format!("{opset}.onnx"), &Module::from_graph(graph).export().0.encode()[..]);
    }
    for (model, name) in [(fixture.as_str(), "f"), ("17.onnx", "17"), ("21.onnx", "21")] {
        for kind in ["int8", "int4", "w8", "w4"] {
            quantize(
                &desk,
                model,
                &format!("{name}-{kind}"),
                &format!("--weights {kind} --rounding nearest"),
            );
            let mut check = std::process::Command::new(&python);
            check.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../xtask/py/check_onnx.py"));
            let said =
                check.arg(desk.path(&format!("out/{name}-{kind}.onnx"))).arg("--levels").output().unwrap();
            let text = String::from_utf8_lossy(&said.stdout);
            assert!(said.status.success(), "{name}, {kind}: {text}");
        }
    }
}
