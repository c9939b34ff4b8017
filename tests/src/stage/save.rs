//! A model that is loaded, made a graph, and written again is the same file.

use secateur_ir::Module;
use secateur_onnx::Model;

use super::ask;
use crate::{Case, Outcome};

/// Loads and saves; see [`super::Stage::Save`].
pub fn check(case: &Case) -> Outcome {
    ask(case, |loaded| {
        let model = match Model::from_bytes(loaded.bytes.clone(), Some(&case.folder)) {
            Ok(model) => model,
            Err(e) => return e.into(),
        };
        let module = match Module::import(model) {
            Ok(module) => module,
            Err(e) => return e.into(),
        };
        let again = module.export().0.encode();
        if again == loaded.bytes {
            return Outcome::Agrees;
        }
        let same = again.iter().zip(&loaded.bytes).take_while(|(a, b)| a == b).count();
        let detail =
            format!("{} bytes, not {}; the first {same} are the same", again.len(), loaded.bytes.len());
        Outcome::differs("bytes", detail)
    })
}
