//! The original graph with a plan's classes zeroed where they are summed away: what a pruned graph must equal.

use secateur_coupling::Coupling;
use secateur_ir::{ElemType, Graph, Node, Tensor, ValueId};

use crate::plan::Plan;

/// Zeroes the removed elements at every contraction: in the weight that meets them, or, where the weight is
/// computed too, in the data right before.
pub fn masked(graph: &Graph, coupling: &Coupling, plan: &Plan) -> Graph {
    let mut out = graph.clone();
    let mut insert: Vec<(usize, usize, usize, ValueId)> = Vec::new();
    for c in &coupling.contractions {
        let sides = c.weight.into_iter().chain([c.data]);
        let constant = sides.filter(|(v, _)| graph.init(*v).is_some()).collect::<Vec<_>>();
        if let Some(&(v, axis)) = constant.first() {
            if let (Some(kept), Some(t)) = (plan.kept(coupling, (v, axis)), out.init(v))
                && let Some(t) = zeroed(t, axis, kept)
            {
                out.set_init(v, t);
            }
        } else if let Some(kept) = plan.kept(coupling, c.data) {
            let rank = graph.shape(c.data.0).map_or(0, <[_]>::len);
            let len = graph.shape(c.data.0).and_then(|s| s[c.data.1].size()).unwrap_or(0);
            let mut ones = vec![0.0; len];
            kept.iter().for_each(|&k| ones[k] = 1.0);
            let mut dims = vec![1; rank];
            dims[c.data.1] = len;
            let elem = graph.value(c.data.0).ty.as_ref().map_or(ElemType::F32, |t| t.elem);
            let like = Tensor { elem, dims: vec![], data: secateur_ir::Data::Elided(0) };
            if let Some(mask) = like.with_f32(dims, &ones) {
                let mask = out.add_init("mask", mask);
                insert.push((c.node, c.input, c.data.1, mask));
            }
        }
    }
    // From the back, so that the numbers of the nodes before stay right.
    insert.sort_unstable_by_key(|i| std::cmp::Reverse((i.0, i.1, i.2)));
    let mut done = usize::MAX;
    let mut before = 0;
    for (n, input, _, mask) in insert {
        // A node that is masked twice has moved behind its first mask.
        before = if n == done { before + 1 } else { 0 };
        done = n;
        let at = n + before;
        let Some(data) = out.nodes[at].input(input) else { continue };
        let ty = out.value(data).ty.clone();
        let product = out.add_fresh("masked", ty);
        out.nodes[at].inputs[input] = Some(product);
        out.nodes.insert(at, Node::new("", "Mul", "", vec![Some(data), Some(mask)], vec![Some(product)]));
    }
    out
}

/// All but the kept elements along an axis set to zero.
fn zeroed(t: &Tensor, axis: usize, kept: &[usize]) -> Option<Tensor> {
    let bits = t.elem.bits();
    if !bits.is_multiple_of(8) || bits == 0 {
        return None;
    }
    let mut bytes = t.bytes()?.to_vec();
    let n = t.dims[axis];
    let run = t.dims[axis + 1..].iter().product::<usize>() * bits / 8;
    let mut keep = vec![false; n];
    kept.iter().for_each(|&k| keep[k] = true);
    for (i, chunk) in bytes.chunks_exact_mut(run.max(1)).enumerate() {
        if !keep[i % n] {
            chunk.fill(0);
        }
    }
    Some(Tensor::from_bytes(t.elem, t.dims.clone(), bytes))
}
