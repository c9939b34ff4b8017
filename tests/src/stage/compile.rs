//! A model that is compiled and run under the emulator gives the stored outputs.

use std::sync::Mutex;

use anyhow::{Result, ensure};
use secateur_codegen::bundle::{self, CODE_BUDGET, Options};
use secateur_codegen::divide::Cores;
use secateur_codegen::{Program, interp};
use secateur_diag::Diagnostic;
use secateur_ir::{Graph, Module, Tensor};
use secateur_neon::Core;
use secateur_onnx::Model;

use super::ask;
use crate::compare::{Allowed, compare};
use crate::emulate::{Job, emulate};
use crate::{Case, Loaded, Outcome, Value, in_parallel};

/// A case whose code was made.
struct Compiled {
    program: Program,
    job: Job,
    stored: Vec<Value>,
}

/// Compiles all cases for a core, with their inputs as they are or, where that is refused, with all inputs but the first
/// constant; runs the code. See [`super::Stage::Compile`].
///
/// # Errors
/// The emulator or the C compiler for it are missing.
pub fn check(cases: &[Case], core: Core) -> Result<Vec<Outcome>> {
    let indexed: Vec<(usize, &Case)> = cases.iter().enumerate().collect();
    let compiled = in_parallel(&indexed, |(i, case)| {
        let made = Mutex::new(None);
        let outcome = ask(case, |loaded| match compile(case, loaded, core, &format!("case{i}")) {
            Ok(compiled) => {
                *made.lock().expect("nobody else") = Some(compiled);
                Outcome::Agrees
            }
            Err(e) => e.into(),
        });
        (outcome, made.into_inner().expect("nobody else"))
    });
    let (outcomes, compiled): (Vec<Outcome>, Vec<Option<Compiled>>) = compiled.into_iter().unzip();
    let jobs: Vec<&Job> = compiled.iter().flatten().map(|c| &c.job).collect();
    let mut results = emulate(&jobs, core)?.into_iter();
    let judge = |(outcome, compiled): (Outcome, Option<Compiled>)| match compiled {
        None => outcome,
        Some(c) => judge(&c, results.next().expect("a result for each job")),
    };
    Ok(outcomes.into_iter().zip(compiled).map(judge).collect())
}

fn compile(case: &Case, loaded: &Loaded, core: Core, name: &str) -> Result<Compiled, Box<Diagnostic>> {
    let options = Options {
        name: name.into(),
        target: "test".into(),
        core,
        dims: Vec::new(),
        code_budget: CODE_BUDGET,
        compact: false,
        cores: Cores::of(1),
    };
    let model = Model::from_bytes(loaded.bytes.clone(), Some(&case.folder))?;
    let mut graph = Module::import(model)?.graph;
    let set = &loaded.sets[0];
    let bundle = match bundle::compile(&graph, &options) {
        Ok(bundle) => bundle,
        Err(first) => {
            if !fix_operands(&mut graph, set.inputs.as_slice()) {
                return Err(first);
            }
            bundle::compile(&graph, &options)?
        }
    };
    let object = bundle.files.iter().find(|(n, _)| n.ends_with(".o")).map(|(_, b)| b.clone());
    let given = |p: &secateur_codegen::Port| {
        let value = set.inputs.iter().find(|(n, _)| *n == p.name);
        value.and_then(|(_, v)| v.tensor()?.bytes().map(|b| b.to_vec())).unwrap_or_default()
    };
    let bytes = |p: &secateur_codegen::Port| p.dims.iter().product::<usize>() * p.elem.bits() / 8;
    let job = Job {
        name: name.into(),
        object: object.unwrap_or_default(),
        workspace: bundle.report.workspace_bytes,
        inputs: bundle.program.inputs.iter().map(given).collect(),
        outputs: bundle.program.outputs.iter().map(bytes).collect(),
    };
    Ok(Compiled { program: bundle.program, job, stored: set.outputs.clone() })
}

/// Makes all inputs but the first constants; whether there were any.
fn fix_operands(graph: &mut Graph, inputs: &[(String, Value)]) -> bool {
    let mut any = false;
    for v in graph.data_inputs().skip(1).collect::<Vec<_>>() {
        let name = graph.value(v).name.clone();
        let Some(tensor) = inputs.iter().find(|(n, _)| *n == name).and_then(|(_, v)| v.tensor()) else {
            continue;
        };
        graph.set_init(v, tensor.clone());
        any = true;
    }
    any
}

fn judge(compiled: &Compiled, result: Result<Vec<Vec<u8>>, String>) -> Outcome {
    let outputs = match result {
        Ok(outputs) => outputs,
        Err(how) => return Outcome::differs("the code does not run", how),
    };
    let tensor = |(p, bytes): (&secateur_codegen::Port, Vec<u8>)| {
        Value::Tensor(Tensor::from_bytes(p.elem, p.dims.clone(), bytes))
    };
    let found: Vec<Value> = compiled.program.outputs.iter().zip(outputs).map(tensor).collect();
    match compare(&found, &compiled.stored, Allowed::default()) {
        Outcome::Differs { reason, detail } => {
            let blame = match reference(compiled) {
                Ok(true) => "kernels: the lowered program is right",
                Ok(false) => "lowered program",
                Err(_) => "not known",
            };
            Outcome::differs(reason, format!("{detail}\n  wrong in: {blame}"))
        }
        other => other,
    }
}

/// Whether the lowered program, run by the interpreter, gives the floats that are stored.
fn reference(c: &Compiled) -> Result<bool> {
    let mut inputs = Vec::new();
    for (p, bytes) in c.program.inputs.iter().zip(&c.job.inputs) {
        let t = Tensor::from_bytes(p.elem, p.dims.clone(), bytes.clone());
        let ints = || Some(t.to_i64()?.into_iter().map(|v| v as f32).collect());
        let values: Option<Vec<f32>> = t.to_f32().or_else(ints);
        ensure!(values.is_some(), "an input of another type");
        inputs.extend(values);
    }
    let found = interp::run(&c.program, &inputs).into_iter().zip(&c.program.outputs);
    let found: Vec<Value> = found.map(|(v, p)| Value::Tensor(Tensor::f32(&p.dims, &v))).collect();
    let float = |v: &Value| {
        let t = v.tensor()?;
        let values = t.to_f32().or_else(|| Some(t.to_i64()?.into_iter().map(|v| v as f32).collect()))?;
        Some(Value::Tensor(Tensor::f32(&t.dims, &values)))
    };
    let stored: Option<Vec<Value>> = c.stored.iter().map(float).collect();
    Ok(stored.is_some_and(|s| compare(&found, &s, Allowed::default()) == Outcome::Agrees))
}
