//! What a model says about its inputs and outputs.

use secateur_ir::{ElemType, Graph, ValueId};
use serde::Serialize;
use std::fmt;

/// One declared axis length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Dim {
    /// A number.
    Fixed(usize),
    /// A name, or the empty string when the model leaves it open.
    Symbol(String),
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(n) => write!(f, "{n}"),
            Dim::Symbol(name) if name.is_empty() => f.write_str("?"),
            Dim::Symbol(name) => f.write_str(name),
        }
    }
}

/// A graph input or output as declared in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ValueInfo {
    /// Its name.
    pub name: String,
    /// Element type; `None` if it is not declared or is no type that data files hold.
    pub dtype: Option<ElemType>,
    /// Axis lengths; `None` if the rank is not declared.
    pub shape: Option<Vec<Dim>>,
}

impl ValueInfo {
    /// What a graph is fed, in its order.
    pub fn inputs(graph: &Graph) -> Vec<Self> {
        graph.data_inputs().map(|v| Self::of(graph, v)).collect()
    }

    /// A value of a graph, as it is declared.
    pub fn of(graph: &Graph, v: ValueId) -> Self {
        let value = graph.value(v);
        let ty = value.ty.as_ref();
        let dim = |d: &secateur_ir::Dim| match (d.size(), d.symbols()) {
            (Some(n), _) => Dim::Fixed(n),
            (None, [s]) if d.coefficient() == 1 && !d.is_unknown() => Dim::Symbol(s.to_string()),
            _ => Dim::Symbol(String::new()),
        };
        Self {
            name: value.name.clone(),
            dtype: ty.map(|t| t.elem).filter(|e| crate::fit::holds(*e)),
            shape: ty.and_then(|t| t.shape.as_ref()).map(|s| s.iter().map(dim).collect()),
        }
    }

    /// Length of the first axis, if it is a number.
    pub fn fixed_batch(&self) -> Option<usize> {
        match self.shape.as_deref() {
            Some([Dim::Fixed(n), ..]) => Some(*n),
            _ => None,
        }
    }
}

impl fmt::Display for ValueInfo {
    /// `%input: f32[N,3,32,32]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}: ", self.name)?;
        match self.dtype {
            Some(dtype) => write!(f, "{dtype}")?,
            None => f.write_str("?")?,
        }
        match &self.shape {
            Some(shape) => {
                write!(f, "[{}]", shape.iter().map(Dim::to_string).collect::<Vec<_>>().join(","))
            }
            None => f.write_str("[..]"),
        }
    }
}
