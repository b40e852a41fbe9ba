//! Digests: where a key stands among all keys, and what a node knows of it.

use rs2p_wire::Value;
use sha2::{Digest as _, Sha256};

use crate::version::Stamp;

/// Where a key stands: the first 64 bits of its SHA-256. Keys spread evenly, so that ranges of
/// places hold about as many keys each.
pub(crate) fn place(key: &[u8]) -> u64 {
    first(Sha256::digest(key).as_slice())
}

/// What is known of a key, as 64 bits of a digest.
pub(crate) fn known(place: u64, stamp: &Stamp) -> u64 {
    let mut hash = Sha256::new();
    let version = &stamp.version;
    for number in [place, version.after, version.start, version.time, version.seq.into()] {
        hash.update(number.to_be_bytes());
    }
    hash.update(stamp.lease.to_be_bytes());
    hash.update([u8::from(stamp.content.is_some())]);
    hash.update(stamp.content.unwrap_or(0).to_be_bytes());
    hash.update(version.owner.text());
    first(hash.finalize().as_slice())
}

/// The digest of a value. The order of a map's entries does not count, since nodes of other kinds
/// change it.
pub(crate) fn content(value: &Value) -> u64 {
    let mut bytes = Vec::with_capacity(64);
    write_ordered(&mut bytes, value);
    first(Sha256::digest(&bytes).as_slice())
}

/// Values come from messages, or have been checked to fit into one, so nesting is bounded.
fn write_ordered(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Array(values) => {
            bytes.push(b'[');
            bytes.extend((values.len() as u64).to_be_bytes());
            values.iter().for_each(|value| write_ordered(bytes, value));
        }
        Value::Map(pairs) => {
            bytes.push(b'{');
            bytes.extend((pairs.len() as u64).to_be_bytes());
            let mut entries: Vec<Vec<u8>> = pairs
                .iter()
                .map(|(key, value)| {
                    let mut entry = Vec::new();
                    write_ordered(&mut entry, key);
                    write_ordered(&mut entry, value);
                    entry
                })
                .collect();
            entries.sort();
            entries.iter().for_each(|entry| bytes.extend(entry));
        }
        Value::Nil => bytes.push(b'0'),
        Value::Boolean(boolean) => bytes.extend([b'?', u8::from(*boolean)]),
        Value::Integer(number) => {
            // What does not fit one of the two fits the other.
            let number = number.as_i64().map_or(number.as_u64().unwrap_or(0).into(), i128::from);
            bytes.push(b'#');
            bytes.extend(number.to_be_bytes());
        }
        Value::F32(number) => tagged(bytes, b'f', &number.to_bits().to_be_bytes()),
        Value::F64(number) => tagged(bytes, b'd', &number.to_bits().to_be_bytes()),
        Value::String(text) => tagged(bytes, b's', text.as_bytes()),
        Value::Binary(binary) => tagged(bytes, b'b', binary),
        Value::Ext(kind, binary) => {
            bytes.push(kind.cast_unsigned());
            tagged(bytes, b'x', binary);
        }
    }
}

fn tagged(bytes: &mut Vec<u8>, tag: u8, content: &[u8]) {
    bytes.push(tag);
    bytes.extend((content.len() as u64).to_be_bytes());
    bytes.extend(content);
}

fn first(digest: &[u8]) -> u64 {
    digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
