//! An If with a known condition; its subgraphs have no printed form.

use secateur_ir::{Graph, parse, print};
use secateur_onnx::proto::{AttributeProto, GraphProto, NodeProto, ValueInfoProto};
use secateur_ops::infer;

fn branch(nodes: &[(&str, &str, &str)], output: &str) -> GraphProto {
    let node = |(op, input, output): &(&str, &str, &str)| NodeProto {
        op_type: Some((*op).into()),
        input: vec![(*input).into()],
        output: vec![(*output).into()],
        ..Default::default()
    };
    GraphProto {
        node: nodes.iter().map(node).collect(),
        output: vec![ValueInfoProto { name: Some(output.into()), ..Default::default() }],
        ..Default::default()
    }
}

/// The graph after the pass.
fn rewritten(then: GraphProto) -> Graph {
    let text = "graph g opset(\"\"=13) (%x: f32[N]) -> (%y) {
        @yes: bool[] = [1]
        %r: f32[N] = Relu(%x)
        %i: f32[N] = If(@yes[]) {then_branch=opaque #0000000000000001} captures(%r)
        %y: f32[N] = Sqrt(%i)
    }";
    let mut graph = parse::graph(text).unwrap();
    graph.nodes[1].proto.attribute[0].doc_string = None;
    graph.nodes[1].proto.attribute[0].g = Some(then);
    infer(&mut graph).unwrap();
    secateur_passes::run(&mut graph, &["if_constant", "identity", "dead"]).unwrap();
    graph
}

/// Its lines, without types.
fn simplified(then: GraphProto) -> String {
    let graph = rewritten(then);
    let body: Vec<String> =
        print::graph(&graph).lines().skip(1).map(|l| l.trim().replace(": f32[N]", "")).collect();
    body.join("; ")
}

fn check(then: GraphProto, expect: &str) {
    assert_eq!(simplified(then), expect);
}

#[test]
fn names_that_are_taken_change() {
    let inner = branch(&[("Sigmoid", "r", "x"), ("Relu", "x", "fresh")], "fresh");
    check(inner, "%r = Relu(%x); %x_1 = Sigmoid(%r); %fresh = Relu(%x_1); %y = Sqrt(%fresh); }");
}

/// A name that changes does so in graphs inside of the branch as well.
#[test]
fn readers_further_inside_follow() {
    let deep = branch(&[("Neg", "x", "deep")], "deep");
    let mut body = branch(&[("Sigmoid", "r", "x"), ("If", "x", "fresh")], "fresh");
    body.node[1].attribute =
        vec![AttributeProto { name: Some("then_branch".into()), g: Some(deep), ..Default::default() }];
    let graph = rewritten(body);
    let read = |n: &secateur_ir::Node| n.proto.attribute[0].g.as_ref().unwrap().node[0].input[0].clone();
    let inner = graph.nodes.iter().find(|n| n.is("If")).unwrap();
    assert_eq!(read(inner), "x_1");
    assert_eq!(graph.value(inner.captures[0]).name, "x_1");
}

#[test]
fn an_outer_value_may_be_the_result() {
    check(branch(&[], "r"), "%r = Relu(%x); %y = Sqrt(%r); }");
}

#[test]
fn a_body_that_is_not_understood_stays() {
    let mut body = branch(&[], "r");
    body.output.clear();
    assert!(simplified(body).contains(" = If(@yes[])"));
}
