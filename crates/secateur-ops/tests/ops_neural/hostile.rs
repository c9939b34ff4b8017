//! No rule of the table panics, whatever a file says.

use secateur_ir::parse;
use secateur_ops::infer;
use secateur_ops::{CostCx, CoupleCx, Relations};

/// Every row with a few bad shapes and absurd attributes: errors are fine, panics are not.
#[test]
fn absurd_models_are_errors() {
    let shapes =
        ["", "0", "1", "2,0", "3,4", "1,4,5", "N,M,3", "2,4,6,8", "1,2,3,4,5", "9223372036854775807,2,2"];
    let numbers = ["-1", "0", "1", "2", "9223372036854775807", "-9223372036854775808"];
    let ints = |n: &str| {
        let names = "kernel_shape strides dilations output_padding axes output_shape qkv_hidden_sizes";
        let each: Vec<String> = names.split(' ').map(|a| format!("{a}=[{n}, {n}]")).collect();
        each.join(", ")
    };
    let singles = |n: &str| {
        let names = "axis group num_groups hidden_size layout ceil_mode num_heads q_num_heads kv_num_heads \
                     block_size output_dtype N K transA transB transBatchA transBatchB spatial stash_type channels_last";
        let each: Vec<String> = names.split(' ').map(|a| format!("{}={n}", a.trim())).collect();
        each.join(", ")
    };
    let mut attrs = vec![String::new()];
    for n in numbers {
        attrs.push(format!(" {{{}}}", singles(n)));
        attrs.push(format!(" {{{}, {}, pads=[{n}, {n}, {n}, {n}]}}", singles("1"), ints(n)));
        attrs.push(format!(" {{{}, equation=\"ab,bc->ac\"}}", ints(n)));
    }
    let mut bad = Vec::new();
    for op in secateur_ops::all() {
        for (i, s) in shapes.iter().enumerate() {
            for a in &attrs {
                for count in [0, 1, 2, 3, 9] {
                    let inputs: Vec<String> = (0..count)
                        .map(|k| {
                            format!(
                                "%x{k}: f32[{}]",
                                if k % 2 == 0 { s } else { shapes[(i + k) % shapes.len()] }
                            )
                        })
                        .collect();
                    let names: Vec<String> = (0..count).map(|k| format!("%x{k}")).collect();
                    let name = if op.domain.is_empty() {
                        op.name.into()
                    } else {
                        format!("{}::{}", op.domain, op.name)
                    };
                    for opset in [1, 11, 23] {
                        check(
                            &mut bad,
                            &format!(
                                "graph t opset(\"\"={opset}, com.microsoft=1) ({}) -> (%y) {{ %y: ?, %z: ? = {name}({}){a} }}",
                                inputs.join(", "),
                                names.join(", ")
                            ),
                        );
                    }
                }
            }
        }
    }
    assert!(bad.is_empty(), "{} panics, first in each operator:\n{}", bad.len(), bad.join("\n"));
}

/// Notes a text whose graph makes a rule panic, one an operator.
fn check(bad: &mut Vec<String>, text: &str) {
    if std::panic::catch_unwind(|| one(text)).is_err() {
        let call = text.split_once(" = ").map_or(text, |(_, call)| call);
        let op = call.split_once('(').map_or(call, |(op, _)| op);
        if !bad.iter().any(|b| b.contains(&format!(" = {op}("))) {
            bad.push(text.to_owned());
        }
    }
}

fn one(text: &str) {
    let mut g = parse::graph(text).unwrap();
    let fine = infer(&mut g).is_ok();
    let node = &g.nodes[0];
    let known = node.inputs.iter().chain(&node.outputs).flatten().all(|&v| g.shape(v).is_some());
    if let (true, true, Some(op)) = (fine, known, secateur_ops::find(node.domain(), node.op())) {
        let _ = (op.couple)(&CoupleCx { graph: &g, node }, &mut Relations::default());
        let _ = (op.cost)(&CostCx { graph: &g, node });
    }
}
