//! Every fixture at three budgets: the pruned model computes what the original does with the removed channels
//! zeroed where they are summed away, and not what the untouched original does.

mod common;
use common::*;
use secateur::{Analyzed, Request, analyze, open};
use secateur_data::*;
use secateur_ir::Module;
use secateur_onnx::{Model, proto::ValueInfoProto};
use secateur_oracle::Oracle as Executor;
use secateur_prune::{Amount, Budget, Criterion, Limit, Scope, Selection};
use secateur_run::{CompareOptions, Engine, compare};

const FASHION: (&str, [&str; 3]) = ("fashion_test_x.npy", ["1/255", "0.2860", "0.3530"]);

/// A fixture, and what to feed it.
struct Fixture {
    model: &'static str,
    data: (&'static str, [&'static str; 3]),
    samples: usize,
    dims: &'static [(&'static str, usize)],
    /// Convolution channels in removable classes, in percent at least.
    channels: f64,
    /// Weights in them.
    weights: f64,
}

fn fashion(model: &'static str) -> Fixture {
    Fixture { model, data: FASHION, samples: 8, dims: &[], channels: 100.0, weights: 98.0 }
}

fn request(f: &Fixture, share: f64, criterion: Criterion) -> Request {
    Request {
        budget: Budget { limits: vec![(Limit::Macs, Amount::Share(share))] },
        criterion,
        scope: Scope::Global,
        selection: Selection { min_keep: 1, round_to: 1, ..Selection::default() },
        pins: Vec::new(),
        dims: f.dims.iter().map(|&(n, k)| (n.to_owned(), k)).collect(),
        keep_batchnorm: false,
        clock: None,
    }
}

/// The model as it is, and with the output before a last Softmax or Sigmoid in the output's place: behind them
/// small differences hide, or next to nothing is compared with next to nothing.
struct Pair {
    whole: Executor,
    unsquashed: Executor,
}

fn executors(m: &Module) -> Pair {
    let whole = m.export().0.encode();
    let (mut proto, extras, files) = m.export().0.into_parts();
    let g = proto.graph.as_mut().unwrap();
    for o in &mut g.output {
        let def = |name: &str| g.node.iter().find(|n| n.output.iter().any(|y| y == name)).unwrap();
        let mut made = def(o.name());
        while made.op_type() == "Identity" {
            made = def(&made.input[0]);
        }
        if matches!(made.op_type(), "Softmax" | "Sigmoid") {
            *o = ValueInfoProto { name: Some(made.input[0].clone()), ..Default::default() };
        }
    }
    let unsquashed = Model::from_parts(proto, extras, files).encode();
    Pair {
        whole: Executor::from_bytes(&whole).unwrap(),
        unsquashed: Executor::from_bytes(&unsquashed).unwrap(),
    }
}

/// Samples for the model; magika reads bytes as integers.
fn data(f: &Fixture, e: &Executor) -> InputSet {
    let (file, [scale, mean, std]) = f.data;
    let recipe = Recipe::from(Preparation::parse(scale, mean, std).unwrap());
    let npy = match file {
        "" => {
            let numbers = noise(f.samples * 2048, 11);
            let bytes: Vec<u8> =
                numbers.iter().flat_map(|v| ((v.abs() * 256.0) as i32).to_le_bytes()).collect();
            NpyFile::from_bytes("bytes.npy", npy("<i4", &[f.samples, 2048], &bytes)).unwrap()
        }
        name => NpyFile::open(fixture(name)).unwrap(),
    };
    InputSet::new(vec![(None, npy)], e.inputs(), &recipe).unwrap().first(f.samples)
}

/// The largest difference of two models over the largest value, over all outputs, before the last squashing.
fn difference(a: &Pair, b: &Pair, data: &InputSet, batch: usize) -> f64 {
    let options = CompareOptions { batch, threads: 1 };
    let outputs = |a, b| compare(a, b, data, None, &options, &mut |_, _| ()).unwrap().outputs;
    let (plain, raw) = (outputs(&a.whole, &b.whole), outputs(&a.unsquashed, &b.unsquashed));
    for o in plain.iter().chain(&raw) {
        assert_eq!(o.non_finite, 0, "{}", o.name);
        assert!(o.max_abs > 0.0, "{} is zero throughout", o.name);
    }
    let worst = raw.iter().map(|o| o.max_rel_error.unwrap()).fold(0.0, f64::max);
    let squashed = plain.iter().map(|o| o.max_abs_error / o.max_abs.max(1.0)).fold(0.0, f64::max);
    worst.max(squashed)
}

/// Plans and cuts once; returns what is left of the MACs, and how far apart the models are.
fn cut(f: &Fixture, a: &Analyzed, e: &Pair, d: &InputSet, r: &Request, batch: usize) -> (f64, f64, f64) {
    let plan = a.plan(r).unwrap();
    let masked = executors(&a.masked(&plan));
    let pruned = a.cut(plan, &r.dims).unwrap();
    let cut = executors(&pruned.module);
    let kept = pruned.costs.macs.unwrap() as f64 / a.original.macs.unwrap() as f64;
    let measured: u64 = pruned.layers.iter().map(|l| l.macs.unwrap()).sum();
    assert_eq!(Some(measured), pruned.costs.macs, "{}: planned and counted MACs", f.model);
    (kept, difference(&masked, &cut, d, batch), difference(e, &cut, d, batch))
}

fn check(f: &Fixture) {
    let module = open(&fixture(f.model)).unwrap();
    let whole = executors(&module);
    let d = data(f, &whole.whole);
    let a = analyze(module, &request(f, 1.0, Criterion::L2)).unwrap();
    let batch = f.samples.min(8);
    let simplified = difference(&whole, &executors(&a.module), &d, batch);
    assert!(simplified < 1e-4, "{}: simplification changes the outputs by {simplified:.1e}", f.model);
    let c = &a.coverage;
    let channels = 100.0 * c.channels_exact as f64 / (c.channels - c.channels_fixed).max(1) as f64;
    println!(
        "{}: {channels:.1} % of the channels, {:.1} % of the weights; simplified {simplified:.0e}",
        f.model,
        100.0 * c.exact as f64 / c.weights as f64
    );
    assert!(
        100.0 * c.exact as f64 >= f.weights * c.weights as f64,
        "{}: {} of {} weights",
        f.model,
        c.exact,
        c.weights
    );
    assert!(channels >= f.channels, "{}: {channels:.1} % of the channels", f.model);
    assert!(a.unknown_ops.is_empty(), "{}: {:?}", f.model, a.unknown_ops);
    for criterion in [Criterion::L2, Criterion::Random(3)] {
        for percent in [75.0, 50.0, 25.0] {
            let r = request(f, percent / 100.0, criterion);
            let (kept, error, moved) = cut(f, &a, &whole, &d, &r, batch);
            let kept = 100.0 * kept;
            println!("  {percent} % {criterion:?}: {kept:.2} % kept, error {error:.1e}, moved {moved:.1e}");
            let place = format!("{} at {percent} % by {criterion:?}", f.model);
            assert!(error < 1e-4, "{place}: cut and masked differ by {error:.1e}");
            assert!(moved > 1e-3, "{place}: nothing changed");
            assert!(kept <= percent && kept > percent - 3.0, "{place}: {kept:.2} %");
        }
    }
    // The comparison can fail: what one plan masks is not what another cuts.
    let [mask, cut] = [Criterion::L2, Criterion::Random(3)].map(|c| a.plan(&request(f, 0.5, c)).unwrap());
    let cut = a.cut(cut, &request(f, 0.5, Criterion::L2).dims).unwrap();
    let other = difference(&executors(&a.masked(&mask)), &executors(&cut.module), &d, batch);
    assert!(other > 1e-3, "{}: {other:.1e}", f.model);
}

#[test]
fn resnet20() {
    check(&fashion("fashion_resnet20.onnx"));
    check(&fashion("fashion_resnet20_bn.onnx"));
}

#[test]
fn mobilenetv2() {
    check(&fashion("fashion_mobilenetv2.onnx"));
    check(&fashion("fashion_mobilenetv2_bn.onnx"));
}

#[test]
fn shufflenet() {
    check(&fashion("fashion_shufflenet.onnx"));
    check(&fashion("fashion_shufflenet_bn.onnx"));
}

#[test]
fn gru() {
    check(&Fixture { channels: 0.0, ..fashion("fashion_gru.onnx") });
}

#[test]
fn transformer() {
    // Its one convolution makes the embedding, whose width is normalized: not exact.
    check(&Fixture { channels: 0.0, weights: 96.0, ..fashion("fashion_transformer.onnx") });
}

#[test]
fn ppocr_cls() {
    check(&Fixture {
        model: "ppocr_cls_v2.onnx",
        data: ("ocr_cls_test_x.npy", ["1/255", "0.5", "0.5"]),
        samples: 8,
        dims: &[("?x.2", 48), ("?x.3", 192)],
        channels: 99.0,
        weights: 98.0,
    });
}

#[test]
fn ppocr_det() {
    check(&Fixture {
        model: "ppocr_det_v4.onnx",
        data: ("ocr_det_pages_x.npy", ["1/255", "0.485,0.456,0.406", "0.229,0.224,0.225"]),
        samples: 1,
        dims: &[("p2o.DynamicDimension.1", 320), ("p2o.DynamicDimension.2", 320)],
        channels: 99.0,
        weights: 98.0,
    });
}

#[test]
fn magika() {
    check(&Fixture {
        data: ("", ["1", "0", "1"]),
        samples: 2,
        channels: 100.0,
        ..fashion("magika_v3_3.onnx")
    });
}
