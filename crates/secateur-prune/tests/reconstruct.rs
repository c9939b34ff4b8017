//! Reconstruction of a small network that was cut.

mod common;

use common::{Cut, cut, fitted, graph, noise, samples};
use secateur_calib::Samples;
use secateur_calib::linear::linears;
use secateur_calib::measure::Reference;
use secateur_calib::pattern::Pattern;
use secateur_calib::reconstruct::{Judge, Left, Options, Reconstructed, reconstruct};
use secateur_calib::refit::{self, Masks};
use secateur_grad::{Array, Facts, Program};
use secateur_ir::{Graph, Module, ValueId};
use secateur_oracle::Oracle as Executor;
use secateur_tensor::Tensor;

fn run(c: &Cut, from: &Graph, options: &Options) -> (Graph, Result<Reconstructed, Left>) {
    let held: Vec<usize> = (0..c.samples.batches.len()).filter(|b| c.samples.held_out(*b)).collect();
    let judge = Reference::new(&c.original, &c.samples, held).unwrap();
    let mut g = from.clone();
    let kept = |v, a| c.state.kept(v, a);
    let by = Judge { held_out: &judge, honest: &mut || judge.error(from) };
    let mut way = 0.0;
    let did = reconstruct(&c.original, &mut g, &kept, &c.samples, by, options, &mut |p| way += p).unwrap();
    assert!(way <= 1.0 + 1e-6, "no more than all of the work is told: {way}");
    (g, did)
}

/// Samples that had no part in anything.
fn fresh() -> Samples {
    let batch = |b| vec![("x".to_owned(), std::sync::Arc::new(Tensor::of(&[8, 6, 8, 8], noise(3072, b))))];
    Samples { batches: (900..908).map(batch).collect(), threads: 2 }
}

#[test]
fn outputs_come_nearer_on_samples_never_seen_at_any_thread_count() {
    let with = |threads| Cut { samples: samples(48, &[8, 6, 8, 8], threads), ..cut(threads) };
    let c = with(1);
    let start = fitted(&c, &refit::Options::default());
    let fresh = fresh();
    let judge = Reference::new(&c.original, &fresh, (0..8).collect()).unwrap();
    let error = |g: &Graph| judge.error(g).unwrap();
    let options = Options { epochs: 40, ..Options::default() };
    let (all, did) = run(&c, &start, &options);
    let did = did.unwrap();
    println!("{did:?}: {} of {}", error(&all), error(&start));
    assert!(did.views && did.after < did.before, "{did:?}");
    assert!(error(&all) < 0.9 * error(&start), "{} of {}", error(&all), error(&start));
    // What the values inside bring: with few samples, much.
    let (outputs, _) = run(&c, &start, &Options { inside: 0.0, ..options.clone() });
    assert!(error(&all) < error(&outputs), "{} and {}", error(&all), error(&outputs));
    let (two, _) = run(&with(2), &start, &options);
    for v in all.value_ids() {
        assert_eq!(all.init(v), two.init(v), "{}", all.value(v).name);
    }
}

#[test]
fn zeros_stay() {
    let c = cut(2);
    let density = linears(&c.state.graph).into_iter().map(|l| (l.weight, 0.5)).collect();
    let masks = Masks { pattern: Pattern::parse("4x1").unwrap(), density };
    let start = fitted(&c, &refit::Options { masks: Some(masks), ..refit::Options::default() });
    let (g, did) = run(&c, &start, &Options::default());
    did.unwrap();
    for l in linears(&g) {
        let of = |g: &Graph| g.init(l.weight).unwrap().to_f32().unwrap();
        let (before, after) = (of(&start), of(&g));
        assert!(before.iter().zip(&after).all(|(b, a)| *b != 0.0 || *a == 0.0));
        assert_ne!(before, after);
    }
}

#[test]
fn what_cannot_be_done_is_left_alone_and_said() {
    let c = cut(2);
    let start = fitted(&c, &refit::Options::default());
    let same = |g: &Graph| g.value_ids().all(|v| g.init(v) == start.init(v));
    // Not enough work allowed.
    let (g, did) = run(&c, &start, &Options { work: 1e7, ..Options::default() });
    assert_eq!(did.unwrap_err().to_string(), "it would take too long");
    assert!(same(&g));
    // Steps so large that nothing good comes of it.
    let (g, did) = run(&c, &start, &Options { rate: 1e6, ..Options::default() });
    assert_eq!(did.unwrap_err().to_string(), "it was no better on held-out samples");
    assert!(same(&g));
    // Too few samples to hold some out.
    let few = Cut { samples: samples(2, &[8, 6, 8, 8], 2), ..cut(2) };
    assert_eq!(run(&few, &start, &Options::default()).1, Err(Left::Nothing));
    // An operator without a derivative.
    let original = graph(
        r#"graph g opset(""=17) (%x: f32[N,6]) -> (%y) {
            @w: f32[6,5] = rand(1)
            %a: ? = MatMul(%x, @w)
            %y: ? = Sin(%a)
        }"#,
    );
    let odd = Cut {
        samples: samples(8, &[8, 6], 1),
        state: secateur_prune::calib::state::State::new(&original),
        original,
    };
    assert_eq!(
        run(&odd, &odd.original, &Options::default()).1.unwrap_err().to_string(),
        "Sin at node 1 has no derivative"
    );
}

/// Held-out samples that had a part in the fit flatter it; the error of a fit without them decides then.
#[test]
fn what_took_part_does_not_judge_alone() {
    let c = cut(1);
    let start = fitted(&c, &refit::Options::default());
    let held: Vec<usize> = (0..c.samples.batches.len()).filter(|b| c.samples.held_out(*b)).collect();
    let judge = Reference::new(&c.original, &c.samples, held).unwrap();
    // With so small a step nothing is gained, neither on samples that took part nor in the end.
    for (rate, asks) in [(Options::default().rate, 0), (1e-30, 1)] {
        let options = Options { rate, ..Options::default() };
        let mut asked = 0;
        let honest = &mut || {
            asked += 1;
            Ok(1e9)
        };
        let (mut g, kept) = (start.clone(), |v, a| c.state.kept(v, a));
        let by = Judge { held_out: &judge, honest };
        let none = &mut |_| {};
        let did = reconstruct(&c.original, &mut g, &kept, &c.samples, by, &options, none).unwrap();
        assert_eq!(asked, asks, "{did:?}");
        assert_eq!(did.err(), (asks == 1).then_some(Left::Worse));
    }
    assert_eq!(c.samples.fitted().len() + judge.samples(), c.samples.len());
}

/// The values of a program are those of the engine.
#[test]
fn programs_compute_what_the_engine_computes() {
    let c = cut(1);
    let mut graphs = vec![c.original.clone(), c.state.graph.clone()];
    for mode in [
        "mode=\"nearest\", coordinate_transformation_mode=\"asymmetric\", nearest_mode=\"floor\"",
        "mode=\"nearest\", coordinate_transformation_mode=\"half_pixel\", nearest_mode=\"round_prefer_floor\"",
        "mode=\"linear\", coordinate_transformation_mode=\"half_pixel\"",
        "mode=\"linear\", coordinate_transformation_mode=\"align_corners\"",
    ] {
        graphs.push(graph(&format!(
            r#"graph g opset(""=13) (%x: f32[8,6,8,8]) -> (%y) {{
                @s: f32[4] = [1.0, 1.0, 2.0, 3.0]
                %y: ? = Resize(%x, _, @s) {{{mode}}}
            }}"#
        )));
    }
    for g in &graphs {
        let mut bound = g.clone();
        secateur_ops::infer::bind(&mut bound, &|_| Some(8)).unwrap();
        let size = |v: ValueId| Some((v, bound.shape(v)?.iter().map(|d| d.size()).collect::<Option<_>>()?));
        let facts = Facts { shapes: bound.value_ids().filter_map(size).collect(), ..Facts::default() };
        let program = Program::new(g, &facts, &[], &g.outputs).unwrap();
        let data = noise(8 * 6 * 64, 4);
        let x = Array::new(&[8, 6, 8, 8], data.clone());
        let run = program.forward(&[(g.inputs[0], x)], &[], false).unwrap();
        let own = run.get(g.outputs[0]).unwrap();
        let bytes = Module::from_graph(g.clone()).export().0.encode();
        let engine = Executor::from_bytes(&bytes).unwrap();
        let want = engine.run(&[("x", Tensor::of(&[8, 6, 8, 8], data))]).unwrap();
        let want = want[0].1.slice::<f32>().unwrap();
        let largest = want.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        assert_eq!(own.data.len(), want.len());
        assert!(own.data.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5 * largest));
    }
}
