//! What people and programs are told of a DHT.

use rs2p_chord::ChordEvent;

use crate::key;
use crate::session::{Style, Told};

/// What an event of the DHT is told as, if at all.
pub(super) fn event(event: &ChordEvent) -> Option<Told> {
    let of_key = |name: &str, key: &[u8], text: &str| {
        Told::event(name)
            .field("key", key::to_json(key))
            .line([(Style::Bold, key::to_word(key)), (Style::Faint, text.to_owned())])
    };
    match event {
        ChordEvent::Add { key } => Some(of_key("add", key, " is a new key")),
        ChordEvent::Delete { key } => Some(of_key("delete", key, " is gone")),
        ChordEvent::Joined => {
            let text = "this node stores for the network now".to_owned();
            Some(Told::event("joined").line([(Style::Good, text)]))
        }
        _ => None,
    }
}
