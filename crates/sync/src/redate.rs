//! Writes that a node made while its clock was wrong.
//!
//! A clock that jumps ahead is corrected by what peers say, but not before they have said it. What
//! the user wrote meanwhile is dated so far ahead that all others refuse it, and would be leased to
//! this node for as long as the clock was off. Once the clock is right, such writes are dated anew,
//! as if they were made now: where nobody else has the lease, they count after all.

use bytes::Bytes;
use rs2p_base::Time;
use rs2p_mesh::OverMesh as _;

use crate::machine::{Sync, Timer};
use crate::table::Record;
use crate::version::Write;

impl Sync {
    /// Dates own writes anew that lie too far ahead. In constant time when there are none.
    pub(crate) fn redate(&mut self, now: Time) {
        let clock = self.clock(now);
        let latest = clock.saturating_add(self.config.max_ahead.as_secs());
        if self.latest_own <= latest {
            return;
        }
        self.latest_own = clock;
        let id = self.mesh().id();
        let is_ahead = |record: &Record| {
            let version = &record.stamp.version;
            version.time > latest && version.owner.node_id() == Some(id)
        };
        let ahead = self.table.iter().filter(|(_, record)| is_ahead(record));
        let ahead: Vec<(Bytes, Record)> =
            ahead.map(|(key, record)| (key.clone(), record.clone())).collect();
        for (key, Record { value, stamp, .. }) in ahead {
            self.table.remove(&key);
            let owner = &stamp.version.owner;
            let write = Write { owner, time: clock, lease: stamp.lease, content: stamp.content };
            self.put(now, &key, value, write.over(None));
        }
        if !self.exchanges.is_empty() {
            self.timers.set(Timer::Spread, Some(now));
        }
    }
}
