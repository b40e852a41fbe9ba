//! Mesh nodes that misbehave.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_base::{Endpoint, Input, Output, Time};
use rs2p_mesh::{Mesh, MeshEvent};
use rs2p_simnet::{Fate, NodeIndex, Tamper, stream};
use rs2p_wire::{Limits, MainFlag, Message, SubFlag, Value};

use super::Boxed;

pub(super) fn misdeed(does: &str, seed: u64, node: NodeIndex) -> Option<Boxed> {
    let rng = stream(seed, does, node.0.into());
    let relay = |what| Relay { share: 1.0, what, rng: rng.clone() };
    Some(match does {
        "drop" => Box::new(relay(Relayed::Dropped)),
        "delay" => Box::new(relay(Relayed::Late(Duration::from_secs(5)))),
        "corrupt" => Box::new(relay(Relayed::Altered)),
        "lie" => Box::new(Liar { share: 1.0, rng }),
        _ => return None,
    })
}

pub(super) fn bug(name: &str, seed: u64, node: NodeIndex) -> Option<Boxed> {
    let rng = stream(seed, name, node.0.into());
    Some(match name {
        "forgetful-relay" => Box::new(Relay { share: 0.33, what: Relayed::Dropped, rng }),
        "lost-close" => Box::new(Deaf { share: 0.33, rng }),
        "lying-list" => Box::new(Liar { share: 0.1, rng }),
        // It is in the node's configuration.
        _ => return None,
    })
}

/// Does something to broadcasts of others on their way through.
struct Relay {
    /// To how many of them, 0 to 1.
    share: f64,
    what: Relayed,
    rng: Xoshiro256PlusPlus,
}

#[derive(Clone, Copy)]
enum Relayed {
    Dropped,
    Late(Duration),
    Altered,
}

impl Tamper<Mesh> for Relay {
    fn output(&mut self, mesh: &Mesh, _: Time, output: Output<MeshEvent>) -> Fate<MeshEvent> {
        let Output::Send { link, frame, gather } = &output else { return Fate::Pass(output) };
        let message = frame.message();
        let is_relayed = message.kind() == MainFlag::Broadcast
            && message.sender() != mesh.local().id_text().as_bytes();
        if !is_relayed || self.rng.random_range(0.0..1.0) >= self.share {
            return Fate::Pass(output);
        }
        match self.what {
            Relayed::Dropped => Fate::Drop,
            Relayed::Late(wait) => Fate::Later(output, wait),
            Relayed::Altered => match altered(message) {
                Some(message) => {
                    let (link, frame, gather) = (*link, message.into(), *gather);
                    Fate::Instead(Output::Send { link, frame, gather })
                }
                None => Fate::Pass(output),
            },
        }
    }
}

/// The same in other words; nothing for what has been altered before, or two liars would make ever
/// more messages of one.
fn altered(message: &Message) -> Option<Message> {
    let limits = Limits::default();
    let mut payload = message.payload(&limits).ok()?;
    let more = Value::from("and more");
    if payload.last() == Some(&more) {
        return None;
    }
    payload.push(more);
    with_payload(message, &payload)
}

fn with_payload(message: &Message, payload: &[Value]) -> Option<Message> {
    let (kind, form, limits) = (message.kind(), message.sender_form(), Limits::default());
    let sender = std::str::from_utf8(message.sender()).ok()?;
    Message::encode(kind, form, sender, message.time(), payload, &limits).ok()
}

/// Lists addresses at which nobody is.
struct Liar {
    share: f64,
    rng: Xoshiro256PlusPlus,
}

impl Tamper<Mesh> for Liar {
    fn output(&mut self, _: &Mesh, _: Time, output: Output<MeshEvent>) -> Fate<MeshEvent> {
        let Output::Send { link, frame, gather } = &output else { return Fate::Pass(output) };
        let is_list = frame.message().sub_flag() == Some(SubFlag::Peers);
        if !is_list || self.rng.random_range(0.0..1.0) >= self.share {
            return Fate::Pass(output);
        }
        match false_list(frame.message()) {
            Some(message) => {
                let (link, frame, gather) = (*link, message.into(), *gather);
                Fate::Instead(Output::Send { link, frame, gather })
            }
            None => Fate::Pass(output),
        }
    }
}

/// The list with every port moved by one; nothing for an empty one.
fn false_list(message: &Message) -> Option<Message> {
    let mut payload = message.payload(&Limits::default()).ok()?;
    let Value::Array(list) = payload.get_mut(1)? else { return None };
    let mut lies = 0;
    for entry in &mut *list {
        let Value::Array(entry) = entry else { continue };
        let Some(address) = entry.first().and_then(Endpoint::from_value) else { continue };
        if let Ok(elsewhere) = Endpoint::new(&address.host(), address.port() ^ 1) {
            entry[0] = elsewhere.to_value();
            lies += 1;
        }
    }
    (lies > 0).then(|| with_payload(message, &payload))?
}

/// Does not notice that links close.
struct Deaf {
    share: f64,
    rng: Xoshiro256PlusPlus,
}

impl Tamper<Mesh> for Deaf {
    fn input(&mut self, mesh: &mut Mesh, _: Time, input: Input) -> Option<Input> {
        let is_missed = match &input {
            Input::Closed { link, .. } => {
                mesh.link(*link).is_some() && self.rng.random_range(0.0..1.0) < self.share
            }
            _ => false,
        };
        (!is_missed).then_some(input)
    }
}
