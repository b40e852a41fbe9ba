//! Which broadcasts this node has seen (spec section 7.3).

use std::time::Duration;

use rs2p_base::Time;
use rs2p_wire::MessageId;

use crate::id_set::IdSet;

/// Remembers broadcasts, so that each is handled and relayed once.
///
/// Age is told by this node's clock alone: an id is kept for at least [`Waterfall::KEEP`] after the
/// message came, whatever time its author wrote into it. A wrong clock elsewhere can therefore
/// neither fill this memory nor make a message circle. When there are too many ids, the oldest half
/// is forgotten early.
#[derive(Debug)]
pub(crate) struct Waterfall {
    young: IdSet,
    old: IdSet,
    seed: u64,
    /// When the young ids become the old ones.
    turn: Option<Time>,
    limit: usize,
}

impl Waterfall {
    /// The originals' window: an older broadcast is dropped.
    pub(crate) const WINDOW: Duration = Duration::from_secs(60);
    /// A copy may still come for as long as its author's clock is ahead, and the window on top.
    const KEEP: Duration = Duration::from_secs(120);

    /// `limit`: ids at the most; `seed` keeps strangers from aiming at the same bucket.
    pub(crate) fn new(limit: usize, seed: u64) -> Self {
        Self {
            young: IdSet::default(),
            old: IdSet::default(),
            seed,
            turn: None,
            limit: limit.max(2),
        }
    }

    pub(crate) fn contains(&self, id: &MessageId) -> bool {
        let id = short(id);
        self.young.contains(id, self.seed) || self.old.contains(id, self.seed)
    }

    /// `false` when it is known already.
    pub(crate) fn insert(&mut self, now: Time, id: MessageId) -> bool {
        let id = short(&id);
        if self.old.contains(id, self.seed) || !self.young.insert(id, self.seed) {
            return false;
        }
        if self.young.len() >= self.limit / 2 {
            self.turn(now);
            // At this pace the next half fills as well.
            self.young = IdSet::with_room(self.limit / 2);
        }
        self.turn.get_or_insert(now + Self::KEEP);
        true
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        if self.turn.is_some_and(|turn| turn <= now) {
            self.turn(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.turn
    }

    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    fn turn(&mut self, now: Time) {
        self.old = std::mem::take(&mut self.young);
        self.turn = (self.old.len() > 0).then(|| now + Self::KEEP);
    }
}

/// The beginning of a digest is as good as unique: to have one message taken for another, somebody
/// would have to find a text for a given beginning, which takes 2^64 tries.
fn short(id: &MessageId) -> u64 {
    let (words, _) = id.as_bytes().as_chunks();
    u64::from_le_bytes(words[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> MessageId {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        bytes.into()
    }

    #[test]
    fn an_id_is_known_for_the_window_and_gone_after_twice_that() {
        let start = Time::from_secs(1_000);
        let mut seen = Waterfall::new(100, 7);
        assert_eq!(seen.poll_timeout(), None);
        assert!(seen.insert(start, id(1)));
        assert!(!seen.insert(start, id(1)));
        seen.handle_timeout(start + Duration::from_secs(119));
        seen.handle_timeout(start + Duration::from_secs(120));
        assert!(seen.contains(&id(1)));
        seen.handle_timeout(start + Duration::from_secs(240));
        assert!(!seen.contains(&id(1)));
        assert_eq!((seen.len(), seen.poll_timeout()), (0, None));
    }

    #[test]
    fn a_flood_forgets_the_oldest_and_fills_no_memory() {
        let now = Time::from_secs(1_000);
        let mut seen = Waterfall::new(100, 7);
        for number in 0..10_000 {
            assert!(seen.insert(now, id(number)));
            assert!(seen.len() <= 100);
            assert!(number < 49 || seen.contains(&id(number - 49)));
        }
    }
}
