//! Cross-layer equalization, through the command.

mod common;
use common::quantizing::{PREPARED, desk, error, quantize};
use secateur_ir::Module;

/// The model with the channels inside its blocks multiplied by 1 to 128 and divided again: the same function.
fn unlike(module: &Module) -> (Module, usize) {
    use secateur_calib::linear::linears;
    let mut out = module.clone();
    let (graph, links) = (&module.graph, module.graph.links());
    let all = linears(graph);
    let mut pairs = 0;
    for first in &all {
        let [relu] = links.uses(first.out) else { continue };
        let Some(behind) = graph.nodes[relu.node].output(0).filter(|_| graph.nodes[relu.node].is("Relu"))
        else {
            continue;
        };
        let [only] = links.uses(behind) else { continue };
        let Some(second) = all.iter().find(|l| l.node == only.node && l.groups() == 1) else { continue };
        let (a, b) = (graph.init(first.weight).unwrap(), graph.init(second.weight).unwrap());
        let (mut made, mut read) = (first.matrices(a).unwrap(), second.matrices(b).unwrap());
        let factor = |c: usize| 2f64.powi((c % 8) as i32);
        let mut bias = graph.init(first.bias.unwrap()).unwrap().to_f32().unwrap();
        for (c, b) in bias.iter_mut().enumerate() {
            made[0].col_as_slice_mut(c).iter_mut().for_each(|w| *w *= factor(c));
            *b *= factor(c) as f32;
        }
        let taps = second.sizes(b).1;
        for i in 0..read[0].nrows() {
            (0..read[0].ncols()).for_each(|j| read[0][(i, j)] /= factor(i / taps));
        }
        out.graph.set_init(first.weight, first.with_matrices(a, &made).unwrap());
        out.graph.set_init(second.weight, second.with_matrices(b, &read).unwrap());
        out.graph.set_init(first.bias.unwrap(), secateur_ir::Tensor::f32(&[bias.len()], &bias));
        pairs += 1;
    }
    (out, pairs)
}

#[test]
fn equalizing_undoes_channels_of_unlike_ranges() {
    let (desk, model) = desk("fashion_resnet20.onnx");
    let mut module = secateur::open(model.as_ref()).unwrap();
    secateur_passes::prepare(&mut module.graph, &mut secateur_passes::Options::default()).unwrap();
    let (module, pairs) = unlike(&module);
    assert_eq!(pairs, 9);
    desk.put("unlike.onnx", &module.export().0.encode()[..]);
    let unlike = desk.path("unlike.onnx").display().to_string();
    quantize(&desk, &model, "like", "");
    quantize(&desk, &unlike, "plain", "");
    let said =
        desk.done(&format!("quantize {unlike} -o out/equal.onnx --calib x.npy {PREPARED} --equalize")).out;
    assert!(said.contains("channels between 9 pairs of layers equalized"), "{said}");
    let of = |name: &str| error(&desk, &model, name, PREPARED);
    let (like, plain, equal) = (of("like"), of("plain"), of("equal"));
    println!("int8 of the model {like:.5}, with unlike channels {plain:.5}, equalized {equal:.5}");
    assert!(plain > 4.0 * like && equal < 1.5 * like, "{like} {plain} {equal}");
}
