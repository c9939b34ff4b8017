//! A model file in memory.

use std::fs::File;
use std::path::Path;

use bytes::Bytes;
use memmap2::Mmap;
use prost::{Message, Name};
use secateur_diag::{Code, Diagnostic, Result};

use crate::check::check;
use crate::external::ExternalFiles;
use crate::extras::Extras;
use crate::proto::{ModelProto, TensorProto};
use crate::schema::MessageInfo;
use crate::splice::encode_rope;
use crate::wire::collect_extras;

/// A model: its messages, the fields they do not know, and where its external tensors are.
///
/// Borrowing either of the first two mutably ([`Model::proto_mut`], [`Model::extras_mut`]) marks the
/// model as changed; until then it is written back byte for byte.
#[derive(Debug, Clone)]
pub struct Model {
    proto: ModelProto,
    extras: Extras,
    external: ExternalFiles,
    /// The bytes that `proto` was decoded from, while they still say the same.
    source: Option<Bytes>,
}

impl Model {
    /// Reads the model at `path`. The file is mapped, not read: tensors point into the mapping, and
    /// the file must not be truncated while the model lives.
    ///
    /// # Errors
    /// L001 if the file cannot be opened, otherwise those of [`Model::from_bytes`].
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = map_file(path)
            .map_err(|e| Diagnostic::new(Code::L001, "the model cannot be read").at("reason", e))
            .and_then(|bytes| {
                let dir = match path.parent() {
                    Some(dir) if !dir.as_os_str().is_empty() => dir,
                    _ => Path::new("."),
                };
                Self::from_bytes(bytes, Some(dir))
            });
        bytes.map_err(|d| d.at("file", path.display().to_string()))
    }

    /// Decodes a model. External tensors are looked for in `dir`.
    ///
    /// # Errors
    /// L002 if the bytes are not an ONNX protobuf, L003 without a graph, L008 for an unknown version,
    /// G006 for files built to exhaust memory.
    pub fn from_bytes(bytes: Bytes, dir: Option<&Path>) -> Result<Self> {
        if bytes.is_empty() {
            return Err(Diagnostic::new(Code::L002, "the file is empty"));
        }
        let root = MessageInfo::find(&ModelProto::full_name()).expect("the schema holds ModelProto");
        let extras = collect_extras(&bytes, root)?;
        let proto = ModelProto::decode(bytes.clone()).map_err(|e| {
            Diagnostic::new(Code::L002, "the bytes are not an ONNX protobuf").at("reason", e.to_string())
        })?;
        check(&proto)?;
        Ok(Self { proto, extras, external: ExternalFiles::new(dir), source: Some(bytes) })
    }

    /// Puts a model together. `external` resolves those of its tensors that are stored outside.
    pub fn from_parts(proto: ModelProto, extras: Extras, external: ExternalFiles) -> Self {
        Self { proto, extras, external, source: None }
    }

    /// Takes the model apart.
    pub fn into_parts(self) -> (ModelProto, Extras, ExternalFiles) {
        (self.proto, self.extras, self.external)
    }

    /// The messages.
    pub fn proto(&self) -> &ModelProto {
        &self.proto
    }

    /// The messages, to be changed.
    pub fn proto_mut(&mut self) -> &mut ModelProto {
        self.source = None;
        &mut self.proto
    }

    /// The fields that the messages do not know.
    pub fn extras(&self) -> &Extras {
        &self.extras
    }

    /// The fields that the messages do not know, to be changed.
    pub fn extras_mut(&mut self) -> &mut Extras {
        self.source = None;
        &mut self.extras
    }

    /// Where the external tensors are.
    pub fn external(&self) -> &ExternalFiles {
        &self.external
    }

    /// The file's bytes, as long as the model has not been borrowed mutably.
    pub fn source(&self) -> Option<&Bytes> {
        self.source.as_ref()
    }

    /// The elements of `t`; see [`ExternalFiles::tensor_bytes`].
    ///
    /// # Errors
    /// L004, L005, L006 or L009, naming the tensor.
    pub fn tensor_bytes(&self, t: &TensorProto) -> Result<Bytes> {
        self.external.tensor_bytes(t)
    }

    /// The model's file form: the very bytes it was loaded from if it is unchanged, otherwise fields in
    /// the order of their numbers and unknown fields at the end of their messages. External tensors
    /// stay references. [`Model::save`] needs less memory.
    pub fn encode(&self) -> Bytes {
        match &self.source {
            Some(source) => source.clone(),
            None => encode_rope(&self.proto, &self.extras).into_bytes(),
        }
    }
}

/// Maps a regular file; the error is the reason in words.
pub(crate) fn map_file(path: &Path) -> Result<Bytes, String> {
    let regular = |m: std::fs::Metadata| match m.is_file() {
        true => Ok(m.len()),
        false => Err(String::from(if m.is_dir() { "it is a folder" } else { "it is not a regular file" })),
    };
    // Looked at before opening, because opening a pipe would wait for its other end.
    regular(path.metadata().map_err(|e| e.to_string())?)?;
    let file = File::open(path).map_err(|e| e.to_string())?;
    if regular(file.metadata().map_err(|e| e.to_string())?)? == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the mapping is private and read-only. Another process that writes to the file may change
    // the bytes seen here; every read is bounds-checked against the mapping's fixed length, and no
    // reference to them is assumed valid UTF-8 or otherwise well formed after it was checked by copying.
    let map = unsafe { Mmap::map(&file) }.map_err(|e| e.to_string())?;
    Ok(Bytes::from_owner(map))
}
