//! What a Bytestag node must not be sent, by the record of its datagrams.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// One transfer to the node that keeps the record.
#[derive(Default)]
struct Transfer {
    sender: Option<u64>,
    /// When the node promised to take it, or asked for it, in seconds.
    promised: Option<f64>,
    /// The chunk that waits for its confirmation, and how often it came.
    open: Option<(String, usize)>,
    chunks: usize,
    ended: bool,
}

/// Transfers at a time each way between it and one other node: more stop all its other work.
const AT_ONCE: usize = 3;

/// Checks each datagram that the node got. What it did itself is taken as it is.
pub(super) fn follows_the_rules(trace: &[Json]) {
    let mut transfers: BTreeMap<String, Transfer> = BTreeMap::new();
    // What it was asked to send, and to which port.
    let mut gets: BTreeMap<String, u64> = BTreeMap::new();
    let text = |value: &Json| value.as_str().map(str::to_owned);
    for line in trace {
        let json = &line["json"];
        let is_coming = line["way"] == "in";
        let at = line["at"].as_f64().expect("a time");
        if !is_coming {
            if let Some(id) = text(&json["xfer_id"])
                && let Some(chunk) = json.get("xfer_data")
                && chunk.as_u64().is_none_or(|length| length < 1024)
            {
                // Its last chunk: the end that follows is not waited for.
                gets.remove(&id);
            }
            if let Some(id) = text(&json["xferid"])
                && (json["rpc"].is_null() || json["rpc"] == "getval")
            {
                transfers.entry(id).or_default().promised = Some(at);
            }
            if let (Some(id), Some(reply)) = (text(&json["xfer_id"]), text(&json["reply_id"]))
                && let Some(transfer) = transfers.get_mut(&id)
                && transfer.open.as_ref().is_some_and(|(open, _)| *open == reply)
            {
                transfer.open = None;
            }
            continue;
        }
        assert!(json.is_object(), "it cannot read this: {line}");
        assert!(line["bytes"].as_u64().is_some_and(|bytes| bytes <= 8192), "too long: {line}");
        for name in ["rpc", "reply_id", "xfer_id", "seq_id"] {
            let member = json.get(name);
            assert!(member.is_none_or(Json::is_string), "it stops at a {name} like this: {line}");
        }
        match (text(&json["xfer_id"]), json.get("reply_id")) {
            (Some(id), None) => {
                chunk(transfers.entry(id).or_default(), line);
                let is_open = |transfer: &&Transfer| {
                    transfer.sender == line["port"].as_u64() && !transfer.ended
                };
                let open = transfers.values().filter(is_open).count();
                assert!(open <= AT_ONCE, "{open} values at once: {line}");
            }
            (Some(_), Some(_)) => {}
            (None, _) => {
                assert_eq!(json["netid"], "BYTESTAG", "{line}");
                assert!(json["nodeid"].as_str().is_some_and(|id| id.len() == 28), "{line}");
                let is_named = json["index"].is_string();
                assert!(json["rpc"] != "findval" || is_named, "it may ask itself for ever: {line}");
                if json["rpc"] == "getval" {
                    let port = line["port"].as_u64().expect("a port");
                    let transfer = text(&json["xferid"]).expect("a transfer");
                    assert_eq!(gets.insert(transfer, port), None, "asked for twice: {line}");
                    let open = gets.values().filter(|other| **other == port).count();
                    assert!(open <= AT_ONCE, "{open} values asked for at once: {line}");
                }
            }
        }
    }
}

fn chunk(transfer: &mut Transfer, line: &Json) {
    assert!(!transfer.ended, "after the end of a transfer: {line}");
    let sender = line["port"].as_u64();
    assert!(transfer.sender.is_none_or(|first| Some(first) == sender), "a second sender: {line}");
    transfer.sender = sender;
    let Some(length) = line["json"]["xfer_data"].as_u64() else {
        assert!(line["json"]["xfer_data"].is_null(), "an end that it cannot read: {line}");
        transfer.ended = true;
        return;
    };
    assert!((1..=1024).contains(&length), "a chunk of {length} bytes: {line}");
    if let (Some(promised), 0) = (transfer.promised, transfer.chunks) {
        let breath = line["at"].as_f64().expect("a time") - promised;
        assert!(breath >= 0.03, "the first chunk comes {breath} s after its leave: {line}");
    }
    let id = line["json"]["seq_id"].as_str().expect("a text").to_owned();
    transfer.open = match transfer.open.take() {
        None => {
            transfer.chunks += 1;
            Some((id, 1))
        }
        Some((open, times)) => {
            assert_eq!(open, id, "the next chunk before the last is confirmed: {line}");
            assert!(times < 2, "a chunk comes a third time: {line}");
            Some((id, times + 1))
        }
    };
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use serde_json::{Value as Json, json};

    use super::follows_the_rules;

    fn line(at: f64, way: &str, json: Json) -> Json {
        json!({"at": at, "way": way, "port": 1, "bytes": 99, "json": json})
    }

    fn getval(number: usize) -> Json {
        let id = "A".repeat(28);
        let (netid, rpc, xferid) = ("BYTESTAG", "getval", number.to_string());
        line(1.0, "in", json!({"netid": netid, "nodeid": id, "rpc": rpc, "xferid": xferid}))
    }

    /// A store's promise, two chunks with their confirmations, and the end.
    fn good() -> Vec<Json> {
        vec![
            line(0.0, "out", json!({"reply_id": "r", "xferid": "x"})),
            line(0.04, "in", json!({"xfer_id": "x", "seq_id": "a", "xfer_data": 1024})),
            line(0.05, "out", json!({"xfer_id": "x", "reply_id": "a"})),
            line(0.06, "in", json!({"xfer_id": "x", "seq_id": "b", "xfer_data": 7})),
            line(0.07, "out", json!({"xfer_id": "x", "reply_id": "b"})),
            line(0.08, "in", json!({"xfer_id": "x", "xfer_data": null})),
        ]
    }

    #[test]
    fn a_trace_by_the_rules_is_told_from_one_that_breaks_them() {
        let mut gets = good();
        gets.extend((0..3).map(getval));
        follows_the_rules(&gets);
        let broken: [fn(&mut Vec<Json>); 11] = [
            |trace| trace[1]["at"] = json!(0.01),
            |trace| {
                trace[0]["json"] = json!({"rpc": "getval", "xferid": "x"});
                trace[1]["at"] = json!(0.01);
            },
            |trace| trace[1]["json"]["xfer_data"] = json!(1025),
            |trace| trace[3]["port"] = json!(2),
            |trace| trace[3]["json"]["seq_id"] = json!(["b"]),
            |trace| trace[1]["bytes"] = json!(8193),
            |trace| drop(trace.remove(2)),
            |trace| trace.push(trace[5].clone()),
            |trace| trace.extend((0..4).map(getval)),
            |trace| trace.extend([getval(0), getval(0)]),
            |trace| {
                trace.push(getval(0));
                trace[6]["json"]["rpc"] = json!("findval");
            },
        ];
        for (number, breaks) in broken.into_iter().enumerate() {
            let mut trace = good();
            breaks(&mut trace);
            assert!(catch_unwind(|| follows_the_rules(&trace)).is_err(), "case {number}");
        }
    }
}
