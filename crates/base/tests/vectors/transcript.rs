//! Recorded connections: who sent what, and when.

use std::time::Duration;

use rs2p_base::{Protocol, Time};
use serde_json::Value as Json;

use crate::harness::START;
use crate::{cases, load, text};

/// One recorded connection between two nodes, of which one may be driven by hand (`bare`).
#[derive(Debug)]
pub(crate) struct Transcript {
    pub(crate) name: String,
    pub(crate) json: Json,
    pub(crate) items: Vec<Item>,
    /// Both nodes; the one that dialled stands first.
    pub(crate) nodes: [String; 2],
}

/// A frame that went over the wire, as raw bytes.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) time: Time,
    pub(crate) from: String,
    pub(crate) bytes: Vec<u8>,
    /// Empty for frames that could not be decoded.
    pub(crate) payload: Vec<Json>,
    /// Message type; none for frames that could not be decoded.
    pub(crate) kind: Option<u64>,
    /// Digest of the body, in hexadecimal; none for frames that could not be decoded.
    pub(crate) id: Option<String>,
}

/// One of the implementations of which the transcripts were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    Py2p,
    Js2p,
}

impl Transcript {
    /// The transcripts of a file, whose number is asserted.
    pub(crate) fn all(file: &str, count: usize) -> Vec<Self> {
        cases(&load(file), "transcripts", count).iter().map(Self::read).collect()
    }

    fn read(json: &Json) -> Self {
        let items = json["items"].as_array().unwrap();
        let frames: Vec<_> = items.iter().filter(|item| item.get("frame").is_some()).collect();
        let one = text(frames[0], "from").to_owned();
        let other = text(frames[0], "to").to_owned();
        let name = text(json, "name").to_owned();
        // Where no event tells, the name does, or the transcript's `about`: nodes that are driven
        // by hand dial, and so does C in the last of the file `renegotiate`.
        let dialled = |node: &str| {
            let connected = format!("{node} connected (TCP)");
            let says = |item: &Json| item["event"] == connected.as_str();
            let told = items.iter().any(says);
            let any = items.iter().any(|item| {
                item["event"].as_str().is_some_and(|event| event.ends_with("connected (TCP)"))
            });
            told || (!any && ["connector", "bare", "C"].contains(&node))
                || name.contains(&format!("{node} dials"))
        };
        assert_ne!(dialled(&one), dialled(&other), "who dialled in {name}?");
        let nodes = if dialled(&one) { [one, other] } else { [other, one] };
        Self {
            items: frames.into_iter().map(Item::read).collect(),
            nodes,
            name,
            json: json.clone(),
        }
    }

    /// The implementation behind a node; none for one driven by hand.
    pub(crate) fn flavour(&self, node: &str) -> Option<Flavour> {
        let name = match node {
            "bare" => return None,
            "py2p" | "js2p" => node,
            _ => text(&self.json, "reference"),
        };
        Some(match name {
            "py2p" => Flavour::Py2p,
            "js2p" => Flavour::Js2p,
            other => panic!("there is no {other}"),
        })
    }

    /// The frames that a node sent.
    pub(crate) fn sent_by<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a Item> {
        self.items.iter().filter(move |item| item.from == node)
    }

    /// The network of a node, by its handshake. A node that sent none is at home where its peer
    /// is.
    pub(crate) fn protocol(&self, node: &str) -> Protocol {
        let own = self.sent_by(node).find(|item| item.is_handshake());
        let any = self.items.iter().find(|item| item.is_handshake());
        let id = own.or(any).unwrap().payload[2].clone();
        let known = ["mesh", "chord", "sync1", "sync0"];
        let protocol = known
            .map(|subnet| Protocol::new(subnet, "Plaintext"))
            .into_iter()
            .find(|protocol| protocol.id().to_string() == plain_text(&id));
        // The only other one belongs to a subnet of which nothing but the id is on record.
        protocol.unwrap_or_else(|| Protocol::new("elsewhere", "Plaintext"))
    }
}

impl Item {
    fn read(json: &Json) -> Self {
        let message = &json["message"];
        let undecodable = json.get("undecodable").is_some();
        let payload = message["payload"].as_array().cloned().unwrap_or_default();
        Self {
            time: START + Duration::from_millis(json["ms"].as_u64().unwrap()),
            from: text(json, "from").to_owned(),
            bytes: hex::decode(text(json, "frame")).unwrap(),
            payload,
            kind: message["type"]["int"].as_u64().filter(|_| !undecodable),
            id: json["id"].as_str().filter(|_| !undecodable).map(str::to_owned),
        }
    }

    /// Whether the references take it for a handshake.
    pub(crate) fn is_handshake(&self) -> bool {
        self.payload.len() == 5 && self.payload[0]["int"] == 5
    }

    /// Whether it is about the link's compression, or asks to repeat.
    pub(crate) fn is_renegotiation(&self) -> bool {
        self.kind == Some(1)
    }

    /// The compression methods in a handshake or a renegotiation.
    pub(crate) fn methods(&self) -> Option<Vec<u64>> {
        let list = if self.is_handshake() {
            &self.payload[4]
        } else if self.is_renegotiation() && self.payload.first()?["int"] == 1 {
            &self.payload[1]
        } else {
            return None;
        };
        Some(list["array"].as_array()?.iter().filter_map(|method| method["int"].as_u64()).collect())
    }
}

/// An id or another text, whichever of the two types it has.
pub(crate) fn plain_text(value: &Json) -> String {
    match (value["str"].as_str(), value["bin"].as_str()) {
        (Some(text), _) => text.to_owned(),
        (_, Some(digits)) => String::from_utf8(hex::decode(digits).unwrap()).unwrap(),
        _ => panic!("{value} is neither text nor binary"),
    }
}
