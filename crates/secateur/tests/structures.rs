//! Each `filetests/*.ir` is a structure of the field. Its first line names the classes that go, as GROUP.PLACE; the
//! rest of its comment says what must go with them. The snapshot shows what is coupled, which elements of which
//! weights stay, and the graph before and after. Both graphs are run too: what is cut equals what is masked.

use secateur::{Analyzed, Request, analyze};
use secateur_ir::{Module, parse, print, verify};
use secateur_ops::infer;
use secateur_oracle::Oracle as Executor;
use secateur_prune::{Budget, Criterion, Plan, Scope, Selection};
use secateur_tensor::Tensor;

fn request() -> Request {
    Request {
        budget: Budget::default(),
        criterion: Criterion::L2,
        scope: Scope::Global,
        selection: Selection { min_keep: 1, round_to: 1, ..Selection::default() },
        pins: Vec::new(),
        dims: Vec::new(),
        keep_batchnorm: false,
        clock: None,
    }
}

/// The plan of a `// remove: GROUP.PLACE ...` line.
fn plan(a: &Analyzed, text: &str) -> Plan {
    let line = text.lines().next().and_then(|l| l.strip_prefix("// remove:")).expect("a line of classes");
    let class = |word: &str| {
        let (group, place) = word.split_once('.').unwrap();
        let [group, place] = [group, place].map(|n| n.parse::<usize>().unwrap());
        a.coupling.groups[group].classes[place]
    };
    Plan::new(&a.coupling, line.split_whitespace().map(class).collect())
}

/// One line for each weight axis that loses elements: those that stay.
fn kept(a: &Analyzed, plan: &Plan) -> String {
    let graph = &a.module.graph;
    let mut out = String::new();
    for (axis, old, _) in plan.cuts(&a.coupling) {
        if graph.init(axis.0).is_some() {
            let stay: Vec<String> =
                plan.kept(&a.coupling, axis).unwrap().iter().map(ToString::to_string).collect();
            let name = secateur_coupling::describe_axis(graph, axis);
            out.push_str(&format!("{name} keeps {} of {old}\n", stay.join(" ")));
        }
    }
    out
}

fn outputs(m: &Module) -> Vec<f32> {
    let input = m.graph.data_inputs().next().unwrap();
    let size = |d: &secateur_ir::Dim| d.size().unwrap_or(2);
    let shape: Vec<usize> = m.graph.shape(input).unwrap().iter().map(size).collect();
    let values = secateur_ir::Tensor::uniform(&shape, 99).to_f32().unwrap();
    let e = Executor::from_bytes(&m.export().0.encode()).unwrap();
    let out = e.run(&[(m.graph.value(input).name.as_str(), Tensor::of(&shape, values))]).unwrap();
    out[0].1.slice::<f32>().unwrap().to_vec()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let largest = a.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    a.iter().zip(b).fold(0.0f32, |m, (a, b)| m.max((a - b).abs())) / largest
}

#[test]
fn structures() {
    insta::glob!("filetests/*.ir", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let mut graph = parse::graph(&text).unwrap();
        verify::verify(&graph).unwrap();
        infer(&mut graph).unwrap();
        let whole = Module::from_graph(graph);
        let before = outputs(&whole);
        let a = analyze(whole, &request()).unwrap();
        let plan = plan(&a, &text);
        let masked = outputs(&a.masked(&plan));
        let kept = kept(&a, &plan);
        let pruned = a.cut(plan, &[]).unwrap();
        let after = outputs(&pruned.module);
        assert!(distance(&before, &outputs(&a.module)) < 1e-5, "simplification");
        assert!(distance(&masked, &after) < 1e-5, "{}", distance(&masked, &after));
        assert!(distance(&before, &after) > 1e-2, "nothing changed");
        let shown = [
            secateur_coupling::groups_text(&a.module.graph, &a.coupling),
            kept,
            print::graph(&a.module.graph),
            print::graph(&pruned.module.graph),
        ]
        .join("\n");
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(shown);
        });
    });
}
