//! A node as others know it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::key::Key;

/// A node as others know it: its key, and where it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node<A, const N: usize = 20> {
    /// What its distances are measured from.
    pub id: Key<N>,
    /// Where it is reached.
    pub address: A,
}

impl<A, const N: usize> Node<A, N> {
    /// A node.
    pub const fn new(id: Key<N>, address: A) -> Self {
        Self { id, address }
    }
}

/// What a table asks of an address: socket addresses have it, and so has any type of one's own
/// that implements it with nothing to add.
pub trait Address: Clone + PartialEq {
    /// The network it lies in, for a [cap](crate::TableConfig::per_prefix) on nodes of one
    /// network; nothing when the cap is not to count it.
    fn prefix(&self) -> Option<IpAddr> {
        None
    }
}

impl Address for SocketAddrV4 {
    /// The /24; nothing for the loopback network.
    fn prefix(&self) -> Option<IpAddr> {
        let [a, b, c, _] = self.ip().octets();
        (!self.ip().is_loopback()).then_some(IpAddr::V4(Ipv4Addr::new(a, b, c, 0)))
    }
}

impl Address for SocketAddrV6 {
    /// The /64; nothing for the loopback address. What stands for an IPv4 address counts as one.
    fn prefix(&self) -> Option<IpAddr> {
        if let Some(ip) = self.ip().to_ipv4_mapped() {
            return SocketAddrV4::new(ip, self.port()).prefix();
        }
        let [a, b, c, d, ..] = self.ip().segments();
        let network = Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0);
        (!self.ip().is_loopback()).then_some(IpAddr::V6(network))
    }
}

impl Address for SocketAddr {
    fn prefix(&self) -> Option<IpAddr> {
        match self {
            Self::V4(address) => address.prefix(),
            Self::V6(address) => address.prefix(),
        }
    }
}
