//! Ports forwarded by a router, which here is a program on the same machine.

#![cfg(feature = "upnp")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod gateway;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rs2p_bytestag::{DhtNode, PortMapping, PortMappingConfig, PortMappingError, PortMappingState};
use tokio::net::UdpSocket;

use crate::gateway::{Gateway, config, description, http, refusal, searched, willing};

/// How long anything may take; far more than it does.
const DEADLINE: Duration = Duration::from_secs(40);

const LOCAL: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 40_000);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap()
}

async fn failure(config: PortMappingConfig) -> (PortMappingError, PortMapping) {
    let mapping = PortMapping::open(LOCAL, config);
    let error = within(mapping.settled()).await.unwrap_err();
    within(mapping.close()).await;
    assert!(matches!(mapping.state(), PortMappingState::Closed));
    (Arc::into_inner(error).unwrap(), mapping)
}

#[tokio::test]
async fn a_port_is_forwarded_renewed_and_given_back() {
    let mut gateway = Gateway::new(willing).await;
    let mapping = PortMapping::open(LOCAL, gateway.config());
    let mapped = within(mapping.settled()).await.unwrap();
    assert_eq!((mapped.internal, mapped.port), (LOCAL, 40_000));
    assert_eq!(mapped.external, Some(Ipv4Addr::new(203, 0, 113, 7)));
    assert_eq!(mapped.lease, Some(Duration::from_secs(1)));
    // The second is a renewal.
    for _ in 0..2 {
        let call = within(gateway.call("AddPortMapping")).await;
        assert_eq!(call.argument("NewExternalPort"), "40000");
        assert_eq!(call.argument("NewInternalPort"), "40000");
        assert_eq!(call.argument("NewInternalClient"), "127.0.0.1");
        assert_eq!(call.argument("NewProtocol"), "UDP");
        assert_eq!(call.argument("NewPortMappingDescription"), "rs2p");
        assert_eq!(call.argument("NewLeaseDuration"), "1");
    }
    within(mapping.close()).await;
    let call = within(gateway.call("DeletePortMapping")).await;
    assert_eq!(call.argument("NewExternalPort"), "40000");
    assert_eq!(call.argument("NewProtocol"), "UDP");
    assert!(matches!(mapping.state(), PortMappingState::Closed));
    assert!(matches!(*mapping.settled().await.unwrap_err(), PortMappingError::Closed));
}

#[tokio::test]
async fn a_dropped_mapping_is_given_back_as_well() {
    let mut gateway = Gateway::new(willing).await;
    let mapping = PortMapping::open(LOCAL, gateway.config());
    within(mapping.settled()).await.unwrap();
    drop(mapping);
    within(gateway.call("DeletePortMapping")).await;
}

#[tokio::test]
async fn a_node_runs_whether_its_port_is_forwarded_or_not() {
    let mut gateway = Gateway::new(willing).await;
    let node = DhtNode::builder().port_mapping(gateway.config()).start().await.unwrap();
    let mapped = within(node.port_mapping().unwrap().settled()).await.unwrap();
    assert_eq!(mapped.internal, node.address());
    assert_eq!(mapped.port, node.address().port());

    let default = PortMappingConfig::default();
    let other = DhtNode::builder().port_mapping(default).start().await.unwrap();
    let error = within(other.port_mapping().unwrap().settled()).await.unwrap_err();
    assert!(matches!(*error, PortMappingError::Loopback(at) if at == other.address()));
    within(other.ping(node.address())).await.unwrap();

    within(node.close()).await.unwrap();
    within(gateway.call("DeletePortMapping")).await;
    within(other.close()).await.unwrap();
}

#[tokio::test]
async fn a_router_without_leases_gets_a_lasting_mapping() {
    let mut gateway = Gateway::new(|call| {
        let refused = call.action == "AddPortMapping" && call.argument("NewLeaseDuration") != "0";
        if refused { refusal(725, "OnlyPermanentLeasesSupported") } else { willing(call) }
    })
    .await;
    let mapping = PortMapping::open(LOCAL, gateway.config());
    assert_eq!(within(mapping.settled()).await.unwrap().lease, None);
    within(mapping.close()).await;
    within(gateway.call("DeletePortMapping")).await;
}

#[tokio::test]
async fn a_router_that_hides_its_address_forwards_all_the_same() {
    let gateway = Gateway::new(|call| match call.action.as_str() {
        "GetExternalIPAddress" => refusal(501, "Action Failed"),
        _ => willing(call),
    })
    .await;
    let mapping = PortMapping::open(LOCAL, gateway.config());
    assert_eq!(within(mapping.settled()).await.unwrap().external, None);
}

#[tokio::test]
async fn a_refusal_says_why_and_takes_nothing_from_others() {
    for (code, text, expected) in [
        (718, "ConflictInMappingEntry", "forwards UDP port 40000 already, to another machine"),
        (606, "Action\u{7} not &lt;authorized&gt;", "(error 606: Action\\u{7} not <authorized>)"),
    ] {
        let mut gateway = Gateway::new(move |_| refusal(code, text)).await;
        let (error, _mapping) = failure(gateway.config()).await;
        assert!(error.to_string().contains(expected), "{error}");
        while let Ok(call) = gateway.calls.try_recv() {
            assert_eq!(call.action, "AddPortMapping");
        }
    }
}

#[tokio::test]
async fn silence_is_told_after_a_while() {
    let silent = searched("").await;
    let short = Duration::from_millis(100);
    let (error, _) = failure(PortMappingConfig { search: short, ..config(silent) }).await;
    assert!(error.to_string().contains("no router has answered within 100ms"), "{error}");
    assert!(error.to_string().contains("UDP port 40000"), "{error}");

    let gateway = Gateway::new(|_| None).await;
    let (error, _) = failure(PortMappingConfig { answer: short, ..gateway.config() }).await;
    assert!(error.to_string().contains("has not answered within 100ms"), "{error}");
}

#[tokio::test]
async fn garbage_is_an_error() {
    let long = http(200, &"<a>".repeat(200_000));
    let endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n";
    let elsewhere = String::from_utf8(description()).unwrap();
    let elsewhere = elsewhere.replace(" control?", "http://127.0.0.2/");
    for (described, expected) in [
        (http(200, "<root>").into_bytes(), "names no service that forwards ports"),
        (http(200, &"<a>".repeat(50_000)).into_bytes(), "names no service that forwards ports"),
        (elsewhere.into_bytes(), "names no service that forwards ports"),
        (long.into_bytes(), "answers with more than 262144 bytes"),
        (http(404, "").into_bytes(), "answers with HTTP status 404"),
        (b"\xff\xfe\0garbage\r\n\r\n".to_vec(), "cannot be asked"),
        (endless.to_vec(), "gives an answer that makes no sense"),
        (Vec::new(), "cannot be asked"),
    ] {
        let gateway = Gateway::describing(described, willing).await;
        let search = Duration::from_millis(300);
        let (error, _) = failure(PortMappingConfig { search, ..gateway.config() }).await;
        assert!(error.to_string().contains(expected), "{error}");
    }
    for (answer, expected) in [
        (http(200, "<s:Envelope>"), "gives an answer that makes no sense"),
        (http(500, "<errorCode>many</errorCode>"), "answers with HTTP status 500"),
        (http(500, "<errorCode>99999</errorCode>"), "answers with HTTP status 500"),
    ] {
        let gateway = Gateway::new(move |_| Some(answer.clone())).await;
        let (error, _) = failure(gateway.config()).await;
        assert!(error.to_string().contains(expected), "{error}");
    }
    for answer in [&b"\xff\xff"[..], b"HTTP/1.1 200 OK\r\nLocation: http://127.0.0.9:1/\r\n"] {
        let search = Duration::from_millis(100);
        let address = searched(answer).await;
        let (error, _) = failure(PortMappingConfig { search, ..config(address) }).await;
        assert!(matches!(error, PortMappingError::NoGateway { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_router_that_comes_back_is_found_again() {
    let works = Arc::new(AtomicBool::new(false));
    let added = Arc::new(AtomicUsize::new(0));
    let (switch, count) = (Arc::clone(&works), Arc::clone(&added));
    let gateway = Gateway::new(move |call| {
        if !works.load(Ordering::Relaxed) {
            return refusal(501, "Action Failed");
        }
        if call.action == "AddPortMapping" {
            added.fetch_add(1, Ordering::Relaxed);
        }
        willing(call)
    })
    .await;
    let mapping = PortMapping::open(LOCAL, gateway.config());
    let mut changes = mapping.changes();
    let mut next = async |wanted: fn(&PortMappingState) -> bool| {
        within(async { while !wanted(&changes.next().await.unwrap()) {} }).await;
    };
    next(|state| matches!(state, PortMappingState::Failed(_))).await;
    switch.store(true, Ordering::Relaxed);
    next(|state| matches!(state, PortMappingState::Mapped(_))).await;
    switch.store(false, Ordering::Relaxed);
    next(|state| matches!(state, PortMappingState::Failed(_))).await;
    switch.store(true, Ordering::Relaxed);
    next(|state| matches!(state, PortMappingState::Mapped(_))).await;
    assert!(count.load(Ordering::Relaxed) >= 2);
}

#[tokio::test]
async fn a_flood_of_answers_does_not_keep_a_search_going() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, socket.local_addr().unwrap().port());
    tokio::spawn(async move {
        let mut question = [0; 2048];
        let (_, from) = socket.recv_from(&mut question).await.unwrap();
        while socket.send_to(b"HTTP/1.1 200 OK\r\n\r\n", from).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    // The search would last a minute.
    let search = Duration::from_secs(60);
    let retry = Duration::from_secs(60);
    let (error, _) = failure(PortMappingConfig { search, retry, ..config(address) }).await;
    assert!(matches!(error, PortMappingError::NoGateway { .. }), "{error}");
}
