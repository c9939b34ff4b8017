//! Coupling, planning and surgery on fixtures of three kinds, and on chains of growing length.

use criterion::{BatchSize, BenchmarkId, Criterion as Bench, Throughput, criterion_group, criterion_main};
use secateur::{Request, analyze, open};
use secateur_coupling::analyze as couple;
use secateur_ir::{ElemType, Graph, Module, Node, Tensor, TensorType};
use secateur_prune::{Amount, Budget, Criterion, Limit, Scope, Selection, surgery};

fn request() -> Request {
    Request {
        budget: Budget { limits: vec![(Limit::Macs, Amount::Share(0.5))] },
        criterion: Criterion::L2,
        scope: Scope::Global,
        selection: Selection { min_keep: 1, round_to: 1, ..Selection::default() },
        pins: vec![],
        dims: vec![],
        keep_batchnorm: false,
        clock: None,
    }
}

/// `n` 3x3 convolutions of `channels` channels with a Relu behind each and a skip over every second.
fn chain(n: usize, channels: usize) -> Module {
    let mut g = Graph::default();
    g.name = "chain".into();
    g.opsets = vec![(String::new(), 17)];
    let shape = |c: usize| [1, c, 8, 8].iter().map(|&d| secateur_ir::Dim::fixed(d)).collect();
    let ty = |c| Some(TensorType { elem: ElemType::F32, shape: Some(shape(c)) });
    let Ok(mut x) = g.add_value("x", ty(3)) else { unreachable!("the graph is empty") };
    g.inputs.push(x);
    let mut last = 3;
    for i in 0..n {
        let out = if i + 1 == n { 10 } else { channels };
        let data: Vec<f32> = (0..out * last * 9).map(|k| (k % 101) as f32 - 50.0).collect();
        let w = g.add_init("w", Tensor::f32(&[out, last, 3, 3], &data));
        let y = g.add_fresh("y", ty(out));
        let mut conv = Node::new("", "Conv", "", vec![Some(x), Some(w)], vec![Some(y)]);
        conv.set_ints("pads", vec![1; 4]);
        g.nodes.push(conv);
        let r = g.add_fresh("r", ty(out));
        g.nodes.push(Node::new("", "Relu", "", vec![Some(y)], vec![Some(r)]));
        x = if i % 2 == 1 && last == out {
            let s = g.add_fresh("s", ty(out));
            g.nodes.push(Node::new("", "Add", "", vec![Some(r), Some(x)], vec![Some(s)]));
            s
        } else {
            r
        };
        last = out;
    }
    g.outputs.push(x);
    Module::from_graph(g)
}

fn stages(bench: &mut Bench, name: &str, module: &Module) {
    let request = request();
    let Ok(analyzed) = analyze(module.clone(), &request) else { panic!("{name} cannot be analyzed") };
    let graph = &analyzed.module.graph;
    let mut group = bench.benchmark_group(name);
    group.throughput(Throughput::Elements(analyzed.costs.whole().params));
    group.bench_function("couple", |b| b.iter(|| couple(graph, &[])));
    group.bench_function("plan", |b| b.iter(|| analyzed.plan(&request)));
    let Ok(plan) = analyzed.plan(&request) else { panic!("{name} cannot be planned") };
    group.bench_function(BenchmarkId::new("surgery", plan.removed.len()), |b| {
        b.iter_batched(
            || graph.clone(),
            |mut g| surgery::apply(&mut g, &analyzed.coupling, &plan),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn all(bench: &mut Bench) {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");
    for name in ["fashion_resnet20", "fashion_mobilenetv2_bn", "fashion_shufflenet"] {
        match open(std::path::Path::new(&format!("{fixtures}/{name}.onnx"))) {
            Ok(module) => stages(bench, name, &module),
            Err(e) => panic!("{e}"),
        }
    }
    for n in [16, 64, 256] {
        stages(bench, &format!("chain of {n}"), &chain(n, 64));
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
