//! What was measured of a model on data, kept between runs under the content of both.

use std::path::{Path, PathBuf};

use secateur_calib::Samples;
use secateur_ir::Graph;
use secateur_onnx::Outputs;
use secateur_prune::calib::curves::Curve;
use sha2::{Digest, Sha256};

/// A file for one model, one set of samples and one way of rating.
pub struct Entry {
    path: PathBuf,
}

/// The user's cache folder for this program, where there is one.
pub fn folder() -> Option<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|d| !d.is_empty()) {
        Some(d) => PathBuf::from(d),
        None => PathBuf::from(std::env::var_os("HOME").filter(|d| !d.is_empty())?).join(".cache"),
    };
    Some(base.join("secateur"))
}

impl Entry {
    /// The file for this graph, data and `what` else the result depends on.
    pub fn new(folder: &Path, graph: &Graph, samples: &Samples, what: &str) -> Self {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(env!("CARGO_PKG_VERSION").as_bytes());
        part(what.as_bytes());
        part(secateur_ir::print::graph(graph).as_bytes());
        for v in graph.value_ids() {
            if let Some(b) = graph.init(v).and_then(|t| t.bytes()) {
                part(b);
            }
        }
        for (name, t) in samples.batches.iter().flatten() {
            part(name.as_bytes());
            part(format!("{} {:?}", t.elem, t.dims).as_bytes());
            part(t.bytes().map_or(&[], |b| &b[..]));
        }
        let name: String = hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect();
        Self { path: folder.join(format!("curves-{name}.json")) }
    }

    /// What was kept, where it is whole and fits.
    pub fn read(&self) -> Option<Vec<Curve>> {
        serde_json::from_slice(&std::fs::read(&self.path).ok()?).ok()
    }

    /// Keeps curves. A cache that cannot be written is no error.
    pub fn write(&self, curves: &[Curve]) {
        let made = self.path.parent().is_some_and(|p| std::fs::create_dir_all(p).is_ok());
        if let Some(text) = serde_json::to_vec(curves).ok().filter(|_| made) {
            let mut outputs = Outputs::new();
            _ = outputs.write(&self.path, &text).and_then(|()| outputs.publish());
        }
    }
}
