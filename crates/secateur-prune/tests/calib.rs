//! Calibration on small graphs: what is claimed of unfolding, of runs in stretches, of the order of removal and
//! of the fit, against a direct computation.

mod common;

use std::sync::Arc;

use common::{Cut, RESIDUAL, cut, fitted, graph, noise, samples};
use faer::Mat;
use secateur_calib::Unfold;
use secateur_calib::linear::{Linear, linears};
use secateur_calib::measure::Reference;
use secateur_calib::pattern::Pattern;
use secateur_calib::refit::{Masks, Options};
use secateur_calib::statistics::unfolding;
use secateur_calib::walk::Walk;
use secateur_calib::{Samples, obs};
use secateur_ir::Graph;
use secateur_tensor::Tensor;

fn text(node: &str, weight: &str, x: &str, more: &str) -> Graph {
    graph(&format!(
        "graph g opset(\"\"=17) (%x: f32{x}) -> (%y) {{
            @w: f32{weight} = rand(1)
            {more}
            {node}
        }}"
    ))
}

#[test]
fn unfolded_rows_times_the_weight_are_the_result() {
    let bias = |n: usize| format!("@b: f32[{n}] = rand(2)");
    let cases = [
        text("%y: ? = Conv(%x, @w)", "[4,3,1,1]", "[2,3,5,6]", ""),
        text(
            "%y: ? = Conv(%x, @w, @b) {pads=[1,0,2,1], strides=[2,1], dilations=[1,2]}",
            "[4,3,3,2]",
            "[2,3,9,8]",
            &bias(4),
        ),
        text("%y: ? = Conv(%x, @w, @b) {group=3, pads=[1,1,1,1]}", "[6,2,3,3]", "[2,6,5,4]", &bias(6)),
        text(
            "%y: ? = Conv(%x, @w, @b) {auto_pad=\"SAME_UPPER\", strides=[2,2]}",
            "[5,2,3,2]",
            "[3,2,7,6]",
            &bias(5),
        ),
        text("%y: ? = Conv(%x, @w) {auto_pad=\"SAME_LOWER\"}", "[5,2,2,4]", "[3,2,7,6]", ""),
        text("%y: ? = Conv(%x, @w) {pads=[2,2], strides=[3]}", "[5,4,5]", "[3,4,17]", ""),
        text(
            "%y: ? = ConvTranspose(%x, @w, @b) {strides=[2,2], pads=[1,0,1,0], output_padding=[1,0]}",
            "[3,4,3,2]",
            "[2,3,5,4]",
            &bias(4),
        ),
        text(
            "%y: ? = ConvTranspose(%x, @w) {group=2, strides=[2,1], dilations=[1,2]}",
            "[4,3,2,3]",
            "[2,4,5,4]",
            "",
        ),
        text("%y: ? = Gemm(%x, @w, @b) {transB=1}", "[7,5]", "[6,5]", &bias(7)),
        text("%y: ? = Gemm(%x, @w)", "[5,7]", "[6,5]", ""),
        text("%y: ? = MatMul(%x, @w)", "[5,7]", "[2,3,4,5]", ""),
        text("%m: ? = MatMul(%x, @w)\n%y: ? = Add(@b, %m)", "[5,7]", "[2,4,5]", &bias(7)),
    ];
    for g in &cases {
        let all = linears(g);
        let [l] = all.as_slice() else { panic!("one linear operator in {}", secateur_ir::print::graph(g)) };
        let shape: Vec<usize> = g.shape(g.inputs[0]).unwrap().iter().map(|d| d.size().unwrap()).collect();
        let s = samples(1, &shape, 1);
        let mut walk = Walk::new(g, &s, vec![0]).unwrap();
        let x = walk.get(l.data).unwrap()[0].clone();
        walk.advance(g, g.nodes.len(), &[]).unwrap();
        let y = walk.get(l.out).unwrap()[0].clone();
        check(g, l, &x, &y);
        let w = g.init(l.weight).unwrap();
        assert_eq!(&l.with_matrices(w, &l.matrices(w).unwrap()).unwrap(), w, "weights come back");
    }
}

fn check(g: &Graph, l: &Linear, x: &Tensor, y: &Tensor) {
    let w = g.init(l.weight).unwrap();
    let unfold = unfolding(g, l, x, &y.dims).unwrap();
    let bias = l.bias.map(|b| g.init(b).unwrap().to_f32().unwrap());
    let (channels, _, outputs) = l.sizes(w);
    let want = Unfold::Axis(l.axis).rows(y, 0..outputs * l.groups()).unwrap();
    for (p, m) in l.matrices(w).unwrap().iter().enumerate() {
        let rows = unfold.rows(x, p * channels..(p + 1) * channels).unwrap();
        let got = &rows * &Mat::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)] as f32);
        assert_eq!(got.nrows(), want.nrows());
        for (i, j) in (0..got.nrows()).flat_map(|i| (0..outputs).map(move |j| (i, j))) {
            let o = p * outputs + j;
            let got = got[(i, j)] + bias.as_ref().map_or(0.0, |b| b[o]);
            let want = want[(i, o)];
            assert!((got - want).abs() < 1e-4 * (1.0 + want.abs()), "{l:?} row {i} output {o}: {got} {want}");
        }
    }
}

#[test]
fn stretches_give_what_the_whole_gives() {
    let g = graph(RESIDUAL);
    let s = samples(3, &[4, 6, 8, 8], 2);
    let whole = Reference::new(&g, &s, vec![0, 1, 2]).unwrap();
    let mut walk = whole.walk(&g).unwrap();
    for to in [1, 2, 5, 6, 9, 12] {
        walk.advance(&g, to, &[]).unwrap();
        let error = whole.error_from(&g, &walk).unwrap();
        assert!(error < 1e-10, "{error:e} after node {to}");
    }
    // What no later node reads is gone.
    assert!(walk.get(g.find("r0").unwrap()).is_none());
}

#[test]
fn the_error_of_an_order_is_that_of_the_best_fit() {
    let (p, q, classes) = (24, 5, 8);
    let x = Mat::from_fn(300, p, |i, j| {
        f64::from(noise(1, (i * p + j) as u64)[0]) + 0.5 * (i as f64 * (j / 3) as f64).sin()
    });
    let w = Mat::from_fn(p, q, |i, j| f64::from(noise(1, (9000 + i * q + j) as u64)[0]));
    let c = x.transpose() * &x;
    let rows: Vec<Vec<usize>> = (0..classes).map(|k| (3 * k..3 * k + 3).collect()).collect();
    let block = obs::Block::new(&c, &w, rows.clone()).unwrap();
    let order = obs::order(vec![block], classes, &vec![0.0; classes]);
    assert_eq!(order.error.len(), classes);
    let h = secateur_calib::solve::damped(&c, obs::DAMPING);
    for k in 0..classes {
        // The least |x (w - w')|^2 + damping over weights that are zero in the first k classes.
        let kept: Vec<usize> = order.classes[k..].iter().flat_map(|&c| rows[c].clone()).collect();
        let hk = Mat::from_fn(kept.len(), kept.len(), |i, j| h[(kept[i], kept[j])]);
        let goal = &h * &w;
        let goal = Mat::from_fn(kept.len(), q, |i, j| goal[(kept[i], j)]);
        use faer::linalg::solvers::Solve;
        let best = hk.llt(faer::Side::Lower).unwrap().solve(&goal);
        let left = obs::power(&h, &w)
            - (0..q)
                .map(|j| best.col(j).iter().zip(goal.col(j).iter()).map(|(a, b)| a * b).sum::<f64>())
                .sum::<f64>();
        let want = left / obs::power(&c, &w);
        assert!((order.error[k] - want).abs() < 1e-8, "{k}: {} {want}", order.error[k]);
    }
}

#[test]
fn exchanges_lower_the_error_that_is_left() {
    let (p, q, classes, gone) = (24, 3, 12, 5);
    let mut better = 0;
    for seed in 0..20u64 {
        let at = |i: usize| f64::from(noise(1, 77_000 * (seed + 1) + i as u64)[0]);
        // Features that lean on each other, in two overlapping sets.
        let own = Mat::from_fn(200, p, |i, j| at(i * p + j));
        let mix = Mat::from_fn(p, p, |i, j| if (i * 5 + j * 3) % 7 < 3 { at(9000 + i * p + j) } else { 0.0 });
        let x = &own * &mix;
        let c = x.transpose() * &x;
        let w = Mat::from_fn(p, q, |i, j| at(20_000 + i * q + j));
        let rows: Vec<Vec<usize>> = (0..classes).map(|k| (2 * k..2 * k + 2).collect()).collect();
        let blocks = || vec![obs::Block::new(&c, &w, rows.clone()).unwrap()];
        let first = obs::order(blocks(), classes, &[0.0; 12]).classes[..gone].to_vec();
        let then = obs::exchange(&blocks(), classes, &first);
        // The error of the best fit with these classes at zero, computed directly.
        let h = secateur_calib::solve::damped(&c, obs::DAMPING);
        let error = |gone: &[usize]| {
            use faer::linalg::solvers::Solve;
            let kept: Vec<usize> =
                (0..classes).filter(|c| !gone.contains(c)).flat_map(|c| rows[c].clone()).collect();
            let hk = Mat::from_fn(kept.len(), kept.len(), |i, j| h[(kept[i], kept[j])]);
            let goal = &h * &w;
            let goal = Mat::from_fn(kept.len(), q, |i, j| goal[(kept[i], j)]);
            let best = hk.llt(faer::Side::Lower).unwrap().solve(&goal);
            let explained =
                (0..q).map(|j| best.col(j).iter().zip(goal.col(j).iter()).map(|(a, b)| a * b).sum::<f64>());
            obs::power(&h, &w) - explained.sum::<f64>()
        };
        let (a, b) = (error(&first), error(&then));
        assert_eq!(then.len(), gone);
        assert!(b <= a * (1.0 + 1e-9), "{seed}: {b} after {a}");
        if first != then {
            assert!(b < a, "{seed}: an exchange that saves nothing");
            better += 1;
        }
    }
    assert!(better > 0, "the greedy order is never the best of all");
}

#[test]
fn compensation_lowers_the_error_part_by_part_and_at_any_thread_count() {
    let c = cut(1);
    let all: Vec<usize> = (0..8).collect();
    let reference = Reference::new(&c.original, &c.samples, all).unwrap();
    let error = |g: &Graph| reference.error(g).unwrap();
    let none = error(&c.state.graph);
    let repair = error(&fitted(&c, &Options { fit: false, ..Options::default() }));
    let linear = error(&fitted(&c, &Options { sums: false, rounds: 0, ..Options::default() }));
    let full = fitted(&c, &Options::default());
    assert!(repair < none, "repair {repair} of {none}");
    assert!(linear < 0.5 * none && linear < repair, "linear {linear} of {none}, repair {repair}");
    assert!(error(&full) < 1.02 * linear, "full {} linear {linear}", error(&full));
    // The convolution without a bias has one now.
    assert!(full.nodes.iter().any(|n| n.inputs.len() == 3 && full.value(n.input(1).unwrap()).name == "w2"));
    let two = fitted(&cut(2), &Options::default());
    for v in full.value_ids() {
        assert_eq!(full.init(v), two.init(v), "{}", full.value(v).name);
    }
}

#[test]
fn zeros_are_where_the_pattern_lets_them() {
    let c = cut(2);
    let weights: Vec<_> = linears(&c.state.graph).into_iter().map(|l| (l.weight, 0.4)).collect();
    for text in ["unstructured", "4x1", "1x4", "2:4"] {
        let pattern = Pattern::parse(text).unwrap();
        let masks = Masks { pattern, density: weights.iter().copied().collect() };
        let g = fitted(&c, &Options { masks: Some(masks), ..Options::default() });
        for l in linears(&g) {
            let w = g.init(l.weight).unwrap();
            let (_, taps, _) = l.sizes(w);
            let m = &l.matrices(w).unwrap()[0];
            let kept = (0..m.ncols()).map(|j| m.col(j).iter().filter(|x| **x != 0.0).count()).sum::<usize>();
            assert!(kept as f64 <= 0.4 * w.len() as f64 + 0.5, "{text} {}: {kept}", g.value(l.weight).name);
            let support = pattern.support(m, taps, kept);
            let lost = (0..m.ncols()).any(|j| (0..m.nrows()).any(|i| m[(i, j)] != 0.0 && !support[(i, j)]));
            assert!(!lost, "{text}: {} does not keep to the pattern", g.value(l.weight).name);
            assert!(w.to_f32().unwrap().iter().all(|x| x.is_finite()));
        }
    }
}

#[test]
fn poor_data_give_finite_weights() {
    // Constant samples, a single sample, and channels that are always zero.
    let original = cut(1);
    let constant = |v: f32| Arc::new(Tensor::of(&[4, 6, 8, 8], vec![v; 4 * 6 * 64]));
    let dead = {
        let mut v = noise(4 * 6 * 64, 5);
        v.chunks_mut(64).step_by(2).for_each(|c| c.fill(0.0));
        Arc::new(Tensor::of(&[4, 6, 8, 8], v))
    };
    let single = Arc::new(Tensor::of(&[1, 6, 8, 8], noise(6 * 64, 3)));
    for t in [constant(0.0), constant(3.0), dead, single] {
        let samples = Samples { batches: vec![vec![("x".to_owned(), t)]], threads: 1 };
        let g = fitted(
            &Cut { original: original.original.clone(), samples, state: original.state.clone() },
            &Options::default(),
        );
        for v in g.value_ids() {
            let finite = g
                .init(v)
                .and_then(secateur_ir::Tensor::to_f32)
                .is_none_or(|w| w.iter().all(|x| x.is_finite()));
            assert!(finite, "{}", g.value(v).name);
        }
    }
}
