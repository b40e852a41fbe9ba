//! Real datagrams, and lists of nodes and values, as the reference wrote and read them.

use serde_json::json;

use super::*;
use crate::share::vectors::{Case, cases, hex_key};

/// Numbers say the same however they are written: the reference writes whole seconds without a
/// point.
fn is_same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => ours.as_f64() == theirs.as_f64(),
        (Value::Array(ours), Value::Array(theirs)) => {
            let pairs = || ours.iter().zip(theirs);
            ours.len() == theirs.len() && pairs().all(|(ours, theirs)| is_same(ours, theirs))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            let same = |(name, theirs): (&String, &Value)| {
                ours.get(name).is_some_and(|ours| is_same(ours, theirs))
            };
            ours.len() == theirs.len() && theirs.iter().all(same)
        }
        _ => ours == theirs,
    }
}

/// The packet written anew, as a JSON object.
fn written(packet: Packet, theirs: &Value) -> Value {
    let datagram = match packet {
        Packet::Request(Request { sender, ticket, extended, ask }) => {
            assert!(!extended);
            let ticket = ticket.as_str().map(|ticket| ticket.parse().unwrap());
            request(&sender.unwrap(), &ask, ticket.as_ref(), false)
        }
        Packet::Piece { transfer, chunk: Some(data), ticket } => {
            let ticket = ticket.unwrap().as_str().unwrap().parse().unwrap();
            chunk(&transfer, &data, &ticket)
        }
        Packet::Piece { transfer, chunk: None, ticket: None } => end(&transfer),
        Packet::Reply(Reply { ticket, sender: None, body }) => {
            let transfer = body["xfer_id"].as_str().unwrap();
            confirmation(transfer, ticket.to_base64().into())
        }
        Packet::Reply(Reply { ticket, sender: Some(sender), body }) => {
            Answer::read(&body).write(&sender, ticket.to_base64().into())
        }
        Packet::Piece { .. } => panic!("an end with a ticket: {theirs}"),
    };
    Value::Object(datagram::decode(&datagram).unwrap())
}

#[test]
fn every_real_datagram_is_read_and_written_again_with_the_same_meaning() {
    let cases = cases("packets");
    assert_eq!(cases.len(), 31);
    for case in cases {
        let theirs = &case.value["json"];
        let object = datagram::decode(&case.bytes("raw_hex")).unwrap();
        assert_eq!(Value::Object(object.clone()), *theirs, "{}", case.id);
        let packet = Packet::read(object).unwrap();
        if let Packet::Request(request) = &packet {
            assert_ne!(request.ask, Ask::Unknown, "{}", case.id);
        }
        let ours = written(packet, theirs);
        let mut theirs = theirs.clone();
        if theirs["rpc"] == "store" {
            // The reference reads whole seconds, and so do we write them.
            theirs["timestmp"] = (theirs["timestmp"].as_f64().unwrap() as i64).into();
        }
        assert!(is_same(&ours, &theirs), "{}: {ours} for {theirs}", case.id);
    }
}

fn of_kind(kind: &str, count: usize) -> Vec<Case> {
    let all = cases("models").into_iter();
    let chosen: Vec<_> = all.filter(|case| case.value["kind"] == kind).collect();
    assert_eq!(chosen.len(), count, "{kind}");
    chosen
}

fn contact(node: &Value) -> Contact {
    let address = format!("{}:{}", node["host"].as_str().unwrap(), node["port"]);
    Contact::new(hex_key(&node["id_hex"]), address.parse().unwrap())
}

#[test]
fn lists_of_nodes_are_written_as_the_reference_writes_them() {
    for case in of_kind("node_list_dump", 4) {
        let nodes: Vec<_> = case.value["nodes"].as_array().unwrap().iter().map(contact).collect();
        let written: Value = nodes.iter().map(write_node).collect();
        assert_eq!(written, case.value["expect"]["json"], "{}", case.id);
        assert_eq!(read_nodes(&written).unwrap(), nodes, "{}", case.id);
    }
}

#[test]
fn lists_of_nodes_are_read_as_the_reference_reads_them() {
    for case in of_kind("node_list_load", 14) {
        let read = read_nodes(&case.value["json"]);
        let expect = &case.value["expect"];
        match case.id.as_str() {
            // A host name is left out: no answer could ever be told to come from it (D18).
            "nodes-load-hostname" => assert_eq!(read, Some(vec![]), "{}", case.id),
            // `true` is no port.
            "nodes-load-porttrue" => assert_eq!(read, None, "{}", case.id),
            _ if expect["ok"] == false => assert_eq!(read, None, "{}", case.id),
            _ => {
                let nodes = expect["nodes"].as_array().unwrap().iter().map(contact);
                assert_eq!(read.unwrap(), nodes.collect::<Vec<_>>(), "{}", case.id);
            }
        }
    }
}

#[test]
fn nodes_are_sorted_as_the_reference_sorts_them() {
    for case in of_kind("node_list_sort", 3) {
        let target = hex_key(&case.value["target_hex"]);
        let mut nodes: Vec<_> =
            case.value["nodes"].as_array().unwrap().iter().map(contact).collect();
        nodes.sort_by_key(|node| target.distance(&node.id));
        let expected = case.value["expect"].as_array().unwrap().iter().map(hex_key);
        let ids: Vec<_> = nodes.iter().map(|node| node.id).collect();
        assert_eq!(ids, expected.collect::<Vec<_>>(), "{}", case.id);
    }
}

fn info(info: &Value) -> Entry {
    let id = ValueId { key: hex_key(&info["key_hex"]), index: hex_key(&info["index_hex"]) };
    Entry { id, size: info["size"].as_i64(), stamp: info["time"].as_f64() }
}

#[test]
fn lists_of_values_are_written_as_the_reference_writes_them() {
    for case in of_kind("kvp_info_list_dump", 5) {
        let infos: Vec<_> = case.value["infos"].as_array().unwrap().iter().map(info).collect();
        let written: Value = infos.iter().map(Entry::write).collect();
        assert!(is_same(&written, &case.value["expect"]["json"]), "{}: {written}", case.id);
        assert_eq!(read_entries(&written).unwrap(), infos, "{}", case.id);
    }
}

#[test]
fn lists_of_values_are_read_as_the_reference_reads_them() {
    for case in of_kind("kvp_info_list_load", 11) {
        let read = read_entries(&case.value["json"]);
        let expect = &case.value["expect"];
        if expect["ok"] == false || case.id == "kvp-load-sizetrue" {
            // `true` is no size.
            assert_eq!(read, None, "{}", case.id);
        } else {
            let infos = expect["infos"].as_array().unwrap().iter().map(info);
            assert_eq!(read, Some(infos.collect()), "{}", case.id);
        }
    }
}

#[test]
fn only_texts_are_keys() {
    let all = cases("keys").into_iter();
    let all: Vec<_> = all.filter(|case| case.value["kind"] == "parse_json").collect();
    assert_eq!(all.len(), 4);
    for case in all {
        // Where the reference makes up a random key, it is a defect (D16).
        assert_eq!(key(&case.value["value"]), None, "{}", case.id);
    }
}

/// Nothing of the extension is in a packet that is not to have it.
#[test]
fn without_the_extension_its_members_are_not_written() {
    let own = Key::new([1; 20]);
    let id = ValueId::plain(own);
    let value = None;
    for ask in [
        Ask::Ping,
        Ask::FindNode { key: own },
        Ask::FindValue { key: own, index: None, wants_nodes: false },
        Ask::GetValue { id, transfer: "t".into(), offset: 1 },
        Ask::Store { id, size: 1, stamp: 1, value, wants_nodes: false },
    ] {
        let object = datagram::decode(&request(&own, &ask, Some(&own), false)).unwrap();
        assert!(object.keys().all(|member| !member.starts_with("rs2p")), "{object:?}");
    }
    let object = datagram::decode(&Answer::default().write(&own, json!("q"))).unwrap();
    assert_eq!(object.keys().collect::<Vec<_>>(), ["netid", "nodeid", "reply_id"]);
}
