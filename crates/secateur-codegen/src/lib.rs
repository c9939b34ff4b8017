//! From a graph to a bundle: one AArch64 object file with the whole network, and what is needed to call it.
//!
//! - [`shapes`] makes the batch a loop and fixes every other size.
//! - [`lower`] turns each ONNX operator into steps of a [`secateur_loops::Program`]; [`fuse`](mod@fuse) joins them.
//! - [`legal`] gives tensors their layouts, [`choose`] picks kernels, [`plan`] places memory, [`emit`] writes files;
//!   [`bundle`] is the whole way.

pub mod bundle;
pub mod choose;
pub mod divide;
pub mod emit;
pub mod fuse;
pub mod legal;
pub mod lower;
pub mod machine;
pub mod plan;
pub mod shapes;

use rustc_hash::FxHashMap;
use secateur_diag::{Code, Result, diag};
use secateur_ir::{ElemType, Graph, ValueId};

pub use secateur_loops::{Kind, Port, Program, View};
pub use secateur_loops::{interp, layout, op, print, program, unary, view};

/// Lowers a graph; `dims` are the sizes of `--dim`.
///
/// # Errors
/// [`Code::C001`] to [`Code::C003`], naming node, operator and shapes.
pub fn lower_graph(graph: &Graph, dims: &[(String, usize)]) -> Result<Program> {
    let mut graph = graph.clone();
    let batch = shapes::fix(&mut graph, dims)?;
    let mut p = Program { batch: batch.clone(), ..Program::default() };
    let mut values: FxHashMap<ValueId, View> = FxHashMap::default();
    let inputs: Vec<ValueId> = graph.data_inputs().collect();
    for (i, &v) in inputs.iter().enumerate() {
        let port =
            port(&graph, v, batch.is_some(), |p, name, dims| p.add(name, dims, Kind::Input(i)), &mut p)?;
        values.insert(v, View::whole(port.tensor, &port.dims));
        p.inputs.push(port);
    }
    lower::lower(&graph, &mut p, &mut values)?;
    for (i, &v) in graph.outputs.iter().enumerate() {
        let mut port =
            port(&graph, v, batch.is_some(), |p, name, dims| p.add(name, dims, Kind::Output(i)), &mut p)?;
        port.batched = batch.is_some();
        let name = graph.value(v).name.clone();
        let from = match values.get(&v) {
            Some(view) => view.clone(),
            None => {
                let data = graph.init(v).and_then(|t| t.to_f32());
                let data = data
                    .ok_or_else(|| diag(Code::C001, "an output of this type").at("output", name.clone()))?;
                p.constant(&name, &port.dims, data)
            }
        };
        let output = View::whole(port.tensor, &port.dims);
        p.steps.push(program::Step { name, op: op::Op::Copy, inputs: vec![from], output });
        p.outputs.push(port);
    }
    fuse::fuse(&mut p);
    Ok(p)
}

fn port(
    graph: &Graph,
    v: ValueId,
    batched: bool,
    add: impl FnOnce(&mut Program, &str, &[usize]) -> View,
    p: &mut Program,
) -> Result<Port> {
    let value = graph.value(v);
    let dims = lower::sizes(graph, v)?;
    let elem = value.ty.as_ref().map_or(ElemType::F32, |t| t.elem);
    let known = [ElemType::F32, ElemType::I32, ElemType::I64, ElemType::U8, ElemType::I8, ElemType::Bool];
    if !known.contains(&elem) {
        return Err(diag(Code::C001, format!("no code can be made for inputs and outputs of type {elem}"))
            .at("value", value.name.clone()));
    }
    let tensor = add(p, &value.name, &dims).tensor;
    Ok(Port { name: value.name.clone(), elem, dims, batched, tensor })
}
