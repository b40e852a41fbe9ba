//! How much this node asks of each other node at a time.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

/// Values sent to or fetched from one old node at a time: more would hold up all its other work
/// (spec, section 15, rules 7 and 8).
const OLD: usize = 3;

/// The same for a node of rs2p. Two windows fill a path; more would fill the receiver's buffer and
/// lose what does not fit.
const EXTENDED: usize = 2;

/// The values under way to and from each address.
#[derive(Debug, Default)]
pub(crate) struct Load {
    under_way: BTreeMap<SocketAddrV4, usize>,
    has_freed: bool,
}

impl Load {
    pub(crate) fn has_room(&self, address: SocketAddrV4, extended: bool) -> bool {
        let limit = if extended { EXTENDED } else { OLD };
        self.under_way.get(&address).is_none_or(|count| *count < limit)
    }

    pub(crate) fn take(&mut self, address: SocketAddrV4) {
        *self.under_way.entry(address).or_default() += 1;
    }

    pub(crate) fn give_back(&mut self, address: SocketAddrV4) {
        if let Some(count) = self.under_way.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(&address);
            }
            self.has_freed = true;
        }
    }

    /// Whether any address has room again since this was last asked.
    pub(crate) fn take_freed(&mut self) -> bool {
        std::mem::take(&mut self.has_freed)
    }
}
