//! The messages on `docs/protocol/sync.md` are those that nodes send.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::VecDeque;

use rs2p_base::{DialId, Input, LinkId, Machine as _, Origin, Output, Time};
use rs2p_mesh::{Birth, OverMesh as _};
use rs2p_sync::{Sync, SyncConfig};
use rs2p_wire::{Message, SubFlag};

/// Ada knows a colour and bob a door; they meet, and ada chooses another colour.
fn messages_of_two_nodes() -> Vec<Message> {
    let mut nodes = ["ada", "bob"].map(|name| {
        let address = format!("{name}.example:4444").parse().unwrap();
        let mut birth = Birth::new("sync1", address, 1);
        birth.id = name.parse().unwrap();
        Sync::new(birth, SyncConfig::default())
    });
    let [ada, bob] = &mut nodes;
    ada.set(Time::from_secs(1_500_000_000), "colour", "green").unwrap();
    bob.set(Time::from_secs(1_500_000_060), "door", "open").unwrap();

    let now = Time::from_secs(1_500_000_100);
    let address = "ada.example:4444".parse().unwrap();
    bob.with_mesh(now, |mesh| mesh.connect(now, address));
    let mut said = VecDeque::new();
    let mut heard = carry(&mut nodes, now, &mut said);
    nodes[0].set(now, "colour", "blue").unwrap();
    heard.extend(carry(&mut nodes, now, &mut said));
    assert_eq!(nodes[1].get("colour").unwrap().as_str(), Some("blue"));
    assert_eq!(nodes[0].get("door").unwrap().as_str(), Some("open"));
    heard
}

/// Carries what two nodes say to each other until they fall silent.
fn carry(nodes: &mut [Sync; 2], now: Time, said: &mut VecDeque<Message>) -> Vec<Message> {
    const LINK: LinkId = LinkId(1);
    let mut heard = Vec::new();
    let mut silent = 0;
    let mut at = 1;
    while silent < 2 {
        silent += 1;
        while let Some(output) = nodes[at].poll_output() {
            silent = 0;
            match output {
                Output::Dial { dial: DialId(dial), to } => {
                    let origin = Origin::Dialled(DialId(dial));
                    let opened = Input::Opened { link: LINK, origin, remote: to.clone() };
                    nodes[at].handle_input(now, opened);
                    let origin = Origin::Accepted;
                    let opened = Input::Opened { link: LINK, origin, remote: to };
                    nodes[1 - at].handle_input(now, opened);
                }
                Output::Send { link, frame, .. } => {
                    let bytes = frame.weight();
                    said.push_back(frame.message().clone());
                    nodes[at].handle_input(now, Input::Flushed { link, bytes });
                }
                _ => {}
            }
        }
        at = 1 - at;
        while let Some(message) = said.pop_front() {
            heard.push(message.clone());
            nodes[at].handle_input(now, Input::Message { link: LINK, message });
        }
    }
    heard
}

/// The bytes in each block of the page: what stands in a line before two spaces.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line == "```text hex" {
            let lines = lines.by_ref().take_while(|line| *line != "```");
            let bytes = lines.flat_map(|line| line.split("  ").next());
            blocks.push(bytes.collect::<String>().replace(' ', ""));
        }
    }
    blocks
}

#[test]
fn every_message_on_the_page_is_one_that_a_node_sends_and_none_is_left_out() {
    let page = include_str!("../../../docs/protocol/sync.md");
    let flags = [SubFlag::Store].into_iter().chain((0x28..=0x2b).map(SubFlag::Other));
    let said = messages_of_two_nodes();
    let of = |flag| said.iter().filter(move |message| message.sub_flag() == Some(flag));
    let expected: Vec<String> =
        flags.map(|flag| hex::encode(of(flag).next().unwrap().body())).collect();
    assert_eq!(blocks(page), expected);
}
