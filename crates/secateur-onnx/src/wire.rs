//! Walks a model's bytes before they are decoded: finds where they are damaged, refuses absurd
//! nesting, and collects the fields that the generated types would drop.
//!
//! Only tags and lengths are read; the bytes of tensors are jumped over.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use secateur_diag::{Code, Diagnostic, Result};

use crate::extras::Extras;
use crate::schema::MessageInfo;

/// Deepest nesting of messages; the decoder's own limit is 100.
const MAX_DEPTH: usize = 96;
/// Messages that any file may hold, whatever its size. Beyond, one for every 8 bytes.
const FREE_MESSAGES: usize = 1 << 20;

/// Collects the unknown fields of `source`, a message of type `root`.
///
/// # Errors
/// L002 where the bytes are not a protobuf, G006 if it nests too deeply or is a swarm of empty messages.
pub(crate) fn collect_extras(source: &Bytes, root: &'static MessageInfo) -> Result<Extras> {
    let budget = FREE_MESSAGES + source.len() / 8;
    let mut walk = Walk { source, budget, path: vec![root.name.trim_start_matches("onnx.")] };
    walk.message(0..source.len(), root).map_err(|fault| walk.diagnostic(fault))
}

struct Walk<'a> {
    source: &'a Bytes,
    budget: usize,
    /// Names from the root to the message at hand. Left as it is on a fault, to say where.
    path: Vec<&'static str>,
}

enum Fault {
    Damaged(usize, String),
    TooMuch(usize, &'static str),
}

fn damaged<T>(at: usize, what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Damaged(at, what.into()))
}

impl Walk<'_> {
    fn message(&mut self, range: Range<usize>, info: &'static MessageInfo) -> Result<Extras, Fault> {
        if self.path.len() > MAX_DEPTH {
            return Err(Fault::TooMuch(range.start, "messages are nested too deeply"));
        }
        let mut extras = Extras::default();
        let mut seen: BTreeMap<u32, u32> = BTreeMap::new();
        let mut unknown = range.start..range.start;
        let mut at = range.start;
        while at < range.end {
            let start = at;
            let (number, wire_type) = self.key(&mut at, range.end)?;
            let Some(field) = info.field(number) else {
                self.skip(number, wire_type, &mut at, range.end, 0)?;
                if unknown.end != start {
                    extras.push_own(self.source.slice(unknown));
                    unknown = start..start;
                }
                unknown.end = at;
                continue;
            };
            let Some(inner) = field.message().filter(|_| wire_type == 2) else {
                self.path.push(field.name);
                self.skip(number, wire_type, &mut at, range.end, 0)?;
                self.path.pop();
                continue;
            };
            self.path.push(field.name);
            let body = self.payload(&mut at, range.end)?;
            self.budget = match self.budget.checked_sub(1) {
                Some(left) => left,
                None => return Err(Fault::TooMuch(start, "too many messages for the file's size")),
            };
            let child = self.message(body, inner)?;
            self.path.pop();
            let mut index = 0;
            if field.repeated {
                let count = seen.entry(number).or_default();
                index = *count;
                *count += 1;
            }
            extras.merge_child(number, index, child);
        }
        extras.push_own(self.source.slice(unknown));
        Ok(extras)
    }

    /// A field's number and wire type.
    fn key(&self, at: &mut usize, end: usize) -> Result<(u32, u8), Fault> {
        let start = *at;
        let key = self.varint(at, end)?;
        match u32::try_from(key) {
            Ok(key) if key >= 8 => Ok((key >> 3, (key & 7) as u8)),
            _ => damaged(start, format!("{key} is not the tag of a field")),
        }
    }

    fn varint(&self, at: &mut usize, end: usize) -> Result<u64, Fault> {
        let start = *at;
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            if *at >= end {
                return damaged(start, "the bytes end inside a number");
            }
            let byte = self.source[*at];
            *at += 1;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        damaged(start, "a number is longer than 64 bits")
    }

    /// The range of a length-delimited payload; `at` moves past it.
    fn payload(&self, at: &mut usize, end: usize) -> Result<Range<usize>, Fault> {
        let start = *at;
        let len = self.varint(at, end)?;
        let left = end - *at;
        match usize::try_from(len) {
            Ok(len) if len <= left => {
                *at += len;
                Ok(*at - len..*at)
            }
            _ => damaged(start, format!("{len} bytes are announced, {left} are left")),
        }
    }

    fn skip(
        &self,
        number: u32,
        wire_type: u8,
        at: &mut usize,
        end: usize,
        depth: usize,
    ) -> Result<(), Fault> {
        let start = *at;
        let fixed = match wire_type {
            0 => return self.varint(at, end).map(drop),
            1 => 8,
            2 => return self.payload(at, end).map(drop),
            3 if depth >= MAX_DEPTH => return Err(Fault::TooMuch(start, "groups are nested too deeply")),
            3 => loop {
                let (inner, wire_type) = self.key(at, end)?;
                if wire_type == 4 {
                    if inner != number {
                        return damaged(start, "a group ends under another number");
                    }
                    return Ok(());
                }
                self.skip(inner, wire_type, at, end, depth + 1)?;
            },
            5 => 4,
            _ => return damaged(start, format!("{wire_type} is not a wire type")),
        };
        if end - *at < fixed {
            return damaged(start, format!("{fixed} bytes are needed, {} are left", end - *at));
        }
        *at += fixed;
        Ok(())
    }

    fn diagnostic(&self, fault: Fault) -> Box<Diagnostic> {
        let depth = self.path.len();
        let mut place = self.path[..depth.min(8)].join(".");
        if depth > 8 {
            place.push_str(&format!(" (and {} deeper)", depth - 8));
        }
        let (diagnostic, at) = match fault {
            Fault::Damaged(at, what) => (
                Diagnostic::new(Code::L002, "the bytes are not a whole ONNX protobuf").at("reason", what),
                at,
            ),
            Fault::TooMuch(at, what) => (Diagnostic::new(Code::G006, what), at),
        };
        diagnostic.at("byte", format!("{at} of {}", self.source.len())).at("in", place)
    }
}
