//! Resize to computed sizes becomes Resize by constant scales, where input and output sizes are known.
//!
//! ```text
//! %s: i64[4] = Concat(%batch, @c[1], @h[1], @w[1])
//! %y: f32[N,64,56,56] = Resize(%x, _, _, %s)
//!   =>
//! %y: f32[N,64,56,56] = Resize(%x, _, @scales[4])
//! ```
//!
//! The scale of an axis is the quotient of its sizes either way; the sizes name the number of channels and
//! could not follow when channels are cut, the scales are 1 there.

use secateur_diag::Result;
use secateur_ir::{Graph, Tensor};

use crate::Pass;

/// The row of this pass.
pub const PASS: Pass =
    Pass { name: "resize_scales", doc: "Resize to sizes becomes Resize by constant scales", run };

fn run(graph: &mut Graph) -> Result<usize> {
    let found: Vec<(usize, Vec<f32>)> =
        (0..graph.nodes.len()).filter_map(|n| Some((n, scales(graph, n)?))).collect();
    for (n, scales) in &found {
        let base =
            graph.nodes[*n].output(0).map_or("resize".into(), |y| format!("{}.scales", graph.value(y).name));
        let v = graph.add_init(&base, Tensor::f32(&[scales.len()], scales));
        let inputs = &mut graph.nodes[*n].inputs;
        inputs[2] = Some(v);
        inputs.truncate(3);
    }
    Ok(found.len())
}

fn scales(graph: &Graph, n: usize) -> Option<Vec<f32>> {
    let node = &graph.nodes[n];
    let sizes = node.input(3)?;
    let aspect = node.string("keep_aspect_ratio_policy").ok()?.unwrap_or("stretch");
    // Cropping takes its scale from the region, and `axes` names fewer sizes than axes.
    let crop = node.string("coordinate_transformation_mode").ok()? == Some("tf_crop_and_resize");
    if !node.is("Resize")
        || graph.init(sizes).is_some()
        || aspect != "stretch"
        || crop
        || node.attr("axes").is_some()
    {
        return None;
    }
    let (x, y) = (graph.shape(node.input(0)?)?, graph.shape(node.output(0)?)?);
    x.iter()
        .zip(y)
        .map(|(x, y)| {
            if x == y {
                return Some(1.0);
            }
            let (x, y) = (x.size()?, y.size()?);
            let scale = y as f32 / x as f32;
            // The operator rounds the other way down; the same size must come out.
            ((x as f64 * f64::from(scale)).floor() as usize == y).then_some(scale)
        })
        .collect::<Option<Vec<f32>>>()
        .filter(|s| s.len() == y.len())
}
