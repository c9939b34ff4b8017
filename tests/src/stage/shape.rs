//! Inferred types and shapes are those of the stored outputs.

use rustc_hash::FxHashMap;
use secateur_diag::Result;
use secateur_ir::{Dim, Graph, Module, ValueId};
use secateur_onnx::{ExternalFiles, Extras, Model};
use secateur_ops::infer;

use super::ask;
use crate::value::describe;
use crate::{Case, Loaded, Outcome, Set, Value};

/// What is known of the inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    /// Types and ranks; every size is a symbol of its own, but for sizes of 1: a rule may take it that a symbol does not
    /// broadcast.
    Ranks,
    /// What the model declares.
    Declared,
    /// Their contents too.
    Contents,
}

/// Infers shapes with less and with more known of the inputs: nothing may contradict a stored output, and with the contents
/// of all inputs known every size must be found. See [`super::Stage::Shape`].
pub fn check(case: &Case) -> Outcome {
    ask(case, |loaded| {
        for set in &loaded.sets {
            for known in [Known::Contents, Known::Declared, Known::Ranks] {
                match try_check(case, loaded, set, known) {
                    Ok(Outcome::Agrees) => {}
                    Ok(other) => return other,
                    Err(e) => return e.into(),
                }
            }
        }
        Outcome::Agrees
    })
}

/// The graph without what the model says of computed values.
pub(crate) fn undeclared(case: &Case, loaded: &Loaded) -> Result<Graph> {
    let mut proto = loaded.proto.clone();
    if let Some(g) = &mut proto.graph {
        g.value_info.clear();
        g.output.iter_mut().for_each(|o| o.r#type = None);
    }
    let model = Model::from_parts(proto, Extras::default(), ExternalFiles::new(Some(&case.folder)));
    Ok(Module::import(model)?.graph)
}

fn try_check(case: &Case, loaded: &Loaded, set: &Set, known: Known) -> Result<Outcome> {
    let mut graph = undeclared(case, loaded)?;
    let mut sizes: FxHashMap<String, usize> = FxHashMap::default();
    let given = |v: ValueId, graph: &Graph| {
        let name = &graph.value(v).name;
        set.inputs.iter().find(|(n, _)| n == name).and_then(|(_, v)| v.tensor())
    };
    for v in graph.data_inputs().collect::<Vec<_>>() {
        let Some(tensor) = given(v, &graph) else { continue };
        if known == Known::Contents {
            graph.set_init(v, tensor.clone());
            continue;
        }
        let name = graph.value(v).name.clone();
        let shape = graph.value_mut(v).ty.as_mut().and_then(|t| t.shape.as_mut());
        for (axis, (d, &size)) in shape.into_iter().flatten().zip(&tensor.dims).enumerate() {
            if known == Known::Ranks && size != 1 {
                *d = Dim::symbol(&format!("{name}.{axis}"));
            }
            if let (1, [s]) = (d.coefficient(), d.symbols()) {
                sizes.insert(s.to_string(), size);
            }
        }
    }
    infer(&mut graph)?;
    let rowless = graph.nodes.iter().find(|n| secateur_ops::find(n.domain(), n.op()).is_none());
    let open = |what: &str| match rowless {
        Some(n) => Outcome::refused(format!("no row for {}", n.op())),
        None => Outcome::refused(format!("open {what}")),
    };
    for (&v, stored) in graph.outputs.iter().zip(&set.outputs) {
        let ty = graph.value(v).ty.as_ref();
        let Value::Tensor(stored) = stored else {
            match ty {
                None => continue,
                Some(_) => return Ok(Outcome::differs("kind of value", stored.describe())),
            }
        };
        let Some(ty) = ty else {
            match known {
                Known::Contents => return Ok(open("type")),
                _ => continue,
            }
        };
        let text = || format!("{}, not {} ({known:?})", secateur_ir::print::ty(Some(ty)), describe(stored));
        if ty.elem != stored.elem {
            return Ok(Outcome::differs("element type", text()));
        }
        let Some(shape) = &ty.shape else {
            match known {
                Known::Contents => return Ok(open("rank")),
                _ => continue,
            }
        };
        if shape.len() != stored.dims.len() {
            return Ok(Outcome::differs("rank", text()));
        }
        for (d, &size) in shape.iter().zip(&stored.dims) {
            let bound = d.bind(&|s| sizes.get(s).copied());
            match bound.as_ref().and_then(Dim::size) {
                Some(found) if found != size => {
                    let what = if known == Known::Ranks { "size (from symbols)" } else { "size" };
                    return Ok(Outcome::differs(what, text()));
                }
                None if known == Known::Contents => return Ok(open("size")),
                _ => {}
            }
        }
    }
    Ok(Outcome::Agrees)
}
