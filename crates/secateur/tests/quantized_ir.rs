//! Structures of the field, quantized: the snapshots show the graph before and after. Scales are powers of two, so that
//! they hold on any machine.

mod common;
use common::{bytes_of, npy};
use secateur_data::{InputSet, NpyFile, Recipe};
use secateur_ir::{Module, parse, print};
use secateur_oracle::Oracle as Executor;
use secateur_quant::{Calibration, Options};
use secateur_run::Engine;

const SAMPLES: usize = 8;

fn samples(executor: &Executor, module: &Module) -> InputSet {
    let files = executor.inputs().iter().map(|i| {
        let shape = module.graph.find(&i.name).and_then(|v| module.graph.shape(v)).unwrap();
        let shape: Vec<usize> = shape.iter().map(|d| d.size().unwrap_or(SAMPLES)).collect();
        let values = secateur_ir::Tensor::uniform(&shape, 7).to_f32().unwrap();
        let file = NpyFile::from_bytes("x", npy("<f4", &shape, &bytes_of(&values))).unwrap();
        (Some(i.name.clone()), file)
    });
    InputSet::new(files.collect(), executor.inputs(), &Recipe::default()).unwrap()
}

/// The nodes of a printed graph, without its constants.
fn nodes(module: &Module) -> String {
    let text = print::graph(&module.graph);
    let constant = |l: &&str| !(l.trim_start().starts_with('@') && l.contains(" = "));
    text.lines().filter(constant).map(|l| format!("{l}\n")).collect()
}

#[test]
fn where_pairs_go() {
    for name in ["residual", "depthwise_se", "dense_concat", "split_shuffle", "attention", "unet", "gru"] {
        let path = format!("{}/tests/filetests/{name}.ir", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let mut module = Module::from_graph(parse::graph(&text).unwrap());
        secateur_ops::infer(&mut module.graph).unwrap();
        let executor = Executor::from_bytes(&module.export().0.encode()).unwrap();
        let data = samples(&executor, &module);
        let calibration = Calibration { data: &data, batch: SAMPLES, threads: 1 };
        let options = Options { power_of_two: true, ..Options::default() };
        secateur_passes::prepare(&mut module.graph, &mut secateur_passes::Options::default()).unwrap();
        let before = nodes(&module);
        let (model, _, report) =
            secateur::quantize(module, &options, false, Some(&calibration), &mut || ()).unwrap();
        let after = Module::import(model).unwrap();
        let scales: Vec<f32> = after
            .graph
            .value_ids()
            .filter(|v| {
                let digits = after.graph.value(*v).name.strip_prefix('s');
                digits.is_some_and(|d| d.parse::<usize>().is_ok())
            })
            .filter_map(|v| after.graph.init(v)?.to_f32()?.first().copied())
            .collect();
        assert!(scales.iter().all(|s| s.log2().fract() == 0.0), "{name}: {scales:?}");
        let shown =
            format!("{before}\n{} pairs on {} scales\n\n{}", report.pairs, report.scales, nodes(&after));
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => true }, {
            insta::assert_snapshot!(name, shown);
        });
    }
}
