//! Classes that two computed values sum away.

mod common;

use std::sync::Arc;

use common::{graph, noise};
use secateur_calib::{Samples, products};
use secateur_tensor::Tensor;

#[test]
fn places_whose_products_are_small_go_first() {
    // Places 1 and 4 of the queries hardly move; the weights alone would not tell, as the keys' make up for them.
    let g = graph(
        r#"graph g opset(""=17) (%x: f32[N,7,6]) -> (%y) {
            @q: f32[6,5] = rand(1)
            @k: f32[6,5] = rand(2)
            @s: f32[5] = [1.0, 0.01, 1.0, 1.0, 0.02]
            %q0: ? = MatMul(%x, @q)
            %q1: ? = Mul(%q0, @s)
            %k0: ? = MatMul(%x, @k)
            %t: ? = Transpose(%k0) {perm=[0,2,1]}
            %a: ? = MatMul(%q1, %t)
            %y: ? = Softmax(%a) {axis=2}
        }"#,
    );
    let batch = |b| vec![("x".to_owned(), Arc::new(Tensor::of(&[3, 7, 6], noise(126, b))))];
    let samples = Samples { batches: (0..4).map(batch).collect(), threads: 1 };
    let coupling = secateur_coupling::analyze(&g, &[]).unwrap();
    let scores = products::score(&g, &coupling, &samples, &[0, 1, 2, 3]).unwrap();
    let [group] = coupling.groups.as_slice() else { panic!("one group: {}", coupling.groups.len()) };
    assert_eq!(group.classes.len(), 5);
    let mut order: Vec<(f64, usize)> =
        group.classes.iter().enumerate().map(|(i, &c)| (scores[c as usize].unwrap(), i)).collect();
    // Shares of the energy.
    assert!((order.iter().map(|s| s.0 * s.0).sum::<f64>() - 1.0).abs() < 1e-9);
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert_eq!([order[0].1, order[1].1], [1, 4]);
    // A network without such products has no scores.
    let plain = graph(common::RESIDUAL);
    let coupling = secateur_coupling::analyze(&plain, &[]).unwrap();
    let samples = common::samples(1, &[2, 6, 8, 8], 1);
    assert!(products::score(&plain, &coupling, &samples, &[0]).unwrap().iter().all(Option::is_none));
}
