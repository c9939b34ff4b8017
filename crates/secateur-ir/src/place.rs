//! Where in a graph a message points.

use secateur_diag::Diagnostic;

use crate::dim::Dim;
use crate::graph::{Graph, Node};
use crate::print;

/// Adds node and inputs to a rule's error.
pub fn place(e: Box<Diagnostic>, graph: &Graph, node: &Node) -> Box<Diagnostic> {
    let e = e.at("node", describe(graph, node));
    node.inputs.iter().flatten().fold(e, |e, &v| {
        let value = graph.value(v);
        e.at("input", format!("{}: {}", crate::text::value(&value.name), print::ty(value.ty.as_ref())))
    })
}

/// `"name" (Op, opset 13)`.
pub fn describe(graph: &Graph, node: &Node) -> String {
    let name = graph.name_of(node);
    let domain = match node.domain() {
        "" => String::new(),
        d => format!("{d}::"),
    };
    format!("{name:?} ({domain}{}, opset {})", node.op(), graph.opset(node.domain()))
}

/// The symbols of the shapes of the graph's inputs, in order.
pub fn input_symbols(graph: &Graph) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for v in graph.data_inputs() {
        for s in graph.shape(v).unwrap_or(&[]).iter().flat_map(Dim::symbols) {
            if !out.iter().any(|o| o.as_str() == &**s) {
                out.push(s.to_string());
            }
        }
    }
    out
}

/// `give --dim H=SIZE --dim W=SIZE`, for the symbols of [`input_symbols`].
pub fn dim_options(symbols: &[String]) -> String {
    // A size without a name goes by input and axis, `x.2`.
    let options = symbols.iter().map(|s| format!(" --dim {}=SIZE", s.trim_start_matches('?')));
    format!("give{}", options.collect::<String>())
}
