//! Ids of networks and nodes, as the references derive them.

use rs2p_base::{NodeId, NodeIdError, Protocol};

use crate::{cases, load, text};

#[test]
fn a_protocol_has_the_id_that_the_references_give_it() {
    let file = load("protocol_ids");
    assert_eq!(text(&file, "protocol_version"), Protocol::VERSION);
    for case in cases(&file, "cases", 52) {
        let protocol = Protocol::new(text(case, "subnet"), text(case, "encryption"));
        assert_eq!(protocol.id().to_string(), text(case, "id"), "{case}");
        assert_eq!(protocol.subnet(), text(case, "subnet"));
        assert_eq!(protocol.encryption(), text(case, "encryption"));
    }
}

#[test]
fn a_node_has_the_id_that_the_references_give_it() {
    let file = load("node_ids");
    for case in cases(&file, "py2p", 22).iter().chain(cases(&file, "js2p", 22)) {
        let protocol = Protocol::new(text(case, "subnet"), text(case, "encryption")).id();
        assert_eq!(protocol.to_string(), text(case, "protocol_id"), "{case}");
        let id = NodeId::derive(text(case, "addr_repr"), &protocol, text(case, "salt"));
        assert_eq!(id.to_string(), text(case, "id"), "{case}");
        assert_eq!(text(case, "id").parse(), Ok(id));
        assert_eq!(hex::encode(id.to_bytes()), text(case, "sha384"));
        assert_eq!(NodeId::from_bytes(id.to_bytes()), id);
    }
}

#[test]
fn ids_are_ordered_as_the_numbers_they_are() {
    let file = load("node_ids");
    let mut ids: Vec<_> = cases(&file, "py2p", 22)
        .iter()
        .map(|case| (text(case, "id").parse::<NodeId>().unwrap(), text(case, "id_decimal")))
        .collect();
    ids.sort();
    assert!(ids.is_sorted_by_key(|(_, decimal)| (decimal.len(), *decimal)));
}

#[test]
fn every_number_of_384_bits_is_an_id_and_no_larger_one() {
    let file = load("node_ids");
    let mut ids = 0;
    for case in cases(&file, "base58_int", 41) {
        let id = text(case, "text").parse::<NodeId>();
        if case["bits"].as_u64().unwrap() <= 384 {
            assert_eq!(id.unwrap().to_string(), text(case, "text"));
            ids += 1;
        } else {
            assert!(matches!(id, Err(NodeIdError::Base58(_))), "{case}");
        }
    }
    assert!((20..41).contains(&ids), "{ids} of the numbers are ids");
}

#[test]
fn texts_that_no_node_writes_are_no_ids() {
    let file = load("node_ids");
    let odd = cases(&file, "base58_decode_only", 4).iter().chain(cases(&file, "base58_invalid", 9));
    for case in odd {
        let id = text(case, "text").parse::<NodeId>();
        // The one among them that is written so, too, is zero.
        assert_eq!(id.is_ok(), text(case, "text") == "1", "{case}: {id:?}");
    }
}
