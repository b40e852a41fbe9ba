//! What must hold for whatever bytes a peer sends, as one function per decoder.
//!
//! The property tests, the tests over the committed seeds and the fuzz targets run the same
//! functions. A broken promise is a panic.

#![expect(clippy::unwrap_used, reason = "a panic is how a fuzzer learns of a finding")]

use bytes::{Bytes, BytesMut};
use rs2p_wire::{
    Compression, Element, Elements, Frame, Limits, Message, MessageError, RawFrame, Value, base58,
};
use sha2::{Digest as _, Sha256};

/// Small enough that hostile input is tried often rather than long.
const LIMITS: Limits = Limits { frame: 1 << 20, expanded: 1 << 20, depth: 64, items: 100_000 };

/// Tight enough that small inputs meet every limit.
const TIGHT: Limits = Limits { depth: 3, items: 8, ..LIMITS };

/// A stream of frames: whatever can be cut off is judged, and read as far as it is good.
pub(crate) fn frame(stream: &[u8]) {
    let mut buffer = BytesMut::from(stream);
    loop {
        let before = buffer.len();
        let Ok(Some(raw)) = RawFrame::split_from(&mut buffer, &LIMITS) else { break };
        assert_eq!(buffer.len() + raw.wire_len(), before);
        let (claimed, length) = (raw.claimed_id(), raw.wire_len());
        let Ok(frame) = raw.verify(Compression::AVAILABLE, &LIMITS) else { break };
        assert_eq!(frame.id().as_bytes()[..], Sha256::digest(frame.body())[..]);
        if frame.compression().is_none() {
            assert_eq!((frame.id(), frame.plain().len()), (claimed, length));
        }
        read(frame);
    }
}

/// The body of an honest frame.
pub(crate) fn message(body: &[u8]) {
    let framed = framed(&[&Sha256::digest(body)[..], body].concat());
    let frame = Frame::decode(framed, &LIMITS).unwrap();
    assert_eq!(frame.body(), body);
    read(frame);
}

/// A method's number modulo their count, then a frame that claims to be compressed with it.
pub(crate) fn expand(input: &[u8]) {
    let Some((choice, data)) = input.split_first() else { return };
    let methods = Compression::AVAILABLE;
    // A build may have none.
    let Some(choice) = usize::from(*choice).checked_rem(methods.len()) else { return };
    let method = methods[choice];
    let mut buffer = BytesMut::from(&framed(data)[..]);
    let Ok(Some(raw)) = RawFrame::split_from(&mut buffer, &LIMITS) else { return };
    if let Ok(frame) = raw.verify(&[method], &LIMITS) {
        assert!(frame.plain().len() <= 4 + LIMITS.expanded as usize);
        let again = Frame::decode(frame.compressed(method), &LIMITS).unwrap();
        assert_eq!(again.plain(), frame.plain());
    }
}

/// A text, and the same bytes as a number.
pub(crate) fn base58(input: &[u8]) {
    if let Ok(number) = base58::decode::<48>(input) {
        let significant: Vec<_> =
            input.iter().copied().skip_while(|digit| *digit == b'1').collect();
        let text = base58::encode(&number);
        assert_eq!(text.as_bytes(), if significant.is_empty() { b"1" } else { &significant[..] });
        let wider = base58::decode::<64>(input).unwrap();
        assert_eq!(wider[..16], [0; 16]);
        assert_eq!(wider[16..], number);
    }
    if let Some(number) = input.first_chunk::<48>() {
        let text = base58::encode(number);
        assert_eq!(base58::decode(text.as_bytes()), Ok(*number));
        assert_eq!(base58::Text::of(number).as_str(), text);
    }
}

/// A length header and what it announces.
fn framed(data: &[u8]) -> Bytes {
    [&(data.len() as u32).to_be_bytes()[..], data].concat().into()
}

fn read(frame: Frame) {
    let Ok(message) = Message::parse(frame) else { return };
    for limits in [LIMITS, TIGHT] {
        let payload = message.payload(&limits);
        let checked = message.check(&limits);
        // Of maps and timestamps, the check wants more.
        if !is_about_old_peers(&checked) {
            assert_eq!(checked, payload.as_ref().map(drop).map_err(Clone::clone));
        }
        match (message.elements(&limits), &payload) {
            (Ok(elements), Ok(payload)) => {
                assert_eq!(elements.len(), payload.len());
                assert_eq!(written(&values(elements)), written(payload));
            }
            (elements, payload) => assert_eq!(elements.err(), payload.as_ref().err().cloned()),
        }
        if let Ok(payload) = payload {
            assert_eq!(message.payload_len() as usize, payload.len());
            if let Some(number) = payload.first().and_then(Value::as_u64) {
                assert_eq!(message.sub_flag(), Some(number.into()));
            }
            write_again(&message, &payload, &limits);
        }
    }
}

/// Whether it is refused only because not every node can read it.
pub(crate) fn is_about_old_peers(checked: &Result<(), MessageError>) -> bool {
    use MessageError::{KeyType, RepeatedKey, Timestamp};
    matches!(checked, Err(RepeatedKey { .. } | KeyType { .. } | Timestamp { .. }))
}

/// Smallest forms take no more room than what came, and mean the same.
fn write_again(message: &Message, payload: &[Value], limits: &Limits) {
    let Ok(sender) = std::str::from_utf8(message.sender()) else { return };
    let (kind, form, time) = (message.kind(), message.sender_form(), message.time());
    let again = Message::encode(kind, form, sender, time, payload, limits).unwrap();
    // A kind or time that came as a float of four bytes may take eight as a number.
    assert!(again.body().len() <= message.body().len() + 8);
    let read = Message::parse(again.frame().clone()).unwrap();
    assert_eq!((read.kind(), read.sender_form(), read.time()), (kind, form, time));
    assert_eq!(read.sender(), message.sender());
    assert_eq!(written(&read.payload(limits).unwrap()), written(payload));
}

/// What elements stand for.
fn values(elements: Elements<'_>) -> Vec<Value> {
    let value = |element| match element {
        Element::Nil => Value::Nil,
        Element::Bool(boolean) => boolean.into(),
        Element::Unsigned(number) => number.into(),
        Element::Negative(number) => number.into(),
        Element::Float32(number) => number.into(),
        Element::Float64(number) => number.into(),
        Element::Str(bytes) => std::str::from_utf8(bytes).unwrap().into(),
        Element::Bin(bytes) => bytes.into(),
        Element::Ext(kind, bytes) => Value::Ext(kind, bytes.to_vec()),
        Element::Array(elements) => Value::Array(values(elements)),
        Element::Map(elements) => {
            let (keys, inner): (Vec<_>, Vec<_>) =
                values(elements).into_iter().enumerate().partition(|(at, _)| at % 2 == 0);
            let pairs = keys.into_iter().zip(inner);
            Value::Map(pairs.map(|((_, key), (_, value))| (key, value)).collect())
        }
        _ => unreachable!("there are no others"),
    };
    elements.map(value).collect()
}

/// Bytes, because NaN is not equal to itself.
fn written(values: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for value in values {
        rmpv::encode::write_value(&mut bytes, value).unwrap();
    }
    bytes
}
