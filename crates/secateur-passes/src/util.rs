//! Questions that several passes ask.

use half::f16;
use secateur_ir::{Dim, Edit, ElemType, Graph, Ints, Links, Node, Tensor, TensorType, ValueId};

/// Element type and shape, where both are known.
pub fn full_type(graph: &Graph, v: ValueId) -> Option<(&TensorType, &[Dim])> {
    let ty = graph.value(v).ty.as_ref()?;
    Some((ty, ty.shape.as_deref()?))
}

/// Whether two values have the same element type and, symbols included, the same known shape.
pub fn same_type(graph: &Graph, a: ValueId, b: ValueId) -> bool {
    matches!((full_type(graph, a), full_type(graph, b)), (Some((x, _)), Some((y, _))) if x == y)
}

/// The integers of `v` with their symbols, where they are known.
pub fn ints(graph: &Graph, v: ValueId) -> Option<Ints> {
    let value = graph.value(v);
    if let Some(ints) = &value.ints {
        return Some(ints.clone());
    }
    let t = graph.init(v).filter(|t| t.dims.len() <= 1 && t.len() <= 4096)?;
    Some(Ints { scalar: t.dims.is_empty(), elems: t.to_i64()?.into_iter().map(Dim::fixed).collect() })
}

/// The integers of `v`, where all are constants.
pub fn const_ints(graph: &Graph, v: ValueId) -> Option<Vec<i64>> {
    ints(graph, v)?.elems.iter().map(Dim::constant).collect()
}

/// Input `i` as constants: `Some(None)` where it is left out, `None` where it is not constant.
pub fn optional_ints(graph: &Graph, node: &Node, i: usize) -> Option<Option<Vec<i64>>> {
    node.input(i).map_or(Some(None), |v| const_ints(graph, v).map(Some))
}

/// The permutation of a Transpose of this rank; `None` where it is none.
pub fn permutation(node: &Node, rank: usize) -> Option<Vec<usize>> {
    let Some(perm) = node.ints("perm").ok()? else { return Some((0..rank).rev().collect()) };
    let perm: Vec<usize> = perm.iter().map(|&p| usize::try_from(p).ok()).collect::<Option<_>>()?;
    let mut seen = vec![false; rank];
    let fits = perm.len() == rank && perm.iter().all(|&p| p < rank && !std::mem::replace(&mut seen[p], true));
    fits.then_some(perm)
}

/// All elements of a floating tensor.
pub fn to_f64(t: &Tensor) -> Option<Vec<f64>> {
    match t.elem {
        ElemType::F64 => Some(t.bytes()?.as_chunks::<8>().0.iter().map(|c| f64::from_le_bytes(*c)).collect()),
        _ => Some(t.to_f32()?.into_iter().map(f64::from).collect()),
    }
}

/// A tensor of type `f16`, `f32` or `f64`; `None` for other types and where a value is not finite in it.
pub fn from_f64(elem: ElemType, dims: &[usize], values: &[f64]) -> Option<Tensor> {
    let finite = |x: f64| x.is_finite();
    let bytes: Option<Vec<u8>> = match elem {
        ElemType::F64 => {
            values.iter().all(|&v| finite(v)).then(|| values.iter().flat_map(|v| v.to_le_bytes()).collect())
        }
        ElemType::F32 => values
            .iter()
            .all(|&v| finite((v as f32).into()))
            .then(|| values.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect()),
        ElemType::F16 => values
            .iter()
            .all(|&v| finite(f16::from_f64(v).into()))
            .then(|| values.iter().flat_map(|v| f16::from_f64(*v).to_le_bytes()).collect()),
        _ => None,
    };
    Some(Tensor::from_bytes(elem, dims.to_vec(), bytes?))
}

/// Input `i` of node `n` becomes `tensor`: in place where nothing else reads the initializer.
pub fn write(graph: &mut Graph, links: &Links, edit: &Edit, n: usize, i: usize, tensor: Tensor) {
    let Some(v) = graph.nodes[n].input(i) else { return };
    if links.uses(v).len() == 1 && !edit.is_fixed(v) {
        graph.set_init(v, tensor);
    } else {
        let name = graph.value(v).name.clone();
        let copy = graph.add_init(&name, tensor);
        graph.nodes[n].inputs[i] = Some(copy);
    }
}
