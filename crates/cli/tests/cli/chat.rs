//! Two and three nodes that talk.

use serde_json::json;

use super::node::Node;

#[test]
fn a_message_reaches_the_other_node_and_is_answered() {
    let (mut one, mut two) = Node::pair();
    let sent = two.ask("send hello 'two words'");
    assert_eq!(sent["reply"], "send");
    let id = sent["id"].as_str().unwrap();
    assert_eq!((id.len(), sent.as_object().unwrap().len()), (64, 2));
    let message = one.event("message");
    let time = message["time"].as_u64().unwrap();
    assert!(time > 1_700_000_000);
    let expected = json!({"event": "message", "sender": two.id, "time": time, "packets": ["hello", "two words"]});
    assert_eq!(message, expected);

    let replied = one.ask("reply 'hello yourself'");
    assert_eq!((&replied["reply"], replied.as_object().unwrap().len()), (&json!("reply"), 2));
    let message = two.event("message");
    assert_eq!(
        (&message["sender"], &message["packets"]),
        (&json!(one.id), &json!(["hello yourself"]))
    );
    two.quit();
    assert_eq!(one.event("disconnect")["event"], "disconnect");
    one.quit();
}

#[test]
fn any_value_arrives_as_it_was_sent() {
    let (mut one, mut two) = Node::pair();
    let value = json!({
        "text": "ä 日本 \u{1b} \n", "list": [null, true, -1, 18_446_744_073_709_551_615_u64, 1.5, []],
        "binary": { "bin": "00ff" }, "": {},
    });
    two.say(&format!("send 'json:{value}' json:7 '' 'json:\"\"' #1 json:{{}}"));
    assert_eq!(one.event("message")["packets"], json!([value, 7, "", "", "#1", {}]));
}

#[test]
fn a_broadcast_is_passed_on_and_a_whisper_is_not() {
    let mut middle = Node::start(&[]);
    let address = middle.address.clone();
    let mut ends = [(); 2].map(|()| {
        // An address that nobody can dial keeps the two ends apart.
        Node::start(&["--connect", &address, "--advertise", "127.0.0.1:1"])
    });
    middle.event("connect");
    middle.event("connect");
    assert_eq!(ends[0].ask("whisper psst")["reply"], "whisper");
    assert_eq!(ends[0].ask("send all")["reply"], "send");
    assert_eq!(middle.event("message")["packets"], json!(["psst"]));
    assert_eq!(middle.event("message")["packets"], json!(["all"]));
    assert_eq!(ends[1].event("message")["packets"], json!(["all"]), "the whisper came first");
}

#[test]
fn a_reply_connects_to_the_author_when_there_is_no_link() {
    let mut middle = Node::start(&[]);
    let mut author = Node::start(&["--connect", &middle.address]);
    middle.event("connect");
    let mut reader = Node::start(&["--connect", &middle.address]);
    middle.event("connect");
    assert_eq!(author.ask("send who")["reply"], "send");
    reader.event("message");
    assert_eq!(reader.ask("reply me")["reply"], "reply");
    assert_eq!(author.event("message")["packets"], json!(["me"]));
    let peers = reader.ask("peers");
    let peers = peers["peers"].as_array().unwrap();
    assert!(peers.iter().any(|peer| peer["id"] == author.id), "{peers:?}");
}

#[test]
fn a_large_message_arrives_whole() {
    let (mut one, mut two) = Node::pair();
    let text = "x".repeat(1 << 20);
    assert_eq!(two.ask(&format!("send {text}"))["reply"], "send");
    assert_eq!(one.event("message")["packets"], json!([text]));
}
