//! Budgets, sizes that are not given, shapes that are hidden, and what is shown of groups.

use insta::assert_snapshot;
use secateur_onnx::proto::{GraphProto, NodeProto, OperatorSetIdProto};

use crate::common::*;
use crate::desk;

#[test]
fn budgets_that_are_hardly_meant() {
    let desk = desk();
    let prune = |options: &str| desk.refused(2, &format!("prune small.onnx -o out/p.onnx {options}"));
    assert_snapshot!(prune("--macs 50"), @r#"
    error[P005]: "50" has no unit; is 50% meant?
      option --macs
      help   50% is a share; the figure itself is 0.05k
    "#);
    assert_snapshot!(prune("--size 2.5"), @r#"
    error[P005]: "2.5" has no unit; is 2.5% meant?
      option --size
      help   2.5% is a share; the figure itself is 0.0025k
    "#);
    assert_snapshot!(prune("--latency 40 --target rpi4"), @r#"
    error[P005]: "40" has no unit; is 40% meant?
      option --latency
      help   40% is a share, 40ms a time
    "#);
    assert_snapshot!(prune("--macs -50%"), @r#"
    error[P005]: "-50%" is not a budget
      option --macs
      help   a share as in 50% or 0.5, or a figure as in 20M, 300k or 1.5MB
    "#);
    assert_snapshot!(prune("--params 150%"), @r#"
    error[P005]: "150%" is not a budget
      option --params
      help   a share as in 50% or 0.5, or a figure as in 20M, 300k or 1.5MB
    "#);
    for option in ["--macs", "--params", "--size", "--latency"] {
        for amount in
            ["50", "1.5", "100", "-50%", "-.5", "-3", "150%", "0", "0%", "NaN%", "%", "5..0", "1e999"]
        {
            let err = prune(&format!("{option} {amount} --target rpi4"));
            assert!(err.starts_with("error[P005]: ") && err.contains(&format!("option {option}\n")), "{err}");
            if let Ok(n) = amount.parse::<f64>()
                && n > 1.0
                && n <= 100.0
            {
                assert!(err.contains(&format!("is {amount}% meant?")), "{err}");
            }
        }
        let twice = prune(&format!("{option} 50% {option} 40%"));
        assert!(twice.contains(&format!("'{option} <AMOUNT>' cannot be used multiple times")), "{twice}");
    }
    let sparse = "--calib x.npy --target rpi4 --sparse-latency";
    assert!(prune(&format!("{sparse} 50")).contains("is 50% meant?"));
    assert!(prune(&format!("{sparse} -50%")).contains("option --sparse-latency"));
    for share in ["50", "0", "-50%", "100%", "x"] {
        let err = prune(&format!("--calib x.npy --sparsity {share}"));
        assert!(err.starts_with("error[P005]: --sparsity takes a share"), "{err}");
    }
    // A small figure that is meant has a unit.
    desk.done("prune small.onnx -o out/p.onnx --params 0.08k");
    // Negative numbers are values everywhere.
    desk.done("verify small.onnx small.onnx --data x.npy --mean -0.5 --std 0.25");
}

#[test]
fn sizes_that_are_not_given() {
    let wide = |dims: &[&str]| {
        let mut m = small();
        let g = m.graph.as_mut().unwrap();
        let mut x = value("x", &[-1, 3, -1, -1]);
        let shape = x.r#type.as_mut().unwrap();
        let secateur_onnx::proto::type_proto::Value::TensorType(t) = shape.value.as_mut().unwrap() else {
            panic!()
        };
        for (d, name) in t.shape.as_mut().unwrap().dim.iter_mut().skip(2).zip(dims) {
            use secateur_onnx::proto::tensor_shape_proto::dimension::Value;
            d.value = Some(Value::DimParam((*name).into()));
        }
        g.input = vec![x];
        g.output = vec![value("y", &[-1, 4, -1, -1])];
        encode(m)
    };
    let desk = Desk::new();
    desk.put("m.onnx", wide(&["T", "S"]));
    assert_snapshot!(desk.refused(2, "prune m.onnx -o out/p.onnx --macs 50%"), @r#"
    error[P002]: the multiply-adds depend on the size T
      node   "first" (Conv, opset 17)
      input  %x: f32[1,3,T,S]
      input  %w1: f32[8,3,3,3]
      input  %b1: f32[8]
      help   give --dim T=SIZE --dim S=SIZE
    "#);
    assert_snapshot!(desk.refused(2, "compile m.onnx --target rpi4 -o out"), @r#"
    error[C002]: the size of T, S is not fixed
      help   give --dim T=SIZE --dim S=SIZE
    "#);
    let inspected = desk.done("inspect m.onnx").out;
    assert!(inspected.contains("MACs    ? (give --dim T=SIZE --dim S=SIZE)"), "{inspected}");
    desk.done("prune m.onnx -o out/p.onnx --macs 50% --dim T=8 --dim S=8");
    // A size may well be called N: what stands for the number is not.
    let time_major = Desk::new();
    let mut m = small();
    m.graph.as_mut().unwrap().input = vec![value("x", &[3, 3, -1, 8])];
    m.graph.as_mut().unwrap().output = vec![value("y", &[3, 4, -1, 8])];
    time_major.put("m.onnx", encode(m));
    for line in ["prune m.onnx -o out/p.onnx --macs 50%", "compile m.onnx --target rpi4 -o out"] {
        let err = time_major.refused(2, line);
        assert!(err.contains("give --dim N=SIZE") && !err.contains("N=N"), "{line}: {err}");
    }
    for line in ["prune --help", "compile --help", "inspect --help"] {
        let help = time_major.done(line).out;
        assert!(help.contains("NAME=SIZE") && !help.contains("=N>"), "{help}");
    }
}

#[test]
fn an_operator_that_hides_a_shape() {
    // Behind the two layers an operator of another domain, then a layer whose shapes nobody knows.
    let model = |hidden: NodeProto| {
        let mut m = small();
        m.opset_import.push(OperatorSetIdProto { domain: Some("my.dom".into()), version: Some(1) });
        let g: &mut GraphProto = m.graph.as_mut().unwrap();
        let tail = [node("Conv", "cc", &["h", "w3"], &["z"]), node("Relu", "end", &["z"], &["e"])];
        g.node.extend([hidden].into_iter().chain(tail));
        g.initializer.push(weight("w3", &[5, 4, 1, 1], 4));
        g.output = vec![value("e", &[-1, 5, 8, 8])];
        encode(m)
    };
    let mut block = node("Block", "blk1", &["y"], &["h"]);
    block.domain = Some("my.dom".into());
    let desk = Desk::new();
    desk.put("m.onnx", model(block.clone()));
    assert_snapshot!(desk.refused(2, "prune m.onnx -o out/p.onnx --macs 50%"), @r#"
    error[P002]: the multiply-adds depend on the shape of %z, which is unknown
      behind "blk1" (my.dom::Block, opset 1), an operator without a rule
      node   "cc" (Conv, opset 17)
      input  %h: ?
      input  %w3: f32[5,4,1,1]
      help   limit --params or --size instead, which do not depend on it
    "#);
    let inspected = desk.done("inspect m.onnx").out;
    let said = "MACs    ? (unknown behind \"blk1\" (my.dom::Block, opset 1), an operator without a rule)";
    assert!(inspected.contains(said), "{inspected}");
    desk.done("prune m.onnx -o out/p.onnx --params 60%");
    // The same without a name.
    let desk = Desk::new();
    block.name = None;
    desk.put("m.onnx", model(block));
    assert!(
        desk.refused(2, "prune m.onnx -o out/p.onnx --macs 50%")
            .contains("behind \"h\" (my.dom::Block, opset 1)")
    );
}

#[test]
fn groups_show_weights_only() {
    let desk = Desk::new();
    let mut m = small();
    let g = m.graph.as_mut().unwrap();
    let mut push = |op: &str, inputs: &[&str], output: &str| g.node.push(node(op, output, inputs, &[output]));
    push("Reshape", &["y", "shape"], "f");
    push("Slice", &["f", "from", "to"], "c");
    push("Pad", &["c", "pads", "zero"], "p");
    push("Gather", &["p", "index"], "z");
    let long = |name: &str, values: &[i64]| {
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        secateur_onnx::proto::TensorProto {
            data_type: Some(7),
            raw_data: Some(data.into()),
            ..tensor(name, &[values.len() as i64], &[])
        }
    };
    g.initializer.extend([
        long("shape", &[0, -1]),
        long("from", &[0, 1]),
        long("to", &[9999, 99]),
        long("pads", &[0, 1, 0, 1]),
        tensor("zero", &[], &[0.0]),
        long("index", &[0, 0, 0]),
        weight("dense", &[100, 5], 3),
    ]);
    g.node.push(node("MatMul", "last", &["z", "dense"], &["end"]));
    g.output = vec![value("end", &[3, 5])];
    desk.put("m.onnx", encode(m));
    let out = desk.done("inspect m.onnx --groups").out;
    let pinned: Vec<&str> = out.lines().filter(|l| l.starts_with("pinned")).collect();
    assert!(pinned.iter().any(|l| l.contains("@dense.1 [5]")), "{out}");
    for operand in ["shape", "from", "to", "pads", "zero", "index"] {
        assert!(!out.contains(&format!("@{operand}.")), "{operand}: {out}");
    }
}
