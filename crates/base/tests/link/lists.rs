//! The list of compression methods in a handshake, and what follows from it.

use std::collections::BTreeSet;
use std::sync::Arc;

use rs2p_base::{
    COMPRESS_FROM, Capability, Endpoint, Handshake, LinkConfig, LocalNode, Origin, Protocol,
};
use rs2p_wire::{Compression, IdForm, SubFlag, Value};

use crate::harness::{End, Told};
use crate::{DIALLED, OURS, at, bytes, frame, greeting, handshakes, id, message, node, node_with};

#[test]
fn the_nodes_own_order_chooses_the_method() {
    let methods = |own: &[Compression], announced: &[u64]| {
        let config = LinkConfig { compression: own.to_vec(), ..LinkConfig::default() };
        let mut end = End::open(Origin::Accepted, &node_with(OURS, "Plaintext", config), None);
        let peer = Handshake { methods: announced.into(), ..greeting(IdForm::Bin) };
        end.receive(at(1), &frame(&peer));
        end.link.compression()
    };
    let (zlib, gzip) = (Compression::Zlib, Compression::Gzip);
    assert_eq!(methods(&[zlib, gzip], &[17, 19]), Some(zlib));
    assert_eq!(methods(&[gzip, zlib], &[17, 19]), Some(gzip));
    assert_eq!(methods(&[zlib, gzip], &[127, 20, 17]), Some(gzip));
    assert_eq!(methods(&[zlib, gzip], &[32, 16]), None);
    assert_eq!(methods(&[zlib, gzip], &[]), None);
    assert_eq!(methods(&[], &[17, 19]), None);
}

#[test]
fn a_repeated_handshake_with_other_methods_changes_the_compression() {
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    end.receive(at(1), &frame(&greeting(IdForm::Bin)));
    assert_eq!(end.link.compression(), Some(Compression::Zlib));

    for (methods, expected) in [
        (vec![], None),
        (vec![17], Some(Compression::Gzip)),
        (vec![18, 32], Some(Compression::Snappy)),
    ] {
        let again = Handshake { methods: methods.into(), ..greeting(IdForm::Bin) };
        end.receive(at(2), &frame(&again));
        assert_eq!(end.link.compression(), expected);
        assert_eq!(end.peer(), Some(again));
        assert_eq!(end.told.last(), Some(&Told::Repeated));
    }
}

#[test]
fn no_number_is_announced_twice() {
    // js2p takes a number that comes twice for one that does not come at all.
    let doubled = vec![Compression::Zlib, Compression::Zlib, Compression::Gzip, Compression::Zlib];
    let config = LinkConfig { compression: doubled, ..LinkConfig::default() };
    let protocol = Protocol::new("mesh", "Plaintext");
    let mut local = LocalNode::new(id(OURS), &protocol, None, config);
    for capability in [Capability::RS2P, Capability::new(5), Capability::new(5)] {
        local = local.with_capability(capability);
    }
    for (origin, form) in [(DIALLED, None), (Origin::Accepted, Some(IdForm::Str))] {
        let mut end = End::open(origin, &Arc::new(local.clone()), form);
        let sent = end.take_sent();
        let announced = announced(&sent[0].message().payload(&local.config().limits).unwrap());
        assert_eq!(announced, [19, 17, Capability::RS2P.code(), Capability::new(5).code()]);
        let all: BTreeSet<_> = announced.iter().collect();
        assert_eq!(all.len(), announced.len());
    }
}

#[test]
fn methods_that_a_build_lacks_are_neither_announced_nor_used() {
    let all = [0x10, 0x11, 0x12, 0x13, 0x20].map(|code| Compression::from_code(code).unwrap());
    let config = LinkConfig { compression: all.to_vec(), ..LinkConfig::default() };
    let node = node_with(OURS, "Plaintext", config);
    let built_in = all.into_iter().filter(|method| Compression::AVAILABLE.contains(method));
    let built_in: Vec<_> = built_in.collect();
    assert_eq!(node.config().compression, built_in);

    let mut end = End::open(Origin::Accepted, &node, None);
    let methods = all.iter().map(|method| method.code()).collect();
    end.receive(at(1), &frame(&Handshake { methods, ..greeting(IdForm::Bin) }));
    let codes: Vec<_> = built_in.iter().map(|method| method.code()).collect();
    assert_eq!(*handshakes(&end.take_sent())[0].methods, *codes);
    assert_eq!(end.link.compression(), built_in.first().copied());
}

#[test]
fn a_handshake_is_plain_however_long_it_is_and_whatever_was_agreed() {
    let long = Endpoint::new(&"n".repeat(Endpoint::MAX_NAME), 9).unwrap();
    let protocol = Protocol::new("mesh", "Plaintext");
    let mut local = LocalNode::new(id(OURS), &protocol, Some(long), LinkConfig::default());
    for number in 0..59 {
        local = local.with_capability(Capability::new(number));
    }
    let mut end = End::open(Origin::Accepted, &Arc::new(local), None);
    end.receive(at(1), &frame(&greeting(IdForm::Str)));
    assert!(end.link.compression().is_some());
    let sent = end.take_sent();
    assert!(sent[0].message().body().len() > COMPRESS_FROM);
    // `handshakes` asserts that it is plain.
    assert_eq!(handshakes(&sent)[0].capabilities.len(), 59);
}

#[test]
fn a_list_of_a_hundred_thousand_numbers_is_not_kept() {
    let long: Vec<_> = (0..100_000u32).map(Value::from).collect();
    let renegotiate = [SubFlag::Compression.into(), Value::Array(long.clone())];
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    end.receive(at(1), &frame(&greeting(IdForm::Bin)));
    end.receive(at(2), &bytes(&message(1.into(), &renegotiate)));
    assert_eq!(end.peer().unwrap().methods.len(), 64);

    let peer = greeting(IdForm::Bin);
    let handshake = [
        SubFlag::Handshake.into(),
        peer.form.value(&peer.id.to_string()),
        peer.form.value(&peer.protocol),
        Value::Nil,
        Value::Array(long),
    ];
    end.receive(at(3), &bytes(&message(2.into(), &handshake)));
    assert_eq!(end.told, [Told::Established, Told::Repeated]);
    assert_eq!(end.peer().unwrap().methods.len(), 64);
}

/// The numbers of a handshake's list, as they stand on the wire.
fn announced(payload: &[Value]) -> Vec<u64> {
    payload[4].as_array().unwrap().iter().filter_map(Value::as_u64).collect()
}
