//! The operations that are timed, and the floors beneath them.
//!
//! All work on batches as a reader meets them: a buffer that holds many frames, each a message of
//! its own. Filling the buffers is not timed; what an operation allocates and frees is.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rs2p::wire::{
    Compression, Frame, IdForm, Limits, MainFlag, Message, MessageId, RawFrame, SubFlag, Value,
};
use sha2::{Digest as _, Sha256};

/// To so many links a message is relayed.
const LINKS: usize = 8;
/// So many messages a node remembers, to know them again.
const SEEN: usize = 1024;
const SENDER: &str = "6fdzY5aYQFaZ5LnHzQ6nN9SzSoJN1oYytJDxLvSNzqYC46zwydZR5V6vruirUpwauz";

/// Something that can be timed.
pub(crate) struct Operation {
    pub(crate) name: String,
    batch: Box<dyn FnMut(usize) -> Duration>,
    largest: usize,
}

impl Operation {
    /// Runs one batch after the other, of `largest` iterations at the most each.
    ///
    /// `setup` makes what a batch works on, and is not timed; neither is dropping what `run` has
    /// left of it.
    fn new<S>(
        name: impl Into<String>,
        largest: usize,
        mut setup: impl FnMut() -> S + 'static,
        mut run: impl FnMut(&mut S, usize) + 'static,
    ) -> Self {
        let batch = move |iterations| {
            let mut state = setup();
            let start = Instant::now();
            run(&mut state, iterations);
            start.elapsed()
        };
        Self { name: name.into(), batch: Box::new(batch), largest }
    }

    pub(crate) fn time(&mut self, iterations: u64) -> Duration {
        let (mut left, mut total) = (iterations as usize, Duration::ZERO);
        while left > 0 {
            let batch = left.min(self.largest);
            total += (self.batch)(batch);
            left -= batch;
        }
        total
    }
}

/// What a node does with messages of `size` bytes payload, and the floors.
pub(crate) fn messages(size: usize) -> Vec<Operation> {
    let stream = Stream::new(size);
    let Stream { frames, .. } = stream;
    vec![
        Operation::new("floor: hash", frames, stream.bodies(), |bodies, count| {
            bodies[..count].iter().for_each(|body| {
                black_box(Sha256::digest(body));
            });
        }),
        Operation::new("floor: 2 hashes", frames, stream.bodies(), |bodies, count| {
            for body in &bodies[..count] {
                black_box(Sha256::digest(body));
                black_box(Sha256::digest(black_box(body)));
            }
        }),
        Operation::new("floor: copy", frames, stream.bodies_and_queues(), |state, count| {
            let (bodies, queues) = state;
            bodies[..count].iter().for_each(|body| queues[0].extend_from_slice(body));
        }),
        Operation::new("floor: 2 hashes, copy", frames, stream.bodies_and_queues(), {
            |(bodies, queues), count| {
                for body in &bodies[..count] {
                    black_box(Sha256::digest(body));
                    black_box(Sha256::digest(black_box(body)));
                    queues[0].extend_from_slice(body);
                }
            }
        }),
        Operation::new("floor: hash, 8 copies", frames, stream.bodies_and_queues(), {
            |(bodies, queues), count| {
                for body in &bodies[..count] {
                    black_box(Sha256::digest(body));
                    queues.iter_mut().for_each(|queue| queue.extend_from_slice(body));
                }
            }
        }),
        Operation::new("encode", frames, stream.payloads(), |payloads, count| {
            payloads[..count].iter().for_each(|payload| drop(black_box(encode(payload))));
        }),
        Operation::new("decode", frames, stream.buffer(), |buffer, count| {
            (0..count).for_each(|_| drop(black_box(decode(&mut buffer.0))));
        }),
        Operation::new("encode and decode", frames, stream.payloads_and_buffer(), {
            |(payloads, buffer), count| {
                for payload in &payloads[..count] {
                    black_box(encode(payload));
                    black_box(decode(&mut buffer.0));
                }
            }
        }),
        Operation::new("relay to 8 links", frames, stream.buffer_and_queues(), {
            |(buffer, queues), count| {
                for _ in 0..count {
                    let message = decode(&mut buffer.0);
                    let frame = message.frame().plain();
                    queues.iter_mut().for_each(|queue| queue.extend_from_slice(frame));
                }
            }
        }),
        Operation::new("drop a duplicate", frames, stream.buffer(), {
            let seen = stream.seen();
            move |buffer, count| {
                for _ in 0..count {
                    let raw = split(&mut buffer.0);
                    assert!(seen.contains(&raw.claimed_id()));
                }
            }
        }),
    ]
}

/// Compressing and expanding a frame, per method, on text that compresses as text does.
pub(crate) fn compression(size: usize) -> Vec<Operation> {
    let words = ["mesh ", "chord ", "sync ", "kad ", "node ", "link ", "frame ", "peer "];
    let text =
        (0..size).map(|index| words[usize::from(Sha256::digest(index.to_be_bytes())[0] >> 5)]);
    let text: String = text.collect::<String>().chars().take(size).collect();
    let frame = encode(&[SubFlag::Broadcast.into(), text.into()]).frame().clone();
    let method = |method: Compression| {
        let (frame, packed) = (frame.clone(), frame.compressed(method));
        let compress = Operation::new(
            format!("{method}: compress"),
            64,
            || (),
            move |(), count| {
                (0..count).for_each(|_| drop(black_box(frame.compressed(method))));
            },
        );
        let limits = Limits::default();
        let expand = Operation::new(
            format!("{method}: expand"),
            64,
            || (),
            move |(), count| {
                for _ in 0..count {
                    drop(black_box(Frame::decode(packed.clone(), &limits).unwrap()));
                }
            },
        );
        [compress, expand]
    };
    Compression::AVAILABLE.iter().copied().flat_map(method).collect()
}

/// A read buffer's worth of messages, no two alike.
struct Stream {
    payloads: Rc<[Vec<Value>]>,
    wire: Bytes,
    ids: Vec<MessageId>,
    /// Of one message; all are of the same length.
    frame: usize,
    frames: usize,
}

/// Outlives its frames, so that giving back the memory falls into no one's time.
struct ReadBuffer(BytesMut, #[expect(dead_code, reason = "held, not used")] BytesMut);

impl Stream {
    fn new(size: usize) -> Self {
        let frames = ((128 << 10) / size).clamp(4, 256);
        let payload = |index: usize| {
            let mut bytes = vec![0xa5; size];
            bytes[..8].copy_from_slice(&index.to_be_bytes());
            vec![SubFlag::Broadcast.into(), Value::Binary(bytes)]
        };
        let payloads: Rc<[_]> = (0..frames).map(payload).collect();
        let messages: Vec<_> = payloads.iter().map(|payload| encode(payload)).collect();
        let wire: Vec<u8> =
            messages.iter().flat_map(|message| message.frame().plain().iter().copied()).collect();
        let ids = messages.iter().map(Message::id).collect();
        Self { payloads, frame: wire.len() / frames, wire: wire.into(), ids, frames }
    }

    fn buffer(&self) -> impl FnMut() -> ReadBuffer + 'static {
        let wire = self.wire.clone();
        move || {
            let mut buffer = BytesMut::with_capacity(wire.len() + 1);
            buffer.extend_from_slice(&wire);
            buffer.extend_from_slice(&[0]);
            let end = buffer.split_off(wire.len());
            ReadBuffer(buffer, end)
        }
    }

    fn bodies(&self) -> impl FnMut() -> Rc<[Bytes]> + 'static {
        let (wire, frame) = (self.wire.clone(), self.frame);
        let starts = (0..wire.len()).step_by(frame);
        let bodies: Rc<[_]> = starts.map(|at| wire.slice(at + 36..at + frame)).collect();
        move || bodies.clone()
    }

    fn payloads(&self) -> impl FnMut() -> Rc<[Vec<Value>]> + 'static {
        let payloads = self.payloads.clone();
        move || payloads.clone()
    }

    /// Outgoing buffers with room for all that may come.
    fn queues(&self) -> impl FnMut() -> [BytesMut; LINKS] + 'static {
        let length = self.wire.len();
        move || {
            // Written once: a page's first touch is the kernel's work, not ours.
            std::array::from_fn(|_| {
                let mut queue = BytesMut::zeroed(length);
                queue.fill(1);
                queue.clear();
                queue
            })
        }
    }

    fn bodies_and_queues(&self) -> impl FnMut() -> (Rc<[Bytes]>, [BytesMut; LINKS]) + 'static {
        let (mut bodies, mut queues) = (self.bodies(), self.queues());
        move || (bodies(), queues())
    }

    fn buffer_and_queues(&self) -> impl FnMut() -> (ReadBuffer, [BytesMut; LINKS]) + 'static {
        let (mut buffer, mut queues) = (self.buffer(), self.queues());
        move || (buffer(), queues())
    }

    fn payloads_and_buffer(&self) -> impl FnMut() -> (Rc<[Vec<Value>]>, ReadBuffer) + 'static {
        let (mut payloads, mut buffer) = (self.payloads(), self.buffer());
        move || (payloads(), buffer())
    }

    /// These messages among others, `SEEN` in all.
    fn seen(&self) -> BTreeSet<MessageId> {
        let others = (self.ids.len()..SEEN).map(|index| {
            let digest: [u8; 32] = Sha256::digest(index.to_be_bytes()).into();
            MessageId::from(digest)
        });
        self.ids.iter().copied().chain(others).collect()
    }
}

fn encode(payload: &[Value]) -> Message {
    let limits = Limits::default();
    let time = 1_500_000_000;
    Message::encode(MainFlag::Broadcast, IdForm::Bin, SENDER, time, payload, &limits).unwrap()
}

fn split(buffer: &mut BytesMut) -> RawFrame {
    RawFrame::split_from(buffer, &Limits::default()).unwrap().unwrap()
}

fn decode(buffer: &mut BytesMut) -> Message {
    let frame = split(buffer).verify(Compression::AVAILABLE, &Limits::default()).unwrap();
    Message::parse(frame).unwrap()
}
