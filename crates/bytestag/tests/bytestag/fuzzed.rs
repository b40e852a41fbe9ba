//! Whatever comes from peers of every kind: nothing breaks, nothing grows beyond its bounds, and a
//! user is told the end of all that he begins.
//!
//! The fuzz target `bytestag` runs this body; so do the tests here, over arbitrary input.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rs2p_base::RequestId;
use rs2p_bytestag::{DhtConfig, ValueId};
use serde_json::{Value as Json, json};

use super::bench::{
    BEGIN, Bench, Sent, address, call, chunk, confirmation, end, entry, findval, getval, joined,
    listed, peer, ping, reply, store,
};

/// Small bounds, so that they are reached.
const LIMIT: usize = 6;
const BYTES: u64 = 8_000;

/// Every member that means anything.
const MEMBERS: [&str; 20] = [
    "netid",
    "nodeid",
    "rpc",
    "key",
    "index",
    "seq_id",
    "reply_id",
    "xfer_id",
    "xfer_data",
    "xferid",
    "valofs",
    "size",
    "timestmp",
    "nodes",
    "vals",
    "rs2p",
    "rs2p_value",
    "rs2p_kept",
    "rs2p_nodes",
    "payload",
];

/// A value of any type, which is right in some places.
fn anything(choice: u8) -> Json {
    let id = ValueId::of(&value(choice));
    match choice % 24 {
        0 => Json::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(u64::MAX),
        4 => json!(1e300),
        5 => json!(1.5),
        6 => json!(""),
        7 => json!("text"),
        8 => json!("x".repeat(3_000)),
        9 => json!([]),
        10 => json!({}),
        11 => json!([[[[[{}]]]]]),
        12 => json!({ "host": [], "port": {}, "id": null }),
        13 => json!(id.key.to_base64()),
        14 => json!(peer(choice.into()).to_base64()),
        15 => json!((0..30).map(|at| listed(at * u16::from(choice))).collect::<Vec<_>>()),
        16 => json!([joined(listed(1), json!({ "port": 0 }))]),
        17 => json!(vec![entry(&id, 900); 600]),
        18 => json!([joined(entry(&id, 900), json!({ "size": -5, "time": 1e300 }))]),
        19 => json!(STANDARD.encode(value(choice))),
        20 => json!(STANDARD.encode([choice; 26 * 25])),
        21 => json!(BEGIN),
        22 => json!("findval"),
        _ => json!(1),
    }
}

/// One of a few values: an empty one, short ones, long ones.
fn value(choice: u8) -> Vec<u8> {
    let length = [0, 5, 700, 701, 2_500, 4_000][usize::from(choice % 6)];
    vec![choice % 12; length]
}

struct Play {
    bench: Bench,
    steps: usize,
    /// What the node sent of late.
    heard: Vec<Sent>,
    /// Stores that it granted: to whom, under which transfer, of what.
    granted: Vec<(u16, String)>,
    begun: BTreeSet<RequestId>,
}

/// Steps of peers and of a user.
pub(crate) fn bytestag(input: &[u8]) {
    let config = DhtConfig {
        uploads: [LIMIT, 3],
        incoming: [LIMIT, 3],
        max_values: LIMIT,
        max_values_per_key: 3,
        capacity: BYTES,
        rate: 200,
        ..DhtConfig::default()
    };
    let (heard, granted, begun) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut play = Play { bench: Bench::knowing(config, 3), steps: 0, heard, granted, begun };
    for step in input.chunks(4).take(400) {
        let mut bytes = [0; 4];
        bytes[..step.len()].copy_from_slice(step);
        play.step(bytes);
        play.check();
    }
    play.finish();
}

impl Play {
    fn step(&mut self, [kind, who, a, b]: [u8; 4]) {
        self.steps += 1;
        let number = u16::from(who % 12);
        let from = address(number);
        let id = ValueId::of(&value(a));
        let last = |heard: &[Sent], is: fn(&Sent) -> bool| {
            let matching: Vec<_> = heard.iter().filter(|sent| is(sent)).cloned().collect();
            let at = usize::from(b).checked_rem(matching.len())?;
            Some(matching[at].clone())
        };
        // The same name twice in a row, but never after a while: see rule 4.
        let name = ValueId::of(&(self.steps - usize::from(b & 1)).to_be_bytes()).key.to_base64();
        let ours = if kind & 0x80 == 0 { json!({}) } else { json!({ "rs2p": 1 }) };
        let said = match kind & 0x1f {
            0 => ping(number),
            1 => call(number, "findnode", joined(ours, json!({ "key": id.key.to_base64() }))),
            2 => joined(findval(number, &id), ours),
            3 => call(number, "findval", joined(ours, json!({ "key": id.key.to_base64() }))),
            4 => joined(getval(number, &id, &name), ours),
            5 | 6 => {
                let ticket = json!({ "seq_id": format!("{}", self.steps) });
                let stamp = BEGIN + u64::from(b) * 4;
                let store = store(number, &id, value(a).len() as i64, stamp);
                joined(joined(store, ours), ticket)
            }
            7 => {
                let inline = json!({ "rs2p": 1, "rs2p_value": STANDARD.encode(value(b)) });
                let ticket = json!({ "seq_id": format!("{}", self.steps) });
                joined(joined(store(number, &id, value(a).len() as i64, BEGIN), inline), ticket)
            }
            8..=10 => {
                let Some((to, transfer)) = self.granted.last().cloned() else { return };
                let said = chunk(&transfer, &value(a), &format!("{b}"));
                return self.say(if kind & 0x40 == 0 { to } else { number }, &said);
            }
            11 => {
                let Some((to, transfer)) = self.granted.pop() else { return };
                return self.say(to, &end(&transfer));
            }
            12 => {
                let Some(sent) = last(&self.heard, Sent::is_chunk) else { return };
                self.bench.say(sent.to, &confirmation(&sent));
                return self.listen();
            }
            13..=18 => {
                let Some(question) = last(&self.heard, |sent| sent.json["seq_id"].is_string())
                else {
                    return;
                };
                let number = super::bench::number_of(question.to);
                let mut members = anything(a);
                members = match kind & 0x1f {
                    13 => json!({ "nodes": [listed(a.into()), listed(b.into())] }),
                    14 => json!({ "vals": [entry(&id, value(a).len())], "nodes": members }),
                    15 => json!({ "xferid": name }),
                    16 => json!({ MEMBERS[usize::from(b) % MEMBERS.len()]: members }),
                    17 => json!({ "rs2p_kept": true, "rs2p_value": STANDARD.encode(value(a)) }),
                    _ => json!({}),
                };
                let reply = reply(&question, number, joined(members, ours));
                self.bench.say(question.to, &reply);
                return self.listen();
            }
            19 | 20 => {
                // The bytes that it asked for, right or not.
                let Some(asked) = last(&self.heard, |sent| sent.is("getval")) else { return };
                let transfer = asked.json["xferid"].as_str().unwrap_or_default().to_owned();
                self.bench.say(asked.to, &chunk(&transfer, &value(a), &format!("{b}")));
                if kind & 1 == 0 {
                    self.bench.say(asked.to, &end(&transfer));
                }
                return self.listen();
            }
            21 => {
                // A datagram of the windowed transfer, of one that is known or not.
                let known = last(&self.heard, |sent| sent.json["xferid"].is_string());
                let to = known.as_ref().map_or(from, |sent| sent.to);
                let transfer = known.and_then(|sent| sent.json["xferid"].as_str()?.parse().ok());
                let transfer = transfer.unwrap_or(id.key);
                let mut frame = vec![0x52, kind >> 5];
                frame.extend_from_slice(transfer.as_bytes());
                frame.extend([0, 0, 0, a % 4, 0, b % 16, b, a]);
                frame.extend(vec![a; usize::from(b) * 5]);
                self.bench.say_raw(to, &frame);
                return self.listen();
            }
            22 => {
                self.bench.say_raw(from, &[kind, who, a, b]);
                return self.listen();
            }
            23 | 24 => {
                self.bench.pass_millis(u64::from(a) * u64::from(b));
                return self.listen();
            }
            25..=27 => return self.operate(kind & 0x1f, number, a, b),
            _ => {
                // Any members with anything in them.
                let calls = [ping(number), findval(number, &id), chunk(&name, &value(a), "q")];
                let call = &calls[usize::from(who) % 3];
                let member = MEMBERS[usize::from(a) % MEMBERS.len()];
                joined(call.clone(), json!({ member: anything(b) }))
            }
        };
        self.say(number, &said);
    }

    fn operate(&mut self, kind: u8, number: u16, a: u8, b: u8) {
        if self.begun.len() >= 40 {
            return;
        }
        let id = ValueId::of(&value(a));
        let index = Some(id.index).filter(|_| b.is_multiple_of(2));
        let request = self.bench.call(|dht, now| match (kind, b % 5) {
            (25, 0) => Some(dht.ping(now, address(number))),
            (25, 1) => Some(dht.join(now, [address(number)])),
            (25, 2) => Some(dht.find_value(now, id.key, index)),
            (25, _) => Some(dht.find(now, id.key)),
            (26, _) => Some(dht.get(now, id.key, index, [])),
            (_, 0) => {
                dht.withdraw(&id);
                None
            }
            _ => dht.put(now, None, value(a).into()).ok().map(|(request, _)| request),
        });
        self.begun.extend(request);
        self.listen();
    }

    fn say(&mut self, number: u16, said: &Json) {
        self.bench.say(address(number), said);
        self.listen();
    }

    fn listen(&mut self) {
        for sent in self.bench.sent() {
            if let (Some(transfer), true) =
                (sent.json["xferid"].as_str(), sent.json.get("reply_id").is_some())
            {
                self.granted.push((super::bench::number_of(sent.to), transfer.to_owned()));
            }
            self.heard.push(sent);
        }
        let old = self.heard.len().saturating_sub(60);
        self.heard.drain(..old);
    }

    fn check(&self) {
        let status = self.bench.dht.status();
        assert!(status.contacts <= 160 * 20);
        assert!(status.foreign_values <= LIMIT + LIMIT, "{status:?}");
        assert!(status.foreign_bytes <= BYTES + LIMIT as u64 * 4_000, "{status:?}");
        // Own values are sent as well, and fetched.
        assert!(status.uploads <= LIMIT + 3 * 60, "{status:?}");
        assert!(status.downloads <= LIMIT + 40, "{status:?}");
        assert!(status.operations <= 60, "{status:?}");
        assert!(status.questions <= 400, "{status:?}");
    }

    /// Nobody says anything more: all that was begun ends, each once.
    fn finish(mut self) {
        for _ in 0..60 {
            self.bench.pass_millis(10_000);
            self.bench.sent();
        }
        for request in &self.begun {
            let ends = self.bench.events.iter().filter(|event| {
                <rs2p_bytestag::Dht as rs2p_base::Machine>::completes(event) == Some(*request)
            });
            assert_eq!(ends.count(), 1, "{request:?}");
        }
        let status = self.bench.dht.status();
        assert_eq!((status.uploads, status.downloads), (0, 0), "{status:?}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn whatever_peers_say_a_node_stays_within_its_bounds(
            input in prop::collection::vec(any::<u8>(), 0..800),
        ) {
            bytestag(&input);
        }
    }
}
