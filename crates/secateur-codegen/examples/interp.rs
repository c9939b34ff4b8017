//! Runs a lowered model on raw little-endian f32 files: `interp MODEL OUT NAME=N.. IN..`
use secateur_ir::Module;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let dims: Vec<(String, usize)> = args[2..]
        .iter()
        .filter_map(|a| a.split_once('='))
        .map(|(n, v)| (n.into(), v.parse().unwrap()))
        .collect();
    let module = secateur_onnx::Model::load(std::path::Path::new(&args[0])).and_then(Module::import).unwrap();
    let p = secateur_codegen::lower_graph(&module.graph, &dims).unwrap_or_else(|e| panic!("{e}"));
    let inputs: Vec<Vec<f32>> = args[2..]
        .iter()
        .filter(|a| !a.contains('='))
        .map(|f| {
            let b = std::fs::read(f).unwrap();
            b.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect()
        })
        .collect();
    print!("{}", secateur_codegen::print::program(&p));
    let out = secateur_codegen::interp::run(&p, &inputs);
    let bytes: Vec<u8> = out.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(&args[1], bytes).unwrap();
}
