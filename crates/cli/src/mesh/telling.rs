//! What people and programs are told of a mesh.

use rs2p_mesh::{PeerInfo, Receipt, Received};
use rs2p_wire::{MainFlag, Value};

use crate::json;
use crate::session::{Style, Told, name};

pub(super) fn sent(command: &str, Receipt { id, peers }: Receipt) -> Told {
    let peers = if peers == 1 { "1 peer".to_owned() } else { format!("{peers} peers") };
    let told = Told::reply(command).field("id", id.to_string());
    told.line([(Style::Faint, format!("sent to {peers}"))])
}

pub(super) fn message(received: &Received) -> Told {
    let packets = received.packets();
    let sender = String::from_utf8_lossy(received.sender()).into_owned();
    let told = Told::event("message")
        .field("sender", &*sender)
        .field("time", received.time())
        .field("packets", json::from_values(&packets));
    let text = |packet: &Value| match packet {
        Value::String(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        other => json::from_value(other).to_string(),
    };
    let packets = packets.iter().map(text).collect::<Vec<_>>().join(" ");
    let how = if received.kind() == MainFlag::Whisper { " (whisper)" } else { "" };
    told.line([name(&sender), (Style::Faint, format!("{how}: ")), (Style::Plain, packets)])
}

pub(super) fn place(peer: &PeerInfo) -> String {
    let direction = if peer.outgoing { "dialled" } else { "has dialled" };
    format!("{} ({direction})", peer.address)
}
