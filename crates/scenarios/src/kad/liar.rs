//! Nodes that lie.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use bytes::Bytes;
use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_base::{Input, Output, Time};
use rs2p_bytestag::{ContentsError, DhtEvent, Key, Library, ValueId};
use rs2p_simnet::{Fate, NodeIndex, Tamper, stream};
use serde_json::{Value, json};

use super::Boxed;
use super::datagram::{self, Object};
use super::node::Node;

/// What nodes may do on purpose, each with what it means.
pub(super) const MISDEEDS: &[(&str, &str)] = &[
    ("lie", "tells of nodes near to each key that do not exist, and sends rubbish for each value"),
    ("silence", "takes everything, and answers nothing"),
];

pub(super) fn misdeed(does: &str, seed: u64, node: NodeIndex) -> Option<Boxed> {
    let rng = stream(seed, does, node.0.into());
    Some(match does {
        "lie" => {
            let address = node.address_v4();
            Box::new(Liar { rng, address, asked: None, promised: BTreeMap::new() })
        }
        "silence" => Box::new(Silent),
        _ => return None,
    })
}

/// Answers each question for nodes with nodes that it invents, each question for a value with
/// rubbish, which it really sends, and publishes that rubbish.
struct Liar {
    rng: Xoshiro256PlusPlus,
    address: SocketAddrV4,
    /// The key that was asked for last.
    asked: Option<Key>,
    /// The values that it says it has, with their lengths.
    promised: BTreeMap<ValueId, u64>,
}

/// Nodes that it tells of, as many as are read.
const TOLD: usize = 20;

/// Values that it says it has, at most.
const PROMISED: usize = 500;

impl Liar {
    /// From now on it has what is asked for.
    fn promise(&mut self, node: &mut Node, now: Time, id: ValueId) {
        if self.promised.contains_key(&id) || self.promised.len() >= PROMISED {
            return;
        }
        let size = if id.index.as_bytes()[0].is_multiple_of(2) { 300 } else { 40_000 };
        self.promised.insert(id, size);
        if let Some(dht) = node.dht_mut() {
            dht.share(now, Arc::new(Rubbish), self.promised.clone());
        }
    }

    /// A node that does not exist, as near to a key as can be: at an address where nobody is, or at
    /// its own.
    fn invented(&mut self, key: Key) -> Value {
        let mut id = *key.as_bytes();
        for byte in &mut id[12..] {
            *byte = self.rng.random();
        }
        let nowhere = Ipv4Addr::from(0x0aff_0000 | self.rng.random_range(0..0xffff_u32));
        let is_own = self.rng.random_range(0..2) == 0;
        let host = if is_own { *self.address.ip() } else { nowhere };
        json!({
            "host": host.to_string(),
            "port": self.address.port(),
            "id": Key::new(id).to_base64(),
        })
    }

    fn lie(&mut self, object: &mut Object) -> Option<()> {
        let key = self.asked.take()?;
        if !object.contains_key("reply_id") || !datagram::tells_nodes(object) {
            return None;
        }
        let nodes = (0..TOLD).map(|_| self.invented(key)).collect();
        datagram::tell_nodes(object, nodes);
        Some(())
    }
}

impl Tamper<Node> for Liar {
    fn input(&mut self, node: &mut Node, now: Time, input: Input) -> Option<Input> {
        let Input::Datagram { data, .. } = &input else { return Some(input) };
        let Some(object) = datagram::open(data) else { return Some(input) };
        self.asked = None;
        if let Some(key) = datagram::key(&object, "key") {
            let question = datagram::asked(&object);
            if question == Some("findval") || question == Some("getval") {
                let index = datagram::key(&object, "index").unwrap_or(key);
                self.promise(node, now, ValueId { key, index });
            }
            if question == Some("findval") || question == Some("findnode") {
                self.asked = Some(key);
            }
        }
        Some(input)
    }

    fn output(&mut self, _: &Node, _: Time, output: Output<DhtEvent>) -> Fate<DhtEvent> {
        let Output::Datagram { to, data } = &output else { return Fate::Pass(output) };
        if self.asked.is_none() {
            return Fate::Pass(output);
        }
        let Some(mut object) = datagram::open(data) else { return Fate::Pass(output) };
        if !object.contains_key("reply_id") {
            return Fate::Pass(output);
        }
        match self.lie(&mut object).and_then(|()| datagram::close(&object)) {
            Some(data) => Fate::Instead(Output::Datagram { to: *to, data }),
            None => Fate::Pass(output),
        }
    }
}

/// Has something for each name, and never what the name stands for.
struct Rubbish;

impl Library for Rubbish {
    fn read(&self, id: &ValueId) -> Result<Option<Bytes>, ContentsError> {
        let size = if id.index.as_bytes()[0].is_multiple_of(2) { 300 } else { 40_000 };
        Ok(Some(vec![id.key.as_bytes()[1]; size].into()))
    }
}

/// Sends nothing.
struct Silent;

impl Tamper<Node> for Silent {
    fn output(&mut self, _: &Node, _: Time, output: Output<DhtEvent>) -> Fate<DhtEvent> {
        if matches!(output, Output::Datagram { .. }) { Fate::Drop } else { Fate::Pass(output) }
    }
}
