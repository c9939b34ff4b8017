//! The operator table: one file an operator, or a family that shares one rule.
//!
//! A file exports `OPS`, a list of [`Op`] rows; every column is mandatory, so that the compiler is the
//! checklist. Registration is one word in the `families!` call below. An operator that is not in the
//! table is legal: its axes are pinned and the rest of the graph is still pruned.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;
use secateur_diag::Result;

use crate::tensor::Tensor;

mod broadcast;
mod cost;
mod couple;
mod float;
pub mod forms;
mod infer;
mod moves;
pub mod reshape_atoms;
mod scalar;
mod shrink;

pub use cost::{Cost, CostCx, Term};
pub use couple::{Alternative, Atom, CoupleCx, Port, Relation, Relations, Span, WINDOW};
pub use infer::{FoldCx, InferCx, OutFact};
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
        Op { domain, name, opsets, infer, couple, shrink, cost, fold }
    }
}

macro_rules! families {
    ($($family:ident)*) => {
        $(mod $family;)*
        /// Every row, family by family.
        pub fn all() -> impl Iterator<Item = &'static Op> {
            [$($family::OPS),*].into_iter().flatten()
        }
    };
}

families! {
    activation
    arithmetic
    attention
    attention_ort
    cast
    compare
    concat
    constant
    conv
    conv_transpose
    depth_space
    einsum
    expand
    flatten
    fused
    gather
    gather_elements
    gemm
    identity
    normalization
    normalized_axes
    pad
    pooling
    positions
    quantize
    quantized
    quantized_pointwise
    range
    recurrent
    reduce
    reshape
    resize
    sample
    scatter
    select
    shape
    slice
    softmax
    split
    squeeze
    top_k
    transpose
}

static TABLE: LazyLock<FxHashMap<(&'static str, &'static str), &'static Op>> =
    LazyLock::new(|| all().map(|op| ((op.domain, op.name), op)).collect());

/// The operator's row, `None` where the table has none.
pub fn find(domain: &str, name: &str) -> Option<&'static Op> {
    TABLE.get(&(domain, name)).copied()
}
