//! Sizes that only show when the model runs, for costs; axes that statistics are taken over.

use secateur_ir::{Graph, parse, print};
use secateur_ops::infer;
use secateur_ops::{CostCx, CoupleCx, Port, Relation, Relations};

fn graph(text: &str) -> Graph {
    let mut g = parse::graph(text).unwrap();
    infer(&mut g).unwrap();
    g
}

#[test]
fn inner_sizes_are_bound_by_name() {
    let mut g = graph(
        "graph g opset(\"\"=17) (%x: f32[N,8], %shape: i64[2]) -> (%z) {
            %y: ? = Reshape(%x, %shape)
            %z: ? = Relu(%y)
        }",
    );
    let size = |s: &str| [("N", 1), ("?y.0", 7)].iter().find(|p| p.0 == s).map(|p| p.1);
    infer::bind(&mut g, &size).unwrap();
    assert_eq!(print::ty(g.value(g.find("z").unwrap()).ty.as_ref()), "f32[7,\"?y.1\"]");
}

#[test]
fn a_shape_that_is_not_known_only_hides_the_cost() {
    let g = graph(
        "graph g opset(\"\"=17) (%x: ?) -> (%y) {
            @w: f32[4,3,1,1] = rand(1)
            %y: ? = Conv(%x, @w[4,3,1,1])
        }",
    );
    let node = &g.nodes[0];
    let e = (secateur_ops::find("", "Conv").unwrap().cost)(&CostCx { graph: &g, node }).unwrap_err();
    assert!(e.to_string().starts_with("error[P002]"), "{e}");
}

#[test]
fn one_group_of_channels_may_go_inexactly() {
    let g = graph(
        "graph g opset(\"\"=17) (%x: f32[N,1,6]) -> (%y) {
            @s: f32[1] = [1.0]
            @b: f32[1] = [0.0]
            %y: ? = InstanceNormalization(%x, @s[1], @b[1])
        }",
    );
    let mut r = Relations::default();
    let node = &g.nodes[0];
    (secateur_ops::find("", node.op()).unwrap().couple)(&CoupleCx { graph: &g, node }, &mut r).unwrap();
    let over = |r: &Relation| matches!(r, Relation::Inexact { at: (Port::In(0), 2), .. });
    assert!(r.list.iter().any(over) && !r.list.iter().any(|r| matches!(r, Relation::Pin { .. })));
}
