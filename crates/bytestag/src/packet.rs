//! What datagrams mean: requests, replies, and the pieces of transfers (spec, sections 4 and 5).

use std::net::{Ipv4Addr, SocketAddrV4};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rs2p_kad::{Key, Node};
use serde_json::Value;

use crate::datagram::{self, Object};
use crate::value::ValueId;

/// A node of this network as others know it.
pub type Contact = Node<SocketAddrV4>;

/// The name by which packets of this network are told from others.
pub const NETWORK: &str = "BYTESTAG";

/// Nodes in a reply, at most.
pub(crate) const MAX_NODES: usize = 20;

/// Entries of values in a reply that is sent. Old nodes that are told of some three hundred never
/// read the reply (spec, D1).
pub(crate) const MAX_ENTRIES: usize = 20;

/// Entries of values that are read from a reply.
const MAX_ENTRIES_READ: usize = 512;

/// Values of no more bytes travel within a packet between nodes that know how.
pub const MAX_INLINE: usize = 700;

/// The member by which a packet says that its sender knows the extensions of rs2p. Old nodes skip
/// members that they do not know.
const EXTENDED: &str = "rs2p";

/// The member with a whole value, in packets between nodes that know the extensions.
const INLINE: &str = "rs2p_value";

/// The member of a question for values by which the asker wants nodes as well, and of an answer
/// with these nodes: 26 bytes for each in base64, its id, its IPv4 address, its port.
const NODES: &str = "rs2p_nodes";

/// The member by which a reply to a store says that the value is kept already.
const KEPT: &str = "rs2p_kept";

/// The longest id of a transfer or a request that is echoed, in bytes.
const MAX_ID: usize = 128;

/// The name of a transfer. The reference treats it as any text; ours are [`Key`]s in base64.
pub(crate) type TransferId = String;

/// A datagram by what it is for.
#[derive(Debug, PartialEq)]
pub(crate) enum Packet {
    /// An answer to a request, or the confirmation of a chunk.
    Reply(Reply),
    /// A piece of a transfer.
    Piece {
        transfer: TransferId,
        /// Nothing at the end of the transfer.
        chunk: Option<Bytes>,
        /// What the confirmation repeats.
        ticket: Option<Value>,
    },
    Request(Request),
}

#[derive(Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) ticket: Key,
    pub(crate) sender: Option<Key>,
    pub(crate) body: Object,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) sender: Option<Key>,
    /// What the reply repeats: any text or number.
    pub(crate) ticket: Value,
    /// The sender knows the extensions.
    pub(crate) extended: bool,
    pub(crate) ask: Ask,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    Ping,
    FindNode {
        key: Key,
    },
    FindValue {
        key: Key,
        index: Option<Key>,
        /// Nodes as well, even from who has the value.
        wants_nodes: bool,
    },
    GetValue {
        id: ValueId,
        transfer: TransferId,
        offset: u64,
    },
    Store {
        id: ValueId,
        size: i64,
        stamp: i64,
        value: Option<Bytes>,
        /// Nodes near to the key as well.
        wants_nodes: bool,
    },
    /// A call of which nothing is known or that lacks something: its sender is noted, no more.
    Unknown,
}

impl Packet {
    /// The meaning of a datagram; nothing for what is to be ignored.
    pub(crate) fn read(mut object: Object) -> Option<Self> {
        if let Some(ticket) = object.get("reply_id") {
            let ticket = ticket.as_str()?.parse().ok()?;
            let sender = object.get("nodeid").and_then(key);
            return Some(Self::Reply(Reply { ticket, sender, body: object }));
        }
        if let Some(transfer) = object.get("xfer_id") {
            let transfer = short_text(transfer)?;
            let chunk = match object.get("xfer_data")? {
                Value::Null => None,
                data => Some(bytes(data)?).filter(|bytes| !bytes.is_empty()),
            };
            return Some(Self::Piece { transfer, chunk, ticket: object.remove("seq_id") });
        }
        Request::read(&object).map(Self::Request)
    }
}

impl Request {
    fn read(object: &Object) -> Option<Self> {
        if object.get("netid")?.as_str()? != NETWORK {
            return None;
        }
        let ticket = match object.get("seq_id") {
            Some(Value::String(text)) if text.len() > MAX_ID => return None,
            Some(Value::String(text)) if text.is_empty() => Value::Null,
            Some(ticket @ (Value::String(_) | Value::Number(_))) => ticket.clone(),
            _ => Value::Null,
        };
        Some(Self {
            sender: object.get("nodeid").and_then(key),
            ticket,
            extended: is_extended(object),
            ask: Ask::read(object).unwrap_or(Ask::Unknown),
        })
    }
}

impl Ask {
    fn read(object: &Object) -> Option<Self> {
        let key_of = |member: &str| object.get(member).and_then(key);
        let id = || Some(ValueId { key: key_of("key")?, index: key_of("index")? });
        Some(match object.get("rpc")?.as_str()? {
            "ping" => Self::Ping,
            "findnode" => Self::FindNode { key: key_of("key")? },
            "findval" => Self::FindValue {
                key: key_of("key")?,
                index: key_of("index"),
                wants_nodes: object.contains_key(NODES),
            },
            "getval" => {
                let offset = match object.get("valofs") {
                    None | Some(Value::Null) => 0,
                    Some(offset) => offset.as_u64()?,
                };
                let transfer = short_text(object.get("xferid")?)?;
                Self::GetValue { id: id()?, transfer, offset }
            }
            "store" => Self::Store {
                id: id()?,
                size: whole(object.get("size")?)?,
                stamp: whole(object.get("timestmp")?)?,
                value: object.get(INLINE).and_then(bytes),
                wants_nodes: object.contains_key(NODES),
            },
            _ => return None,
        })
    }

    /// The members that say it.
    fn write(&self, object: &mut Object) {
        let mut put = |member: &str, value: Value| object.insert(member.into(), value);
        match self {
            Self::Ping | Self::Unknown => {
                put("rpc", "ping".into());
            }
            Self::FindNode { key } => {
                put("rpc", "findnode".into());
                put("key", key.to_base64().into());
            }
            Self::FindValue { key, index, wants_nodes } => {
                put("rpc", "findval".into());
                if *wants_nodes {
                    put(NODES, true.into());
                }
                put("key", key.to_base64().into());
                if let Some(index) = index {
                    put("index", index.to_base64().into());
                }
            }
            Self::GetValue { id, transfer, offset } => {
                put("rpc", "getval".into());
                put("key", id.key.to_base64().into());
                put("index", id.index.to_base64().into());
                put("xferid", transfer.as_str().into());
                if *offset > 0 {
                    put("valofs", (*offset).into());
                }
            }
            Self::Store { id, size, stamp, value, wants_nodes } => {
                if *wants_nodes {
                    put(NODES, true.into());
                }
                put("rpc", "store".into());
                put("key", id.key.to_base64().into());
                put("index", id.index.to_base64().into());
                put("size", (*size).into());
                put("timestmp", (*stamp).into());
                if let Some(value) = value {
                    put(INLINE, STANDARD.encode(value).into());
                }
            }
        }
    }
}

/// A request as a datagram. Without a ticket no reply is wanted.
pub(crate) fn request(own: &Key, ask: &Ask, ticket: Option<&Key>, extended: bool) -> Bytes {
    let mut object = common(own);
    ask.write(&mut object);
    if let Some(ticket) = ticket {
        object.insert("seq_id".into(), ticket.to_base64().into());
    }
    if extended && *ask != Ask::Ping {
        object.insert(EXTENDED.into(), 1.into());
    }
    datagram::encode(&object)
}

/// What a reply says beside who sent it.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) nodes: Option<Vec<Contact>>,
    pub(crate) entries: Option<Vec<Entry>>,
    pub(crate) transfer: Option<TransferId>,
    pub(crate) value: Option<Bytes>,
    pub(crate) kept: bool,
    pub(crate) extended: bool,
}

impl Answer {
    /// As a datagram, to the request with this ticket.
    pub(crate) fn write(&self, own: &Key, ticket: Value) -> Bytes {
        let mut object = common(own);
        object.insert("reply_id".into(), ticket);
        if let Some(nodes) = &self.nodes {
            if self.extended {
                object.insert(NODES.into(), write_compact(nodes).into());
            } else {
                object.insert("nodes".into(), nodes.iter().map(write_node).collect());
            }
        }
        if let Some(entries) = &self.entries {
            object.insert("vals".into(), entries.iter().map(Entry::write).collect());
        }
        if let Some(transfer) = &self.transfer {
            object.insert("xferid".into(), transfer.as_str().into());
        }
        if let Some(value) = &self.value {
            object.insert(INLINE.into(), STANDARD.encode(value).into());
        }
        if self.kept {
            object.insert(KEPT.into(), true.into());
        }
        if self.extended {
            object.insert(EXTENDED.into(), 1.into());
        }
        datagram::encode(&object)
    }

    /// Reads a reply. `nodes` and `entries` are nothing when they are missing or hold anything
    /// that they should not: such a list is thrown away as a whole (spec, section 5).
    pub(crate) fn read(body: &Object) -> Self {
        Self {
            nodes: match body.get(NODES) {
                Some(nodes) => read_compact(nodes),
                None => body.get("nodes").and_then(read_nodes),
            },
            entries: body.get("vals").and_then(read_entries),
            transfer: body.get("xferid").and_then(short_text),
            value: body.get(INLINE).and_then(bytes),
            kept: body.get(KEPT) == Some(&Value::Bool(true)),
            extended: is_extended(body),
        }
    }
}

/// A piece of a transfer as a datagram.
pub(crate) fn chunk(transfer: &str, data: &[u8], ticket: &Key) -> Bytes {
    let mut object = Object::new();
    object.insert("xfer_id".into(), transfer.into());
    object.insert("xfer_data".into(), STANDARD.encode(data).into());
    object.insert("seq_id".into(), ticket.to_base64().into());
    datagram::encode(&object)
}

/// The end of a transfer as a datagram.
pub(crate) fn end(transfer: &str) -> Bytes {
    let mut object = Object::new();
    object.insert("xfer_id".into(), transfer.into());
    object.insert("xfer_data".into(), Value::Null);
    datagram::encode(&object)
}

/// The confirmation of a chunk as a datagram.
pub(crate) fn confirmation(transfer: &str, ticket: Value) -> Bytes {
    let mut object = Object::new();
    object.insert("xfer_id".into(), transfer.into());
    object.insert("reply_id".into(), ticket);
    datagram::encode(&object)
}

/// What is told of a value that a node has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// Which value.
    pub id: ValueId,
    /// Its length in bytes, if that is told.
    pub size: Option<i64>,
    /// When it was last published, in seconds since the Unix epoch, if that is told.
    pub stamp: Option<f64>,
}

impl Entry {
    fn write(&self) -> Value {
        let mut object = Object::new();
        object.insert("key".into(), self.id.key.to_base64().into());
        object.insert("index".into(), self.id.index.to_base64().into());
        object.insert("size".into(), self.size.into());
        object.insert("time".into(), self.stamp.into());
        Value::Object(object)
    }

    fn read(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        let size = match object.get("size") {
            None | Some(Value::Null) => None,
            Some(size) => Some(size.as_i64()?),
        };
        let stamp = match object.get("time") {
            None | Some(Value::Null) => None,
            Some(stamp) => Some(stamp.as_f64()?),
        };
        let key_of = |member: &str| object.get(member).and_then(key);
        let id = ValueId { key: key_of("key")?, index: key_of("index")? };
        Some(Self { id, size, stamp })
    }
}

/// A list of values' entries; nothing if any of them is bad.
pub(crate) fn read_entries(value: &Value) -> Option<Vec<Entry>> {
    value.as_array()?.iter().take(MAX_ENTRIES_READ).map(Entry::read).collect()
}

/// A list of nodes; nothing if any of them is bad. A node under a host name is left out: no reply
/// from it could be told to be its own.
pub(crate) fn read_nodes(value: &Value) -> Option<Vec<Contact>> {
    let read = value.as_array()?.iter().take(MAX_NODES).map(read_node);
    read.collect::<Option<Vec<_>>>().map(|nodes| nodes.into_iter().flatten().collect())
}

/// A node, or nothing for a host name, if the entry is as it should be.
fn read_node(value: &Value) -> Option<Option<Contact>> {
    let object = value.as_object()?;
    let host = object.get("host")?.as_str()?;
    let port = u16::try_from(object.get("port")?.as_u64()?).ok().filter(|port| *port > 0)?;
    let id = object.get("id").and_then(key)?;
    let address = host.parse::<Ipv4Addr>().ok();
    Some(address.map(|ip| Contact::new(id, SocketAddrV4::new(ip, port))))
}

pub(crate) fn write_node(node: &Contact) -> Value {
    let mut object = Object::new();
    object.insert("host".into(), node.address.ip().to_string().into());
    object.insert("port".into(), node.address.port().into());
    object.insert("id".into(), node.id.to_base64().into());
    Value::Object(object)
}

fn write_compact(nodes: &[Contact]) -> String {
    let mut bytes = Vec::with_capacity(26 * nodes.len());
    for node in nodes {
        bytes.extend_from_slice(node.id.as_bytes());
        bytes.extend_from_slice(&node.address.ip().octets());
        bytes.extend_from_slice(&node.address.port().to_be_bytes());
    }
    STANDARD.encode(bytes)
}

fn read_compact(value: &Value) -> Option<Vec<Contact>> {
    let bytes = STANDARD.decode(value.as_str()?).ok()?;
    let (nodes, []) = bytes.as_chunks::<26>() else { return None };
    let read = nodes.iter().take(MAX_NODES).map(|node| {
        let (id, address) = node.split_at(20);
        let [a, b, c, d, high, low] = *address.first_chunk()?;
        let port = Some(u16::from_be_bytes([high, low])).filter(|port| *port > 0)?;
        let address = SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port);
        Some(Contact::new(Key::try_from(id).ok()?, address))
    });
    read.collect()
}

fn common(own: &Key) -> Object {
    let mut object = Object::new();
    object.insert("netid".into(), NETWORK.into());
    object.insert("nodeid".into(), own.to_base64().into());
    object
}

fn is_extended(object: &Object) -> bool {
    object.get(EXTENDED).and_then(Value::as_u64).is_some_and(|version| version >= 1)
}

fn key(value: &Value) -> Option<Key> {
    value.as_str()?.parse().ok()
}

fn short_text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| text.len() <= MAX_ID).map(str::to_owned)
}

fn bytes(value: &Value) -> Option<Bytes> {
    STANDARD.decode(value.as_str()?).ok().map(Bytes::from)
}

/// A whole number: fractions are cut off, and a text of digits will do.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let number = number.as_f64()?;
            let fits = number.abs() < 9e15;
            fits.then_some(number as i64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
