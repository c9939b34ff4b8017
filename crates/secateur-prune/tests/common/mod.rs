//! A small residual network, samples for it, and a cut of it.
#![allow(dead_code)]

use std::sync::Arc;

use secateur_calib::Samples;
use secateur_calib::measure::Reference;
use secateur_calib::refit::{self, Options};
use secateur_calib::statistics;
use secateur_ir::{Graph, parse};
use secateur_ops::infer;
use secateur_prune::calib::allot;
use secateur_prune::calib::curves::{self, Curve};
use secateur_prune::calib::state::State;
use secateur_prune::{Amount, Budget, CostModel, Criterion, Limit, Selection, score};
use secateur_tensor::Tensor;

pub fn graph(text: &str) -> Graph {
    let mut g = parse::graph(text).unwrap();
    infer(&mut g).unwrap();
    g
}

/// Numbers that look random, always the same.
pub fn noise(len: usize, seed: u64) -> Vec<f32> {
    secateur_ir::Tensor::uniform(&[len], seed).to_f32().unwrap()
}

pub fn samples(batches: usize, shape: &[usize], threads: usize) -> Samples {
    let len = shape.iter().product();
    let batch = |b: usize| vec![("x".to_owned(), Arc::new(Tensor::of(shape, noise(len, 100 + b as u64))))];
    Samples { batches: (0..batches).map(batch).collect(), threads }
}

/// A residual network with a rectifier behind each sum.
pub const RESIDUAL: &str = r#"graph g opset(""=17) (%x: f32[N,6,8,8]) -> (%y) {
    @w0: f32[12,6,3,3] = rand(1)
    @b0: f32[12] = rand(2)
    @w1: f32[16,12,3,3] = rand(3)
    @b1: f32[16] = rand(4)
    @w2: f32[12,16,1,1] = rand(5)
    @w3: f32[10,12,3,3] = rand(6)
    @b3: f32[10] = rand(7)
    @w4: f32[12,10,1,1] = rand(8)
    @b4: f32[12] = rand(9)
    @w5: f32[12,5] = rand(10)
    @b5: f32[5] = rand(11)
    %c0: ? = Conv(%x, @w0, @b0) {pads=[1,1,1,1]}
    %r0: ? = Relu(%c0)
    %c1: ? = Conv(%r0, @w1, @b1) {pads=[1,1,1,1]}
    %r1: ? = Relu(%c1)
    %c2: ? = Conv(%r1, @w2)
    %s2: ? = Add(%c2, %r0)
    %r2: ? = Relu(%s2)
    %c3: ? = Conv(%r2, @w3, @b3) {pads=[1,1,1,1], strides=[2,2]}
    %r3: ? = Relu(%c3)
    %c4: ? = Conv(%r3, @w4, @b4)
    %p: ? = GlobalAveragePool(%c4)
    %f: ? = Flatten(%p) {axis=1}
    %y: ? = Gemm(%f, @w5, @b5)
}"#;

pub struct Cut {
    pub original: Graph,
    pub samples: Samples,
    pub state: State,
}

pub fn cut(threads: usize) -> Cut {
    cut_of(RESIDUAL, threads)
}

/// A network of input `[N,6,8,8]` with two fifths of its multiply-adds cut.
pub fn cut_of(text: &str, threads: usize) -> Cut {
    let original = graph(text);
    let samples = samples(8, &[8, 6, 8, 8], threads);
    let coupling = secateur_coupling::analyze(&original, &[]).unwrap();
    let mut bound = original.clone();
    infer::bind(&mut bound, &|_| Some(1)).unwrap();
    let costs = CostModel::new(&bound, &coupling).unwrap();
    let selection = Selection { min_keep: 1, round_to: 1, ..Selection::default() };
    let allowed = selection.groups(&original, &coupling).unwrap();
    let wanted = curves::wanted(&original, &coupling, &allowed);
    let known = statistics::gather(&original, &samples, &wanted, &mut |_| {}).unwrap();
    let weights = score(&original, &coupling, Criterion::L2).unwrap();
    let mut found: Vec<Curve> =
        curves::orders(&original, &coupling, &allowed, &known, &weights, &mut || {}).unwrap();
    let reference = Reference::new(&original, &samples, vec![0, 4]).unwrap();
    curves::measure(&original, &coupling, &known, &mut found, &reference, &mut || {}).unwrap();
    for c in &found {
        let errors: Vec<f64> = (0..c.order.error.len()).map(|k| c.error(k)).collect();
        assert!(errors.windows(2).all(|e| e[0] <= e[1] + 1e-9), "errors grow: {errors:?}");
    }
    let budget = Budget { limits: vec![(Limit::Macs, Amount::Share(0.6))] };
    let removed = allot::allot(&coupling, &found, &costs, &budget, &selection).unwrap().unwrap();
    let plan = allot::plan(&coupling, &found, &removed);
    let mut state = State::new(&original);
    state.cut(&coupling, &plan).unwrap();
    assert_eq!(state.plan(&coupling), plan);
    let share = costs.of(&plan.lens(&coupling)).macs.unwrap() as f64 / costs.whole().macs.unwrap() as f64;
    assert!((0.5..=0.6).contains(&share), "the budget is met and used: {share}");
    Cut { original, samples, state }
}

pub fn fitted(c: &Cut, options: &Options) -> Graph {
    let mut g = c.state.graph.clone();
    let kept = |v, a| c.state.kept(v, a);
    refit::compensate(&c.original, &mut g, &kept, &c.samples, options, &mut |_| {}).unwrap();
    g
}
