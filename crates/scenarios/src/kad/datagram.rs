//! Datagrams as those read and write them who tamper with them: one zlib stream of a JSON object.

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use rs2p_bytestag::{Key, MAX_INFLATED};
use serde_json::{Map, Value};

/// A JSON object, as a datagram holds it.
pub(super) type Object = Map<String, Value>;

/// What a datagram says; nothing for a piece of a transfer.
pub(super) fn open(datagram: &[u8]) -> Option<Object> {
    let mut text = Vec::new();
    ZlibDecoder::new(datagram).take(MAX_INFLATED as u64).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// A datagram that says this.
pub(super) fn close(object: &Object) -> Option<Bytes> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&serde_json::to_vec(object).ok()?).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// The member in which nodes of rs2p tell each other of nodes.
const COMPACT: &str = "rs2p_nodes";

/// Whether an answer tells of nodes, in either form.
pub(super) fn tells_nodes(object: &Object) -> bool {
    object.contains_key("nodes") || object.get(COMPACT).is_some_and(Value::is_string)
}

/// Makes an answer tell of these nodes only, in the form that everybody reads.
pub(super) fn tell_nodes(object: &mut Object, nodes: Vec<Value>) {
    object.remove(COMPACT);
    object.insert("nodes".into(), nodes.into());
}

/// What is asked for.
pub(super) fn asked(object: &Object) -> Option<&str> {
    object.get("rpc")?.as_str()
}

pub(super) fn key(object: &Object, member: &str) -> Option<Key> {
    object.get(member)?.as_str()?.parse().ok()
}

/// The number by which a question and its answer find together: `seq_id` or `reply_id`.
pub(super) fn ticket<'a>(object: &'a Object, member: &str) -> Option<&'a str> {
    object.get(member)?.as_str()
}
