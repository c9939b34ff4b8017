//! What is said of names, sizes, budgets and data that are not quite right, and what to do then.

#[path = "../common/mod.rs"]
mod common;
mod data;
mod names;
mod sizes;

use common::*;
use secateur_onnx::proto::ModelProto;

/// `x[N,3,8,8] -> Conv to 8 -> a -> Relu -> r -> Conv to 6 -> d -> Relu -> s -> Conv to 4 -> y`, no node named.
fn unnamed() -> ModelProto {
    let mut m = small();
    let conv = |inputs: &[&str], output: &str| node("Conv", "", inputs, &[output]);
    let relu = |input: &str, output: &str| node("Relu", "", &[input], &[output]);
    let g = m.graph.as_mut().unwrap();
    g.node = vec![
        conv(&["x", "w1"], "a"),
        relu("a", "r"),
        conv(&["r", "w2"], "d"),
        relu("d", "odd [s]"),
        conv(&["odd [s]", "w3"], "y"),
    ];
    g.initializer =
        vec![weight("w1", &[8, 3, 1, 1], 1), weight("w2", &[6, 8, 1, 1], 2), weight("w3", &[4, 6, 1, 1], 3)];
    m
}

fn desk() -> Desk {
    let desk = Desk::new();
    desk.put("m.onnx", encode(unnamed()));
    desk.put("small.onnx", encode(small()));
    desk.put("x.npy", npy("<f4", &[64, 3, 8, 8], &bytes_of(&noise(64 * 192, 5))));
    desk
}

/// Outputs of the three convolutions.
fn widths(desk: &Desk, file: &str) -> [usize; 3] {
    let module = secateur::open(&desk.path(file)).unwrap();
    let g = &module.graph;
    let convs = g.nodes.iter().filter(|n| n.op() == "Conv");
    let sizes: Vec<usize> = convs.map(|n| g.init(n.input(1).unwrap()).unwrap().dims[0]).collect();
    sizes.try_into().unwrap()
}
