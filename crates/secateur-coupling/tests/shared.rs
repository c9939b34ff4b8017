//! Copies of a weight go together, unless that would keep what one of them may lose.

use secateur_coupling::analyze;
use secateur_ir::{Graph, parse};
use secateur_ops::infer;

/// The second reader of `@w` gets its copy, as the passes before coupling do it.
fn split(text: &str) -> Graph {
    let mut g = parse::graph(text).unwrap();
    infer(&mut g).unwrap();
    let w = g.find("w").unwrap();
    let uses: Vec<_> = g.links().uses(w).to_vec();
    for at in &uses[1..] {
        let copy = g.copy_init(w).unwrap();
        g.nodes[at.node].inputs[at.input.unwrap()] = Some(copy);
    }
    infer(&mut g).unwrap();
    g
}

fn groups(text: &str) -> Vec<usize> {
    analyze(&split(text), &[]).unwrap().groups.iter().map(|g| g.classes.len()).collect()
}

#[test]
fn twins_lose_the_same() {
    let text = "graph g opset(\"\"=17) (%a: f32[N,3], %b: f32[N,3]) -> (%y, %z) {
        @w: f32[3,4] = rand(1)
        @u: f32[4,2] = rand(2)
        @v: f32[4,2] = rand(3)
        %p: ? = MatMul(%a, @w[3,4])
        %q: ? = MatMul(%b, @w[3,4])
        %y: ? = MatMul(%p, @u[4,2])
        %z: ? = MatMul(%q, @v[4,2])
    }";
    assert_eq!(groups(text), [4]);
}

#[test]
fn a_use_that_must_stay_whole_does_not_hold_the_other() {
    let text = "graph g opset(\"\"=17) (%a: f32[N,4]) -> (%y, %z) {
        @w: f32[4,4] = rand(1)
        @u: f32[4,2] = rand(2)
        %p: ? = MatMul(%a, @w[4,4])
        %z: ? = MatMul(%a, @w[4,4])
        %y: ? = MatMul(%p, @u[4,2])
    }";
    assert_eq!(groups(text), [4]);
}
