//! What old nodes do not survive (spec section 13), and so are not told.

use rs2p_mesh::PeerKind;

use crate::hand_over::HandOver;
use crate::owner::Owner;
use crate::place;
use crate::table::Record;

/// What a write may do to old nodes that hold what this node held before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hazards {
    place: u64,
    /// js2p drops who tells it of a deletion (js2p 2).
    is_deletion: bool,
    /// js2p takes keys for text, and different keys for the same one.
    is_text: bool,
    /// py2p drops who deletes a key that it lacks, or applies a delta to what is no map (py2p 6).
    is_missing: bool,
    /// py2p cannot compare an owner in binary with one as text (section 9).
    is_mixed_tie: bool,
}

impl Hazards {
    /// Of a deletion or a write of a key, by `owner` at `time`, while `held` is there.
    pub(crate) fn of(
        key: &[u8],
        is_deletion: bool,
        held: Option<&Record>,
        owner: &Owner,
        time: u64,
    ) -> Self {
        let live = held.filter(|held| held.value.is_some());
        let is_mixed_tie = live.is_some_and(|held| {
            let version = &held.stamp.version;
            version.time == time && version.owner.form() != owner.form()
        });
        Self {
            place: place::place(key),
            is_deletion,
            is_text: std::str::from_utf8(key).is_ok(),
            is_missing: is_deletion && live.is_none(),
            is_mixed_tie,
        }
    }

    /// The write is a delta.
    pub(crate) fn delta(mut self, held: Option<&Record>) -> Self {
        let value = held.and_then(|held| held.value.as_deref());
        self.is_missing = value.is_some_and(|value| !value.is_map());
        self
    }

    /// Whether a peer may be told, which is still being handed what it lacks.
    pub(crate) fn may(&self, kind: PeerKind, hand_over: Option<&HandOver>) -> bool {
        match kind {
            PeerKind::Rs2p => true,
            PeerKind::Js2p => !self.is_deletion && self.is_text,
            PeerKind::Py2p => {
                let may_lack_it =
                    self.is_deletion && hand_over.is_some_and(|over| !over.is_past(self.place));
                !self.is_missing && !self.is_mixed_tie && !may_lack_it
            }
        }
    }
}
