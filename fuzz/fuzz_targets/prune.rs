//! Any bytes as a model that is simplified, analysed and cut: an error or a graph that holds together, no panic.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use secateur_ir::{Module, verify};
use secateur_onnx::Model;
use secateur_passes::Options;
use secateur_prune::{Plan, mask, surgery};

fuzz_target!(|data: &[u8]| {
    let Ok(model) = Model::from_bytes(Bytes::copy_from_slice(data), None) else { return };
    let Ok(mut module) = Module::import(model) else { return };
    if secateur_passes::prepare(&mut module.graph, &mut Options::default()).is_err() {
        return;
    }
    // A graph whose outputs are all constants has nothing left to compute, and would not be accepted again.
    if module.graph.nodes.is_empty() {
        return;
    }
    let Ok(coupling) = secateur_coupling::analyze(&module.graph, &[]) else { return };
    secateur_coupling::groups_text(&module.graph, &coupling);
    // Every second class of every group.
    let removed = coupling.groups.iter().flat_map(|g| g.classes.iter().skip(1).step_by(2).copied()).collect();
    let plan = Plan::new(&coupling, removed);
    verify::verify(&mask::masked(&module.graph, &coupling, &plan)).expect("a masked graph holds together");
    if surgery::apply(&mut module.graph, &coupling, &plan).is_ok() {
        verify::verify(&module.graph).expect("a cut graph holds together");
        let (model, _) = module.export();
        Model::from_bytes(model.encode(), None).and_then(Module::import).expect("a cut model can be read");
    }
});
