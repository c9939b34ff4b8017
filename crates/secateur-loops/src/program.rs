//! The lowered program: a list of steps on strided views, one sample at a time, all numbers `f32`.
//!
//! # Invariants
//!
//! - Every element of a tensor is written by at most one step, before any step reads it. Constants are never written.
//! - A view stays inside its tensor.
//! - Integers and bools are held as `f32`: exact up to 2²⁴.

use std::sync::Arc;

use secateur_onnx::ElemType;

use crate::op::Op;
use crate::view::View;

/// A tensor's number in its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub usize);

/// Where a tensor's elements come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Input number so-and-so of the network, one sample.
    Input(usize),
    /// Output number so-and-so of the network, one sample.
    Output(usize),
    /// In the workspace.
    Temp,
    /// Known at compile time, dense row-major.
    Const(Arc<Vec<f32>>),
}

/// A dense tensor of one sample.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// The name of the ONNX value it came from.
    pub name: String,
    /// Sizes, outermost axis first; the batch axis, where there is one, has size 1.
    pub dims: Vec<usize>,
    /// Where its elements come from.
    pub kind: Kind,
}

/// One computation.
#[derive(Clone, Debug)]
pub struct Step {
    /// The name of the ONNX node it came from.
    pub name: String,
    /// What is computed.
    pub op: Op,
    /// What is read; see [`Op`] for the order.
    pub inputs: Vec<View>,
    /// What is written, without repetition.
    pub output: View,
}

/// An input or output of the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Name in the model.
    pub name: String,
    /// Element type in the caller's memory.
    pub elem: ElemType,
    /// Sizes of one sample, batch axis included with size 1.
    pub dims: Vec<usize>,
    /// Whether axis 0 is the batch.
    pub batched: bool,
    /// Its tensor.
    pub tensor: TensorId,
}

/// A network, lowered.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// By [`TensorId`].
    pub tensors: Vec<Tensor>,
    /// In order of execution.
    pub steps: Vec<Step>,
    /// Inputs in the model's order.
    pub inputs: Vec<Port>,
    /// Outputs in the model's order.
    pub outputs: Vec<Port>,
    /// The name of the batch dimension, where there is one.
    pub batch: Option<String>,
}

impl Program {
    /// Adds a tensor and gives the view of all of it.
    pub fn add(&mut self, name: &str, dims: &[usize], kind: Kind) -> View {
        let id = TensorId(self.tensors.len());
        self.tensors.push(Tensor { name: name.to_owned(), dims: dims.to_vec(), kind });
        View::whole(id, dims)
    }

    /// Adds a constant.
    pub fn constant(&mut self, name: &str, dims: &[usize], data: Vec<f32>) -> View {
        debug_assert_eq!(data.len(), dims.iter().product::<usize>());
        self.add(name, dims, Kind::Const(Arc::new(data)))
    }

    /// The tensor's record.
    pub fn tensor(&self, t: TensorId) -> &Tensor {
        &self.tensors[t.0]
    }

    /// The elements of a view of a constant, in the view's order; `None` for others.
    pub fn values(&self, v: &View) -> Option<Vec<f32>> {
        match &self.tensor(v.tensor).kind {
            Kind::Const(data) => Some(v.positions().into_iter().map(|p| data[p as usize]).collect()),
            _ => None,
        }
    }

    /// Whether the view is of a constant.
    pub fn is_const(&self, v: &View) -> bool {
        matches!(self.tensor(v.tensor).kind, Kind::Const(_))
    }

    /// The one value of a constant whose elements are all the same.
    pub fn scalar(&self, v: &View) -> Option<f32> {
        let Kind::Const(_) = self.tensor(v.tensor).kind else { return None };
        let distinct = View {
            dims: v.dims.iter().zip(&v.strides).map(|(&n, &s)| if s == 0 { n.min(1) } else { n }).collect(),
            ..v.clone()
        };
        let all = self.values(&distinct)?;
        let first = *all.first()?;
        all.iter().all(|x| *x == first).then_some(first)
    }

    /// For every tensor the steps that read it and those that write it.
    pub fn uses(&self) -> Vec<Uses> {
        let mut uses = vec![Uses::default(); self.tensors.len()];
        for (s, step) in self.steps.iter().enumerate() {
            uses[step.output.tensor.0].writes.push(s);
            for v in &step.inputs {
                uses[v.tensor.0].reads.push(s);
            }
        }
        uses
    }
}

/// Steps that touch a tensor, in order; a step that reads it twice is named twice.
#[derive(Clone, Debug, Default)]
pub struct Uses {
    /// Steps that read it.
    pub reads: Vec<usize>,
    /// Steps that write it.
    pub writes: Vec<usize>,
}
