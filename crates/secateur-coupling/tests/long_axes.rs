//! Axes that a small file only claims to have are not walked along.

use secateur_ir::parse;
use secateur_ops::infer;

#[test]
fn lengths_cost_nothing() {
    // A million times a million: to look at each would take minutes.
    let text = "graph g opset(\"\"=17) (%x: f32[1000000000000], %z: f32[1000000000000]) -> (%y) {
  @parts: i64[2] = [1000000, 1000000]
  @whole: i64[1] = [1000000000000]
  @none: f32[0,1000000000000] = []
  %a: f32[..] = Reshape(%x, @parts[2])
  %b: f32[..] = Relu(%a)
  %c: f32[..] = Reshape(%b, @whole[1])
  %d: f32[..] = Add(%c, %z)
  %e: f32[..] = Concat(%d, %d) {axis=0}
  %y: f32[..] = MatMul(@none[0,1000000000000], %c)
}
";
    let mut graph = parse::graph(text).unwrap();
    infer(&mut graph).unwrap();
    let started = std::time::Instant::now();
    let coupling = secateur_coupling::analyze(&graph, &[]).unwrap();
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    assert!(coupling.groups.iter().all(|g| g.classes.len() <= 1));
}
