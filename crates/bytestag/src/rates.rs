//! How many datagrams an address may send.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;

use rs2p_base::Time;

/// Addresses that are watched at the same time; the one longest unheard of makes room.
const WATCHED: usize = 4_096;

/// A bucket of tokens for each address: so many datagrams a second, and as many at once after a
/// pause of a second.
#[derive(Debug)]
pub(crate) struct Rates {
    per_second: u64,
    addresses: BTreeMap<SocketAddrV4, Allowance>,
    /// By when they were last heard of.
    by_time: BTreeSet<(Time, SocketAddrV4)>,
}

#[derive(Clone, Copy, Debug)]
struct Allowance {
    /// In thousandths of a datagram.
    left: u64,
    at: Time,
}

impl Rates {
    pub(crate) fn new(per_second: u32) -> Self {
        let (addresses, by_time) = (BTreeMap::new(), BTreeSet::new());
        Self { per_second: u64::from(per_second), addresses, by_time }
    }

    /// Whether one more datagram from there is to be read.
    pub(crate) fn admits(&mut self, now: Time, from: SocketAddrV4) -> bool {
        // Elsewhere one machine can have any number of ports.
        let from = if from.ip().is_loopback() { from } else { SocketAddrV4::new(*from.ip(), 0) };
        let full = self.per_second * 1_000;
        let known = self.addresses.get(&from).copied();
        let mut allowance = known.unwrap_or(Allowance { left: full, at: now });
        let grown = (now.since(allowance.at).as_millis() as u64).saturating_mul(self.per_second);
        let left = allowance.left.saturating_add(grown).min(full);
        let admits = left >= 1_000;
        if known.is_some() {
            self.by_time.remove(&(allowance.at, from));
        }
        allowance = Allowance { left: if admits { left - 1_000 } else { left }, at: now };
        self.addresses.insert(from, allowance);
        self.by_time.insert((now, from));
        if self.addresses.len() > WATCHED
            && let Some((_, oldest)) = self.by_time.pop_first()
        {
            self.addresses.remove(&oldest);
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn from(host: u32, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from(0x0a00_0000 + host), port)
    }

    #[test]
    fn an_address_has_its_rate_whatever_the_port_and_recovers() {
        let mut rates = Rates::new(10);
        let now = Time::from_secs(5);
        let taken = (0..30).filter(|port| rates.admits(now, from(1, *port))).count();
        assert_eq!(taken, 10);
        assert!(rates.admits(now, from(2, 1)));
        let later = Time::from_millis(5_500);
        let taken = (0..30).filter(|port| rates.admits(later, from(1, *port))).count();
        assert_eq!(taken, 5);
    }

    #[test]
    fn no_more_addresses_are_watched_than_there_is_room_for() {
        let mut rates = Rates::new(10);
        for host in 0..WATCHED as u32 + 100 {
            assert!(rates.admits(Time::from_millis(u64::from(host)), from(host, 1)));
        }
        assert_eq!(rates.addresses.len(), WATCHED);
        assert_eq!(rates.by_time.len(), WATCHED);
    }
}
