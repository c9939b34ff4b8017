//! What the operators that move data share: operands, ties along many axes.

use secateur_diag::{Code, Result, diag};
use secateur_onnx::ElemType;

use crate::{CoupleCx, FoldCx, InferCx, Port, Relations, ShrinkCx};
use secateur_ir::dim::Dim;
use secateur_ir::graph::Node;
use secateur_ir::norm_axis;
use secateur_tensor::Tensor;

pub(super) const X: Port = Port::In(0);
pub(super) const Y: Port = Port::Out(0);

/// Whether two sizes are both known and differ.
pub(super) fn differ(a: &Dim, b: &Dim) -> bool {
    a.constant().zip(b.constant()).is_some_and(|(n, m)| n != m)
}

/// A fixed size; [`Code::S002`] where it is negative.
pub(super) fn size(n: i64) -> Result<Dim> {
    match n {
        0.. => Ok(Dim::fixed(n)),
        _ => Err(diag(Code::S002, format!("a size of {n} is negative"))),
    }
}

/// Axes counted from the front; [`Code::S002`] where one is out of range or named twice.
pub(super) fn norm_axes(axes: &[i64], rank: usize) -> Result<Vec<usize>> {
    let mut seen = vec![false; rank];
    axes.iter()
        .map(|&a| {
            let axis = norm_axis(a, rank)?;
            match std::mem::replace(&mut seen[axis], true) {
                false => Ok(axis),
                true => Err(diag(Code::S002, format!("axis {a} is named twice"))),
            }
        })
        .collect()
}

/// Where the integers of a parameter that moved from an attribute to an operand come from.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Param {
    /// Neither is there.
    Absent,
    /// An operand whose contents are not known.
    Unknown,
    /// These.
    Known(Vec<i64>),
}

impl Param {
    fn of(node: &Node, input: usize, ints: Option<Vec<i64>>, attr: &str) -> Result<Self> {
        if node.input(input).is_some() {
            return Ok(ints.map_or(Self::Unknown, Self::Known));
        }
        if attr.is_empty() {
            return Ok(Self::Absent);
        }
        Ok(node.ints(attr)?.map_or(Self::Absent, |v| Self::Known(v.to_vec())))
    }

    /// In a shape rule; `attr` may be `""`.
    pub fn infer(cx: &InferCx, input: usize, attr: &str) -> Result<Self> {
        Self::of(cx.node, input, cx.const_ints(input), attr)
    }

    /// In a coupling rule.
    pub fn couple(cx: &CoupleCx, input: usize, attr: &str) -> Result<Self> {
        Self::of(cx.node, input, constants(cx, input), attr)
    }

    /// In constant evaluation.
    pub fn fold(cx: &FoldCx, input: usize, attr: &str) -> Result<Self> {
        Self::of(cx.node, input, cx.input(input).and_then(Tensor::to_i64), attr)
    }

    /// In a shrink rule; [`Code::P004`] for contents that are not known.
    pub fn shrink(cx: &ShrinkCx, input: usize, attr: &str) -> Result<Self> {
        let ints = cx.node().input(input).map(|_| cx.known(input)).transpose()?;
        Self::of(cx.node(), input, ints, attr)
    }
}

/// Input `i` of any rank as constant integers.
pub(super) fn constants(cx: &CoupleCx, i: usize) -> Option<Vec<i64>> {
    match cx.tensor(i) {
        Some(t) => t.to_i64(),
        None => cx.ints(i)?.elems.iter().map(Dim::constant).collect(),
    }
}

/// Replaces the integers of input `i`, in the element type that they had (`i64` where there was none).
pub(super) fn set_ints(cx: &mut ShrinkCx, i: usize, dims: &[usize], values: &[i64]) -> Result<()> {
    let tensor = match cx.elem(Port::In(i)) {
        Some(ElemType::I32) => {
            let mut bytes = Vec::with_capacity(values.len() * 4);
            for &v in values {
                let v = i32::try_from(v)
                    .map_err(|_| diag(Code::P004, format!("{v} does not fit the operand's 32 bits")))?;
                bytes.extend(v.to_le_bytes());
            }
            Tensor::from_bytes(ElemType::I32, dims.to_vec(), bytes)
        }
        Some(ElemType::I64) | None => Tensor::i64(dims, values),
        Some(other) => return Err(diag(Code::P004, format!("input {i} holds {other}, not integers"))),
    };
    cx.set_operand(i, tensor);
    Ok(())
}

/// How many elements below `n` are kept.
pub(super) fn kept_below(kept: Option<&[usize]>, n: usize) -> usize {
    kept.map_or(n, |k| k.partition_point(|&e| e < n))
}

/// Couple: output 0 is input 0 along every axis of the same position, but those in `skip`.
pub(super) fn tie_others(cx: &CoupleCx, r: &mut Relations, x: Port, y: Port, skip: &[usize]) -> Result<()> {
    for a in (0..cx.rank(x)?).filter(|a| !skip.contains(a)) {
        r.tie(cx, (x, a), (y, a))?;
    }
    Ok(())
}

/// The fixed shape that was inferred for output `i`.
pub(super) fn out_dims(cx: &FoldCx, i: usize) -> Option<Vec<usize>> {
    cx.graph.shape(cx.node.output(i)?)?.iter().map(Dim::size).collect()
}
