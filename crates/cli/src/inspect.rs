//! `rs2p inspect`: one thing taken apart, as one JSON object.

use std::io::{self, Read as _, Write as _};

use rs2p_base::Protocol;
use rs2p_chord::Table;
use rs2p_wire::{Frame, FrameError, Limits, Message, MessageError};
use serde_json::{Value as Json, json};

use crate::args::Inspect;
use crate::failure::Failure;
use crate::{json, key};

pub(crate) fn run(what: &Inspect) -> Result<(), Failure> {
    let found = match what {
        Inspect::Frame { hex } => {
            let hex = hex.join(" ");
            frame(&if hex == "-" { read_standard_input()? } else { hex })
        }
        Inspect::Protocol { subnet, encryption } => {
            Ok(json!({ "id": Protocol::new(subnet, encryption.0).id().to_string() }))
        }
        Inspect::Key { key } => key::parse(key).map(|key| json!({ "positions": positions(&key) })),
    };
    let found = found.map_err(Failure::Failed)?;
    writeln!(io::stdout(), "{found}").map_err(Failure::failed)
}

/// A frame within the limits that a node has by default: what a node would say to it.
fn frame(hex: &str) -> Result<Json, String> {
    let bytes = key::from_hex(hex)?;
    let (size, limits) = (bytes.len(), Limits::default());
    let frame = Frame::decode(bytes.into(), &limits)
        .map_err(|error| format!("byte {}: {error}", byte_of_frame(&error, size)))?;
    let compression = frame.compression();
    let in_message = |error: MessageError| {
        let at = byte_of_body(&error);
        let expanded = if compression.is_some() { " once it is expanded" } else { "" };
        format!("byte {} of the frame{expanded}, {at} of its body: {error}", HEAD + at)
    };
    let message = Message::parse(frame).map_err(in_message)?;
    let payload = message.payload(&limits).map_err(in_message)?;
    Ok(json!({
        "kind": u64::from(message.kind()),
        "sender": String::from_utf8_lossy(message.sender()),
        "time": message.time(),
        "payload": json::from_values(&payload),
        "id": message.id().to_string(),
        "compression": compression.map(|method| method.to_string()),
        "size": size,
    }))
}

/// Where in a frame of `size` bytes the reason stands.
fn byte_of_frame(error: &FrameError, size: usize) -> usize {
    match error {
        FrameError::Incomplete { bytes } => *bytes,
        FrameError::Trailing { bytes } => size - bytes,
        FrameError::Digest { .. } | FrameError::Expanded { .. } => LENGTH,
        // What the length header says.
        _ => 0,
    }
}

fn byte_of_body(error: &MessageError) -> usize {
    match error {
        MessageError::Kind { at }
        | MessageError::Sender { at }
        | MessageError::Time { at }
        | MessageError::Truncated { at, .. }
        | MessageError::ReservedMarker { at }
        | MessageError::InvalidUtf8 { at }
        | MessageError::TooDeep { at, .. }
        | MessageError::TooManyItems { at, .. } => *at,
        // The head of the array.
        _ => 0,
    }
}

/// A key's places on the ring of 2^384, as tables and messages have them.
fn positions(key: &[u8]) -> Json {
    let position = |table: Table| (table.name().to_owned(), table.position(key).to_string().into());
    Json::Object(Table::ALL.into_iter().map(position).collect())
}

fn read_standard_input() -> Result<String, Failure> {
    let mut text = String::new();
    let read = io::stdin().read_to_string(&mut text);
    read.map_err(|error| Failure::Failed(format!("standard input: {error}")))?;
    Ok(text)
}

/// Bytes of a frame's length header.
const LENGTH: usize = 4;
/// Bytes before a frame's body: length header and digest.
const HEAD: usize = LENGTH + 32;
