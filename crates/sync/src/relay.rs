//! What old nodes do not survive (spec section 13), and so are not told.

use rs2p_mesh::PeerKind;
use rs2p_wire::{Value, text_bytes};

use crate::hand_over::HandOver;
use crate::owner::Owner;
use crate::place;
use crate::table::Record;

/// What a write tells to do with a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told<'a> {
    Value(&'a Value),
    Deletion,
    Delta,
}

/// What a write may do to old nodes that hold what this node held before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hazards {
    place: u64,
    is_deletion: bool,
    /// js2p drops who tells it of a deletion (js2p 2), and of some keys and values.
    js_survives: bool,
    /// py2p drops who deletes a key that it lacks, or applies a delta to what is no map (py2p 6).
    is_missing: bool,
    /// py2p cannot compare an owner in binary with one as text (section 9).
    is_mixed_tie: bool,
    /// py2p holds a key that comes as text under another one than its user asks for, and then
    /// fails to tell newcomers what it holds.
    is_text_key: bool,
}

impl Hazards {
    /// Of a write of a key, by `owner` at `time`, while `held` is there.
    pub(crate) fn of(
        key: &[u8],
        told: Told<'_>,
        held: Option<&Record>,
        owner: &Owner,
        time: u64,
    ) -> Self {
        let live = held.and_then(|held| Some((held, held.value.as_deref()?)));
        let is_mixed_tie = live.is_some_and(|(held, _)| {
            let version = &held.stamp.version;
            version.time == time && version.owner.form() != owner.form()
        });
        Self {
            place: place::place(key),
            is_deletion: matches!(told, Told::Deletion),
            js_survives: match told {
                Told::Value(value) => js_survives(key, value),
                Told::Delta => js_knows(key),
                Told::Deletion => false,
            },
            is_missing: match told {
                Told::Value(_) => false,
                Told::Deletion => live.is_none(),
                Told::Delta => live.is_some_and(|(_, value)| !value.is_map()),
            },
            is_mixed_tie,
            is_text_key: false,
        }
    }

    /// The key is written like this.
    pub(crate) fn key(mut self, key: &Value) -> Self {
        self.is_text_key = !matches!(key, Value::Binary(_));
        self
    }

    pub(crate) fn is_deletion(&self) -> bool {
        self.is_deletion
    }

    /// Whether a peer may be told, which is still being handed what it lacks.
    pub(crate) fn may(&self, kind: PeerKind, hand_over: Option<&HandOver>) -> bool {
        match kind {
            PeerKind::Rs2p => true,
            PeerKind::Js2p => self.js_survives,
            PeerKind::Py2p => {
                let may_lack_it =
                    self.is_deletion && hand_over.is_some_and(|over| !over.is_past(self.place));
                !(self.is_missing || self.is_mixed_tie || self.is_text_key || may_lack_it)
            }
        }
    }
}

/// Whether js2p can be told of a key with this value. It asks each value for its text, and an
/// object in which that is something else, or that has no parent to ask, raises an exception.
pub(crate) fn js_survives(key: &[u8], value: &Value) -> bool {
    let is_trap = |key: &Value| text_bytes(key).is_some_and(|key| TRAPS.contains(&key));
    let has_trap = value.as_map().is_some_and(|map| map.iter().any(|(key, _)| is_trap(key)));
    js_knows(key) && !value.is_nil() && !has_trap
}

/// Whether a key means to js2p what it means to others. It takes keys for text, and different keys
/// that are none for the same one. And it looks them up in an object that has some from the start.
fn js_knows(key: &[u8]) -> bool {
    std::str::from_utf8(key).is_ok() && !INHERITED.contains(&key)
}

/// Names that every object of JavaScript has.
const INHERITED: [&[u8]; 12] = [
    b"__defineGetter__",
    b"__defineSetter__",
    b"__lookupGetter__",
    b"__lookupSetter__",
    b"__proto__",
    b"constructor",
    b"hasOwnProperty",
    b"isPrototypeOf",
    b"propertyIsEnumerable",
    b"toLocaleString",
    b"toString",
    b"valueOf",
];

const TRAPS: [&[u8]; 2] = [b"__proto__", b"toString"];
