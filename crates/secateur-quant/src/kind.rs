//! What an operator can do with integers.

use rustc_hash::FxHashSet;
use secateur_ir::{ElemType, Graph, Node};

/// How an operator takes part in a quantized graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Multiplies data by a constant weight.
    Layer,
    /// Multiplies two computed values.
    Product,
    /// Computes each element of its result from elements at the same place.
    Pointwise {
        /// Loses too much on integers: powers, roots, quotients of computed values.
        float: bool,
    },
    /// Only moves or selects elements.
    Move,
    /// Averages elements.
    Pool {
        /// Input and output share a scale.
        tied: bool,
    },
    /// Anything else.
    Float,
}

const MOVES: &[&str] = &[
    "Concat",
    "DepthToSpace",
    "Expand",
    "Flatten",
    "GlobalMaxPool",
    "Identity",
    "MaxPool",
    "Reshape",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];
const POINTWISE: &[&str] = &[
    "Abs",
    "Add",
    "BatchNormalization",
    "Celu",
    "Clip",
    "Elu",
    "Erf",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Max",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Sub",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
];
const POINTWISE_FLOAT: &[&str] = &["Exp", "Log", "Reciprocal", "Sqrt"];

fn is_f32(graph: &Graph, node: &Node) -> bool {
    let out = node.output(0).and_then(|v| graph.value(v).ty.as_ref());
    out.is_some_and(|t| t.elem == ElemType::F32)
}

/// Whether an operator only moves elements, of whatever type.
pub fn moves(node: &Node) -> bool {
    node.domain().is_empty() && MOVES.contains(&node.op())
}

/// The kind of node `n`; a layer only where `layers` holds it.
pub fn kind(graph: &Graph, n: usize, layers: &FxHashSet<usize>) -> Kind {
    let node = &graph.nodes[n];
    if layers.contains(&n) {
        return Kind::Layer;
    }
    let constant = |i: usize| node.input(i).is_none_or(|v| graph.init(v).is_some());
    let computed = node.inputs.iter().flatten().filter(|v| graph.init(**v).is_none()).count();
    if !node.domain().is_empty() || !is_f32(graph, node) || computed == 0 || !node.captures.is_empty() {
        return Kind::Float;
    }
    let op = node.op();
    let text = |name: &str| node.string(name).ok().flatten().unwrap_or_default().to_owned();
    match op {
        "MatMul" if !constant(0) && !constant(1) => Kind::Product,
        // Elements that are made up would have to be on the grid too.
        "Concat" if computed != node.inputs.len() => Kind::Float,
        "Pad" => {
            let value = node.input(2).and_then(|v| graph.init(v)).and_then(secateur_ir::Tensor::to_f32);
            let zero = node.input(2).is_none() || value.is_some_and(|v| v.iter().all(|x| *x == 0.0));
            let old = node.float("value").ok().flatten().is_some_and(|v| v != 0.0);
            if (zero && !old) || !matches!(text("mode").as_str(), "" | "constant") {
                Kind::Move
            } else {
                Kind::Float
            }
        }
        "Resize" | "Upsample" => match text("mode").as_str() {
            "" | "nearest" => Kind::Move,
            "linear" | "bilinear" => Kind::Pool { tied: true },
            _ => Kind::Float,
        },
        "Gather" if !constant(0) => Kind::Move,
        _ if MOVES.contains(&op) && !constant(0) => Kind::Move,
        "AveragePool" => Kind::Pool { tied: true },
        "GlobalAveragePool" => Kind::Pool { tied: false },
        "ReduceMean" if spatial(graph, node) => Kind::Pool { tied: false },
        "Div" => Kind::Pointwise { float: !constant(1) },
        // A power of one value is a table like any other function of one value; see regions with more inputs.
        "Pow" => Kind::Pointwise { float: true },
        _ if POINTWISE.contains(&op) => Kind::Pointwise { float: false },
        _ if POINTWISE_FLOAT.contains(&op) => Kind::Pointwise { float: true },
        _ => Kind::Float,
    }
}

/// A mean over the last axes of an image.
fn spatial(graph: &Graph, node: &Node) -> bool {
    let Some(rank) = node.input(0).and_then(|v| graph.shape(v)).map(<[_]>::len) else { return false };
    let axes = match node.ints("axes").ok().flatten() {
        Some(a) => Some(a.to_vec()),
        None => node.input(1).and_then(|v| graph.init(v)).and_then(secateur_ir::Tensor::to_i64),
    };
    let from_front = |a: i64| if a < 0 { a + rank as i64 } else { a };
    rank > 2 && axes.is_some_and(|a| !a.is_empty() && a.into_iter().all(|a| from_front(a) >= 2))
}
