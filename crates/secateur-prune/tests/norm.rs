//! BatchNormalization that stays a node: its statistics after a cut.

mod common;

use common::{cut_of, fitted};
use secateur_calib::measure::Reference;
use secateur_calib::refit::Options;
use secateur_ir::{Graph, ValueId};

/// Normalization behind a rectifier, behind a sum, and as the last node.
const NORMALIZED: &str = r#"graph g opset(""=17) (%x: f32[N,6,8,8]) -> (%y) {
    @w0: f32[12,6,3,3] = rand(1)
    @b0: f32[12] = rand(2)
    @g1: f32[12] = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    @o1: f32[12] = rand(3)
    @m1: f32[12] = rand(4)
    @v1: f32[12] = [2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    @w1: f32[12,12,3,3] = rand(5)
    @g2: f32[12] = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    @o2: f32[12] = rand(6)
    @m2: f32[12] = rand(7)
    @v2: f32[12] = [3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0]
    @w2: f32[10,12,3,3] = rand(8)
    @g3: f32[10] = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    @o3: f32[10] = rand(9)
    @m3: f32[10] = rand(10)
    @v3: f32[10] = [2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    %c0: ? = Conv(%x, @w0, @b0) {pads=[1,1,1,1]}
    %r0: ? = Relu(%c0)
    %n0: ? = BatchNormalization(%r0, @g1, @o1, @m1, @v1)
    %c1: ? = Conv(%n0, @w1) {pads=[1,1,1,1]}
    %s1: ? = Add(%c1, %n0)
    %n1: ? = BatchNormalization(%s1, @g2, @o2, @m2, @v2)
    %r1: ? = Relu(%n1)
    %c2: ? = Conv(%r1, @w2) {pads=[1,1,1,1], strides=[2,2]}
    %r2: ? = Relu(%c2)
    %y: ? = BatchNormalization(%r2, @g3, @o3, @m3, @v3)
}"#;

fn statistics(g: &Graph, names: [&str; 2]) -> [ValueId; 2] {
    names.map(|n| g.find(n).unwrap())
}

#[test]
fn statistics_that_fit_the_cut_network_lower_the_error() {
    let c = cut_of(NORMALIZED, 1);
    let reference = Reference::new(&c.original, &c.samples, (0..8).collect()).unwrap();
    let error = |g: &Graph| reference.error(g).unwrap();
    for fit in [true, false] {
        let new = fitted(&c, &Options { fit, ..Options::default() });
        // Nothing is fitted behind the last node, so that its old statistics are a fair comparison.
        let mut old = new.clone();
        for v in statistics(&new, ["m3", "v3"]) {
            assert_ne!(new.init(v), c.state.graph.init(v), "{}", new.value(v).name);
            old.set_init(v, c.state.graph.init(v).unwrap().clone());
        }
        assert!(error(&new).is_finite());
        if fit {
            assert!(error(&new) < error(&old), "{} is not below {}", error(&new), error(&old));
        }
    }
}

#[test]
fn statistics_are_the_same_at_any_thread_count_and_never_negative() {
    let one = fitted(&cut_of(NORMALIZED, 1), &Options::default());
    let two = fitted(&cut_of(NORMALIZED, 2), &Options::default());
    for names in [["m1", "v1"], ["m2", "v2"], ["m3", "v3"]] {
        let [m, v] = statistics(&one, names);
        assert_eq!((one.init(m), one.init(v)), (two.init(m), two.init(v)), "{names:?}");
        let variance = one.init(v).unwrap().to_f32().unwrap();
        assert!(variance.iter().all(|v| v.is_finite() && *v >= 0.0), "{names:?}: {variance:?}");
    }
}
