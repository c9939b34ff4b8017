//! Which fields the generated types know: the table that tells unknown fields from known ones.

/// One message type.
pub(crate) struct MessageInfo {
    /// Full name, e.g. `onnx.TypeProto.Tensor`.
    pub name: &'static str,
    /// Sorted by number.
    pub fields: &'static [FieldInfo],
}

/// One field of a message type.
pub(crate) struct FieldInfo {
    pub number: u32,
    pub name: &'static str,
    pub repeated: bool,
    /// Position in [`MESSAGES`] of the field's own type, when that is a message.
    pub message: Option<usize>,
}

impl MessageInfo {
    /// The message type called `name`.
    pub fn find(name: &str) -> Option<&'static Self> {
        MESSAGES.binary_search_by(|m| m.name.cmp(name)).ok().map(|i| &MESSAGES[i])
    }

    /// The field numbered `number`, if this type knows it.
    pub fn field(&self, number: u32) -> Option<&'static FieldInfo> {
        self.fields.binary_search_by_key(&number, |f| f.number).ok().map(|i| &self.fields[i])
    }
}

impl FieldInfo {
    /// The type of the field, when that is a message.
    pub fn message(&self) -> Option<&'static MessageInfo> {
        self.message.map(|i| &MESSAGES[i])
    }
}

include!(concat!(env!("OUT_DIR"), "/schema.rs"));
