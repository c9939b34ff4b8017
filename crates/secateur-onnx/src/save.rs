//! Writing a model, and beside it the file of its external tensors.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use bytes::Bytes;
use secateur_diag::Result;

use crate::model::Model;
use crate::outputs::Outputs;
use crate::proto::tensor_proto::{DataLocation, DataType};
use crate::proto::{StringStringEntryProto, TensorProto};
use crate::rope::Rope;
use crate::splice::encode_rope;
use crate::tensor::is_external;
use crate::visit::{for_each_tensor, for_each_tensor_mut};

/// Offsets in the data file are multiples of this many bytes, a cache line of the targets.
pub const DATA_ALIGNMENT: u64 = 64;

/// Which tensors [`Model::save`] puts into the data file. The rest go into the model file itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ExternalOut {
    /// Those that are external in the model.
    #[default]
    Keep,
    /// None: one self-contained file.
    Inline,
    /// The initializers of the main graph with these names, whether they were external or not.
    Names(BTreeSet<String>),
}

impl Model {
    /// The names of the main graph's external initializers, as [`ExternalOut::Names`] takes them.
    pub fn external_names(&self) -> BTreeSet<String> {
        let graph = self.proto().graph.iter();
        graph.flat_map(|g| &g.initializer).filter(|t| is_external(t)).map(|t| t.name().to_owned()).collect()
    }

    /// Writes the model to `path`, and its external tensors, if it has any, to one file beside it that
    /// is called as the model with `.data` added.
    ///
    /// Both are written under temporary names in the same folder and renamed when they are complete,
    /// the data first. A model that is unchanged and self-contained is written back byte for byte.
    /// In the data file every tensor starts at a multiple of [`DATA_ALIGNMENT`]; tensors that share
    /// their bytes in memory share them in the file; empty tensors stay in the model.
    ///
    /// # Errors
    /// L007 if a file cannot be written or the model would pass protobuf's 2 GiB; those of
    /// [`Model::tensor_bytes`] for tensors that move.
    pub fn save(&self, path: &Path, external: &ExternalOut) -> Result<()> {
        let mut outputs = Outputs::new();
        outputs.model(path, self, external)?;
        outputs.publish()
    }

    /// The bytes of the model file and of the data file (empty if there is none).
    pub(crate) fn arrange(&self, policy: &ExternalOut, data_name: &str) -> Result<(Rope, Rope)> {
        let named = |t: &TensorProto| match policy {
            ExternalOut::Names(names) => names.contains(t.name()),
            _ => false,
        };
        let mut moves = false;
        for_each_tensor(self.proto(), &mut |t| moves |= is_external(t));
        moves |= self.proto().graph.iter().flat_map(|g| &g.initializer).any(named);
        let mut data = DataFile { name: data_name, rope: Rope::default(), placed: HashMap::new() };
        if !moves {
            let rope = match self.source() {
                Some(source) => {
                    let mut whole = Rope::default();
                    whole.push(source.clone());
                    whole
                }
                None => encode_rope(self.proto(), self.extras()),
            };
            return Ok((rope, data.rope));
        }

        // Raw data are shared by the copy, so it is small.
        let mut proto = self.proto().clone();
        let mut result = Ok(());
        let mut place = |t: &mut TensorProto, outside: bool| {
            let string = t.data_type() == DataType::String as i32;
            if result.is_ok() && (is_external(t) || outside && !string) {
                result = self.tensor_bytes(t).map(|bytes| match outside && !bytes.is_empty() {
                    true => data.add(t, bytes),
                    false => inline(t, bytes),
                });
            }
        };
        // The main graph's initializers can be asked for by name; the rest keep to what they are.
        let mut initializers = std::mem::take(&mut proto.graph.get_or_insert_default().initializer);
        for t in &mut initializers {
            let outside = named(t) || *policy == ExternalOut::Keep && is_external(t);
            place(t, outside);
        }
        for_each_tensor_mut(&mut proto, &mut |t| {
            let outside = *policy == ExternalOut::Keep && is_external(t);
            place(t, outside);
        });
        proto.graph.get_or_insert_default().initializer = initializers;
        result?;
        Ok((encode_rope(&proto, self.extras()), data.rope))
    }
}

/// The data file under construction.
struct DataFile<'a> {
    name: &'a str,
    rope: Rope,
    /// Where bytes that were added before are, by their address and length in memory. The bytes are
    /// kept, so that no others can take their address.
    placed: HashMap<(usize, usize), (u64, Bytes)>,
}

impl DataFile<'_> {
    /// Adds a tensor's bytes and makes `t` refer to them.
    fn add(&mut self, t: &mut TensorProto, bytes: Bytes) {
        let key = (bytes.as_ptr() as usize, bytes.len());
        let (offset, _) = self.placed.entry(key).or_insert_with(|| {
            let end = self.rope.len() as u64;
            let offset = end.next_multiple_of(DATA_ALIGNMENT);
            self.rope
                .push(Bytes::from_static(&[0; DATA_ALIGNMENT as usize]).slice(..(offset - end) as usize));
            self.rope.push(bytes.clone());
            (offset, bytes.clone())
        });
        clear_data(t);
        t.data_location = Some(DataLocation::External as i32);
        // A checksum is of the old file, and so are the runtime's prepacked blobs.
        t.external_data.retain(|e| e.key() != "checksum" && !e.key().starts_with("prepacked"));
        set_entry(t, "location", self.name.to_owned());
        set_entry(t, "offset", offset.to_string());
        set_entry(t, "length", bytes.len().to_string());
    }
}

/// Makes `t` hold its bytes itself.
fn inline(t: &mut TensorProto, bytes: Bytes) {
    clear_data(t);
    t.data_location = None;
    t.external_data.clear();
    t.raw_data = Some(bytes);
}

fn clear_data(t: &mut TensorProto) {
    t.raw_data = None;
    t.float_data = Vec::new();
    t.int32_data = Vec::new();
    t.int64_data = Vec::new();
    t.double_data = Vec::new();
    t.uint64_data = Vec::new();
}

fn set_entry(t: &mut TensorProto, key: &str, value: String) {
    match t.external_data.iter_mut().find(|e| e.key() == key) {
        Some(entry) => entry.value = Some(value),
        None => t.external_data.push(StringStringEntryProto { key: Some(key.into()), value: Some(value) }),
    }
}

/// The name of the data file beside a model.
pub(crate) fn data_name(path: &Path) -> Result<String, &'static str> {
    let name = path.file_name().ok_or("the path names no file")?;
    Ok(format!("{}.data", name.to_str().ok_or("the file's name is not UTF-8")?))
}
