//! How a deletion by js2p is told from a loss.
//!
//! js2p deletes what lies with itself without a word, and says nothing afterwards but that it has
//! nothing; so does a node that has lost it, or passes the question on. Hence what it is told is
//! followed by a witness: the version of the value, in a place beside it at the same point of the
//! ring. Whoever gets the value gets the witness behind it, and who loses one loses both. A witness
//! of the very version that is held here, and no value: its user has deleted it.

use rs2p_base::{NodeId, Time};
use rs2p_mesh::PeerKind;
use rs2p_wire::{Encoded, SubFlag, Value};

use crate::machine::Chord;
use crate::position::{Position, Table};
use crate::record::{Record, Spot, Version};

/// The upper part of the number of a witness: no question for what a peer has read comes so far, and
/// no key does except by a chance of one in 2^128.
const MARK: u128 = 0x7769_746e_6573_7320_6f66_2072_7332_7000;

/// Where the witness of what lies here is.
pub(crate) fn place(spot: Spot) -> Spot {
    Spot::new(Table::Sha512, Position::of_parts(MARK, spot.point()))
}

pub(crate) fn is_witness(spot: Spot) -> bool {
    place(spot) == spot
}

fn text(version: Version) -> String {
    format!("{} {}", version.time, version.author)
}

impl Chord {
    /// Tells an old node to keep a value, or to delete it, with its witness where it needs one.
    pub(crate) fn tell_record(
        &mut self,
        now: Time,
        old: NodeId,
        spot: Spot,
        version: Version,
        value: Option<&Encoded>,
    ) {
        self.tell_old(now, old, SubFlag::Store, spot, Some(value));
        self.tell_witness(now, old, spot, value.map(|_| version));
    }

    /// Tells it which version its value has, or that there is none any more.
    pub(crate) fn tell_witness(
        &mut self,
        now: Time,
        old: NodeId,
        spot: Spot,
        version: Option<Version>,
    ) {
        if !self.is_js2p(old) {
            return;
        }
        let limits = self.limits();
        let version = version.map(|version| Value::from(text(version)));
        let version = version.and_then(|version| Encoded::new(&version, &limits).ok());
        self.tell_old(now, old, SubFlag::Store, place(spot), Some(version.as_ref()));
    }

    /// An old node has nothing of what is held here: asks for the witness. Whether it has one.
    pub(crate) fn ask_for_witness(&mut self, now: Time, old: NodeId, spot: Spot) -> bool {
        let held = self.shelf.get(spot).filter(|held| held.value.is_some());
        let Some(version) = held.map(|held| held.version).filter(|_| self.is_js2p(old)) else {
            return false;
        };
        let mut asks = false;
        for open in self.consults.iter_mut().filter(|open| open.is_for(old, spot)) {
            asks |= open.awaits_witness(now, version);
        }
        if asks {
            self.tell_old(now, old, SubFlag::Retrieve, place(spot), None);
        }
        asks
    }

    /// A witness has come, or the answer that there is none.
    pub(crate) fn on_witness(
        &mut self,
        now: Time,
        from: NodeId,
        answered: Spot,
        value: Option<&Encoded>,
    ) {
        let open = self.consults.iter().find_map(|open| open.witnessed_by(from, answered));
        let Some((spot, version)) = open else { return };
        let said = value.map(Encoded::to_value);
        let said = said.as_ref().and_then(rs2p_wire::text_bytes);
        let held = self.shelf.get(spot).filter(|held| held.version == version);
        if said == Some(text(version).as_bytes())
            && let Some(held) = held
        {
            let key = held.key.clone();
            let version = self.next_version(now, Some(version));
            self.shelf.put(spot, Record { version, key, value: None });
            self.changes.forget(spot);
            let copiers = self.copiers(now);
            self.push(now, spot, 0, &copiers, None);
            self.tell_witness(now, from, spot, None);
        }
        self.end_consult(now, from, spot, None);
    }

    fn is_js2p(&self, old: NodeId) -> bool {
        self.peers.get(&old).is_some_and(|peer| peer.is_old() && peer.kind == PeerKind::Js2p)
    }
}
