//! Constant and ConstantOfShape. <https://onnx.ai/onnx/operators/onnx__Constant.html>,
//! <https://onnx.ai/onnx/operators/onnx__ConstantOfShape.html>
//!
//! Nothing couples the elements of a constant. What ConstantOfShape makes follows its shape operand, so a part
//! of it can go where that operand is a constant itself.

use secateur_diag::{Code, Result, diag};
use secateur_onnx::{ElemType, ExternalFiles};

use crate::forms::{NO_DERIVATIVE, NOT_YET, no_cost, no_shrink};
use crate::moves::{Y, constants, set_ints, size};
use crate::{CoupleCx, FoldCx, InferCx, Op, Port, Relations, ShrinkCx};
use secateur_ir::dim::Dim;
use secateur_ir::graph::{Ints, Node};
use secateur_ir::module;
use secateur_tensor::{Data, Tensor};
use secateur_tensor::{bounded, is_int};

/// The rows of this file.
pub const OPS: &[Op] = &[
    Op {
        domain: "",
        name: "Constant",
        opsets: &[1, 9, 11, 12, 13, 19, 21, 23, 24],
        infer: constant,
        // A constant that is not an initializer cannot be cut.
        couple: crate::forms::pinned,
        shrink: no_shrink,
        cost: no_cost,
        fold: |cx| Ok(tensor_of(cx.node)?.map(|t| vec![t])),
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
    Op {
        domain: "",
        name: "ConstantOfShape",
        opsets: &[9, 20, 21, 23, 24],
        infer: of_shape,
        couple,
        shrink,
        cost: no_cost,
        fold,
        eval: NOT_YET,
        derive: NO_DERIVATIVE,
    },
];

/// The tensor in an attribute, unless it is in another file.
fn tensor_attr(node: &Node, name: &str) -> Result<Option<Tensor>> {
    let Some(t) = node.attr(name).and_then(|a| a.t.as_ref()) else { return Ok(None) };
    if secateur_onnx::is_external(t) {
        return Ok(None);
    }
    module::tensor(t, &ExternalFiles::default()).map(Some)
}

/// The value of a Constant, `None` for the sparse ones.
fn tensor_of(node: &Node) -> Result<Option<Tensor>> {
    if let Some(t) = tensor_attr(node, "value")? {
        return Ok(Some(t));
    }
    let vector = |n: usize| vec![n];
    Ok(if let Some(v) = node.int("value_int")? {
        Some(Tensor::i64(&[], &[v]))
    } else if let Some(v) = node.ints("value_ints")? {
        Some(Tensor::vec_i64(v))
    } else if let Some(v) = node.float("value_float")? {
        Some(Tensor::f32(&[], &[v]))
    } else if let Some(a) = node.attr("value_floats") {
        Some(Tensor::f32(&[a.floats.len()], &a.floats))
    } else if let Some(a) = node.attr("value_string") {
        let text = a.s().to_vec().into();
        Some(Tensor { elem: ElemType::String, dims: vec![], data: Data::Strings(vec![text]) })
    } else if let Some(a) = node.attr("value_strings") {
        let data = Data::Strings(a.strings.clone());
        Some(Tensor { elem: ElemType::String, dims: vector(a.strings.len()), data })
    } else {
        None
    })
}

fn constant(cx: &mut InferCx) -> Result<()> {
    let Some(t) = tensor_of(cx.node)? else { return Ok(()) };
    cx.set(0, t.elem, Some(t.dims.iter().map(|&d| Dim::fixed(d)).collect()));
    if t.dims.len() <= 1
        && t.len() <= 4096
        && let Some(v) = t.to_i64()
    {
        let elems = v.into_iter().map(Dim::fixed).collect();
        cx.set_ints(0, t.elem, Ints { scalar: t.dims.is_empty(), elems });
    }
    Ok(())
}

/// The one element that fills the output: 0 as `f32` where it is left out.
fn filling(node: &Node) -> Result<Option<Tensor>> {
    match tensor_attr(node, "value")? {
        Some(t) if t.len() == 1 => Ok(Some(t)),
        Some(t) => Err(diag(Code::S002, format!("value must hold one element, not {}", t.len()))),
        None if node.attr("value").is_some() => Ok(None),
        None => Ok(Some(Tensor::f32(&[1], &[0.0]))),
    }
}

fn of_shape(cx: &mut InferCx) -> Result<()> {
    let Some(value) = filling(cx.node)? else { return Ok(()) };
    cx.want_rank(0, 1)?;
    let shape = match cx.ints(0) {
        Some(want) => {
            if let Some(n) = want.elems.iter().filter_map(Dim::constant).find(|n| *n < 0) {
                size(n)?;
            }
            Some(want.elems)
        }
        None => {
            cx.shape(0).and_then(|s| s.first()?.size()).filter(|&n| n <= 64).map(|rank| cx.unknowns(0, rank))
        }
    };
    let small = match shape.as_deref() {
        Some([]) => Some(1),
        Some([n]) => n.size(),
        _ => None,
    };
    let scalar = shape.as_ref().is_some_and(Vec::is_empty);
    cx.set(0, value.elem, shape);
    if let (Some(n @ 0..=4096), true, Some(v)) = (small, is_int(value.elem), value.to_i64()) {
        cx.set_ints(0, value.elem, Ints { scalar, elems: vec![Dim::fixed(v[0]); n] });
    }
    Ok(())
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    if constants(cx, 0).is_some() {
        for a in 0..cx.rank(Y)? {
            r.free(Y, a);
        }
    }
    Ok(())
}

fn shrink(cx: &mut ShrinkCx) -> Result<()> {
    if !cx.touched(Y) {
        return Ok(());
    }
    let rank = cx.before(Y)?.len();
    let want = (0..rank).map(|a| cx.len(Port::Out(0), a).map(|n| n as i64)).collect::<Result<Vec<_>>>()?;
    set_ints(cx, 0, &[rank], &want)
}

fn fold(cx: &FoldCx) -> Result<Option<Vec<Tensor>>> {
    let (Some(want), Some(value)) = (cx.input(0).and_then(Tensor::to_i64), filling(cx.node)?) else {
        return Ok(None);
    };
    let dims: Option<Vec<usize>> = want.iter().map(|&n| usize::try_from(n).ok()).collect();
    // Large ones stay as they are: a file should not grow by its zeros.
    let Some(dims) = dims.filter(|d| bounded(d, &[]).is_some_and(|n| n <= 1 << 16)) else { return Ok(None) };
    let steps = vec![0; dims.len()];
    Ok(secateur_tensor::view(&value, dims, &steps, 0).map(|t| vec![t]))
}
