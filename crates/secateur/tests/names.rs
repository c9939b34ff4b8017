//! No command gives a value a name that a graph inside of the model has: what each invents on a model is given to its
//! subgraphs, and the command is run again.

mod common;

use std::collections::BTreeSet;

use common::referee::answers;
use common::*;
use secateur_onnx::Model;
use secateur_onnx::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto};
use serde_json::json;

/// Where names are taken.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// By nodes of a branch.
    Nodes,
    /// By constants of the other one.
    Constants,
    /// By nodes of an If inside of a branch.
    Deeper,
}

fn branch(name: &str, nodes: Vec<NodeProto>, output: &str) -> AttributeProto {
    let output = vec![ValueInfoProto { name: Some(output.into()), ..value("", &[-1]) }];
    let g = GraphProto { name: Some(name.into()), node: nodes, output, ..Default::default() };
    AttributeProto { name: Some(name.into()), g: Some(g), r#type: Some(5), ..Default::default() }
}

/// A chain of nodes that write these names, from the outer value `m` on.
fn chain(names: &[String]) -> Vec<NodeProto> {
    let before = std::iter::once("m").chain(names.iter().map(String::as_str));
    names.iter().zip(before).map(|(to, from)| node("Neg", "", &[from], &[to])).collect()
}

/// Convolutions and a product of matrices, and beside them an If whose subgraphs define `taken`.
fn model(place: Place, taken: &[String]) -> ModelProto {
    let mut names = taken.to_vec();
    names.push("inside".into());
    let plain = |name: &str, out: &str| branch(name, vec![node("Identity", "", &["m"], &[out])], out);
    let own = |name: &str| branch(name, chain(&names), "inside");
    let branches = match place {
        Place::Nodes => vec![own("then_branch"), plain("else_branch", "beside")],
        Place::Constants => {
            let mut other = plain("else_branch", "beside");
            other.g.as_mut().unwrap().initializer = taken.iter().map(|n| tensor(n, &[1], &[1.0])).collect();
            vec![plain("then_branch", "inside"), other]
        }
        Place::Deeper => {
            let mut inner = node("If", "", &["positive"], &["deep"]);
            inner.attribute = vec![own("then_branch"), plain("else_branch", "deeper")];
            vec![branch("then_branch", vec![inner], "deep"), plain("else_branch", "beside")]
        }
    };
    let mut choice = node("If", "", &["positive"], &["z"]);
    choice.attribute = branches;
    let mut mean = node("ReduceMean", "", &["x"], &["m"]);
    mean.attribute = vec![ints("axes", &[1, 2, 3])];
    mean.attribute.push(AttributeProto { i: Some(0), r#type: Some(2), ..ints("keepdims", &[]) });
    let mut whole = node("ReduceMax", "", &["m"], &["most"]);
    whole.attribute = vec![AttributeProto { i: Some(0), r#type: Some(2), ..ints("keepdims", &[]) }];
    let mut m = small();
    m.opset_import[0].version = Some(13);
    let g = m.graph.as_mut().unwrap();
    // A bias is invented here for every command.
    g.node[2].output = vec!["c".into()];
    g.node.push(node("BatchNormalization", "", &["c", "gamma", "beta", "mean", "var"], &["y"]));
    let channels = [("gamma", 1.5), ("beta", 0.5), ("mean", 0.25), ("var", 2.0)];
    g.initializer.extend(channels.map(|(name, v)| tensor(name, &[4], &[v; 4])));
    g.node.extend([
        mean,
        whole,
        node("Greater", "", &["most", "zero"], &["positive"]),
        choice,
        node("GlobalAveragePool", "", &["r"], &["p"]),
        node("Flatten", "", &["p"], &["f"]),
        node("MatMul", "", &["f", "w3"], &["h"]),
        node("Relu", "", &["h"], &["i"]),
        node("MatMul", "", &["i", "w4"], &["j"]),
        node("Add", "", &["j", "b4"], &["v"]),
    ]);
    g.initializer.extend([
        tensor("zero", &[], &[0.0]),
        weight("w3", &[8, 32], 4),
        weight("w4", &[32, 4], 5),
        weight("b4", &[4], 6),
    ]);
    g.output.extend([value("z", &[-1]), value("v", &[-1, 4])]);
    m
}

fn names(m: &ModelProto) -> BTreeSet<String> {
    let g = m.graph.as_ref().unwrap();
    let constants = g.initializer.iter().map(|t| t.name().to_owned());
    constants.chain(g.node.iter().flat_map(|n| &n.output).cloned()).collect()
}

#[test]
fn invented_names_are_free_in_subgraphs_too() {
    let desk = Desk::new();
    desk.put("x.npy", npy("<f4", &[24, 3, 8, 8], &bytes_of(&noise(24 * 192, 9))));
    let mut requests = Vec::new();
    let calib = "--calib x.npy";
    for place in [Place::Nodes, Place::Constants, Place::Deeper] {
        for (short, command) in [
            ("int8", format!("quantize MODEL -o OUT {calib}")),
            (
                "int4",
                format!("quantize MODEL -o OUT {calib} --weights int4 --rounding reconstruct --epochs 1"),
            ),
            ("w8", "quantize MODEL -o OUT --weights w8".into()),
            ("w4", "quantize MODEL -o OUT --weights w4".into()),
            ("prune", "prune MODEL -o OUT --macs 50% --masked OUT.masked.onnx".into()),
            ("fitted", format!("prune MODEL -o OUT --macs 50% {calib} --no-cache")),
            ("both", format!("prune MODEL -o OUT --macs 50% {calib} --no-cache --quantize int8")),
        ] {
            let mut taken: BTreeSet<String> = BTreeSet::new();
            for round in 0..3 {
                let file = format!("{place:?}-{short}-{round}.onnx");
                let original = model(place, &taken.iter().cloned().collect::<Vec<_>>());
                let known = names(&original);
                desk.put(&file, encode(original));
                desk.done(&command.replace("MODEL", &file).replace("OUT", &format!("out/{file}")));
                for written in [format!("out/{file}"), format!("out/{file}.masked.onnx")] {
                    let path = desk.path(&written);
                    if path.exists() {
                        let now = names(Model::load(&path).unwrap().proto());
                        taken.extend(now.difference(&known).cloned());
                        requests.push(json!({ "a": desk.path(&file), "b": path }));
                    }
                }
                // Without this the names would not have met.
                assert!(!taken.is_empty(), "{file}: no name was invented");
            }
        }
    }
    for (request, answer) in requests.iter().zip(answers(&requests)) {
        assert!(answer["ok"] == true && answer["checker"] == "ok", "{request}: {answer}");
    }
    assert_eq!(requests.len(), 3 * 8 * 3);
}
