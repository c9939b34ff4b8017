//! Time on the target as a limit.

use std::path::Path;
use std::sync::Arc;

use secateur::{Clock, Request, analyze, open};
use secateur_codegen::bundle;
use secateur_prune::{Amount, Budget, Criterion, Limit, Scope, Selection};
use secateur_target::Target;

fn clock() -> Clock {
    Clock::of(&Target::load("rpi4").unwrap()).unwrap()
}

fn request(amount: Amount, round_to: usize) -> Request {
    Request {
        budget: Budget { limits: vec![(Limit::Cycles, amount)] },
        criterion: Criterion::L2,
        scope: Scope::Global,
        selection: Selection { min_keep: 1, round_to, ..Selection::default() },
        pins: Vec::new(),
        dims: Vec::new(),
        keep_batchnorm: false,
        clock: Some(Arc::new(clock())),
    }
}

/// What is written holds the limit as the compiler itself counts it, and leaves little of it unused.
#[test]
fn the_compiled_model_holds_the_limit() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    for model in ["fashion_resnet20", "fashion_mobilenetv2_bn", "fashion_shufflenet"] {
        for share in [0.75, 0.4] {
            let request = request(Amount::Share(share), 8);
            let a = analyze(open(&folder.join(model).with_extension("onnx")).unwrap(), &request).unwrap();
            let pruned = a.cut(a.plan(&request).unwrap(), &[]).unwrap();
            let cycles = |g| bundle::cycles(g, &[], clock().core).unwrap().iter().map(|s| s.1).sum::<u64>();
            let (before, after) = (cycles(&a.module.graph), cycles(&pruned.module.graph));
            let kept = after as f64 / before as f64;
            println!("{model} {share}: {kept:.4}");
            assert!(kept <= share && kept > 0.96 * share, "{model} {share}: {kept}");
            let told = pruned.latency.unwrap();
            assert_eq!((told.cycles_before, told.cycles_after), (before, after));
            assert!((told.milliseconds_after - after as f64 / 1.5e6).abs() < 1e-9, "at 1500 MHz");
        }
    }
}

/// Multiply-adds are not time: the same share of time is reached with another share of them.
#[test]
fn an_absolute_time_is_a_number_of_cycles() {
    let clock = clock();
    assert_eq!(clock.parse("2ms").unwrap(), Amount::Absolute(3_000_000));
    assert_eq!(clock.parse("800us").unwrap(), Amount::Absolute(1_200_000));
    assert_eq!(clock.parse("0.1s").unwrap(), Amount::Absolute(150_000_000));
    assert_eq!(clock.parse("50%").unwrap(), Amount::Share(0.5));
    for bad in ["", "2", "2apples", "ms", "-1ms", "0us", "20M", "nans", "120%"] {
        assert!(clock.parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_cannot_be_reached_or_counted_is_an_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let tight = request(Amount::Absolute(1000), 1);
    let a = analyze(open(&folder.join("fashion_resnet20.onnx")).unwrap(), &tight).unwrap();
    assert_eq!(a.plan(&tight).unwrap_err().code, secateur_diag::Code::P001);
    // What is forced is the smallest there is.
    let forced = Request { selection: Selection { force: true, ..tight.selection.clone() }, ..tight };
    let smallest = a.cut(a.plan(&forced).unwrap(), &[]).unwrap().latency.unwrap();
    assert!(smallest.cycles_after > 1000 && smallest.cycles_after < smallest.cycles_before / 4);
    // No kernel serves Einsum; the message names the node as the model does.
    let graph = secateur_ir::parse::graph(
        r#"graph g opset(""=17) (%x: f32[2,6]) -> (%y) {
            @w: f32[6,8] = rand(1)
            @v: f32[8,5] = rand(2)
            %a: ? = MatMul(%x, @w)
            %y: ? = Einsum(%a, @v) {equation="ij,jk->ki"} as "contract"
        }"#,
    );
    let mut graph = graph.unwrap();
    secateur_ops::infer(&mut graph).unwrap();
    let e = clock().measure(&graph, &[]).unwrap_err();
    let field = |label| e.fields.iter().find(|f| f.0 == label).map(|f| f.1.as_str());
    assert_eq!(field("node"), Some("\"contract\" (Einsum, opset 17)"));
    assert_eq!(field("needed for"), Some("--latency"));
}
