//! Every command, what it answers, and what it says when it cannot.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::node::Node;

#[test]
fn connect_answers_with_the_peer_once_the_handshake_is_done() {
    let mut one = Node::start(&[]);
    let mut two = Node::start(&[]);
    let reply = two.ask(&format!("connect {}", one.address));
    assert_eq!(reply, json!({ "reply": "connect", "peer": one.id }));
    assert_eq!(two.event("connect"), json!({ "event": "connect", "peer": one.id }));
    assert_eq!(one.event("connect"), json!({ "event": "connect", "peer": two.id }));

    let peers = two.ask("peers");
    let expected = json!([{ "id": one.id, "addr": one.address, "outgoing": true }]);
    assert_eq!(peers, json!({ "reply": "peers", "peers": expected }));
    assert_eq!(one.ask("peers")["peers"][0]["outgoing"], false);
}

#[test]
fn disconnect_takes_an_id_the_beginning_of_one_or_an_address() {
    let (mut one, mut two) = Node::pair();
    let id = one.id.clone();
    for name in [id.clone(), id[..8].to_owned(), one.address.clone()] {
        if two.ask("peers")["peers"] == json!([]) {
            assert_eq!(two.ask(&format!("connect {}", one.address))["peer"], id);
        }
        let reply = two.ask(&format!("disconnect {name}"));
        assert_eq!(reply, json!({ "reply": "disconnect", "peer": id }));
        assert_eq!(two.event("disconnect"), json!({ "event": "disconnect", "peer": id }));
        assert_eq!(one.event("disconnect")["peer"], two.id);
    }
    let refused = two.ask("disconnect nobody");
    assert!(text(&refused["error"]).contains("no peer is `nobody`"), "{refused}");
}

#[test]
fn id_status_help_and_request_peers_answer() {
    let (mut one, _two) = Node::pair();
    assert_eq!(one.ask("id"), json!({ "reply": "id", "id": one.id }));
    assert_eq!(one.ask("request_peers"), json!({ "reply": "request_peers" }));
    let status = one.ask("status");
    assert_eq!((&status["id"], &status["listen"]), (&json!(one.id), &json!(one.address)));
    assert_eq!((&status["peers"], &status["problems"]), (&json!(1), &json!([])));
    assert!(status["traffic"]["frames_received"].as_u64().unwrap() > 0);
    let help = one.ask("help");
    let names: Vec<_> =
        help["commands"].as_array().unwrap().iter().map(|row| text(&row["command"])).collect();
    for name in ["connect", "peers", "send", "whisper", "reply", "status", "id", "help", "quit"] {
        assert!(names.contains(&name.to_owned()), "{name}: {names:?}");
        assert!(
            help.to_string().contains(&one.ask(&format!("help {name}"))["commands"][0].to_string())
        );
    }
}

#[test]
fn a_command_that_fails_says_why_and_the_node_goes_on() {
    let mut node = Node::start(&[]);
    let mut refused = |line: &str, reason: &str| {
        let answer = node.ask(line);
        assert_eq!((answer.as_object().unwrap().len(), &answer["command"]), (2, &json!(line)));
        let error = text(&answer["error"]);
        assert!(error.contains(reason), "{line}: {error}");
    };
    refused("send hello", "no peers");
    refused("whisper hello", "no peers");
    refused("reply hello", "no message has come");
    refused("send", "send PART...");
    refused("connect", "connect HOST:PORT");
    refused("connect a b", "connect HOST:PORT");
    refused("connect localhost", ":PORT");
    refused("connect localhost:seven", ":PORT");
    refused("connect 127.0.0.1:0", "port 0");
    refused("connect ::1:80", "brackets");
    refused("frobnicate", "no command `frobnicate`");
    refused("help frobnicate", "no command `frobnicate`");
    refused("send don't", "' in column 9");
    refused("send json:{a:1}", "single ones");
    refused("send 'json:{\"bin\":\"xyz\"}'", "hexadecimal");
    refused("connect no-such-host.invalid:80", "is the name right");
    let itself = format!("connect {}", node.address);
    let answer = node.ask(&itself);
    assert!(text(&answer["error"]).contains("this node itself"), "{answer}");
    node.quit();
}

#[test]
fn an_address_where_nobody_listens_is_told_so() {
    let mut node = Node::start(&[]);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = text(&node.ask(&format!("connect {free}"))["error"]);
    assert!(error.contains(&free.to_string()) && error.contains("nobody listens"), "{error}");
}

#[test]
fn a_line_that_is_no_text_or_blank_does_no_harm() {
    let mut node = Node::start(&[]);
    node.say_bytes(b"\n  \n\r\nid \xff\n");
    let error = node.wait("an error", |line| !line["error"].is_null());
    assert!(text(&error["error"]).contains("not UTF-8 from byte 3"), "{error}");
    node.say_bytes(b"id\r\n");
    assert_eq!(node.wait("a reply", |line| line["reply"] == "id")["id"], node.id);
}

#[test]
fn replies_come_in_the_order_of_commands_and_each_waits_for_the_one_before() {
    let one = Node::start(&[]);
    let mut two = Node::start(&[]);
    two.say_bytes(format!("connect {}\nsend hello\nfoo\npeers\n", one.address).as_bytes());
    let mut answer = || two.wait("an answer", |line| line["event"].is_null());
    assert_eq!(answer()["reply"], "connect");
    assert_eq!(answer()["reply"], "send");
    assert_eq!(answer()["command"], "foo");
    assert_eq!(answer()["peers"].as_array().unwrap().len(), 1);
}

#[test]
fn events_are_told_while_a_command_takes_its_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut one, mut two) = Node::pair();
    one.say(&format!("connect {}", silent.local_addr().unwrap()));
    let _held = silent.accept().unwrap();
    assert_eq!(two.ask("send meanwhile")["reply"], "send");
    let next =
        one.wait("the message", |line| line["event"] == "message" || !line["error"].is_null());
    assert_eq!(next["packets"], json!(["meanwhile"]));
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
