//! What cannot be compiled is said before anything is made.

mod common;

use common::compile_text;

fn error(text: &str, dims: &[(&str, usize)]) -> String {
    compile_text(text, dims).map(|_| ()).expect_err("an error").to_string()
}

#[test]
fn an_operator_without_a_lowering() {
    insta::assert_snapshot!(error(
        r#"graph g opset(""=17) (%x: f32[N,8]) -> (%y) {
  @k: i64[1] = [3]
  %y: f32[N,3], %i: i64[N,3] = TopK(%x, @k) as "pick the best"
}
"#,
        &[],
    ));
}

#[test]
fn a_form_without_a_lowering() {
    insta::assert_snapshot!(error(
        r#"graph g opset(""=17) (%x: f32[N,1,4,4]) -> (%y) {
  @none: f32[0] = []
  @s: f32[4] = [1.0, 1.0, 2.0, 2.0]
  %y: f32[N,1,8,8] = Resize(%x, @none, @s) {mode="cubic"} as up
}
"#,
        &[],
    ));
}

const SIZES: &str = r#"graph g opset(""=17) (%x: f32[N,1,H,4]) -> (%y) {
  %y: f32[N,1,H,4] = Relu(%x)
}
"#;

#[test]
fn a_size_that_is_not_given() {
    insta::assert_snapshot!(error(SIZES, &[]));
    assert!(compile_text(SIZES, &[("H", 3)]).is_ok());
    insta::assert_snapshot!(error(SIZES, &[("H", 3), ("Q", 3)]));
}

#[test]
fn samples_that_meet() {
    let text = r#"graph g opset(""=17) (%x: f32[N,8]) -> (%y) {
  %y: f32[N,8] = Softmax(%x) {axis=0} as across
}
"#;
    insta::assert_snapshot!(error(text, &[]));
    assert!(compile_text(text, &[("N", 3)]).is_ok());
    insta::assert_snapshot!(error(
        r#"graph g opset(""=17) (%x: f32[N,8]) -> (%y) {
  %y: f32[1,8] = ReduceMean(%x) {axes=[0]} as mean
}
"#,
        &[],
    ));
}
