//! Nothing is lost on the way in and out: files come back byte for byte, printed graphs print the same again.

mod common;
use common::*;
use secateur_ir::{parse, print};
use secateur_onnx::Model;
use secateur_ops::infer;

fn fixtures() -> Vec<String> {
    let all: Vec<String> = names(&fixture("")).into_iter().filter(|n| n.ends_with(".onnx")).collect();
    assert!(all.len() >= 10, "{all:?}");
    all
}

#[test]
fn untouched_models_come_back_byte_for_byte() {
    let desk = Desk::new();
    for name in fixtures() {
        let bytes = std::fs::read(fixture(&name)).unwrap();
        let (model, external) = secateur::open(&fixture(&name)).unwrap().export();
        assert!(model.encode() == bytes, "{name}: encoded");
        model.save(&desk.path("m.onnx"), &external).unwrap();
        assert!(std::fs::read(desk.path("m.onnx")).unwrap() == bytes, "{name}: saved");
        assert_eq!(names(&desk.path("")), ["m.onnx", "out"]);
    }
}

#[test]
fn printed_graphs_print_the_same_again() {
    let again = |text: &str, name: &str| {
        let graph = parse::graph(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(print::graph(&graph) == text, "{name}");
    };
    for name in fixtures() {
        let mut module = secateur::open(&fixture(&name)).unwrap();
        again(&print::graph(&module.graph), &name);
        infer(&mut module.graph).unwrap();
        again(&print::graph(&module.graph), &format!("{name}, inferred"));
        secateur_passes::prepare(&mut module.graph, &mut secateur_passes::Options::default()).unwrap();
        again(&print::graph(&module.graph), &format!("{name}, simplified"));
    }
}

/// What pruning writes is a model like any other: it is read, written and pruned again.
#[test]
fn pruned_models_are_models() {
    let desk = Desk::new();
    let path = fixture("fashion_mobilenetv2_bn.onnx").display().to_string();
    desk.done(&format!("prune {path} -o a.onnx --macs 60%"));
    let bytes = std::fs::read(desk.path("a.onnx")).unwrap();
    let (model, _) = secateur::open(&desk.path("a.onnx")).unwrap().export();
    assert!(model.encode() == bytes);
    desk.done("prune a.onnx -o b.onnx --macs 60%");
    let before = Model::load(&fixture("fashion_mobilenetv2_bn.onnx")).unwrap();
    let after = Model::load(&desk.path("b.onnx")).unwrap();
    let heads = |m: &Model| {
        let (p, g) = (m.proto(), m.proto().graph.as_ref().unwrap());
        (
            p.ir_version,
            p.opset_import.clone(),
            p.producer_name.clone(),
            g.name.clone(),
            g.input.clone(),
            g.output.clone(),
        )
    };
    assert_eq!(heads(&before), heads(&after));
}

#[test]
fn random_weights_of_the_printed_form() {
    let graph = |init: &str| {
        parse::graph(&format!(
            "graph g opset(\"\"=17) (%x: f32[2]) -> (%y) {{ @w: {init} %y: ? = Add(%x, @w) }}"
        ))
    };
    let values = |seed: u32| {
        let g = graph(&format!("f32[500,2] = rand({seed})")).unwrap();
        g.init(g.find("w").unwrap()).unwrap().to_f32().unwrap()
    };
    assert_eq!(values(1), values(1));
    assert_ne!(values(1), values(2));
    let mean = values(1).iter().sum::<f32>() / 1000.0;
    assert!(mean.abs() < 0.1 && values(1).iter().all(|v| (-1.0..1.0).contains(v)), "{mean}");
    for bad in [
        "f32[4000000,2] = rand(1)",
        "i64[2] = rand(1)",
        "f32[2] = rand()",
        "f32[2] = rand(-1)",
        "f32[2] = rand(1",
    ] {
        assert_eq!(graph(bad).unwrap_err().code, secateur_diag::Code::G004, "{bad}");
    }
}
