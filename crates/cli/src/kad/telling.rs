//! What people and programs are told of a DHT as it happens.

use rs2p_bytestag::{DhtEvent, PortMappingState, ValueId};

use super::nodes::nodes;
use crate::session::{Style, Told};

/// What an event of the DHT is told as, if at all. People are not told of each value that comes and
/// goes: a single file is many.
pub(super) fn event(event: &DhtEvent) -> Option<Told> {
    match event {
        DhtEvent::Joined { result: Ok(contacts), .. } => {
            let text = format!("in a network; {} known", nodes(*contacts));
            Some(Told::event("joined").field("contacts", *contacts).line([(Style::Good, text)]))
        }
        DhtEvent::Published { id, result: Ok(copies), .. } => Some(
            of("published", id)
                .field("stored", copies.stored)
                .field("had", copies.had)
                .field("refused", copies.refused)
                .field("silent", copies.silent),
        ),
        DhtEvent::Published { id, result: Err(error), .. } => {
            Some(of("unpublished", id).field("reason", error.to_string()))
        }
        DhtEvent::Stored { id, size } => Some(of("stored", id).field("size", *size)),
        DhtEvent::Expired { id } => Some(of("expired", id)),
        DhtEvent::Failing { id, reason } => {
            let text = format!("{id} cannot be read or written: {reason}");
            Some(of("failing", id).field("reason", &**reason).line([(Style::Bad, text)]))
        }
        _ => None,
    }
}

/// What is told of the router's port.
pub(super) fn forwarding(state: &PortMappingState) -> Option<Told> {
    match state {
        PortMappingState::Mapped(mapped) => {
            let outside = mapped.external.map(|ip| format!("{ip}:{}", mapped.port));
            let text = match &outside {
                Some(outside) => format!("the router forwards {outside} to this node"),
                None => format!("the router forwards port {} to this node", mapped.port),
            };
            let told = Told::event("forwarded").field("port", mapped.port);
            Some(told.field("external", outside).line([(Style::Good, text)]))
        }
        PortMappingState::Failed(error) => {
            let text = format!("no port is forwarded: {error}");
            let told = Told::event("unforwarded").field("reason", error.to_string());
            Some(told.line([(Style::Bad, text)]))
        }
        _ => None,
    }
}

fn of(name: &str, id: &ValueId) -> Told {
    Told::event(name).field("key", id.key.to_string()).field("index", id.index.to_string())
}
