//! Recurrent cells.

use super::{couple, error, macs, shrunk, types};

const LSTM: &str = "%x: f32[T,N,3], %w: f32[1,8,3], %r: f32[1,8,2]";

#[test]
fn outputs_are_steps_and_states() {
    assert_eq!(
        types(14, LSTM, 3, "LSTM(%x, %w, %r) {hidden_size=2}"),
        ["f32[T,1,N,2]", "f32[1,N,2]", "f32[1,N,2]"]
    );
    let two = "%x: f32[N,T,3], %w: f32[2,6,3], %r: f32[2,6,2]";
    assert_eq!(
        types(14, two, 2, "GRU(%x, %w, %r) {direction=\"bidirectional\", layout=1}"),
        ["f32[N,T,2,2]", "f32[N,2,2]"]
    );
    assert_eq!(types(7, LSTM, 1, "RNN(%x, %w, %r) {hidden_size=8}").len(), 1);
}

#[test]
fn a_unit_is_its_row_in_every_gate_and_its_column_of_the_state() {
    let inputs = "%x: f32[5,4,3], %w: f32[1,8,3], %r: f32[1,8,2], %b: f32[1,16], %n: i32[4], \
                  %h: f32[1,4,2], %c: f32[1,4,2], %p: f32[1,6]";
    assert_eq!(
        couple(14, inputs, 3, "LSTM(%x, %w, %r, %b, %n, %h, %c, %p) {hidden_size=2}"),
        "x0.2 = x1.2\nsum x0.2 by x1.2\n\
         x0.1 = x5.1\nx0.1 = x6.1\nx0.1 = y1.1\nx0.1 = y2.1\nx0.1 = y0.2\nx0.1 = x4.0\n\
         x1.1:2x1 x2.1:2x1 x2.2:2x1 x3.1:2x1 x7.1:2x1 y0.3:2x1 x5.2:2x1 x6.2:2x1 y1.2:2x1 y2.2:2x1\n\
         sum x2.2 by x2.2"
    );
}

#[test]
fn the_size_follows() {
    let gone: [(&str, usize, &[usize]); 3] =
        [("w", 1, &[1, 3, 5, 7]), ("r", 1, &[1, 3, 5, 7]), ("r", 2, &[1])];
    assert_eq!(
        shrunk(14, LSTM, "LSTM(%x, %w, %r) {hidden_size=2, layout=0}", &gone),
        "{hidden_size=1, layout=0}"
    );
}

#[test]
fn every_step_costs_both_products() {
    let inputs = "%x: f32[5,4,3], %w: f32[2,6,3], %r: f32[2,6,2]";
    let node = "GRU(%x, %w, %r) {hidden_size=2, direction=\"bidirectional\"}";
    assert_eq!(macs(14, inputs, node), 5 * 4 * 2 * 6 * (3 + 2));
}

#[test]
fn gates_that_do_not_fit_are_reported() {
    assert_eq!(
        error(14, LSTM, "GRU(%x, %w, %r) {hidden_size=2}"),
        "error[S001]: W has 8 rows for 3 gates of 2"
    );
    assert_eq!(
        error(14, LSTM, "LSTM(%x, %w, %r) {direction=\"bidirectional\"}"),
        "error[S001]: W has 1 directions, not 2"
    );
    assert_eq!(
        error(14, LSTM, "LSTM(%x, %w, %r) {direction=\"up\"}"),
        "error[S002]: direction \"up\" is not one of ONNX"
    );
}
