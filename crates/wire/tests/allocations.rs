//! Relaying costs a checksum, and no memory.

#![expect(clippy::unwrap_used, reason = "helpers are tests, too")]

use bytes::{Bytes, BytesMut};
use rs2p_wire::{Compression, IdForm, Limits, MainFlag, Message, RawFrame, SubFlag, Value};

const LINKS: usize = 8;
const FRAMES: usize = 16;

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
    let sender = "6fdzY5aYQFaZ5LnHzQ6nN9SzSoJN1oYytJDxLvSNzqYC46zwydZR5V6vruirUpwauz";
    let limits = Limits::default();
    Message::encode(MainFlag::Broadcast, IdForm::Bin, sender, 1, payload, &limits).unwrap()
}

fn payload() -> [Value; 3] {
    [SubFlag::Broadcast.into(), "a text".into(), Value::Binary(vec![7; 1024])]
}
