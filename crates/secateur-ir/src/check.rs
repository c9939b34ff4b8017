//! What a file must hold to be taken by others: the checks of ONNX's own checker that a rewrite could break.

use rustc_hash::FxHashSet;
use secateur_diag::{Code, Result, diag};
use secateur_onnx::proto::{
    GraphProto, ModelProto, NodeProto, ValueInfoProto, type_proto::Value as TypeValue,
};

use crate::names::subgraphs;
use crate::text;

/// Checks that in the graph and in all graphs inside of it every value has one source and is read after it, that inputs
/// and outputs are declared, and that every operator's domain is imported.
///
/// # Errors
/// [`Code::G001`] to [`Code::G003`] or [`Code::G005`], naming value and node.
pub fn check(model: &ModelProto) -> Result<()> {
    let Some(g) = &model.graph else { return Ok(()) };
    for info in g.input.iter().chain(&g.output) {
        if !declared(info) {
            return Err(diag(Code::G005, format!("{} is not declared", text::value(info.name()))));
        }
    }
    let imported: Vec<&str> = model.opset_import.iter().map(|s| plain(s.domain())).collect();
    let mut scopes = Scopes { open: Vec::new(), all: Vec::new(), imported };
    scopes.graph(g)?;
    // Before that version every initializer had to be an input as well.
    let inputs: FxHashSet<&str> = g.input.iter().map(ValueInfoProto::name).collect();
    match g.initializer.iter().find(|t| model.ir_version() < 4 && !inputs.contains(t.name())) {
        Some(t) => Err(diag(Code::G005, format!("{} must be an input too", text::value(t.name())))),
        None => Ok(()),
    }
}

fn plain(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

/// Whether type and rank of an input or output are stated, where it is a tensor.
fn declared(info: &ValueInfoProto) -> bool {
    match info.r#type.as_ref().and_then(|t| t.value.as_ref()) {
        Some(TypeValue::TensorType(t)) => t.elem_type() != 0 && t.shape.is_some(),
        other => other.is_some(),
    }
}

struct Scopes<'a> {
    /// By graph, outermost first: what is defined so far.
    open: Vec<FxHashSet<&'a str>>,
    /// And all that it defines.
    all: Vec<FxHashSet<&'a str>>,
    imported: Vec<&'a str>,
}

impl<'a> Scopes<'a> {
    fn define(&mut self, name: &'a str, node: Option<&NodeProto>) -> Result<()> {
        let Some((own, outer)) = self.open.split_last_mut() else { return Ok(()) };
        let around = &self.all[..outer.len()];
        if own.insert(name) && !around.iter().any(|all| all.contains(name)) {
            return Ok(());
        }
        Err(at(diag(Code::G003, format!("the name {} is defined twice", text::value(name))), node))
    }

    fn graph(&mut self, g: &'a GraphProto) -> Result<()> {
        self.open.push(FxHashSet::default());
        let mut own = FxHashSet::default();
        own.extend(crate::names::own_definitions(g));
        self.all.push(own);
        for info in &g.input {
            self.define(info.name(), None)?;
        }
        let inputs: FxHashSet<&str> = g.input.iter().map(ValueInfoProto::name).collect();
        let sparse = g.sparse_initializer.iter().filter_map(|t| t.values.as_ref());
        let mut constants = FxHashSet::default();
        for t in g.initializer.iter().chain(sparse) {
            if !constants.insert(t.name()) || !inputs.contains(t.name()) {
                self.define(t.name(), None)?;
            }
        }
        for node in &g.node {
            self.node(node)?;
        }
        for info in &g.output {
            self.read(info.name(), None)?;
        }
        self.open.pop();
        self.all.pop();
        Ok(())
    }

    fn node(&mut self, node: &'a NodeProto) -> Result<()> {
        let domain = plain(node.domain());
        if !self.imported.contains(&domain) {
            return Err(at(diag(Code::G005, format!("domain {domain:?} is not imported")), Some(node)));
        }
        for name in node.input.iter().filter(|n| !n.is_empty()) {
            self.read(name, Some(node))?;
        }
        for g in subgraphs(node) {
            self.graph(g)?;
        }
        for name in node.output.iter().filter(|n| !n.is_empty()) {
            self.define(name, Some(node))?;
        }
        Ok(())
    }

    fn read(&self, name: &str, node: Option<&NodeProto>) -> Result<()> {
        if self.open.iter().any(|s| s.contains(name)) {
            return Ok(());
        }
        let later = self.all.iter().any(|s| s.contains(name));
        let name = text::value(name);
        let e = match later {
            true => diag(Code::G001, format!("{name} is read before it is written")),
            false => diag(Code::G002, format!("{name} has no source")),
        };
        Err(at(e, node))
    }
}

fn at(e: Box<secateur_diag::Diagnostic>, node: Option<&NodeProto>) -> Box<secateur_diag::Diagnostic> {
    let Some(node) = node else { return e };
    let name = match node.name() {
        "" => node.output.first().map_or("", String::as_str),
        name => name,
    };
    e.at("node", format!("{name:?} ({})", node.op_type()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Module, parse};
    use secateur_onnx::proto::AttributeProto;

    const TEXT: &str = "graph g opset(\"\"=13) (%x: f32[2], %c: bool[]) -> (%y) {
        @w: f32[2] = [1, 2]
        %a: f32[2] = Mul(%x, @w)
        %i: f32[2] = If(%c)
        %y: f32[2] = Add(%i, %a)
    }";

    /// The model with a branch that reads one name and defines another.
    fn model(reads: &str, defines: &str) -> ModelProto {
        let graph = parse::graph(TEXT).unwrap();
        let mut model = Module::from_graph(graph).export().0.into_parts().0;
        let node = NodeProto {
            op_type: Some("Relu".into()),
            input: vec![reads.into()],
            output: vec![defines.into()],
            ..Default::default()
        };
        let output = vec![ValueInfoProto { name: Some(defines.into()), ..Default::default() }];
        let g = GraphProto { node: vec![node], output, ..Default::default() };
        let name = Some("then_branch".into());
        let branch = AttributeProto { name, g: Some(g), r#type: Some(5), ..Default::default() };
        model.graph.as_mut().unwrap().node[1].attribute = vec![branch];
        model
    }

    fn code(reads: &str, defines: &str, change: impl FnOnce(&mut ModelProto)) -> Option<Code> {
        let mut m = model(reads, defines);
        change(&mut m);
        check(&m).err().map(|e| e.code)
    }

    #[test]
    fn names_of_graphs_inside_count() {
        assert_eq!(code("a", "inner", |_| ()), None);
        // Also names that are defined behind the subgraph's node.
        for taken in ["x", "w", "a", "y", "i"] {
            assert_eq!(code("a", taken, |_| ()), Some(Code::G003), "{taken}");
        }
        assert_eq!(code("nothing", "inner", |_| ()), Some(Code::G002));
        assert_eq!(code("y", "inner", |_| ()), Some(Code::G001));
    }

    #[test]
    fn what_is_missing_is_found() {
        assert_eq!(code("a", "b", |m| m.opset_import.clear()), Some(Code::G005));
        assert_eq!(code("a", "b", |m| m.graph.as_mut().unwrap().output[0].r#type = None), Some(Code::G005));
        assert_eq!(code("a", "b", |m| m.ir_version = Some(3)), Some(Code::G005));
        assert_eq!(code("a", "b", |m| m.graph.as_mut().unwrap().initializer.clear()), Some(Code::G002));
    }
}
