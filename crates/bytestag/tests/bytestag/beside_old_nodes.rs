//! One node of ours beside an old one, which the test plays datagram by datagram.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use rs2p_base::{Input, Machine as _, Output, Time};
use rs2p_bytestag::{Copies, Dht, DhtConfig, DhtEvent, Key, ValueId};
use serde_json::{Value as Json, json};

use crate::network::sha1;

const OLD: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 38_664));

/// The node of ours, what it has sent and told, and the clock of both.
struct Pair {
    dht: Dht,
    now: Time,
    sent: Vec<Json>,
    told: Vec<DhtEvent>,
    breath: Duration,
}

impl Pair {
    /// The two know each other.
    fn new() -> Self {
        let config = DhtConfig::default();
        let breath = config.breath;
        let dht = Dht::new(Key::new(sha1(1)), config, 1);
        let now = Time::from_secs(1_000_000);
        let mut pair = Self { dht, now, sent: Vec::new(), told: Vec::new(), breath };
        pair.says(json!({"rpc": "ping", "seq_id": "first"}));
        assert_eq!(pair.hears()["reply_id"], "first");
        pair
    }

    /// The old node sends this, with what all of its packets have.
    fn says(&mut self, mut json: Json) {
        if json["xfer_id"].is_null() {
            json["netid"] = "BYTESTAG".into();
            json["nodeid"] = Key::new(sha1(2)).to_base64().into();
        }
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
        packer.write_all(json.to_string().as_bytes()).unwrap();
        let data = Bytes::from(packer.finish().unwrap());
        self.dht.handle_input(self.now, Input::Datagram { from: OLD, data });
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(output) = self.dht.poll_output() {
            match output {
                Output::Datagram { to, data } => {
                    assert_eq!(to, OLD);
                    let mut text = String::new();
                    ZlibDecoder::new(&data[..]).read_to_string(&mut text).unwrap();
                    self.sent.push(serde_json::from_str(&text).unwrap());
                }
                Output::Event(event) => self.told.push(event),
                _ => {}
            }
        }
    }

    /// The one datagram that ours has sent.
    fn hears(&mut self) -> Json {
        assert_eq!(self.sent.len(), 1, "{:?}", self.sent);
        self.sent.remove(0)
    }

    fn passes(&mut self, time: Duration) {
        self.now = self.now + time;
        self.dht.handle_timeout(self.now);
        self.collect();
    }

    fn answers(&mut self, question: &Json, mut json: Json) {
        json["reply_id"] = question["seq_id"].clone();
        self.says(json);
    }

    /// Lets ours find that the old node lacks a value and offer it.
    fn put(&mut self, value: &Bytes) -> ValueId {
        let (_, id) = self.dht.put(self.now, None, value.clone()).unwrap();
        self.collect();
        let question = self.hears();
        assert_eq!(question["rpc"], "findval");
        self.answers(&question, self.nobody_else());
        id
    }

    fn nobody_else(&self) -> Json {
        let id = self.dht.id().to_base64();
        json!({"nodes": [{"host": "192.0.2.2", "port": 1, "id": id}]})
    }

    /// Takes one chunk and its end.
    fn takes(&mut self, transfer: &str) {
        let chunk = self.hears();
        assert_eq!(chunk["xfer_id"], transfer);
        self.says(json!({"xfer_id": transfer, "reply_id": chunk["seq_id"]}));
        assert_eq!(self.hears(), json!({"xfer_id": transfer, "xfer_data": null}));
    }
}

#[test]
fn an_old_node_is_asked_what_it_has_a_breath_after_the_end() {
    let mut pair = Pair::new();
    let id = pair.put(&Bytes::from(vec![7; 900]));
    let offer = pair.hears();
    pair.answers(&offer, json!({"xferid": "transfer"}));
    pair.passes(pair.breath - Duration::from_millis(1));
    assert_eq!(pair.sent, [Json::Null; 0]);
    pair.passes(Duration::from_millis(1));
    pair.takes("transfer");
    pair.passes(pair.breath - Duration::from_millis(1));
    assert_eq!(pair.sent, [Json::Null; 0]);
    pair.passes(Duration::from_millis(1));
    let question = pair.hears();
    assert_eq!(question["rpc"], "findval");
    assert_eq!(question["index"], id.index.to_base64());
}

#[test]
fn what_an_old_node_was_slow_to_file_counts_although_it_refuses_it_then() {
    let mut pair = Pair::new();
    let id = pair.put(&Bytes::from(vec![7; 900]));
    let offer = pair.hears();
    pair.answers(&offer, json!({"xferid": "transfer"}));
    pair.passes(pair.breath);
    pair.takes("transfer");
    pair.passes(pair.breath);
    let question = pair.hears();
    pair.answers(&question, pair.nobody_else());

    let again = pair.hears();
    assert_eq!(again["rpc"], "store");
    pair.answers(&again, json!({}));
    let question = pair.hears();
    assert_eq!(question["rpc"], "findval");
    let index = id.index.to_base64();
    pair.answers(
        &question,
        json!({"vals": [
            {"key": index, "index": index, "size": 900, "time": 1_000_000}
        ]}),
    );
    let is_stored = |event: &DhtEvent| {
        let one = Copies { stored: 1, ..Copies::default() };
        matches!(event, DhtEvent::Published { result: Ok(copies), .. } if *copies == one)
    };
    assert!(pair.told.iter().any(is_stored), "{:?}", pair.told);
    assert_eq!(pair.sent, [Json::Null; 0]);
}

#[test]
fn a_value_comes_a_breath_after_an_old_node_has_asked_for_it() {
    let mut pair = Pair::new();
    let id = pair.put(&Bytes::from(vec![7; 900]));
    let offer = pair.hears();
    pair.answers(&offer, json!({}));
    let key = id.key.to_base64();
    pair.says(json!({"rpc": "getval", "key": key, "index": key, "xferid": "wish"}));
    pair.passes(pair.breath - Duration::from_millis(1));
    assert_eq!(pair.sent, [Json::Null; 0]);
    pair.passes(Duration::from_millis(1));
    pair.takes("wish");
}

/// D13: told of another value of the key, it would take that for the one it means to store.
#[test]
fn an_old_node_that_names_a_value_is_not_told_of_another_and_stores_its_own() {
    let mut pair = Pair::new();
    let plain = pair.put(&Bytes::from(vec![7; 900]));
    let offer = pair.hears();
    pair.answers(&offer, json!({}));
    let (key, index) = (plain.key.to_base64(), Key::new(sha1(3)).to_base64());
    pair.says(json!({"rpc": "findval", "seq_id": "q1", "key": key, "index": index}));
    let answer = pair.hears();
    assert!(answer.get("vals").is_none(), "{answer}");
    assert_eq!(answer["nodes"][0]["host"], "192.0.2.1");
    pair.says(json!({"rpc": "store", "seq_id": "q2", "key": key, "index": index, "size": 900,
        "timestmp": 1_000_000}));
    assert!(pair.hears()["xferid"].is_string());
    // Without a name there is nothing to confuse.
    pair.says(json!({"rpc": "findval", "seq_id": "q3", "key": key}));
    assert_eq!(pair.hears()["vals"][0]["index"], key);
}
