//! Puts unknown fields back while encoding.

use std::collections::BTreeMap;

use prost::bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};
use prost::{DecodeError, Message, Name};

use crate::extras::Extras;
use crate::rope::Rope;
use crate::schema::MessageInfo;

/// The wire form of `msg` with the unknown fields of `extras` at the end of the messages they belong
/// to, at every depth. Extras of inner messages that `msg` does not hold are left out.
pub fn encode_with_extras<M: Message + Name>(msg: &M, extras: &Extras) -> Vec<u8> {
    encode_rope(msg, extras).into_bytes().into()
}

/// As [`encode_with_extras`], sharing large `bytes` fields with `msg`.
pub(crate) fn encode_rope<M: Message + Name>(msg: &M, extras: &Extras) -> Rope {
    let mut plain = Rope::default();
    msg.encode_raw(&mut plain);
    plain.seal();
    match MessageInfo::find(&M::full_name()) {
        Some(info) if !extras.is_empty() => {
            let mut out = Rope::default();
            // The encoder's own output is well formed.
            splice(&mut plain, info, extras, &mut out).expect("encoded message parses");
            out.seal();
            out
        }
        _ => plain,
    }
}

/// Copies the message `src` to `out`, adding `extras`.
fn splice(
    src: &mut Rope,
    info: &'static MessageInfo,
    extras: &Extras,
    out: &mut Rope,
) -> Result<(), DecodeError> {
    let mut seen: BTreeMap<u32, u32> = BTreeMap::new();
    while src.has_remaining() {
        let (number, wire_type) = decode_key(src)?;
        encode_key(number, wire_type, out);
        match wire_type {
            WireType::Varint => encode_varint(decode_varint(src)?, out),
            WireType::SixtyFourBit => out.append(src.split_front(8)),
            WireType::ThirtyTwoBit => out.append(src.split_front(4)),
            WireType::LengthDelimited => {
                let len = decode_varint(src)? as usize;
                let mut body = src.split_front(len);
                if let Some(inner) = info.field(number).and_then(|f| f.message()) {
                    let count = seen.entry(number).or_default();
                    if let Some(child) = extras.child(number, *count) {
                        let mut longer = Rope::default();
                        splice(&mut body, inner, child, &mut longer)?;
                        body = longer;
                    }
                    *count += 1;
                }
                encode_varint(body.len() as u64, out);
                out.append(body);
            }
            // The schema has no groups, so the encoder never writes one.
            WireType::StartGroup | WireType::EndGroup => {}
        }
    }
    for fields in extras.own() {
        out.push(fields.clone());
    }
    Ok(())
}
