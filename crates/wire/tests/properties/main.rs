//! What holds for every message, and for every stream of bytes.

#![expect(clippy::unwrap_used, reason = "strategies and helpers are tests, too")]

#[path = "../bodies/mod.rs"]
mod bodies;
mod strategies;

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use rs2p_wire::{Compression, FrameError, IdForm, Limits, Message, MessageWriter, RawFrame, Value};

use crate::strategies::{Parts, bytes, method, parts, writable};

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_message_comes_back_as_it_was_written(parts in parts(), method in method()) {
        let limits = Limits::default();
        let sent = parts.encode();
        let mut stream = BytesMut::from(&on_the_wire(&sent, method)[..]);
        let raw = RawFrame::split_from(&mut stream, &limits)?.unwrap();
        prop_assert!(stream.is_empty());
        let frame = raw.verify(Compression::AVAILABLE, &limits)?;
        prop_assert_eq!(frame.compression(), method);
        prop_assert_eq!(frame.plain(), sent.frame().plain());
        let read = Message::parse(frame)?;
        for message in [&sent, &read] {
            prop_assert_eq!(message.kind(), parts.kind);
            prop_assert_eq!(message.sender(), parts.sender.as_bytes());
            prop_assert_eq!(message.sender_form(), parts.form);
            prop_assert_eq!(message.time(), parts.time);
            prop_assert_eq!(message.id(), sent.id());
            let checked = message.check(&limits);
            prop_assert!(checked.is_ok() || bodies::is_about_old_peers(&checked), "{:?}", checked);
            let payload = Value::Array(message.payload(&limits)?);
            prop_assert_eq!(written(&payload), written(&Value::Array(parts.payload.clone())));
        }
    }

    #[test]
    fn elements_are_the_values_and_what_stands_behind_changes_none(
        parts in parts(),
        behind in strategies::value(),
        nonce in any::<u64>(),
    ) {
        let limits = Limits::default();
        let Parts { kind, form, sender, time, payload } = &parts;
        let mut writer = MessageWriter::new(*kind, *form, sender, *time, payload.len());
        for value in payload {
            writer.any(value, &limits)?;
        }
        writer.behind(1, |writer| writer.any(&behind, &limits).unwrap());
        let message = writer.finish(&limits)?.distinct(nonce, &limits)?;
        prop_assert!(message.body().starts_with(parts.encode().body()));
        let elements = message.elements(&limits)?.map(|element| element.to_value());
        prop_assert_eq!(written(&elements.collect()), written(&Value::Array(payload.clone())));
        let read = message.behind(&limits).map(|element| written(&element.to_value()));
        prop_assert_eq!(read, Some(written(&behind)));
        prop_assert!(parts.encode().behind(&limits).is_none());
    }

    #[test]
    fn the_body_is_the_array_as_rmpv_writes_it(parts in parts()) {
        let message = parts.encode();
        prop_assert_eq!(message.body(), written(&parts.array()));
    }

    #[test]
    fn a_message_written_piece_by_piece_is_the_one_written_of_values(
        parts in parts(),
        payload in vec(writable(), 0..20),
        room in 0..500_usize,
        depth in 0..6_u16,
        frame in 0..2_000_u32,
    ) {
        let Parts { kind, form, sender, time, .. } = parts;
        for limits in [Limits::default(), Limits { depth, frame, ..Limits::default() }] {
            let mut writer =
                MessageWriter::with_room(room, kind, form, &sender, time, payload.len());
            payload.iter().for_each(|value| write(&mut writer, value));
            let (pieces, values) = (
                writer.finish(&limits),
                Message::encode(kind, form, &sender, time, &payload, &limits),
            );
            if let (Ok(pieces), Ok(values)) = (&pieces, &values) {
                prop_assert_eq!(pieces.frame().plain(), values.frame().plain());
                prop_assert_eq!(pieces.sender(), values.sender());
                prop_assert_eq!(pieces.payload(&limits), values.payload(&limits));
            }
            prop_assert_eq!(pieces, values);
        }
    }

    #[test]
    fn a_frame_with_one_bit_flipped_is_refused(parts in parts(), bit in any::<Index>()) {
        let mut bytes = parts.encode().frame().plain().to_vec();
        let bit = bit.index((bytes.len() - 4) * 8);
        bytes[4 + bit / 8] ^= 1 << (bit % 8);
        let mut stream = BytesMut::from(&bytes[..]);
        let raw = RawFrame::split_from(&mut stream, &Limits::default())?.unwrap();
        let refused = raw.verify(Compression::AVAILABLE, &Limits::default());
        prop_assert!(matches!(refused, Err(FrameError::Digest { .. })), "{:?}", refused);
    }

    #[test]
    fn arbitrary_bytes_are_judged_without_a_panic(input in bytes(0..400)) {
        bodies::frame(&input);
        bodies::message(&input);
        bodies::expand(&input);
        bodies::base58(&input);
    }

    #[test]
    fn a_good_head_before_arbitrary_bytes_is_judged_without_a_panic(
        head in parts(),
        claimed in 0..0xffff_u16,
        input in bytes(0..200),
    ) {
        let head = Parts { payload: Vec::new(), ..head }.encode();
        let claimed = [&[0xdc][..], &claimed.to_be_bytes()].concat();
        bodies::message(&[&claimed, &head.body()[1..], &input].concat());
    }

    #[test]
    fn a_damaged_message_is_judged_without_a_panic(
        parts in parts(),
        damage in vec((any::<Index>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        let mut body = parts.encode().body().to_vec();
        for (at, byte, how) in damage {
            let at = at.index(body.len());
            match how {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => body.truncate(at + 1),
            }
        }
        bodies::message(&body);
    }

    #[test]
    fn a_damaged_compressed_frame_is_judged_without_a_panic(
        parts in parts(),
        choice in 0..Compression::AVAILABLE.len(),
        damage in vec((any::<Index>(), any::<u8>()), 0..3),
    ) {
        let mut bytes = parts.encode().frame().compressed(Compression::AVAILABLE[choice]).to_vec();
        bytes[3] = choice as u8;
        for (at, byte) in damage {
            let at = 4 + at.index(bytes.len() - 4);
            bytes[at] ^= byte;
        }
        bodies::expand(&bytes[3..]);
    }

    #[test]
    fn an_id_of_digits_is_read_without_a_panic(text in "[1-9A-HJ-NP-Za-km-z]{0,100}[0 é]{0,1}") {
        bodies::base58(text.as_bytes());
    }
}

proptest! {
    // A case holds several messages and all of them twice.
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_cut_anywhere_holds_the_same_messages(
        sent in vec((parts(), method()), 1..5),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let sent: Vec<_> = sent.iter().map(|(parts, method)| (parts.encode(), *method)).collect();
        let stream: Vec<u8> =
            sent.iter().flat_map(|(message, method)| on_the_wire(message, *method)).collect();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let chunks: Vec<_> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
        let sent: Vec<_> = sent.into_iter().map(|(message, _)| message).collect();
        prop_assert_eq!(by_frames(&chunks), &sent[..]);
        #[cfg(feature = "codec")]
        prop_assert_eq!(by_codec(&chunks), &sent[..]);
    }
}

/// Writes one of the values that a writer knows.
fn write(writer: &mut MessageWriter, value: &Value) {
    match value {
        Value::Nil => writer.nil(),
        Value::Integer(number) => writer.unsigned(number.as_u64().unwrap()),
        Value::String(text) => writer.text(text.as_str().unwrap()),
        Value::Binary(bytes) => writer.id(std::str::from_utf8(bytes).unwrap(), IdForm::Bin),
        Value::Array(values) => writer.array(values.len(), |writer| {
            values.iter().for_each(|value| write(writer, value));
        }),
        _ => unreachable!("the strategy makes no others"),
    }
}

fn on_the_wire(message: &Message, method: Option<Compression>) -> Bytes {
    match method {
        Some(method) => message.frame().compressed(method),
        None => message.frame().plain().clone(),
    }
}

fn by_frames(chunks: &[&[u8]]) -> Vec<Message> {
    let limits = Limits::default();
    let mut buffer = BytesMut::new();
    let mut messages = Vec::new();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        while let Some(raw) = RawFrame::split_from(&mut buffer, &limits).unwrap() {
            let frame = raw.verify(Compression::AVAILABLE, &limits).unwrap();
            messages.push(Message::parse(frame).unwrap());
        }
    }
    messages
}

#[cfg(feature = "codec")]
fn by_codec(chunks: &[&[u8]]) -> Vec<Message> {
    use tokio_util::codec::Decoder as _;

    let mut codec = rs2p_wire::FrameCodec::new(Limits::default());
    let mut buffer = BytesMut::new();
    let mut messages = Vec::new();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        while let Some(message) = codec.decode(&mut buffer).unwrap() {
            messages.push(message.unwrap());
        }
    }
    messages
}

/// Bytes, because NaN is not equal to itself.
fn written(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).unwrap();
    bytes
}
