//! Unknown fields of a message and of the messages inside it.

use std::collections::BTreeMap;

use bytes::Bytes;

/// The fields of a message that the generated types do not know, as they stood in the file.
///
/// A tree that follows the message: the extras of the third node of a graph are
/// `graph_extras.child(field::graph_proto::NODE, 2)`. Most files have none and the tree is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extras {
    own: Vec<Bytes>,
    children: BTreeMap<(u32, u32), Extras>,
}

impl Extras {
    /// No unknown field, here or below.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.children.is_empty()
    }

    /// The message's own unknown fields in wire form, tags included, in file order.
    pub fn own(&self) -> &[Bytes] {
        &self.own
    }

    /// Adds unknown fields in wire form, tags included. They are written at the end of the message.
    pub fn push_own(&mut self, fields: Bytes) {
        if !fields.is_empty() {
            self.own.push(fields);
        }
    }

    /// The extras of the message that is the `index`-th occurrence of field `field`.
    pub fn child(&self, field: u32, index: u32) -> Option<&Extras> {
        self.children.get(&(field, index))
    }

    /// Removes and returns the extras of one inner message; empty ones if there are none.
    pub fn take_child(&mut self, field: u32, index: u32) -> Extras {
        self.children.remove(&(field, index)).unwrap_or_default()
    }

    /// Sets the extras of one inner message, replacing those it had. Empty ones take no room.
    pub fn set_child(&mut self, field: u32, index: u32, extras: Extras) {
        if extras.is_empty() {
            self.children.remove(&(field, index));
        } else {
            self.children.insert((field, index), extras);
        }
    }

    /// Adds `other`'s fields to these: protobuf's rule for a message given in several pieces.
    pub(crate) fn merge(&mut self, other: Extras) {
        self.own.extend(other.own);
        for ((field, index), extras) in other.children {
            self.children.entry((field, index)).or_default().merge(extras);
        }
    }

    /// Merges `extras` into those of one inner message.
    pub(crate) fn merge_child(&mut self, field: u32, index: u32, extras: Extras) {
        if !extras.is_empty() {
            self.children.entry((field, index)).or_default().merge(extras);
        }
    }
}
