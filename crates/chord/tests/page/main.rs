//! The messages on `docs/protocol/chord.md` are those that nodes send.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod network;

use std::collections::BTreeSet;

use rs2p_wire::{Limits, Message, SubFlag};

/// What stands in a line of a block.
#[derive(Debug)]
enum Piece {
    Bytes(Vec<u8>),
    /// A number that differs from run to run: of a question, a time, a digest.
    Number,
    /// More of the same.
    Rest,
}

#[derive(Debug)]
struct Block {
    pieces: Vec<Piece>,
    /// Whether it is a message from its first byte on, and not only the end of one.
    is_whole: bool,
}

/// The blocks of the page. The bytes of a line stand before two spaces, and `00{45}` for 45 zeros.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let is_whole = line == "```text hex";
        if is_whole || line == "```text hex end" {
            let pieces = lines.by_ref().take_while(|line| *line != "```").map(piece).collect();
            blocks.push(Block { pieces, is_whole });
        }
    }
    blocks
}

fn piece(line: &str) -> Piece {
    let (bytes, meaning) = line.split_once("  ").unwrap_or((line, ""));
    if bytes == "..." {
        return Piece::Rest;
    }
    if ["number", "time", "digest"].iter().any(|word| meaning.starts_with(word)) {
        return Piece::Number;
    }
    let mut all = Vec::new();
    for word in bytes.split(' ') {
        match word.strip_prefix("00{").and_then(|word| word.strip_suffix('}')) {
            Some(count) => all.resize(all.len() + count.parse::<usize>().unwrap(), 0),
            None => all.extend(hex::decode(word).unwrap_or_else(|_| panic!("{line}"))),
        }
    }
    Piece::Bytes(all)
}

impl Block {
    fn is_of(&self, message: &Message) -> bool {
        let body = message.body();
        let starts = if self.is_whole { 0..1 } else { 0..body.len() };
        starts.into_iter().any(|start| self.is_at_end(&body[start..]))
    }

    /// Whether these bytes are what stands in the block, and nothing more.
    fn is_at_end(&self, mut bytes: &[u8]) -> bool {
        for piece in &self.pieces {
            let length = match piece {
                Piece::Rest => return !bytes.is_empty(),
                Piece::Bytes(expected) if bytes.starts_with(expected) => expected.len(),
                Piece::Bytes(_) => return false,
                Piece::Number => match bytes.first() {
                    Some(0..0x80) => 1,
                    Some(size @ 0xcc..=0xcf) => 1 + (1 << (size - 0xcc)),
                    _ => return false,
                },
            };
            let Some(rest) = bytes.get(length..) else { return false };
            bytes = rest;
        }
        bytes.is_empty()
    }
}

/// The sub-flag of a message of the extension, and which of its messages it is.
fn kind(message: &Message) -> Option<(u64, u64)> {
    let Some(SubFlag::Other(flag @ 0x2c..=0x2f)) = message.sub_flag() else { return None };
    let payload = message.payload(&Limits::default()).unwrap();
    let kind = match flag {
        0x2c => &payload[5][0],
        0x2d => &payload[4][0],
        _ => &payload[1],
    };
    Some((flag, kind.as_u64().unwrap()))
}

#[test]
fn every_message_on_the_page_is_one_that_a_node_sends_and_none_is_left_out() {
    let said = network::messages();
    let said: Vec<_> = said.iter().filter_map(|it| Some((kind(it)?, it))).collect();
    let mut shown = BTreeSet::new();
    for block in blocks(include_str!("../../../../docs/protocol/chord.md")) {
        let kinds = said.iter().filter(|(_, it)| block.is_of(it)).map(|(kind, _)| *kind);
        let kinds: BTreeSet<_> = kinds.collect();
        assert_eq!(kinds.len(), 1, "nobody says, or several messages have: {block:02x?}");
        shown.extend(kinds);
    }
    let all = [(0x2c, 7), (0x2d, 10), (0x2e, 7), (0x2f, 7)];
    let all = all.into_iter().flat_map(|(flag, kinds)| (0..kinds).map(move |kind| (flag, kind)));
    assert_eq!(shown, all.collect());
}
