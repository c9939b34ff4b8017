//! What a coupling rule sees and says.
//!
//! Every axis of fixed length is a row of *elements*. A rule relates elements that are the same thing seen
//! in two places. An axis that a rule does not mention is pinned: the safe answer is the default.

use std::borrow::Cow;

use secateur_diag::{Code, Result, diag};

use crate::Reading;
use secateur_ir::dim::Dim;
use secateur_ir::graph::{Graph, Ints, Node};
use secateur_tensor::Tensor;

/// Why the spatial axes of convolutions and pools stay; too common to be listed.
pub const WINDOW: &str = "a window slides along it";

/// An input or output of the node, by position.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Port {
    /// Input `.0`.
    In(usize),
    /// Output `.0`.
    Out(usize),
}

/// Elements `start`, `start + step`, ... of an axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Which tensor.
    pub port: Port,
    /// Which of its axes.
    pub axis: usize,
    /// First element.
    pub start: usize,
    /// Distance between elements; may be negative.
    pub step: isize,
}

/// One factor of an axis: element `e` has index `e / inner % size` in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Atom {
    /// Which tensor.
    pub port: Port,
    /// Which of its axes.
    pub axis: usize,
    /// Length of the factor.
    pub size: usize,
    /// Product of the factors inside it.
    pub inner: usize,
}

/// One statement of a rule.
#[derive(Clone, PartialEq, Debug)]
pub enum Relation {
    /// The `len` elements of both spans are pairwise the same.
    Run {
        /// One side.
        a: Span,
        /// The other.
        b: Span,
        /// Number of pairs.
        len: usize,
    },
    /// Element `index[i]` of `a` is element `i` of `b`.
    List {
        /// The indexed axis.
        a: (Port, usize),
        /// Indices into `a`.
        index: Vec<usize>,
        /// The axis that the indices run along.
        b: (Port, usize),
    },
    /// All elements, on any side, that share their index in the factor are one thing.
    Atoms(Vec<Atom>),
    /// The axis must keep all its elements.
    Pin {
        /// Which axis.
        at: (Port, usize),
        /// Shown by `inspect`.
        why: Cow<'static, str>,
    },
    /// Removal of an element changes what the others compute.
    Inexact {
        /// Which axis.
        at: (Port, usize),
        /// Shown by `inspect`.
        why: Cow<'static, str>,
    },
    /// The data's axis is summed away here, against the weight's axis where there is one.
    Contract {
        /// The summed axis.
        data: (Port, usize),
        /// The weight's axis that carries the same elements, all of which multiply them.
        weight: Option<(Port, usize)>,
    },
    /// The axis is free of constraints here.
    Free {
        /// Which axis.
        at: (Port, usize),
    },
    /// Exactly one of these holds; which is the analysis's to choose.
    Choose(Vec<Alternative>),
}

/// One way to read a factored axis.
#[derive(Clone, PartialEq, Debug)]
pub struct Alternative {
    /// Short name, e.g. `groups`.
    pub label: Cow<'static, str>,
    /// What holds then.
    pub relations: Vec<Relation>,
}

/// What a rule sees of its node.
pub struct CoupleCx<'a> {
    /// The graph, with inferred types.
    pub graph: &'a Graph,
    /// The node.
    pub node: &'a Node,
}

impl<'a> CoupleCx<'a> {
    /// For the operator's `read`.
    pub fn reading(&self) -> Reading<'a> {
        Reading::of(self.graph, self.node)
    }

    /// The tensor's shape; the driver calls no rule with an unknown rank, an absent tensor has none.
    pub fn shape(&self, port: Port) -> Option<&'a [Dim]> {
        let v = match port {
            Port::In(i) => self.node.input(i),
            Port::Out(i) => self.node.output(i),
        }?;
        self.graph.shape(v)
    }

    /// The shape of a mandatory tensor; [`Code::S001`] where it is absent.
    pub fn need(&self, port: Port) -> Result<&'a [Dim]> {
        self.shape(port).ok_or_else(|| diag(Code::S001, format!("{port:?} is missing or has no shape")))
    }

    /// Rank of a mandatory tensor.
    pub fn rank(&self, port: Port) -> Result<usize> {
        Ok(self.need(port)?.len())
    }

    /// Length of a mandatory tensor's axis, `None` where it is symbolic.
    pub fn size(&self, port: Port, axis: usize) -> Result<Option<usize>> {
        Ok(self.need(port)?.get(axis).and_then(Dim::size))
    }

    /// Input `i` as small integers, where known.
    pub fn ints(&self, i: usize) -> Option<Ints> {
        crate::facts::ints_of(self.graph, self.node.input(i)?)
    }

    /// Input `i` as a constant tensor.
    pub fn tensor(&self, i: usize) -> Option<&'a Tensor> {
        self.graph.init(self.node.input(i)?)
    }

    /// Version of the node's operator set.
    pub fn opset(&self) -> i64 {
        self.graph.opset(self.node.domain())
    }
}

/// What a rule says.
#[derive(Default, Debug)]
pub struct Relations {
    /// In the order said.
    pub list: Vec<Relation>,
}

impl Relations {
    /// Adds a relation as it is.
    pub fn push(&mut self, r: Relation) {
        self.list.push(r);
    }

    /// The two axes are the same, element by element. Symbolic ones say nothing; different fixed lengths
    /// are [`Code::S001`].
    pub fn tie(&mut self, cx: &CoupleCx, a: (Port, usize), b: (Port, usize)) -> Result<()> {
        match (cx.size(a.0, a.1)?, cx.size(b.0, b.1)?) {
            (Some(n), Some(m)) if n == m => self.run(a, 0, b, 0, n),
            (Some(n), Some(m)) => {
                return Err(diag(Code::S001, format!("axis lengths {n} and {m} should be the same")));
            }
            // A symbolic side cannot be cut, so neither can the fixed one.
            (Some(_), None) => self.pin(a.0, a.1, "tied to a dimension of unknown size"),
            (None, Some(_)) => self.pin(b.0, b.1, "tied to a dimension of unknown size"),
            (None, None) => {}
        }
        Ok(())
    }

    /// Elements `a_start..` of one axis are elements `b_start..` of the other.
    pub fn run(&mut self, a: (Port, usize), a_start: usize, b: (Port, usize), b_start: usize, len: usize) {
        self.push(Relation::Run {
            a: Span { port: a.0, axis: a.1, start: a_start, step: 1 },
            b: Span { port: b.0, axis: b.1, start: b_start, step: 1 },
            len,
        });
    }

    /// The data's axis is summed away against a weight's axis with the same elements.
    pub fn contract(&mut self, cx: &CoupleCx, data: (Port, usize), weight: (Port, usize)) -> Result<()> {
        self.tie(cx, data, weight)?;
        self.push(Relation::Contract { data, weight: Some(weight) });
        Ok(())
    }

    /// The axis must keep all its elements.
    pub fn pin(&mut self, port: Port, axis: usize, why: impl Into<Cow<'static, str>>) {
        self.push(Relation::Pin { at: (port, axis), why: why.into() });
    }

    /// Removal of an element changes what the others compute.
    pub fn inexact(&mut self, port: Port, axis: usize, why: impl Into<Cow<'static, str>>) {
        self.push(Relation::Inexact { at: (port, axis), why: why.into() });
    }

    /// The axis is free of constraints here, beside those stated.
    pub fn free(&mut self, port: Port, axis: usize) {
        self.push(Relation::Free { at: (port, axis) });
    }

    /// Exactly one alternative holds. A single one is stated as it is.
    pub fn choose(&mut self, mut alternatives: Vec<Alternative>) {
        match alternatives.len() {
            0 => {}
            1 => self.list.append(&mut alternatives[0].relations),
            _ => self.push(Relation::Choose(alternatives)),
        }
    }
}
