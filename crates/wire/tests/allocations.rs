//! Relaying costs a checksum, and no memory; lists of peers take a block when they are written.

#![expect(clippy::unwrap_used, reason = "helpers are tests, too")]

use bytes::{Bytes, BytesMut};
use rs2p_wire::{
    Compression, Element, IdForm, Limits, MainFlag, Message, MessageWriter, RawFrame, SubFlag,
    Value, base58,
};

const LINKS: usize = 8;
const FRAMES: usize = 16;
const LISTED: usize = 64;
const SENDER: &str = "6fdzY5aYQFaZ5LnHzQ6nN9SzSoJN1oYytJDxLvSNzqYC46zwydZR5V6vruirUpwauz";

#[test]
fn relaying_a_plain_frame_to_eight_links_allocates_nothing() {
    let mut read_buffer = read_buffer();
    let mut queues: [Vec<Bytes>; LINKS] = std::array::from_fn(|_| Vec::with_capacity(FRAMES));
    // The first frame cut off makes the read buffer countable: one small block for all of it.
    let first = allocation_counter::measure(|| relay(&mut read_buffer, &mut queues));
    assert!(first.count_total <= 1, "{first:?}");
    let others = allocation_counter::measure(|| {
        for _ in 1..FRAMES {
            relay(&mut read_buffer, &mut queues);
        }
    });
    assert_eq!(others.count_total, 0, "{others:?}");
    assert!(read_buffer.is_empty());
    assert!(queues.iter().all(|queue| queue.len() == FRAMES));
}

#[test]
fn a_duplicate_is_recognised_and_dropped_without_an_allocation() {
    let mut read_buffer = read_buffer();
    let limits = Limits::default();
    let known = RawFrame::split_from(&mut read_buffer, &limits).unwrap().unwrap().claimed_id();
    let dropped = allocation_counter::measure(|| {
        while let Some(raw) = RawFrame::split_from(&mut read_buffer, &limits).unwrap() {
            assert_eq!(raw.claimed_id(), known);
        }
    });
    assert_eq!(dropped.count_total, 0, "{dropped:?}");
}

#[test]
fn a_message_is_written_with_one_allocation() {
    let payload = payload();
    let written = allocation_counter::measure(|| drop(message(&payload)));
    assert_eq!(written.count_total, 1, "{written:?}");
}

#[test]
fn a_list_is_written_with_one_allocation_and_read_with_none() {
    let limits = Limits::default();
    let write = || {
        let mut writer =
            MessageWriter::with_room(LISTED * 89 + 4, MainFlag::Whisper, IdForm::Bin, SENDER, 1, 2);
        writer.unsigned(SubFlag::Peers.into());
        writer.array(LISTED, |writer| {
            for port in 0..LISTED {
                writer.array(2, |writer| {
                    writer.array(2, |writer| {
                        writer.text("255.255.255.255");
                        writer.unsigned(40_000 + port as u64);
                    });
                    writer.base58(&base58::Text::of(&[0xff; 48]), IdForm::Bin);
                });
            }
        });
        writer.finish(&limits).unwrap()
    };
    let written = allocation_counter::measure(|| drop(write()));
    // Once more when what was left over is given back.
    assert!(written.count_total <= 2, "{written:?}");
    let message = write();
    let read = allocation_counter::measure(|| {
        let list = message.elements(&limits).unwrap().nth(1).unwrap().as_array().unwrap();
        let is_listed = |entry: &Element<'_>| entry.as_array_of::<2>().is_some();
        assert_eq!(list.filter(is_listed).count(), LISTED);
    });
    assert_eq!(read.count_total, 0, "{read:?}");
}

fn relay(read_buffer: &mut BytesMut, queues: &mut [Vec<Bytes>]) {
    let limits = Limits::default();
    let raw = RawFrame::split_from(read_buffer, &limits).unwrap().unwrap();
    let message = Message::parse(raw.verify(Compression::AVAILABLE, &limits).unwrap()).unwrap();
    message.check(&limits).unwrap();
    for queue in queues {
        queue.push(message.clone().into());
    }
}

fn read_buffer() -> BytesMut {
    let frame: Bytes = message(&payload()).into();
    BytesMut::from(&frame.repeat(FRAMES)[..])
}

fn message(payload: &[Value]) -> Message {
    let limits = Limits::default();
    Message::encode(MainFlag::Broadcast, IdForm::Bin, SENDER, 1, payload, &limits).unwrap()
}

fn payload() -> [Value; 3] {
    [SubFlag::Broadcast.into(), "a text".into(), Value::Binary(vec![7; 1024])]
}
