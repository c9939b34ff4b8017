//! ONNX's own tests: all load and save byte-identically; the lists in `nodes/` say which do not agree on shapes, are not run, or
//! are not compiled, and why. `cargo xtask nodes` shows the same with details.

use secateur_neon::Core;
use secateur_tests::report::Counts;
use secateur_tests::stage::{compile, own, run, save, shape};
use secateur_tests::{Expected, Outcome, in_parallel, node_tests};

fn check(stage: &str, ask: impl FnOnce(&[secateur_tests::Case]) -> Vec<Outcome>) {
    let cases = node_tests().unwrap_or_else(|e| panic!("{e:#}"));
    let outcomes = cases.iter().map(|c| c.name.clone()).zip(ask(&cases)).collect::<Vec<_>>();
    println!("{stage}: {:?}", Counts::of(outcomes.iter().map(|(_, o)| o)));
    let list = Expected::read(&format!("tests/nodes/{stage}.txt")).unwrap_or_else(|e| panic!("{e:#}"));
    list.check(&outcomes).unwrap_or_else(|e| panic!("{e:#}"));
}

#[test]
fn all_come_back_byte_for_byte() {
    check("save", |cases| in_parallel(cases, save::check));
}

#[test]
fn shapes_agree() {
    check("shape", |cases| in_parallel(cases, shape::check));
}

#[test]
fn outputs_agree() {
    check("run", |cases| in_parallel(cases, |c| run::check(&own::Own, c)));
}

#[test]
fn code_agrees() {
    check("compile", |cases| compile::check(cases, Core::A72).unwrap_or_else(|e| panic!("{e:#}")));
}
