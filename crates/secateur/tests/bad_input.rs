//! Bad input through the command: one line of what is wrong and where, exit code 2 (1 for a budget that cannot be
//! met), and nothing written.

mod common;
use common::*;
use insta::assert_snapshot;
use secateur_onnx::proto::{StringStringEntryProto, tensor_proto::DataLocation};

const PRUNE: &str = "prune m.onnx -o out/p.onnx --macs 50%";

/// What pruning says of a model file with these bytes.
fn error(bytes: impl AsRef<[u8]>) -> String {
    let desk = Desk::new();
    desk.put("m.onnx", bytes);
    let said = desk.refused(2, PRUNE);
    // The other commands that read a model refuse it with the same words.
    assert_eq!(desk.refused(2, "inspect m.onnx"), said);
    assert_eq!(desk.refused(2, "compile m.onnx --target rpi4 -o out --macs 50%"), said);
    said
}

/// What the command says to options on a good model.
fn option(code: i32, options: &str) -> String {
    let desk = Desk::new();
    desk.put("m.onnx", encode(small()));
    desk.refused(code, &format!("prune m.onnx -o out/p.onnx {options}"))
}

#[test]
fn bytes_that_are_no_model() {
    let whole = encode(small());
    assert_snapshot!(error(&whole[..whole.len() / 2]), @r#"
    error[L002]: the bytes are not a whole ONNX protobuf
      reason 1234 bytes are announced, 616 are left
      byte   3 of 621
      in     ModelProto.graph
      file   m.onnx
    "#);
    assert_snapshot!(error("This is a letter, not a network.\n"), @r#"
    error[L002]: the bytes are not a whole ONNX protobuf
      reason 4 is not a wire type
      byte   1 of 33
      in     ModelProto
      file   m.onnx
    "#);
    assert_snapshot!(error(""), @r#"
    error[L002]: the file is empty
      file   m.onnx
    "#);
    for n in 0..whole.len() {
        if n % 37 == 0 {
            let desk = Desk::new();
            desk.put("m.onnx", &whole[..n]);
            desk.refused(2, PRUNE);
        }
    }
}

#[test]
fn graphs_that_do_not_hold_together() {
    assert_snapshot!(error(changed(|_, g| {
        g.node[0].input[0] = "r".into();
    })), @r#"
    error[G001]: the graph is cyclic
      node   "first" (Conv, opset 17)
      node   "act" (Relu, opset 17)
      node   "last" (Conv, opset 17)
      file   m.onnx
    "#);
    assert_snapshot!(error(changed(|_, g| {
        g.initializer.remove(0);
    })), @r#"
    error[G002]: %w1 has no source
      node   "first" (Conv, node 0)
      file   m.onnx
    "#);
    assert_snapshot!(error(changed(|_, g| {
        g.node[1].output[0] = "a".into();
    })), @r#"
    error[G003]: the name %a is defined twice
      node   "act" (Relu, node 1)
      file   m.onnx
    "#);
    assert_snapshot!(error(changed(|_, g| {
        let w = g.initializer[0].clone();
        g.initializer.push(w);
    })), @r#"
    error[G003]: the name %w1 is defined twice
      tensor w1
      file   m.onnx
    "#);
    assert_snapshot!(error(changed(|_, g| g.node.clear())), @r#"
    error[L003]: the model's graph has no node
      file   m.onnx
    "#);
    assert_snapshot!(error(changed(|_, g| g.output.clear())), @r#"
    error[L003]: the model's graph has no output
      file   m.onnx
    "#);
    assert_snapshot!(error(changed(|_, g| g.output[0].name = Some("z".into()))), @r#"
    error[G002]: the output %z has no source
      file   m.onnx
    "#);
}

#[test]
fn weights_that_do_not_fit() {
    assert_snapshot!(error(changed(|_, g| g.initializer[0] = weight("w1", &[8, 5, 3, 3], 1))), @r#"
    error[S001]: the input has 3 channels, the weight takes 5 in each of 1 groups
      node   "first" (Conv, opset 17)
      input  %x: f32[N,3,8,8]
      input  %w1: f32[8,5,3,3]
      input  %b1: f32[8]
    "#);
    assert_snapshot!(error(changed(|_, g| g.initializer[1] = weight("b1", &[7], 1))), @r#"
    error[S001]: axis lengths 7 and 8 should be the same
      node   "first" (Conv, opset 17)
      input  %x: f32[N,3,8,8]
      input  %w1: f32[8,3,3,3]
      input  %b1: f32[7]
    "#);
    assert_snapshot!(error(changed(|_, g| g.initializer[2].dims = vec![4, 9, 1, 1])), @r#"
    error[L004]: a tensor's data do not match its shape
      tensor "w2": f32[4, 9, 1, 1]
      needs  144 bytes
      has    128 bytes in raw_data
      file   m.onnx
    "#);
    assert_snapshot!(error(changed(|_, g| g.initializer[2].data_type = Some(77))), @r#"
    error[L009]: 77 is not an element type
      tensor w2
      file   m.onnx
    "#);
}

#[test]
fn absurd_sizes() {
    assert_snapshot!(error(changed(|_, g| g.initializer[0].dims = vec![1 << 40, 1 << 40, 3, 3])), @r#"
    error[L006]: the product of the dimensions overflows
      shape  [1099511627776, 1099511627776, 3, 3]
      tensor w1
      file   m.onnx
    "#);
    assert_snapshot!(error(changed(|_, g| g.initializer[0].dims[0] = -8)), @r#"
    error[L006]: a dimension is negative
      shape  [-8, 3, 3, 3]
      tensor w1
      file   m.onnx
    "#);
    assert_snapshot!(error(changed(|_, g| g.input[0] = value("x", &[-1, 3, i64::MAX, i64::MAX]))), @r#"
    error[L006]: the cost, about 2e40, overflows
      node   "first" (Conv, opset 17)
      input  %x: f32[1,3,9223372036854775807,9223372036854775807]
      input  %w1: f32[8,3,3,3]
      input  %b1: f32[8]
    "#);
}

#[test]
fn external_data_outside_the_folder() {
    let external = |location: &str| {
        let entry = StringStringEntryProto { key: Some("location".into()), value: Some(location.into()) };
        changed(|_, g| {
            g.initializer[0].raw_data = None;
            g.initializer[0].data_location = Some(DataLocation::External as i32);
            g.initializer[0].external_data.push(entry);
        })
    };
    assert_snapshot!(error(external("../outside.bin")), @r#"
    error[L005]: external data cannot be read
      tensor "w1"
      file   "../outside.bin"
      reason the location leaves the model's folder
      help   put the data file into the model's own folder
    "#);
    assert_snapshot!(error(external("/etc/hostname")), @r#"
    error[L005]: external data cannot be read
      tensor "w1"
      file   "/etc/hostname"
      reason the location is absolute
      help   put the data file into the model's own folder
    "#);
    assert_snapshot!(error(external("missing.bin")), @r#"
    error[L005]: external data cannot be read
      tensor "w1"
      file   "missing.bin"
      reason No such file or directory (os error 2)
    "#);
    let desk = Desk::new();
    desk.put("m.onnx", external("short.bin")).put("short.bin", [0; 100]);
    assert_snapshot!(desk.refused(2, PRUNE), @r#"
    error[L005]: external data cannot be read
      tensor "w1"
      file   "short.bin"
      reason 864 bytes at 0 are asked for, the file has 100
    "#);
}

#[test]
fn unknown_versions() {
    assert_snapshot!(error(changed(|m, _| m.opset_import[0].version = Some(99))), @r#"
    error[L008]: opset 99 is not supported
      range  1 to 28
      file   m.onnx
      help   convert the model with onnx.version_converter or export it again
    "#);
    assert_snapshot!(error(changed(|m, _| m.ir_version = Some(99))), @r#"
    error[L008]: IR version 99 is not supported
      range  1 to 14
      file   m.onnx
      help   convert the model with onnx.version_converter or export it again
    "#);
}

#[test]
fn paths_that_cannot_be_read_or_written() {
    let desk = Desk::new();
    desk.put("good.onnx", encode(small()));
    assert_snapshot!(desk.refused(2, "prune out -o out/p.onnx --macs 50%"), @r#"
    error[L001]: the model cannot be read
      reason it is a folder
      file   out
    "#);
    assert_snapshot!(desk.refused(2, "prune absent.onnx -o out/p.onnx --macs 50%"), @r#"
    error[L001]: the model cannot be read
      reason No such file or directory (os error 2)
      file   absent.onnx
    "#);
    assert_snapshot!(desk.refused(2, "prune good.onnx -o out/absent/p.onnx --macs 50%"), @r#"
    error[L007]: the file cannot be written
      reason there is no folder "out/absent"
      file   out/absent/p.onnx
    "#);
    assert_snapshot!(desk.refused(2, "prune good.onnx -o good.onnx/p.onnx --macs 50%"), @r#"
    error[L007]: the file cannot be written
      reason there is no folder "good.onnx"
      file   good.onnx/p.onnx
    "#);
    assert_snapshot!(desk.refused(2, "prune good.onnx -o out/p.onnx --macs 50% --masked absent/p.onnx"), @r#"
    error[L007]: the file cannot be written
      reason there is no folder "absent"
      file   absent/p.onnx
    "#);
    assert_snapshot!(desk.refused(2, "prune good.onnx -o absent/p.onnx --macs 50% --masked out/p.onnx"), @r#"
    error[L007]: the file cannot be written
      reason there is no folder "absent"
      file   absent/p.onnx
    "#);
    assert_snapshot!(desk.refused(2, "compile good.onnx --target rpi4 -o good.onnx/out"), @r#"
    error[L007]: the folder cannot be made
      reason "good.onnx" is not a folder
      folder good.onnx/out
    "#);
    assert_snapshot!(desk.refused(2, "compile good.onnx --target toaster -o out"), @r#"
    error[T001]: unknown target "toaster"
      known  rpi-zero-2w, rpi3, rpi4, rpi5
      help   give one of these names, or the path of a .toml file
    "#);
    assert_eq!(names(&desk.path("")), ["good.onnx", "out"]);
}

/// Three of eight channels hold not-a-number, one of them with the sign bit set: they cannot be rated and stay.
#[test]
fn weights_that_are_not_numbers() {
    let mut w = noise(8 * 27, 1);
    let bad = [1, 4, 6];
    for (c, bits) in bad.into_iter().zip([0x7fc0_0000, 0xffc0_0000, 0x7f80_0001]) {
        w[c * 27 + 5] = f32::from_bits(bits);
    }
    let desk = Desk::new();
    desk.put("m.onnx", changed(|_, g| g.initializer[0] = tensor("w1", &[8, 3, 3, 3], &w)));
    for criterion in ["l1", "l2", "fpgm"] {
        for out in ["a", "b"] {
            desk.done(&format!("prune m.onnx -o {out}.onnx --macs 50% --criterion {criterion}"));
        }
        let bytes = std::fs::read(desk.path("a.onnx")).unwrap();
        assert_eq!(bytes, std::fs::read(desk.path("b.onnx")).unwrap());
        let module = secateur::open(&desk.path("a.onnx")).unwrap();
        let w = module.graph.init(module.graph.find("w1").unwrap()).unwrap();
        assert_eq!(w.dims, [4, 3, 3, 3]);
        let kept = w.to_f32().unwrap();
        let broken = kept.chunks(27).filter(|c| c.iter().any(|v| v.is_nan())).count();
        // Distances to a class that is not a number are not numbers either: nothing is rated by `fpgm`.
        assert!(broken == bad.len() || criterion == "fpgm", "{criterion}: {broken}");
    }
}

#[test]
fn budgets_that_are_none() {
    assert_snapshot!(option(2, ""), @r#"
    error[P005]: no budget was given
      help   one or more of --macs 50%, --params 50%, --size 1.5MB, --latency 50%; with --calib also --sparsity 80% or --sparse-latency 50%
    "#);
    assert_snapshot!(option(2, "--macs 50apples"), @r#"
    error[P005]: "50apples" is not a budget
      option --macs
      help   a share as in 50% or 0.5, or a figure as in 20M, 300k or 1.5MB
    "#);
    assert_snapshot!(option(2, "--latency 50%"), @r#"
    error[P005]: --latency needs a target
      help   give the board that time is counted on, as in --target rpi4
    "#);
    assert_snapshot!(option(2, "--latency 2days --target rpi4"), @r#"
    error[P005]: "2days" is not a time
      option --latency
      help   a share as in 50% or 0.5, or a time as in 2ms, 800us or 0.1s
    "#);
    assert_snapshot!(option(2, "--macs 50% --round-to 0"), @r#"
    error[P005]: --round-to 0 is not in 1..=4096
    "#);
    for bad in ["0%", "101%", "-5%", "nan", "inf", "1e30", "%", "", "50%%", "0", "-1", "1.5 XB", "0x10"] {
        for limit in ["--macs", "--params", "--size"] {
            let desk = Desk::new();
            desk.put("m.onnx", encode(small()));
            let run = desk.run(&["prune", "m.onnx", "-o", "out/p.onnx", &format!("{limit}={bad}")]);
            assert_eq!((run.code, desk.written().len()), (2, 0), "{limit}={bad}: {}", run.err);
            assert!(run.err.starts_with("error[P005]"), "{limit}={bad}: {}", run.err);
        }
    }
}

#[test]
fn a_budget_out_of_reach() {
    assert_snapshot!(option(1, "--macs 1%"), @r#"
    error[P001]: the budget cannot be met
      budget MACs at most 158, at least 1984 of 15872 (12.5 %) remain with every group at its minimum
      groups 1 of 1 may be pruned
      help   see what is pinned and why: secateur inspect MODEL --groups
    "#);
    assert_snapshot!(option(1, "--params 50% --min-keep 8"), @r#"
    error[P001]: the budget cannot be met
      budget params at most 128, at least 256 of 256 (100.0 %) remain with every group at its minimum
      groups 1 of 1 may be pruned
      help   see what is pinned and why: secateur inspect MODEL --groups
    "#);
    assert_snapshot!(option(1, "--size 1B"), @r#"
    error[P001]: the budget cannot be met
      budget bytes at most 1, at least 128 of 1024 (12.5 %) remain with every group at its minimum
      groups 1 of 1 may be pruned
      help   see what is pinned and why: secateur inspect MODEL --groups
    "#);
}

#[test]
fn names_that_match_nothing() {
    assert_snapshot!(option(2, "--macs 50% --pin w9.0"), @r#"
    error[P003]: --pin "w9.0" is not NAME.axis of a value of the model
      near   "w1", "w2"
      help   as in --pin conv1.weight.0, with names that secateur inspect MODEL prints
    "#);
    assert_snapshot!(option(2, "--macs 50% --pin w1"), @r#"
    error[P003]: --pin "w1" is not NAME.axis of a value of the model
      help   give an axis too, as in --pin @w1.0
    "#);
    assert_snapshot!(option(2, "--macs 50% --pin w1.4"), @r#"
    error[P003]: --pin "w1.4" is not NAME.axis of a value of the model
      value  @w1 has 4 axes
    "#);
    assert_snapshot!(option(2, "--macs 50% --only conv*"), @r#"
    error[P003]: --only "conv*" matches no node, value or initializer
      help   names are those that secateur inspect MODEL prints
    "#);
    assert_snapshot!(option(2, "--macs 50% --skip [a"), @r#"
    error[P005]: --skip "[a" is neither a name nor a pattern
      reason unclosed character class; missing ']'
      near   "a"
      help   names are those that secateur inspect MODEL prints
    "#);
    assert_snapshot!(option(2, "--macs 50% --dim H=8"), @r#"
    error[P003]: no input of the model has a dimension called H
      known  N
    "#);
    assert_snapshot!(option(2, "--macs 50% --dim N"), @r#"
    error[P005]: "N" is not NAME=SIZE
      help   e.g. --dim H=224
    "#);
    assert_snapshot!(option(2, "--macs 50% --dim N=0"), @r#"
    error[P005]: "N=0" is not NAME=SIZE
      help   e.g. --dim H=224
    "#);
}
