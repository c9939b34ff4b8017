//! What a cost rule sees and says.

use secateur_diag::{Code, Diagnostic, Result, diag};

use crate::couple::Port;
use crate::{Reading, hidden};
use secateur_ir::dim::Dim;
use secateur_ir::graph::{Graph, Node, ValueId};

/// `coef` times the product of the named axes' lengths.
#[derive(Clone, PartialEq, Debug)]
pub struct Term {
    /// Constant factor.
    pub coef: u64,
    /// Axes whose lengths multiply it; an axis may stand more than once.
    pub axes: Vec<(Port, usize)>,
}

/// Multiply-adds of one call, for all samples of a batch.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Cost {
    /// Summed.
    pub macs: Vec<Term>,
}

impl Cost {
    /// A single product.
    pub fn macs(coef: u64, axes: Vec<(Port, usize)>) -> Self {
        Self { macs: vec![Term { coef, axes }] }
    }
}

/// What a cost rule sees of its node.
pub struct CostCx<'a> {
    /// The graph, with inferred types.
    pub graph: &'a Graph,
    /// The node.
    pub node: &'a Node,
}

impl<'a> CostCx<'a> {
    /// For the operator's `read`.
    pub fn reading(&self) -> Reading<'a> {
        Reading::of(self.graph, self.node)
    }

    /// The tensor's shape; [`Code::P002`] where it is unknown or absent: nothing is wrong with such a model, only
    /// its multiply-adds cannot be counted.
    pub fn shape(&self, port: Port) -> Result<&'a [Dim]> {
        let v = match port {
            Port::In(i) => self.node.input(i),
            Port::Out(i) => self.node.output(i),
        };
        v.and_then(|v| self.graph.shape(v)).ok_or_else(|| match v {
            Some(v) => self.unknown(v),
            None => diag(Code::P002, format!("the multiply-adds depend on {port:?}, which is missing")),
        })
    }

    fn unknown(&self, v: ValueId) -> Box<Diagnostic> {
        let name = secateur_ir::text::value(&self.graph.value(v).name);
        let e =
            diag(Code::P002, format!("the multiply-adds depend on the shape of {name}, which is unknown"));
        let behind = hidden::hides(self.graph, v);
        let e = match behind {
            Some(n) => e.at("behind", hidden::explain(self.graph, n)),
            None => e,
        };
        // Sizes of inputs may lead to the shape, but not through an operator that nothing is known of.
        let open = secateur_ir::input_symbols(self.graph);
        match behind.is_none_or(hidden::has_rule) && !open.is_empty() {
            true => e.help(secateur_ir::dim_options(&open)),
            false => e.help("limit --params or --size instead, which do not depend on it"),
        }
    }

    /// All axes of a tensor.
    pub fn axes(&self, port: Port) -> Result<Vec<(Port, usize)>> {
        Ok((0..self.shape(port)?.len()).map(|a| (port, a)).collect())
    }
}
