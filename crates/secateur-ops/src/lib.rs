//! The operator table: one file an operator, or a family that shares one rule.
//!
//! A file exports `OPS`, a list of [`Op`] rows; every column is mandatory, so that the compiler is the
//! checklist. Registration is a `mod` line and a word in [`FAMILIES`]. An operator that is not in the
//! table is legal: its axes are pinned and the rest of the graph is still pruned.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;
use secateur_diag::Result;

use secateur_tensor::Tensor;

mod activation;
mod arithmetic;
mod attention;
mod attention_ort;
mod broadcast;
mod cast;
mod compare;
mod concat;
mod constant;
mod conv;
mod conv_transpose;
mod cost;
mod couple;
mod depth_space;
mod einsum;
mod eval;
mod expand;
mod facts;
mod flatten;
mod float;
pub mod forms;
mod fused;
mod gather;
mod gather_elements;
mod gemm;
pub mod hidden;
mod identity;
pub mod infer;
mod moves;
mod normalization;
mod normalized_axes;
mod pad;
mod pooling;
mod positions;
mod quantize;
mod quantized;
mod quantized_pointwise;
mod range;
mod reading;
mod recurrent;
mod reduce;
mod reshape;
pub mod reshape_atoms;
mod resize;
mod sample;
mod scalar;
mod scatter;
mod select;
mod shape;
mod shrink;
mod slice;
mod softmax;
mod split;
mod squeeze;
mod top_k;
mod transpose;

pub use cost::{Cost, CostCx, Term};
pub use couple::{Alternative, Atom, CoupleCx, Port, Relation, Relations, Span, WINDOW};
pub use eval::{Column, DeriveCx, DeriveFn, EvalCx, EvalFn, unfit};
pub use facts::{FoldCx, InferCx, OutFact};
pub use infer::infer;
pub use reading::Reading;
pub use shrink::ShrinkCx;

/// Types, shapes and small integer contents out, from those in.
pub type InferFn = fn(&mut InferCx) -> Result<()>;
/// Relations between axis elements of inputs and outputs.
pub type CoupleFn = fn(&CoupleCx, &mut Relations) -> Result<()>;
/// How attributes and shape operands change when elements disappear.
pub type ShrinkFn = fn(&mut ShrinkCx) -> Result<()>;
/// Multiply-adds as products of axis lengths.
pub type CostFn = fn(&CostCx) -> Result<Cost>;
/// The outputs, when all inputs are constants; `None` where it is not worth it or not possible.
pub type FoldFn = fn(&FoldCx) -> Result<Option<Vec<Tensor>>>;

/// One operator: all that passes and coupling need to know of it.
pub struct Op {
    /// `""` is the standard domain.
    pub domain: &'static str,
    /// Name as in ONNX.
    pub name: &'static str,
    /// Versions of the operator set at which its definition changed.
    pub opsets: &'static [i64],
    /// Shape rule.
    pub infer: InferFn,
    /// Coupling rule.
    pub couple: CoupleFn,
    /// Shrink rule.
    pub shrink: ShrinkFn,
    /// Cost rule.
    pub cost: CostFn,
    /// Constant evaluation.
    pub fold: FoldFn,
    /// Evaluation.
    pub eval: Column<EvalFn>,
    /// Derivative.
    pub derive: Column<DeriveFn>,
}

impl Op {
    /// A row of the standard domain with nothing to shrink, to count or to fold.
    const fn plain(name: &'static str, opsets: &'static [i64], infer: InferFn, couple: CoupleFn) -> Op {
        Op::plain_in("", name, opsets, infer, couple)
    }

    /// The same in another domain.
    const fn plain_in(
        domain: &'static str,
        name: &'static str,
        opsets: &'static [i64],
        infer: InferFn,
        couple: CoupleFn,
    ) -> Op {
        let (shrink, cost, fold) = (forms::no_shrink, forms::no_cost, forms::no_fold);
        let (eval, derive) = (forms::NOT_YET, forms::NO_DERIVATIVE);
        Op { domain, name, opsets, infer, couple, shrink, cost, fold, eval, derive }
    }
}

/// The rows of every family.
const FAMILIES: &[&[Op]] = &[
    activation::OPS,
    arithmetic::OPS,
    attention::OPS,
    attention_ort::OPS,
    cast::OPS,
    compare::OPS,
    concat::OPS,
    constant::OPS,
    conv::OPS,
    conv_transpose::OPS,
    depth_space::OPS,
    einsum::OPS,
    expand::OPS,
    flatten::OPS,
    fused::OPS,
    gather::OPS,
    gather_elements::OPS,
    gemm::OPS,
    identity::OPS,
    normalization::OPS,
    normalized_axes::OPS,
    pad::OPS,
    pooling::OPS,
    positions::OPS,
    quantize::OPS,
    quantized::OPS,
    quantized_pointwise::OPS,
    range::OPS,
    recurrent::OPS,
    reduce::OPS,
    reshape::OPS,
    resize::OPS,
    sample::OPS,
    scatter::OPS,
    select::OPS,
    shape::OPS,
    slice::OPS,
    softmax::OPS,
    split::OPS,
    squeeze::OPS,
    top_k::OPS,
    transpose::OPS,
];

/// Every row, family by family.
pub fn all() -> impl Iterator<Item = &'static Op> {
    FAMILIES.iter().copied().flatten()
}

static TABLE: LazyLock<FxHashMap<(&'static str, &'static str), &'static Op>> =
    LazyLock::new(|| all().map(|op| ((op.domain, op.name), op)).collect());

/// The operator's row, `None` where the table has none.
pub fn find(domain: &str, name: &str) -> Option<&'static Op> {
    TABLE.get(&(domain, name)).copied()
}
