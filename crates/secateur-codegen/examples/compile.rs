//! Compiles a model to a folder: `compile MODEL CORE DIR NAME=N..`
use secateur_ir::Module;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let dims: Vec<(String, usize)> = args[3..]
        .iter()
        .filter_map(|a| a.split_once('='))
        .map(|(n, v)| (n.into(), v.parse().unwrap()))
        .collect();
    let module = secateur_onnx::Model::load(std::path::Path::new(&args[0])).and_then(Module::import).unwrap();
    let options = secateur_codegen::bundle::Options {
        name: "m".into(),
        target: "test".into(),
        core: secateur_neon::Core::from_name(&args[1]).unwrap(),
        dims,
        code_budget: secateur_codegen::bundle::CODE_BUDGET,
        compact: std::env::var_os("COMPACT").is_some(),
        cores: secateur_codegen::divide::Cores::of(1),
    };
    let bundle = secateur_codegen::bundle::compile(&module.graph, &options).unwrap_or_else(|e| {
        eprintln!("{e}");
        std::process::exit(2)
    });
    std::fs::create_dir_all(&args[2]).unwrap();
    for (name, bytes) in &bundle.files {
        std::fs::write(std::path::Path::new(&args[2]).join(name), bytes).unwrap();
    }
    for l in &bundle.report.layers {
        println!("{:>9} {:<28} {} {:?}", l.instructions, l.kernel, l.operation, l.others);
    }
    let r = &bundle.report;
    println!(
        "instructions {} code {} constants {} workspace {} bound {}",
        r.instructions, r.code_bytes, r.constant_bytes, r.workspace_bytes, r.workspace_bound
    );
}
