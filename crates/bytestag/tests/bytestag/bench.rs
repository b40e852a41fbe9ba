//! One real node among peers that say whatever a test wants, in virtual time.
//!
//! Whatever the node sends is looked at, in every test: see [`Bench::look_at`].

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use rs2p_base::{Input, Machine as _, Output, RequestId, Time};
use rs2p_bytestag::{
    Contents, ContentsError, Dht, DhtConfig, DhtEvent, Key, MAX_SENT, Record, ValueId,
};
use serde_json::{Map, Value as Json, json};

/// When a test begins, in seconds.
pub(crate) const BEGIN: u64 = 1_000_000;

/// A node, what it has sent and told, and what was said to it.
pub(crate) struct Bench {
    pub(crate) dht: Dht,
    pub(crate) now: Time,
    pub(crate) events: Vec<DhtEvent>,
    sent: Vec<Sent>,
    /// Addresses that have said that they know the extensions.
    extended: BTreeSet<SocketAddrV4>,
    /// Transfers that the node has ended.
    ended: BTreeSet<(SocketAddrV4, String)>,
}

/// A datagram that the node sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Time,
    pub(crate) to: SocketAddrV4,
    /// Null for one of the windowed transfer.
    pub(crate) json: Json,
    pub(crate) raw: Bytes,
}

impl Sent {
    pub(crate) fn is(&self, rpc: &str) -> bool {
        self.json["rpc"] == rpc
    }

    pub(crate) fn is_chunk(&self) -> bool {
        self.json["xfer_data"].is_string()
    }

    pub(crate) fn is_end(&self) -> bool {
        self.json.get("xfer_data") == Some(&Json::Null)
    }

    pub(crate) fn is_binary(&self) -> bool {
        self.json.is_null()
    }

    pub(crate) fn data(&self) -> Vec<u8> {
        STANDARD.decode(self.json["xfer_data"].as_str().unwrap()).unwrap()
    }
}

impl Bench {
    pub(crate) fn new(config: DhtConfig) -> Self {
        Self::with(Dht::new(own(), config, 1), BEGIN)
    }

    /// Such a node from a time on, in seconds.
    pub(crate) fn with(dht: Dht, secs: u64) -> Self {
        let (events, sent) = (Vec::new(), Vec::new());
        let (extended, ended) = (BTreeSet::new(), BTreeSet::new());
        Self { dht, now: Time::from_secs(secs), events, sent, extended, ended }
    }

    /// A node that knows so many peers, which have pinged it; see [`peer`].
    pub(crate) fn knowing(config: DhtConfig, peers: u16) -> Self {
        let mut bench = Self::new(config);
        for number in 0..peers {
            bench.say(address(number), &ping(number));
        }
        bench.sent();
        bench
    }

    /// A node that holds these values of others.
    pub(crate) fn holding(config: DhtConfig, secs: u64, held: Vec<Held>) -> Self {
        let now = Time::from_secs(secs);
        let dht = Dht::new(own(), config, 1).with_contents(now, Self::shelf(held)).unwrap();
        Self::with(dht, secs)
    }

    pub(crate) fn shelf(held: Vec<Held>) -> Box<dyn Contents> {
        Box::new(Shelf(held))
    }

    /// Somebody says something.
    pub(crate) fn say(&mut self, from: SocketAddrV4, json: &Json) {
        if json["rs2p"].as_u64().is_some_and(|version| version > 0) {
            self.extended.insert(from);
        }
        self.say_raw(from, &pack(json));
    }

    pub(crate) fn say_raw(&mut self, from: SocketAddrV4, data: &[u8]) {
        if data.first() == Some(&0x52) {
            self.extended.insert(from);
        }
        let data = Bytes::copy_from_slice(data);
        self.dht.handle_input(self.now, Input::Datagram { from: SocketAddr::V4(from), data });
        self.drain();
        self.pass(Duration::ZERO);
    }

    /// An answer to what the node sent, with these members.
    pub(crate) fn answer(&mut self, question: &Sent, number: u16, members: Json) {
        let reply = reply(question, number, members);
        self.say(question.to, &reply);
    }

    /// The user does something.
    pub(crate) fn call<T>(&mut self, call: impl FnOnce(&mut Dht, Time) -> T) -> T {
        let result = call(&mut self.dht, self.now);
        self.drain();
        self.pass(Duration::ZERO);
        result
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.dht.poll_timeout().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.dht.handle_timeout(self.now);
            self.drain();
            let later = self.dht.poll_timeout();
            assert!(later.is_none_or(|later| later > self.now), "a deadline that stays");
        }
        self.now = until;
    }

    pub(crate) fn pass_millis(&mut self, millis: u64) {
        self.pass(Duration::from_millis(millis));
    }

    /// As long passes as an old node has to be ready for a value.
    pub(crate) fn breathe(&mut self) {
        self.pass(DhtConfig::default().breath);
    }

    /// What it has sent since this was last asked.
    pub(crate) fn sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.sent)
    }

    /// What it has sent since, which is one datagram.
    pub(crate) fn sent_one(&mut self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    pub(crate) fn ended(&self, request: RequestId) -> Option<&DhtEvent> {
        self.events.iter().find(|event| Dht::completes(event) == Some(request))
    }

    fn drain(&mut self) {
        while let Some(output) = self.dht.poll_output() {
            match output {
                Output::Event(event) => self.events.push(event),
                Output::Datagram { to: SocketAddr::V4(to), data } => {
                    let sent = Sent { at: self.now, to, json: unpack(&data), raw: data };
                    self.look_at(&sent);
                    self.sent.push(sent);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// What holds for everything that a node sends (spec, section 15).
    fn look_at(&mut self, sent: &Sent) {
        // Rule 3: never more than an old node can read.
        assert!(sent.raw.len() <= MAX_SENT, "{} bytes", sent.raw.len());
        if sent.is_binary() {
            // No windowed datagram to a node that did not say that it knows them.
            assert!(self.extended.contains(&sent.to), "{:?}", sent.raw);
            return;
        }
        let texts = ["netid", "nodeid", "key", "index", "rpc", "xfer_id", "xferid", "seq_id"];
        for member in texts {
            // Rule 1: texts in the places of texts.
            assert!(sent.json.get(member).is_none_or(Json::is_string), "{}", sent.json);
        }
        if let Some(transfer) = sent.json["xfer_id"].as_str() {
            if sent.json.get("reply_id").is_some() {
                return;
            }
            // Rule 4: the end once, and nothing after it.
            let name = (sent.to, transfer.to_owned());
            assert!(!self.ended.contains(&name), "after the end: {}", sent.json);
            if sent.is_end() {
                self.ended.insert(name);
            } else {
                assert!(sent.data().len() <= 1_024, "rule 3: a long piece");
            }
            return;
        }
        assert_eq!(sent.json["netid"], "BYTESTAG");
        let id: Key = sent.json["nodeid"].as_str().unwrap().parse().unwrap();
        assert_eq!(id, self.dht.id());
        if sent.is("store") || sent.is("findval") {
            assert!(sent.json["seq_id"].is_string(), "a question without a ticket");
        }
        if let Some(nodes) = sent.json["nodes"].as_array() {
            assert!(nodes.len() <= 20);
        }
    }
}

/// A value of another that the node holds.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) id: ValueId,
    pub(crate) value: Vec<u8>,
    pub(crate) stamp: Time,
    pub(crate) original: bool,
}

impl Held {
    pub(crate) fn of(value: &[u8]) -> Self {
        let stamp = Time::from_secs(BEGIN - 100);
        Self { id: ValueId::of(value), value: value.to_vec(), stamp, original: false }
    }
}

struct Shelf(Vec<Held>);

impl Contents for Shelf {
    fn records(&self) -> Result<Vec<(ValueId, Record)>, ContentsError> {
        let record = |held: &Held| Record {
            size: held.value.len() as u64,
            stamp: held.stamp,
            lives: Duration::from_secs(86_490),
            original: held.original,
        };
        Ok(self.0.iter().map(|held| (held.id, record(held))).collect())
    }

    fn read(&self, id: &ValueId) -> Result<Option<Bytes>, ContentsError> {
        let held = self.0.iter().find(|held| held.id == *id);
        Ok(held.map(|held| held.value.clone().into()))
    }

    fn write(
        &mut self,
        id: &ValueId,
        record: &Record,
        value: Option<&Bytes>,
    ) -> Result<(), ContentsError> {
        if let Some(value) = value {
            let (value, original) = (value.to_vec(), record.original);
            self.0.retain(|held| held.id != *id);
            self.0.push(Held { id: *id, value, stamp: record.stamp, original });
        }
        Ok(())
    }

    fn remove(&mut self, id: &ValueId) {
        self.0.retain(|held| held.id != *id);
    }
}

/// The node's id.
pub(crate) fn own() -> Key {
    Key::new([0; 20])
}

/// The id of a peer: the higher its number, the farther from the node.
pub(crate) fn peer(number: u16) -> Key {
    let mut id = [0x55; 20];
    id[..2].copy_from_slice(&number.wrapping_add(1).to_be_bytes());
    Key::new(id)
}

/// The address of a peer.
pub(crate) fn address(number: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, number.wrapping_add(10_000))
}

/// The number of the peer at an address.
pub(crate) fn number_of(address: SocketAddrV4) -> u16 {
    address.port().wrapping_sub(10_000)
}

/// How a peer is told of in a list of nodes.
pub(crate) fn listed(number: u16) -> Json {
    json!({ "host": "127.0.0.1", "port": address(number).port(), "id": peer(number).to_base64() })
}

/// How a value is told of.
pub(crate) fn entry(id: &ValueId, size: usize) -> Json {
    let (key, index) = (id.key.to_base64(), id.index.to_base64());
    json!({ "key": key, "index": index, "size": size, "time": BEGIN - 100 })
}

/// A call of a peer, with a ticket.
pub(crate) fn call(number: u16, rpc: &str, members: Json) -> Json {
    let id = peer(number).to_base64();
    let ticket = Key::new([number as u8; 20]).to_base64();
    let call = json!({ "netid": "BYTESTAG", "nodeid": id, "rpc": rpc, "seq_id": ticket });
    joined(call, members)
}

pub(crate) fn ping(number: u16) -> Json {
    call(number, "ping", json!({}))
}

/// A peer's wish to store a value.
pub(crate) fn store(number: u16, id: &ValueId, size: i64, stamp: u64) -> Json {
    let (key, index) = (id.key.to_base64(), id.index.to_base64());
    let members = json!({ "key": key, "index": index, "size": size, "timestmp": stamp });
    call(number, "store", members)
}

/// A peer's question for a value.
pub(crate) fn findval(number: u16, id: &ValueId) -> Json {
    let (key, index) = (id.key.to_base64(), id.index.to_base64());
    call(number, "findval", json!({ "key": key, "index": index }))
}

/// A peer's demand for the bytes of a value.
pub(crate) fn getval(number: u16, id: &ValueId, transfer: &str) -> Json {
    let (key, index) = (id.key.to_base64(), id.index.to_base64());
    call(number, "getval", json!({ "key": key, "index": index, "xferid": transfer }))
}

/// An answer to what the node sent.
pub(crate) fn reply(question: &Sent, number: u16, members: Json) -> Json {
    let id = peer(number).to_base64();
    let ticket = question.json["seq_id"].clone();
    joined(json!({ "netid": "BYTESTAG", "nodeid": id, "reply_id": ticket }), members)
}

/// A piece of a transfer.
pub(crate) fn chunk(transfer: &str, data: &[u8], ticket: &str) -> Json {
    json!({ "xfer_id": transfer, "xfer_data": STANDARD.encode(data), "seq_id": ticket })
}

pub(crate) fn end(transfer: &str) -> Json {
    json!({ "xfer_id": transfer, "xfer_data": null })
}

/// The confirmation of a piece that the node sent.
pub(crate) fn confirmation(chunk: &Sent) -> Json {
    json!({ "xfer_id": chunk.json["xfer_id"], "reply_id": chunk.json["seq_id"] })
}

pub(crate) fn joined(one: Json, other: Json) -> Json {
    let (Json::Object(mut one), Json::Object(other)) = (one, other) else { panic!("no objects") };
    one.extend(other);
    Json::Object(one)
}

pub(crate) fn pack(json: &Json) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&serde_json::to_vec(json).unwrap()).unwrap();
    encoder.finish().unwrap()
}

/// What a datagram says; null for one of the windowed transfer.
pub(crate) fn unpack(data: &[u8]) -> Json {
    if data.first() == Some(&0x52) {
        return Json::Null;
    }
    let mut text = String::new();
    ZlibDecoder::new(data).read_to_string(&mut text).unwrap();
    let object: Map<_, _> = serde_json::from_str(&text).unwrap();
    Json::Object(object)
}
