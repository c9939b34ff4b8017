//! Reshape, Transpose, Reshape back: where only one axis is permuted, one Gather says it.
//!
//! ```text
//! %a: f32[N,2,4,H,W] = Reshape(%x, @split[5])
//! %b: f32[N,4,2,H,W] = Transpose(%a) {perm=[0, 2, 1, 3, 4]}
//! %y: f32[N,8,H,W] = Reshape(%b, @back[4])
//!     =>
//! %y: f32[N,8,H,W] = Gather(%x, @y.index[8]) {axis=1}     y.index = [0, 4, 1, 5, 2, 6, 3, 7]
//! ```

use secateur_diag::Result;
use secateur_ir::{Dim, Edit, Graph, Links, Node, Tensor, ValueId};

use crate::Pass;
use crate::util::permutation;

/// The row of this pass.
pub const PASS: Pass = Pass { name: "shuffle", doc: "a channel shuffle becomes one Gather", run };

/// Longest index that is written out.
const MAX_INDEX: usize = 1 << 20;

fn run(graph: &mut Graph) -> Result<usize> {
    let links = graph.links();
    let edit = Edit::new(graph);
    let mut changes = 0;
    for n in 0..graph.nodes.len() {
        let Some((x, axis, index)) = shuffle(graph, &links, &edit, n) else { continue };
        let Some(y) = graph.nodes[n].output(0) else { continue };
        let base = format!("{}.index", graph.value(y).name);
        let index = graph.add_init(&base, Tensor::vec_i64(&index));
        let name = graph.nodes[n].name().to_owned();
        let mut node = Node::new("", "Gather", &name, vec![Some(x), Some(index)], vec![Some(y)]);
        node.set_int("axis", axis as i64);
        graph.nodes[n] = node;
        changes += 1;
    }
    Ok(changes)
}

/// Input, axis and indices of the Gather that node `n`, the last of three, stands for.
fn shuffle(graph: &Graph, links: &Links, edit: &Edit, n: usize) -> Option<(ValueId, usize, Vec<i64>)> {
    // What lies between must have no other reader.
    let before = |n: usize| {
        let v = graph.nodes[n].input(0)?;
        let private = links.uses(v).len() == 1 && !edit.is_fixed(v);
        Some((links.def(v).filter(|_| private)?, v))
    };
    let last = Some(&graph.nodes[n]).filter(|n| n.is("Reshape"))?;
    let (t, _) = before(n)?;
    let transpose = Some(&graph.nodes[t]).filter(|n| n.is("Transpose"))?;
    let (r, middle) = before(t)?;
    let x = Some(&graph.nodes[r]).filter(|n| n.is("Reshape"))?.input(0)?;
    let (whole, factors) = (graph.shape(x)?, graph.shape(middle)?);
    if graph.shape(last.output(0)?)? != whole {
        return None;
    }
    let perm = permutation(transpose, factors.len())?;
    let turned: Vec<Dim> = perm.iter().map(|&p| factors[p].clone()).collect();
    let owner = owners(whole, factors)?;
    // Every factor must end up in the axis that it came from.
    let back = owners(whole, &turned)?;
    if perm.iter().zip(&back).any(|(&p, b)| owner[p] != *b) {
        return None;
    }
    // Factors of one axis, in their order before and after.
    let of = |axis: usize, order: &[usize]| -> Vec<usize> {
        order.iter().copied().filter(|&f| owner[f] == Some(axis)).collect()
    };
    let straight: Vec<usize> = (0..factors.len()).collect();
    let mut moved = (0..whole.len()).filter(|&a| of(a, &straight) != of(a, &perm));
    let axis = moved.next().filter(|_| moved.next().is_none())?;
    let sizes: Vec<usize> = of(axis, &straight).iter().map(|&f| factors[f].size()).collect::<Option<_>>()?;
    let place = |f: usize| of(axis, &straight).iter().position(|&g| g == f);
    let order: Vec<usize> = of(axis, &perm).into_iter().map(place).collect::<Option<_>>()?;
    Some((x, axis, index(&sizes, &order, whole[axis].size().filter(|&n| n <= MAX_INDEX)?)))
}

/// For each of the `parts`, the axis of `whole` that it is a factor of; `None` for those of size 1.
fn owners(whole: &[Dim], parts: &[Dim]) -> Option<Vec<Option<usize>>> {
    let mut axis = 0;
    let mut product = Dim::fixed(1);
    let mut out = Vec::with_capacity(parts.len());
    for p in parts {
        if p.is(1) {
            out.push(None);
            continue;
        }
        while whole.get(axis)?.is(1) {
            axis += 1;
        }
        out.push(Some(axis));
        product = product.mul(p).filter(|p| !p.is(0))?;
        if product == whole[axis] {
            axis += 1;
            product = Dim::fixed(1);
        }
    }
    (product.is(1) && whole[axis..].iter().all(|d| d.is(1))).then_some(out)
}

/// Where each element of an axis of `sizes` factors comes from when the factors are put in `order`.
fn index(sizes: &[usize], order: &[usize], n: usize) -> Vec<i64> {
    let stride = |f: usize| sizes[f + 1..].iter().product::<usize>();
    (0..n)
        .map(|mut at| {
            let mut from = 0;
            for &f in order.iter().rev() {
                from += at % sizes[f] * stride(f);
                at /= sizes[f];
            }
            from as i64
        })
        .collect()
}
