//! What runs a stretch of a graph on batches: the operators that have derivatives where they are enough, for they are
//! faster on convolutions, else the engine.

use secateur_diag::{Code, Result, diag};
use secateur_grad::{Array, Facts, Program};
use secateur_ir::{Dim, ElemType, Graph, Module, TensorType, ValueId};
use secateur_oracle::Oracle;
use secateur_tensor::Tensor;

use crate::walk::Batches;

/// A graph made ready.
pub struct Engine {
    /// For the shapes of most batches, and for those of a last one that is smaller.
    programs: Vec<Own>,
    /// Where not every batch can be run by a program.
    executor: Option<Oracle>,
}

/// The graph as a program, for inputs of these names and shapes.
struct Own {
    program: Program,
    inputs: Vec<(ValueId, String, Vec<usize>)>,
    outputs: Vec<ValueId>,
}

impl Engine {
    /// Makes `graph` ready for batches of its inputs.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn new(graph: Graph, inputs: &[(&str, &Batches)]) -> Result<Self> {
        let (programs, all) = programs(&graph, inputs);
        let executor = || Oracle::from_bytes(&Module::from_graph(graph).export().0.encode());
        Ok(Self { programs, executor: (!all).then(executor).transpose()? })
    }

    /// The same, by programs alone; `None` where these do not suffice.
    pub fn own(graph: &Graph, inputs: &[(&str, &Batches)]) -> Option<Self> {
        let (programs, all) = programs(graph, inputs);
        all.then_some(Self { programs, executor: None })
    }

    /// The outputs, in the graph's order.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn run(&self, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>> {
        let own = self.programs.iter().find(|p| p.takes(inputs));
        if let Some(out) = own.and_then(|p| p.run(inputs)) {
            return Ok(out);
        }
        let missing = || diag(Code::X001, "a part of the model cannot be run on these shapes");
        let fed: Vec<(&str, Tensor)> = inputs.iter().map(|(n, t)| (*n, Tensor::clone(t))).collect();
        let out = self.executor.as_ref().ok_or_else(missing)?.run(&fed)?;
        Ok(out.into_iter().map(|r| r.1).collect())
    }
}

/// Programs for these batches, and whether every batch has one.
fn programs(graph: &Graph, inputs: &[(&str, &Batches)]) -> (Vec<Own>, bool) {
    let batch = |b: usize| inputs.iter().map(|(n, t)| (*n, &*t[b])).collect::<Vec<_>>();
    let count = inputs.first().map_or(0, |(_, t)| t.len());
    let mut programs: Vec<Own> = Vec::new();
    for b in (0..count).filter(|b| *b == 0 || b + 1 == count) {
        let fed = batch(b);
        if !programs.iter().any(|p| p.takes(&fed)) {
            programs.extend(Own::new(graph, &fed));
        }
    }
    let all = count > 0 && (0..count).all(|b| programs.iter().any(|p| p.takes(&batch(b))));
    (programs, all)
}

impl Own {
    /// `None` where an operator has no derivative, or a shape or type cannot be told.
    fn new(graph: &Graph, inputs: &[(&str, &Tensor)]) -> Option<Self> {
        let mut graph = graph.clone();
        let mut fed = Vec::new();
        for v in graph.data_inputs().collect::<Vec<_>>() {
            let value = graph.value_mut(v);
            let (name, tensor) = inputs.iter().find(|(n, _)| *n == value.name)?;
            tensor.slice::<f32>()?;
            let shape = tensor.dims.iter().map(|n| Dim::fixed(*n)).collect();
            value.ty = Some(TensorType { elem: ElemType::F32, shape: Some(shape) });
            fed.push((v, (*name).to_owned(), tensor.dims.clone()));
        }
        secateur_ops::infer::infer(&mut graph).ok()?;
        let mut facts = Facts::default();
        for v in graph.value_ids() {
            let value = graph.value(v);
            let shape = value.ty.as_ref().and_then(|t| t.shape.as_ref());
            if let Some(s) = shape.and_then(|s| s.iter().map(Dim::size).collect()) {
                facts.shapes.insert(v, s);
            }
            let ints = value.ints.as_ref().and_then(|i| i.elems.iter().map(Dim::constant).collect());
            if let Some(ints) = ints {
                facts.ints.insert(v, ints);
            }
        }
        let outputs = graph.outputs.clone();
        let float = |v: &ValueId| graph.value(*v).ty.as_ref().is_some_and(|t| t.elem == ElemType::F32);
        // Each is taken out of the run, once.
        let once = |(i, v): (usize, &ValueId)| graph.init(*v).is_none() && !outputs[..i].contains(v);
        if !outputs.iter().all(float) || !outputs.iter().enumerate().all(once) {
            return None;
        }
        let program = Program::new(&graph, &facts, &[], &outputs).ok()?;
        Some(Self { program, inputs: fed, outputs })
    }

    /// Whether it is made for inputs of these shapes.
    fn takes(&self, inputs: &[(&str, &Tensor)]) -> bool {
        let fed = |(_, name, shape): &(ValueId, String, Vec<usize>)| {
            inputs.iter().any(|(n, t)| n == name && t.dims == *shape && t.slice::<f32>().is_some())
        };
        self.inputs.iter().all(fed)
    }

    fn run(&self, inputs: &[(&str, &Tensor)]) -> Option<Vec<Tensor>> {
        let array = |(v, name, shape): &(ValueId, String, Vec<usize>)| {
            let (_, t) = inputs.iter().find(|(n, _)| n == name)?;
            Some((*v, Array::new(shape, t.slice::<f32>()?.to_vec())))
        };
        let fed = self.inputs.iter().map(array).collect::<Option<Vec<_>>>()?;
        let mut run = self.program.forward(&fed, &[], false)?;
        drop(fed);
        let tensor = |v: &ValueId| {
            let a = run.take(*v)?;
            Some(Tensor::of(&a.shape.clone(), a.into_data()))
        };
        self.outputs.iter().map(tensor).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// Batches of three and of two samples.
    fn batches(shape: &[usize]) -> Batches {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut one = |n: usize| {
            let shape: Vec<usize> = [&[n], &shape[1..]].concat();
            let len = shape.iter().product();
            Arc::new(Tensor::of(&shape, (0..len).map(|_| 2.0 * rng.f32() - 1.0).collect()))
        };
        vec![one(3), one(3), one(2)]
    }

    #[test]
    fn programs_give_what_the_engine_gives_on_whole_models() {
        for (file, own) in [
            ("fashion_mobilenetv2", true),
            ("fashion_mobilenetv2_bn", true),
            ("fashion_resnet20_bn", true),
            ("fashion_shufflenet_bn", true),
            // Numbers made of its shapes are cast to f32.
            ("fashion_transformer", false),
            ("ppocr_cls_v2", true),
            ("fashion_gru", false),
        ] {
            let path = format!("{}/../../fixtures/{file}.onnx", env!("CARGO_MANIFEST_DIR"));
            let model = secateur_onnx::Model::load(path.as_ref()).unwrap();
            let mut graph = Module::import(model).unwrap().graph;
            secateur_passes::run(&mut graph, &["constants"]).unwrap();
            let input = graph.data_inputs().next().unwrap();
            let name = graph.value(input).name.clone();
            let size = |d: &Dim| d.size().unwrap_or(48);
            let shape: Vec<usize> = graph.shape(input).unwrap().iter().map(size).collect();
            let data = batches(&shape);
            let engine = Engine::new(graph.clone(), &[(&name, &data)]).unwrap();
            assert_eq!(
                (engine.programs.len(), engine.executor.is_none()),
                if own { (2, true) } else { (0, false) },
                "{file}"
            );
            let other =
                Oracle::from_bytes(&Module::from_graph(std::mem::take(&mut graph)).export().0.encode())
                    .unwrap();
            for t in &data {
                let got = engine.run(&[(&name, t)]).unwrap();
                let want = other.run(&[(&name, Tensor::clone(t))]).unwrap();
                assert_eq!(got.len(), want.len());
                for (a, (_, b)) in got.iter().zip(&want) {
                    assert_eq!(a.dims, b.dims, "{file}");
                    let (a, b) = (a.to_f64().unwrap_or_default(), b.to_f64().unwrap_or_default());
                    let far = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                    let size = b.iter().map(|b| b.abs()).fold(0.0, f64::max);
                    assert!(far <= 1e-4 * size, "{file}: {far} of {size}");
                }
            }
        }
    }
}
