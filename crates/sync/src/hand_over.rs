//! What old peers are told when they come: everything, one message for each key (spec section 9).

use bytes::Bytes;
use rs2p_base::{Link, LinkId, NodeId, Time};
use rs2p_mesh::{OverMesh as _, PeerKind};
use rs2p_wire::{IdForm, SubFlag};

use crate::machine::Sync;
use crate::relay::js_survives;

/// How far the telling has come.
#[derive(Debug)]
pub(crate) struct HandOver {
    link: LinkId,
    /// The last key told, in the order of places.
    told: Option<(u64, Bytes)>,
}

impl HandOver {
    pub(crate) fn new(link: LinkId) -> Self {
        Self { link, told: None }
    }

    /// Whether all that stands at a place has been told.
    pub(crate) fn is_past(&self, place: u64) -> bool {
        self.told.as_ref().is_some_and(|(told, _)| *told > place)
    }
}

impl Sync {
    /// Tells old peers more, as far as there is room on their links.
    pub(crate) fn hand_over_more(&mut self, now: Time) {
        if self.hand_overs.is_empty() {
            return;
        }
        let peers: Vec<NodeId> = self.hand_overs.keys().copied().collect();
        for peer in peers {
            let Some(mut over) = self.hand_overs.remove(&peer) else { continue };
            let Some(link) = self.mesh().peer(peer).map(|peer| peer.link) else { continue };
            if over.link != link {
                // What waited on the other link is lost.
                over = HandOver::new(link);
            }
            if !self.tell_keys(now, peer, &mut over) {
                self.hand_overs.insert(peer, over);
            }
        }
    }

    /// Whether all is told.
    fn tell_keys(&mut self, now: Time, peer: NodeId, over: &mut HandOver) -> bool {
        let is_js = self.kind(peer) == Some(PeerKind::Js2p);
        while self.has_bulk_room(over.link) {
            let next = self.table.next_in(&(0..=u64::MAX), over.told.as_ref());
            let Some(at) = next.cloned() else { return true };
            self.tell_key(now, over.link, &at.1, is_js);
            over.told = Some(at);
        }
        false
    }

    pub(crate) fn tell_key(&mut self, now: Time, link: LinkId, key: &[u8], is_js: bool) {
        let Some(record) = self.table.get(key) else { return };
        let Some(value) = record.value.clone() else { return };
        if is_js && !js_survives(key, &value) {
            return;
        }
        let version = record.stamp.version.clone();
        let Some(mut writer) = self.mesh().begin_whisper(now, link, 5, record.size + 200) else {
            return;
        };
        writer.unsigned(SubFlag::Store.into());
        writer.text_bytes(key, if is_js { IdForm::Str } else { IdForm::Bin });
        if writer.any(&value, &self.limits()).is_err() {
            return;
        }
        // py2p takes the same owner in another form for another one, so it is told as it was heard.
        let form = match std::str::from_utf8(version.owner.text()) {
            Ok(_) => version.owner.form(),
            Err(_) => IdForm::Bin,
        };
        writer.text_bytes(version.owner.text(), form);
        writer.unsigned(version.time);
        // What does not fit into a message was refused before it came into the table.
        let _ = self.stack.below.finish_whisper(now, link, writer);
    }

    /// Whether a link has room for what can wait. Half of its queue stays free for writes.
    pub(crate) fn has_bulk_room(&self, link: LinkId) -> bool {
        let limit = self.mesh().local().config().send_queue / 4;
        self.mesh().link(link).is_some_and(|link: &Link| link.queued() <= limit)
    }
}
