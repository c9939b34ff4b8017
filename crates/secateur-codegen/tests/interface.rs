//! What a caller sees: the header in both languages, wrong calls, threads, the bindings.

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::{Linked, Sizes, compile_text, link};
use secateur_neon::Core;

const NET: &str = r#"graph g opset(""=17) (%x: f32[N,3,6,9], %"second/input": f32[N,4]) -> (%y, %z) {
  @w: f32[4,3,3,3] = rand(1)
  @b: f32[4] = rand(2)
  %c: f32[N,4,6,9] = Conv(%x, @w, @b) {kernel_shape=[3, 3], pads=[1, 1, 1, 1]}
  %r: f32[N,4,6,9] = Relu(%c)
  %p: f32[N,4,1,1] = GlobalAveragePool(%r)
  %f: f32[N,4] = Flatten(%p)
  %y: f32[N,4] = Add(%f, %"second/input")
  %z: f32[N,4,6,9] = Sigmoid(%c)
}
"#;

fn linked() -> (secateur_codegen::bundle::Bundle, Linked, Sizes) {
    let bundle = compile_text(NET, &[]).unwrap_or_else(|e| panic!("{e}"));
    let linked = link(&bundle, Core::A72);
    let x: Vec<f32> = (0..5 * 162).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    linked.put(&[x, (0..20).map(|i| i as f32).collect()]);
    (bundle, linked, Sizes { inputs: vec![648, 16], outputs: vec![16, 864] })
}

fn reference(bundle: &secateur_codegen::bundle::Bundle, linked: &Linked) -> Vec<f32> {
    let read = |n: &str| -> Vec<f32> {
        let b = std::fs::read(linked.dir.path().join(n)).unwrap();
        b.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect()
    };
    let (a, b) = (read("in0.bin"), read("in1.bin"));
    let runs: Vec<Vec<Vec<f32>>> = (0..5)
        .map(|i| {
            let inputs = [a[i * 162..][..162].to_vec(), b[i * 4..][..4].to_vec()];
            secateur_codegen::interp::run(&bundle.program, &inputs)
        })
        .collect();
    (0..2).flat_map(|o| runs.iter().flat_map(move |r| r[o].clone())).collect()
}

#[test]
fn batches_threads_and_parallel_runs_agree_with_the_reference() {
    let (bundle, linked, sizes) = linked();
    let want: Vec<u8> = reference(&bundle, &linked).iter().flat_map(|v| v.to_le_bytes()).collect();
    let (_, run, _) = linked.run("run", 5, &sizes, false);
    assert!(common::difference(&run, &want) < 1e-5);
    for mode in ["threads", "parallel", "repeat"] {
        assert_eq!(linked.run(mode, 5, &sizes, false).1, run, "{mode}");
    }
}

/// A minute under the emulator: `cargo test -p secateur-codegen --test interface -- --ignored`.
#[test]
#[ignore = "long"]
fn a_million_runs_do_not_drift() {
    let (_, linked, sizes) = linked();
    let (_, first, _) = linked.run("run", 1, &sizes, false);
    assert_eq!(linked.run("million", 1, &sizes, false).1, first);
}

#[test]
fn sines_agree_with_the_reference() {
    let text = r#"graph g opset(""=17) (%x: f32[N,37]) -> (%s, %c) {
  %s: f32[N,37] = Sin(%x)
  %k: f32[N,37] = Cos(%x)
  %c: f32[N,37] = Relu(%k)
}
"#;
    let bundle = compile_text(text, &[]).unwrap_or_else(|e| panic!("{e}"));
    let x: Vec<f32> = (0..37).map(|i| (i as f32 - 18.0) * 2.3).collect();
    let want: Vec<u8> = secateur_codegen::interp::run(&bundle.program, std::slice::from_ref(&x))
        .iter()
        .flatten()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let linked = link(&bundle, Core::A72);
    linked.put(&[x]);
    let found = linked.run("run", 1, &Sizes { inputs: vec![148], outputs: vec![148, 148] }, false).1;
    assert!(common::absolute(&found, &want) <= 1e-7);
}

#[test]
fn wrong_calls_return_errors() {
    let (_, linked, sizes) = linked();
    let (text, ..) = linked.run("errors", 5, &sizes, false);
    let about: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(about["inputs"][1]["name"], "second/input");
    assert_eq!(about["outputs"][1]["shape"], serde_json::json!([1, 4, 6, 9]));
    assert_eq!(about["core"], "cortex-a72");
}

#[test]
fn the_header_compiles_without_warnings() {
    let (_, linked, _) = linked();
    for (language, standard) in [("c", "c99"), ("c++", "c++17")] {
        let mut c = Command::new("c++");
        c.args(["-x", language, &format!("-std={standard}"), "-Wall", "-Wextra", "-Werror", "-pedantic"]);
        c.args(["-fsyntax-only", "-I"]).arg(linked.dir.path()).arg("-").stdin(Stdio::piped());
        let mut child = c.spawn().unwrap();
        let text = "#include \"m.h\"\nint f(m_inputs *i, m_outputs *o, void *w);\n\
                    int f(m_inputs *i, m_outputs *o, void *w) { return m_run(i, o, w) == M_OK; }\n\
                    char sizes[M_INPUT_X_SIZE == 162 && M_WORKSPACE_ALIGN == 64 ? 1 : -1];\n";
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{standard}");
    }
}

#[test]
fn bindings() {
    let (bundle, ..) = linked();
    for name in ["m.h", "m.rs", "m.py"] {
        let (_, bytes) = bundle.files.iter().find(|(n, _)| n == name).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn every_function_can_be_unwound_and_needs_no_relocation_of_text() {
    let (_, linked, _) = linked();
    let object = linked.dir.path().join("m.o");
    let read = |args: &[&str]| {
        let out = Command::new("aarch64-linux-gnu-readelf").args(args).arg(&object).output().unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    // Some have two names.
    let symbols = read(&["-Ws"]);
    let places = symbols.lines().filter(|l| l.contains(" FUNC ")).filter_map(|l| l.split_whitespace().nth(1));
    let functions: std::collections::BTreeSet<&str> = places.collect();
    assert!(functions.len() > 10);
    assert_eq!(read(&["-wf"]).lines().filter(|l| l.contains(" FDE ")).count(), functions.len());
    assert!(read(&["-Wn"]).contains("BTI"));
    assert!(read(&["-WS"]).contains(".note.GNU-stack"));
    // A shared library of it has no relocation left at all.
    let library = linked.dir.path().join("libm.so");
    let made = Command::new("aarch64-linux-gnu-gcc")
        .args(["-shared", "-nostdlib", "-Wl,-z,text", "-o"])
        .args([&library, &object])
        .status()
        .unwrap();
    assert!(made.success());
    let out = Command::new("aarch64-linux-gnu-readelf").arg("-Wr").arg(&library).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains("no relocations"), "{text}");
}
