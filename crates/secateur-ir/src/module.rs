//! A model as the compiler works on it: the graph, and everything around it that stays as it was.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashSet;
use secateur_diag::{Code, Result, diag};
use secateur_onnx::proto::{
    self, tensor_shape_proto::dimension::Value as DimValue, type_proto::Value as TypeValue,
};
use secateur_onnx::{ElemType, ExternalFiles, ExternalOut, Extras, Model, field, is_external};

use crate::dim::Dim;
use crate::graph::{Graph, Init, Node, TensorType, ValueId};
use crate::names::subgraphs;
use crate::{text, verify};
use secateur_tensor::{Data, Tensor};

/// A model: its main graph, and its shell (metadata, functions, declared types, ...).
#[derive(Clone, Debug)]
pub struct Module {
    /// The main graph.
    pub graph: Graph,
    /// The model without the graph's nodes and initializers.
    shell: proto::ModelProto,
    extras: Extras,
    external: ExternalFiles,
    /// Initializers in the file's order.
    order: Vec<ValueId>,
}

/// The type that a declaration states; `None` for sequences, maps, optionals and unknown element types.
pub(crate) fn tensor_type(info: &proto::ValueInfoProto) -> Option<TensorType> {
    let Some(TypeValue::TensorType(t)) = info.r#type.as_ref()?.value.as_ref() else { return None };
    let elem = ElemType::from_i32(t.elem_type())?;
    let shape = t.shape.as_ref().map(|s| {
        s.dim
            .iter()
            .enumerate()
            .map(|(i, d)| match &d.value {
                Some(DimValue::DimValue(n)) if *n >= 0 => Dim::fixed(*n),
                // Some exporters write a question mark for every size that they leave open.
                Some(DimValue::DimParam(p)) if !p.is_empty() && p != "?" => Dim::symbol(p),
                _ => Dim::unknown(info.name(), i),
            })
            .collect()
    });
    Some(TensorType { elem, shape })
}

/// Sizes of a declared type that differ from the graph's are corrected.
fn correct(info: &mut proto::ValueInfoProto, shape: &[Dim]) {
    let Some(TypeValue::TensorType(t)) = info.r#type.as_mut().and_then(|t| t.value.as_mut()) else { return };
    let Some(declared) = t.shape.as_mut().filter(|s| s.dim.len() == shape.len()) else { return };
    for (d, now) in declared.dim.iter_mut().zip(shape) {
        if let (Some(DimValue::DimValue(n)), Some(size)) = (&mut d.value, now.constant()) {
            *n = size;
        }
    }
}

impl Module {
    /// Builds the graph of a model. Nodes are sorted where the file's order is not topological.
    ///
    /// # Errors
    /// [`Code::G001`] to [`Code::G003`] for graphs that do not hold together, and those of
    /// [`ExternalFiles::tensor_bytes`] for initializers.
    pub fn import(model: Model) -> Result<Module> {
        let (mut shell, mut extras, external) = model.into_parts();
        let mut graph = Graph::default();
        for set in &shell.opset_import {
            let domain = if set.domain() == "ai.onnx" { "" } else { set.domain() };
            graph.opsets.push((domain.to_owned(), set.version()));
        }
        let mut graph_extras = extras.take_child(field::model_proto::GRAPH, 0);
        let Some(g) = shell.graph.as_mut() else { return Err(diag(Code::L003, "the model has no graph")) };
        graph.name = g.name().to_owned();
        for info in &g.input {
            let v =
                graph.add_value(info.name(), tensor_type(info)).map_err(|e| e.at("input", info.name()))?;
            graph.inputs.push(v);
        }
        let mut order = Vec::with_capacity(g.initializer.len());
        for (i, t) in std::mem::take(&mut g.initializer).into_iter().enumerate() {
            let v = import_init(
                &mut graph,
                t,
                graph_extras.take_child(field::graph_proto::INITIALIZER, i as u32),
                &external,
            )?;
            order.push(v);
        }
        for t in &g.sparse_initializer {
            let name = t.values.as_ref().map_or("", |v| v.name());
            let elem = t.values.as_ref().and_then(|v| ElemType::from_i32(v.data_type()));
            let shape = t.dims.iter().map(|&d| Dim::fixed(d)).collect();
            let v = match graph.find(name).filter(|v| graph.inputs.contains(v)) {
                Some(v) => v,
                None => graph.add_value(name, None)?,
            };
            graph.value_mut(v).ty = elem.map(|elem| TensorType { elem, shape: Some(shape) });
            graph.opaque.push(v);
        }
        let protos = std::mem::take(&mut g.node);
        for (i, p) in protos.iter().enumerate() {
            for name in p.output.iter().filter(|n| !n.is_empty()) {
                graph
                    .add_value(name, None)
                    .map_err(|e| e.at("node", format!("{:?} ({}, node {i})", p.name(), p.op_type())))?;
            }
        }
        for (i, p) in protos.into_iter().enumerate() {
            let node_extras = graph_extras.take_child(field::graph_proto::NODE, i as u32);
            let node = import_node(&mut graph, p, node_extras, i)?;
            graph.nodes.push(node);
        }
        // Declarations and annotations stay in the shell; what is made later must not be taken for theirs.
        let annotated = g.quantization_annotation.iter().flat_map(|a| {
            let parts = a.quant_parameter_tensor_names.iter().map(|p| p.value());
            std::iter::once(a.tensor_name()).chain(parts)
        });
        for name in g.value_info.iter().map(|i| i.name()).chain(annotated) {
            if graph.find(name).is_none() {
                graph.held.hold(name);
            }
        }
        for info in g.value_info.iter().chain(&g.output) {
            if let Some(v) = graph.find(info.name())
                && graph.value(v).ty.is_none()
            {
                graph.value_mut(v).ty = tensor_type(info);
            }
        }
        for info in &g.output {
            let v = graph.find(info.name()).ok_or_else(|| {
                diag(Code::G002, format!("the output {} has no source", text::value(info.name())))
            })?;
            graph.outputs.push(v);
        }
        extras.set_child(field::model_proto::GRAPH, 0, graph_extras);
        verify::sort(&mut graph)?;
        verify::verify(&graph)?;
        Ok(Module { graph, shell, extras, external, order })
    }

    /// The files beside the model that its tensors were read from.
    pub fn data_files(&self) -> Vec<std::path::PathBuf> {
        self.external.paths()
    }

    /// The model's file form, and which initializers to keep outside it.
    ///
    /// Names, declared types and unknown fields of whatever is still there are kept; declared sizes follow
    /// the graph's.
    pub fn export(&self) -> (Model, ExternalOut) {
        let (mut shell, mut extras) = (self.shell.clone(), self.extras.clone());
        let mut graph_extras = extras.take_child(field::model_proto::GRAPH, 0);
        let graph = &self.graph;
        let name = |v: &Option<ValueId>| v.map_or(String::new(), |v| graph.value(v).name.clone());
        let Some(g) = shell.graph.as_mut() else {
            return (Model::from_parts(shell, extras, self.external.clone()), ExternalOut::Keep);
        };
        for (i, node) in graph.nodes.iter().enumerate() {
            let mut p = node.proto.clone();
            p.input = node.inputs.iter().map(name).collect();
            p.output = node.outputs.iter().map(name).collect();
            g.node.push(p);
            if let Some(e) = &node.extras {
                graph_extras.set_child(field::graph_proto::NODE, i as u32, (**e).clone());
            }
        }
        let known: FxHashSet<ValueId> = self.order.iter().copied().collect();
        let fresh = graph.value_ids().filter(|v| !known.contains(v));
        let mut outside = BTreeSet::new();
        let inits =
            self.order.iter().copied().chain(fresh).filter_map(|v| Some((v, graph.value(v).init.as_ref()?)));
        for (i, (v, init)) in inits.enumerate() {
            if init.source.as_ref().is_some_and(|s| is_external(s)) {
                outside.insert(graph.value(v).name.clone());
            }
            g.initializer.push(export_init(&graph.value(v).name, init));
            if let Some(e) = &init.extras {
                graph_extras.set_child(field::graph_proto::INITIALIZER, i as u32, (**e).clone());
            }
        }
        let shape = |n: &str| graph.find(n).and_then(|v| graph.shape(v));
        for info in g.input.iter_mut().chain(&mut g.output).chain(&mut g.value_info) {
            if let Some(s) = shape(info.name()) {
                correct(info, s);
            }
        }
        let links = graph.links();
        let gone = |n: &str| {
            !graph.find(n).is_some_and(|v| {
                links.def(v).is_some() || graph.inputs.contains(&v) || graph.value(v).init.is_some()
            })
        };
        if g.value_info.iter().any(|i| gone(i.name())) {
            // Unknown fields of declarations go by position, which changes here.
            let old = std::mem::take(&mut g.value_info);
            for (i, info) in old.into_iter().enumerate() {
                let e = graph_extras.take_child(field::graph_proto::VALUE_INFO, i as u32);
                if !gone(info.name()) {
                    graph_extras.set_child(field::graph_proto::VALUE_INFO, g.value_info.len() as u32, e);
                    g.value_info.push(info);
                }
            }
        }
        g.input.retain(|i| !gone(i.name()));
        for (domain, version) in &graph.opsets {
            let found = shell
                .opset_import
                .iter_mut()
                .find(|s| s.domain() == domain || (domain.is_empty() && s.domain() == "ai.onnx"));
            match found {
                Some(s) => s.version = Some(*version),
                None => shell.opset_import.push(proto::OperatorSetIdProto {
                    domain: Some(domain.clone()),
                    version: Some(*version),
                }),
            }
        }
        extras.set_child(field::model_proto::GRAPH, 0, graph_extras);
        (Model::from_parts(shell, extras, self.external.clone()), ExternalOut::Names(outside))
    }

    /// A module around a graph that came from no file, e.g. a printed one.
    pub fn from_graph(graph: Graph) -> Module {
        let info = |v: ValueId| {
            let value = graph.value(v);
            proto::ValueInfoProto {
                name: Some(value.name.clone()),
                r#type: value.ty.as_ref().map(declare),
                ..Default::default()
            }
        };
        let shell = proto::ModelProto {
            ir_version: Some(8),
            opset_import: graph
                .opsets
                .iter()
                .map(|(d, v)| proto::OperatorSetIdProto { domain: Some(d.clone()), version: Some(*v) })
                .collect(),
            graph: Some(proto::GraphProto {
                name: Some(graph.name.clone()),
                input: graph.inputs.iter().map(|&v| info(v)).collect(),
                output: graph.outputs.iter().map(|&v| info(v)).collect(),
                ..Default::default()
            }),
            ..Default::default()
        };
        Module {
            graph,
            shell,
            extras: Extras::default(),
            external: ExternalFiles::new(None),
            order: Vec::new(),
        }
    }
}

/// The declaration of a type.
fn declare(t: &TensorType) -> proto::TypeProto {
    let dim = |d: &Dim| proto::tensor_shape_proto::Dimension {
        value: Some(match d.constant() {
            Some(n) => DimValue::DimValue(n),
            None => DimValue::DimParam(d.to_string()),
        }),
        ..Default::default()
    };
    let shape = t.shape.as_ref().map(|s| proto::TensorShapeProto { dim: s.iter().map(dim).collect() });
    proto::TypeProto {
        value: Some(TypeValue::TensorType(proto::type_proto::Tensor {
            elem_type: Some(t.elem.to_i32()),
            shape,
        })),
        ..Default::default()
    }
}

fn import_init(
    graph: &mut Graph,
    t: proto::TensorProto,
    extras: Extras,
    external: &ExternalFiles,
) -> Result<ValueId> {
    let name = t.name().to_owned();
    let tensor = tensor(&t, external)?;
    let v = match graph.find(&name) {
        // Before IR version 4 every initializer was also listed as an input.
        Some(v) if graph.inputs.contains(&v) && graph.value(v).init.is_none() => v,
        _ => graph.add_value(&name, None).map_err(|e| e.at("tensor", name.clone()))?,
    };
    graph.set_init(v, tensor);
    graph.value_mut(v).init = graph.value_mut(v).init.take().map(|i| Init {
        source: Some(Arc::new(t)),
        extras: (!extras.is_empty()).then(|| Arc::new(extras)),
        dirty: false,
        ..i
    });
    Ok(v)
}

/// The constant that a message holds.
///
/// # Errors
/// Those of [`ExternalFiles::tensor_bytes`].
pub fn tensor(t: &proto::TensorProto, external: &ExternalFiles) -> Result<Tensor> {
    let elem = ElemType::from_i32(t.data_type()).ok_or_else(|| {
        diag(Code::L009, format!("{} is not an element type", t.data_type())).at("tensor", t.name())
    })?;
    let count = secateur_onnx::element_count(&t.dims).map_err(|e| e.at("tensor", t.name()))?;
    let dims = t.dims.iter().map(|&d| d as usize).collect();
    if elem == ElemType::String {
        if t.string_data.len() != count {
            return Err(diag(Code::L004, format!("{} strings for {count} elements", t.string_data.len()))
                .at("tensor", t.name()));
        }
        return Ok(Tensor { elem, dims, data: Data::Strings(t.string_data.clone()) });
    }
    Ok(Tensor { elem, dims, data: Data::Bytes(external.tensor_bytes(t)?) })
}

fn export_init(name: &str, init: &Init) -> proto::TensorProto {
    let mut t = match &init.source {
        Some(s) if !init.dirty && s.name() == name => return (**s).clone(),
        Some(s) if !init.dirty => return proto::TensorProto { name: Some(name.into()), ..(**s).clone() },
        Some(s) => proto::TensorProto {
            dims: vec![],
            float_data: vec![],
            int32_data: vec![],
            string_data: vec![],
            int64_data: vec![],
            double_data: vec![],
            uint64_data: vec![],
            external_data: vec![],
            data_location: None,
            ..(**s).clone()
        },
        None => proto::TensorProto::default(),
    };
    t.name = Some(name.into());
    t.data_type = Some(init.tensor.elem.to_i32());
    t.dims = init.tensor.dims.iter().map(|&d| d as i64).collect();
    match &init.tensor.data {
        Data::Bytes(b) => t.raw_data = Some(b.clone()),
        Data::Strings(s) => t.string_data = s.clone(),
        Data::Elided(_) => {}
    }
    t
}

/// A node whose names are all known to the graph. What its subgraphs define is held from now on.
pub(crate) fn import_node(
    graph: &mut Graph,
    mut p: proto::NodeProto,
    extras: Extras,
    index: usize,
) -> Result<Node> {
    let place = format!("{:?} ({}, node {index})", p.name(), p.op_type());
    let find = |name: &String| match name.is_empty() {
        true => Ok(None),
        false => graph.find(name).map(Some).ok_or_else(|| {
            diag(Code::G002, format!("{} has no source", text::value(name))).at("node", place.clone())
        }),
    };
    let inputs = std::mem::take(&mut p.input).iter().map(find).collect::<Result<_>>()?;
    let outputs = std::mem::take(&mut p.output).iter().map(find).collect::<Result<_>>()?;
    let mut names = BTreeSet::new();
    subgraphs(&p).for_each(|g| read_names(g, &mut names));
    let captures = names.iter().filter_map(|n| graph.find(n)).collect();
    graph.held.enter(&p);
    Ok(Node { proto: p, inputs, outputs, captures, extras: (!extras.is_empty()).then(|| Box::new(extras)) })
}

/// Every name that a subgraph reads, at any depth; its own definitions do no harm in the list.
fn read_names(g: &proto::GraphProto, out: &mut BTreeSet<String>) {
    out.extend(g.output.iter().map(|o| o.name().to_owned()));
    for n in &g.node {
        out.extend(n.input.iter().filter(|i| !i.is_empty()).cloned());
        subgraphs(n).for_each(|inner| read_names(inner, out));
    }
}
