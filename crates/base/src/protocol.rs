//! Which network a node belongs to (spec section 2).

use std::fmt;

use rs2p_wire::base58;
use sha2::{Digest as _, Sha256};

/// A network: nodes talk to each other when both parts are the same.
///
/// The id joins the parts without a border, so `("mes", "hPlaintext")` names the same network as
/// `("mesh", "Plaintext")`. Layers append to the subnet where the originals do (sync: whether it
/// leases).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Protocol {
    subnet: String,
    encryption: String,
}

impl Protocol {
    /// The version of the wire protocol, part of every protocol id.
    pub const VERSION: &str = "0.7";

    /// A network of this name over a transport of this name: `Plaintext` for TCP, `SSL` for TLS,
    /// `ws` and `wss` for WebSocket.
    #[must_use]
    pub fn new(subnet: impl Into<String>, encryption: impl Into<String>) -> Self {
        Self { subnet: subnet.into(), encryption: encryption.into() }
    }

    /// The network's name.
    #[must_use]
    pub fn subnet(&self) -> &str {
        &self.subnet
    }

    /// The protocol's name of the transport.
    #[must_use]
    pub fn encryption(&self) -> &str {
        &self.encryption
    }

    /// What peers compare in the handshake.
    ///
    /// ```
    /// use rs2p_base::Protocol;
    ///
    /// let id = Protocol::new("mesh", "Plaintext").id();
    /// assert_eq!(id.to_string(), "EpAmyZWv9rZUKmjQgU3FTUD4GrJHvVEXizmghVBc8eGD");
    /// ```
    #[must_use]
    pub fn id(&self) -> ProtocolId {
        let digest = Sha256::new()
            .chain_update(&self.subnet)
            .chain_update(&self.encryption)
            .chain_update(Self::VERSION)
            .finalize();
        ProtocolId(digest.into())
    }
}

/// The id of a [`Protocol`], a 256-bit number written in base 58.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolId([u8; 32]);

impl fmt::Display for ProtocolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&base58::encode(&self.0))
    }
}

impl fmt::Debug for ProtocolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
