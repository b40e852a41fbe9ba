//! What a running Bytestag node does.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use rs2p::bytestag::{DhtNode, Key, ValueId};
use serde_json::{Value as Json, json};
use tokio::time::{Instant, sleep};

use super::{STEP, key, ours, wire};
use crate::peer::{Kind, Peer};

/// A node with this table, which joins by another.
pub(super) async fn theirs(table: &str, by: Option<SocketAddrV4>) -> Peer {
    let mut peer = Peer::start_with(Kind::Bytestag, &["--table", table]).await;
    if let Some(by) = by {
        peer.joins(by).await;
    }
    peer
}

impl Peer {
    pub(super) fn key(&self) -> Key {
        self.id.parse().expect("a key")
    }

    pub(super) fn socket(&self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port)
    }

    async fn ask(&mut self, command: Json) -> Json {
        self.command_within(STEP, command).await
    }

    pub(super) async fn joins(&mut self, by: SocketAddrV4) {
        let (host, port) = (by.ip().to_string(), by.port());
        let answer = self.ask(json!({"cmd": "join", "host": host, "port": port})).await;
        assert_eq!(answer["joined"], true);
    }

    /// The ids in its routing table.
    pub(super) async fn contacts(&mut self) -> Vec<Key> {
        ids(&self.ask(json!({"cmd": "table"})).await["nodes"])
    }

    /// Waits until its routing table has this node.
    pub(super) async fn has_met(&mut self, id: Key) {
        let deadline = Instant::now() + STEP;
        while !self.contacts().await.contains(&id) {
            assert!(Instant::now() < deadline, "{:?} has not met {id}", self.id);
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// What a node lookup of it ends with, nearest first.
    pub(super) async fn looks_up(&mut self, key: Key) -> Vec<Key> {
        ids(&self.ask(json!({"cmd": "find_node", "key": key.to_string()})).await["nodes"])
    }

    /// Who has a value, by a lookup of it.
    pub(super) async fn finds(&mut self, id: ValueId) -> Vec<Key> {
        let (key, index) = (id.key.to_string(), id.index.to_string());
        let answer = self.ask(json!({"cmd": "find_value", "key": key, "index": index})).await;
        ids(&answer["having"])
    }

    /// Stores a new value on all nodes it finds, and tells how many it counts.
    pub(super) async fn stores(&mut self, value: &[u8]) -> (ValueId, u64) {
        let answer = self.ask(json!({"cmd": "store", "value": hex::encode(value)})).await;
        let id = ValueId { key: key(&answer["key"]), index: key(&answer["index"]) };
        (id, answer["stored"].as_u64().expect("a number"))
    }

    /// Stores a value it has once more.
    pub(super) async fn stores_again(&mut self, id: ValueId) {
        let (key, index) = (id.key.to_string(), id.index.to_string());
        self.ask(json!({"cmd": "store", "key": key, "index": index})).await;
    }

    /// Fetches a value from a node of ours, from a byte on: its size and SHA-1.
    pub(super) async fn gets(&mut self, id: ValueId, from: &DhtNode, offset: usize) -> (u64, Key) {
        let answer = self
            .ask(json!({
                "cmd": "get",
                "key": id.key.to_string(),
                "index": id.index.to_string(),
                "id": from.id().to_string(),
                "host": from.address().ip().to_string(),
                "port": from.address().port(),
                "offset": offset,
            }))
            .await;
        (answer["size"].as_u64().expect("a number"), key(&answer["sha1"]))
    }

    /// The values that it keeps, with their size. It has checked each against its index, and so
    /// does this.
    pub(super) async fn keeps(&mut self) -> Vec<(ValueId, u64)> {
        let answer = self.ask(json!({"cmd": "values"})).await;
        let values = answer["values"].as_array().expect("a list");
        values
            .iter()
            .map(|value| {
                assert_eq!(value["sha1"], value["index"]);
                let id = ValueId { key: key(&value["key"]), index: key(&value["index"]) };
                (id, value["size"].as_u64().expect("a number"))
            })
            .collect()
    }

    /// Shares a directory: the descriptions of its files, and the number of all values.
    pub(super) async fn shares(&mut self, directory: &str) -> (Vec<ValueId>, u64) {
        let answer = self.ask(json!({"cmd": "share", "directory": directory})).await;
        let files = answer["files"].as_array().expect("a list");
        let id = |file: &Json| ValueId { key: key(&file["key"]), index: key(&file["index"]) };
        (files.iter().map(id).collect(), answer["values"].as_u64().expect("a number"))
    }

    /// All datagrams since the last time.
    pub(super) async fn trace(&mut self) -> Vec<Json> {
        let mut answer = self.ask(json!({"cmd": "trace"})).await;
        match answer["trace"].take() {
            Json::Array(lines) => lines,
            other => panic!("not a list: {other}"),
        }
    }

    /// Waits until it has cleaned up after each transfer, which is when it stops for ever if it was
    /// sent more than one end. Then it answers, keeps what it is given, and what it was sent so far
    /// followed the rules.
    pub(super) async fn is_well(&mut self) {
        let deadline = Instant::now() + STEP;
        while self.ask(json!({"cmd": "transfers"})).await["transfers"] != 0 {
            assert!(Instant::now() < deadline, "it does not clean up");
            sleep(Duration::from_millis(100)).await;
        }
        let guest = ours([self.socket()]).await;
        super::within(guest.ping(self.socket())).await.expect("it answers");
        wire::follows_the_rules(&self.trace().await);
    }
}

/// The ids in a list of nodes.
fn ids(nodes: &Json) -> Vec<Key> {
    nodes.as_array().expect("a list").iter().map(|node| key(&node["id"])).collect()
}
