//! `simplify IN.onnx OUT.onnx [--keep-batchnorm]`: simplifies a model and says what each pass did.

use std::path::Path;
use std::time::Instant;

use secateur_ir::Module;
use secateur_onnx::Model;
use secateur_passes::{Options, finish, prepare};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (input, output, keep_batchnorm) = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [input, output] => (input, output, false),
        [input, output, "--keep-batchnorm"] => (input, output, true),
        _ => return Err("usage: simplify IN.onnx OUT.onnx [--keep-batchnorm]".into()),
    };
    let start = Instant::now();
    let mut module = Module::import(Model::load(Path::new(input))?)?;
    let before = module.graph.nodes.len();
    let report = prepare(&mut module.graph, &mut Options { keep_batchnorm, ..Options::default() })?;
    finish(&mut module.graph)?;
    let (model, external) = module.export();
    model.save(Path::new(output), &external)?;
    let changes: Vec<String> = report
        .passes
        .iter()
        .filter(|p| p.changes > 0)
        .map(|p| format!("{} {} ({:.0?})", p.name, p.changes, p.time))
        .collect();
    println!(
        "{before} -> {} nodes in {:.0?}: {}",
        module.graph.nodes.len(),
        start.elapsed(),
        changes.join(", ")
    );
    let inner = |n: &&secateur_ir::Node| {
        n.is("Shape") && n.input(0).is_some_and(|x| !module.graph.inputs.contains(&x))
    };
    for n in module.graph.nodes.iter().filter(inner) {
        println!("Shape of an inner value: {}", secateur_ir::print::node(&module.graph, n));
    }
    Ok(())
}
