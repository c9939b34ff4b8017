//! Einsum, letter by letter.

use super::{couple, error, macs, ty};

#[test]
fn shapes_follow_the_letters() {
    let ab = "%a: f32[N,5,4], %b: f32[4,6]";
    assert_eq!(ty(12, ab, "Einsum(%a, %b) {equation=\"bsc, cd -> bsd\"}"), "f32[N,5,6]");
    assert_eq!(ty(12, ab, "Einsum(%a, %b) {equation=\"...c,cd->...d\"}"), "f32[N,5,6]");
    // Without an output: letters that stand once, in order, behind the ellipsis.
    assert_eq!(ty(12, "%a: f32[2,3], %b: f32[3,4]", "Einsum(%a, %b) {equation=\"zk,ka\"}"), "f32[4,2]");
    assert_eq!(ty(12, ab, "Einsum(%a, %b) {equation=\"...c,cd\"}"), "f32[N,5,6]");
    assert_eq!(ty(12, "%a: f32[3,3]", "Einsum(%a) {equation=\"ii->i\"}"), "f32[3]");
}

#[test]
fn a_letter_is_one_row_wherever_it_stands() {
    let ab = "%a: f32[2,5,4], %b: f32[4,6]";
    assert_eq!(
        couple(12, ab, 1, "Einsum(%a, %b) {equation=\"bsc,cd->bsd\"}"),
        "x0.0 = y0.0\nx0.1 = y0.1\nx0.2 = x1.0\nsum x0.2 by x1.0\nsum x1.0 by x0.2\nx1.1 = y0.2"
    );
    // A sum of one operand alone, a broadcast side, an ellipsis.
    assert_eq!(
        couple(12, "%a: f32[2,5,4], %b: f32[1,4]", 1, "Einsum(%a, %b) {equation=\"...sc,...c->...c\"}"),
        "sum x0.1\nx0.2 = x1.1\nx1.1 = y0.1\nx0.0 = y0.0\nfree x1.0"
    );
    assert_eq!(
        couple(12, "%a: f32[3,3,2]", 1, "Einsum(%a) {equation=\"iik->ik\"}"),
        "pin x0.0\npin x0.1\npin y0.0\nx0.2 = y0.1"
    );
}

#[test]
fn the_product_of_all_letters_is_the_cost() {
    let ab = "%a: f32[2,5,4], %b: f32[4,6]";
    assert_eq!(macs(12, ab, "Einsum(%a, %b) {equation=\"bsc,cd->bsd\"}"), 2 * 5 * 4 * 6);
    assert_eq!(macs(12, ab, "Einsum(%a, %b) {equation=\"bsc,cd->b\"}"), 2 * 5 * 4 * 6);
    assert_eq!(macs(12, ab, "Einsum(%a) {equation=\"bsc->cb\"}"), 0);
}

#[test]
fn bad_equations_are_reported() {
    let ab = "%a: f32[2,5], %b: f32[4,6]";
    let wrong = |eq: &str| error(12, ab, &format!("Einsum(%a, %b) {{equation={eq:?}}}"));
    assert_eq!(wrong("ij,jk->ik"), "error[S001]: 'j' is 5 and 4 long");
    assert_eq!(wrong("ij->ij"), "error[S002]: the equation has 1 operands for 2 inputs");
    assert_eq!(wrong("ij,kl->im"), "error[S002]: the output's 'm' is in no operand");
    assert_eq!(wrong("i1,kl->i"), "error[S002]: '1' in the equation is no letter");
    assert_eq!(wrong("ijk,kl->i"), "error[S001]: 3 letters do not name 2 axes");
    assert_eq!(wrong("i...j...,kl->i"), "error[S002]: '.' in the equation is no letter");
    assert_eq!(error(12, ab, "Einsum(%a, %b)"), "error[S002]: equation is missing");
}
