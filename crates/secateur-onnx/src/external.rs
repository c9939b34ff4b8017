//! Tensors that live in files beside the model.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use secateur_diag::{Code, Diagnostic, Result};

use crate::model::map_file;
use crate::proto::TensorProto;

/// The folder that a model's external tensors are in. Each file is mapped once, when it is first
/// needed, and shared; clones share the mappings too.
#[derive(Debug, Clone, Default)]
pub struct ExternalFiles {
    dir: Option<PathBuf>,
    mapped: Arc<Mutex<HashMap<PathBuf, Bytes>>>,
}

impl ExternalFiles {
    /// Files of the folder `dir`; without one, every external tensor is an error.
    pub fn new(dir: Option<&Path>) -> Self {
        Self { dir: dir.map(Path::to_path_buf), mapped: Arc::default() }
    }

    /// The files that were read, without links in their paths.
    pub fn paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<_> =
            self.mapped.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        paths.sort();
        paths
    }

    /// The bytes of an external tensor; `expected` of them if it does not state a length.
    pub(crate) fn read(&self, t: &TensorProto, expected: usize) -> Result<Bytes> {
        let location = entry(t, "location").unwrap_or_default();
        self.range(t, location, expected).map_err(|fault| {
            let d = Diagnostic::new(Code::L005, "external data cannot be read")
                .at("tensor", format!("{:?}", t.name()))
                .at("file", format!("{location:?}"))
                .at("reason", fault.reason);
            match fault.help {
                Some(help) => d.help(help),
                None => d,
            }
        })
    }

    fn range(&self, t: &TensorProto, location: &str, expected: usize) -> Result<Bytes, Fault> {
        let number = |key, default| match entry(t, key) {
            Some(text) => {
                text.parse().map_err(|_| Fault::from(format!("{key} {text:?} is not a byte count")))
            }
            None => Ok(default),
        };
        let offset: u64 = number("offset", 0)?;
        let length: u64 = number("length", expected as u64)?;
        let file = self.file(location)?;
        let end = offset.checked_add(length).filter(|&end| end <= file.len() as u64);
        match end {
            Some(end) => Ok(file.slice(offset as usize..end as usize)),
            None => Err(Fault::from(format!(
                "{length} bytes at {offset} are asked for, the file has {}",
                file.len()
            ))),
        }
    }

    fn file(&self, location: &str) -> Result<Bytes, Fault> {
        let dir = self.dir.as_deref().ok_or("the model was not loaded from a folder")?;
        if location.is_empty() {
            return Err(Fault::from("the tensor states no location"));
        }
        if Path::new(location).is_absolute() || location.starts_with(['/', '\\']) || has_drive(location) {
            return Err(Fault::outside("the location is absolute"));
        }
        if location.split(['/', '\\']).any(|part| part == "..") {
            return Err(Fault::outside("the location leaves the model's folder"));
        }
        let io = |e: std::io::Error| Fault::from(e.to_string());
        let root = dir.canonicalize().map_err(io)?;
        let path = root.join(location).canonicalize().map_err(io)?;
        if !path.starts_with(&root) {
            return Err(Fault::outside("a symbolic link leaves the model's folder"));
        }
        let mut mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = mapped.get(&path) {
            return Ok(bytes.clone());
        }
        let bytes = map_file(&path)?;
        mapped.insert(path, bytes.clone());
        Ok(bytes)
    }
}

/// Why a file was refused, and what to do.
struct Fault {
    reason: String,
    help: Option<&'static str>,
}

impl Fault {
    fn outside(reason: &str) -> Self {
        Self { reason: reason.into(), help: Some("put the data file into the model's own folder") }
    }
}

impl<S: Into<String>> From<S> for Fault {
    fn from(reason: S) -> Self {
        Self { reason: reason.into(), help: None }
    }
}

/// The value of `key` among a tensor's external entries.
fn entry<'a>(t: &'a TensorProto, key: &str) -> Option<&'a str> {
    t.external_data.iter().find(|e| e.key() == key).map(|e| e.value())
}

/// `C:\…`, whichever system this runs on.
fn has_drive(location: &str) -> bool {
    matches!(location.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}
