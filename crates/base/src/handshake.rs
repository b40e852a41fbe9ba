//! What two nodes tell each other first (spec sections 3, 5 and 6).

use std::ops::Range;
use std::sync::Arc;

use rs2p_wire::{
    Compression, Elements, EncodeError, IdForm, Limits, MainFlag, Message, MessageError,
    MessageWriter, SubFlag,
};
use thiserror::Error;

use crate::endpoint::Endpoint;
use crate::node_id::{NodeId, NodeIdError};
use crate::time::Time;

/// Something a node can do beyond the protocol of the originals.
///
/// Capabilities travel as numbers in the handshake's list of compression methods, where old peers
/// pass over what they do not know. An extension is spoken only to peers that announced its
/// number. Each number is documented on a page of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(u8);

impl Capability {
    /// The node is an rs2p node: it reads the opening handshake of six packets, ids in either
    /// form, and any number of frames in one write.
    pub const RS2P: Self = Self(0);

    /// Codes of capabilities: above everything that the protocol reserves, and a single byte.
    const CODES: Range<u64> = 0x40..0x80;

    /// The capability with this number among rs2p's 64.
    ///
    /// # Panics
    /// There is no such number; at compile time, where capabilities are constants.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        assert!((number as u64) < Self::CODES.end - Self::CODES.start, "numbers go up to 63");
        Self(number)
    }

    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u64 {
        Self::CODES.start + u64::from(self.0)
    }

    /// The capability that a number in a peer's list stands for.
    #[must_use]
    pub fn from_code(code: u64) -> Option<Self> {
        Self::CODES.contains(&code).then(|| Self((code - Self::CODES.start) as u8))
    }
}

/// A handshake: who a node is, which network it belongs to, where it can be dialled, and what it
/// can decode.
///
/// A node has one for each link, and most of them tell the same: what they share can be shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The node's id.
    pub id: NodeId,
    /// The id of its protocol, as text. Anything may stand here.
    pub protocol: Arc<str>,
    /// Where it wants to be dialled; nothing for a node that cannot be.
    pub address: Option<Endpoint>,
    /// Compression methods it can decode, by number, in its order; unknown ones included.
    pub methods: Arc<[u64]>,
    /// What it can do beyond the originals.
    pub capabilities: Arc<[Capability]>,
    /// How it writes ids.
    pub form: IdForm,
    /// Whether it is an rs2p node's opening handshake, which old peers pass over: it has a packet
    /// too many for them. Its sender waits to learn how the other side writes ids.
    pub opening: bool,
}

impl Handshake {
    /// Packets of a handshake, the sub-flag among them.
    const PACKETS: u32 = 5;
    /// The packet that an opening handshake has on top.
    const OPENING: u64 = 1;
    /// Bytes that are enough for most.
    const USUAL: usize = 200;
    /// Most compression methods and capabilities that are read from a peer's list.
    const MAX_METHODS: usize = 64;

    /// Whether a message is a handshake or claims to be one. Chord's two-packet message with the
    /// same sub-flag is none.
    #[must_use]
    pub fn is_in(message: &Message) -> bool {
        (Self::PACKETS..=Self::PACKETS + 1).contains(&message.payload_len())
            && message.sub_flag() == Some(SubFlag::Handshake)
    }

    /// The message that carries it.
    ///
    /// # Errors
    /// It is longer than `limits` allow.
    pub fn encode(&self, now: Time, limits: &Limits) -> Result<Message, EncodeError> {
        let id = self.id.to_text();
        let capabilities = self.capabilities.iter().map(|capability| capability.code());
        let mut codes = Vec::with_capacity(self.methods.len() + self.capabilities.len());
        for code in self.methods.iter().copied().chain(capabilities) {
            // js2p takes a number that comes twice for one that does not come at all.
            if !codes.contains(&code) {
                codes.push(code);
            }
        }
        let packets = Self::PACKETS as usize + usize::from(self.opening);
        let (kind, time) = (MainFlag::Whisper, now.as_secs());
        let mut writer =
            MessageWriter::with_room(Self::USUAL, kind, self.form, id.as_str(), time, packets);
        writer.unsigned(SubFlag::Handshake.into());
        writer.base58(&id, self.form);
        writer.id(&self.protocol, self.form);
        match &self.address {
            Some(address) => address.write(&mut writer),
            None => writer.array(2, |writer| {
                writer.nil();
                writer.nil();
            }),
        }
        writer.array(codes.len(), |writer| codes.iter().for_each(|code| writer.unsigned(*code)));
        if self.opening {
            writer.unsigned(Self::OPENING);
        }
        writer.finish(limits)
    }

    /// Reads a message for which [`is_in`](Self::is_in) holds.
    ///
    /// # Errors
    /// A packet is not of the type it should be, or the id is none.
    pub fn decode(message: &Message, limits: &Limits) -> Result<Self, HandshakeError> {
        let mut payload = message.elements(limits)?;
        let packets = payload.len();
        let mut packet = || payload.next().ok_or(HandshakeError::Packets { packets });
        let [_, id, protocol, address, methods] =
            [packet()?, packet()?, packet()?, packet()?, packet()?];
        let form = id.form().ok_or(HandshakeError::Type { packet: "node id" })?;
        let id = id.text_bytes().ok_or(HandshakeError::Type { packet: "node id" })?;
        let protocol =
            protocol.text_bytes().ok_or(HandshakeError::Type { packet: "protocol id" })?;
        let list =
            methods.as_array().ok_or(HandshakeError::Type { packet: "compression methods" })?;
        let codes = Self::read_list(list);
        let methods = codes.clone().filter(|code| Capability::from_code(*code).is_none());
        Ok(Self {
            id: NodeId::from_text(id)?,
            protocol: String::from_utf8_lossy(protocol).into(),
            address: Endpoint::from_element(&address),
            methods: methods.collect(),
            capabilities: codes.filter_map(Capability::from_code).collect(),
            form,
            opening: payload.len() > 0,
        })
    }

    /// The numbers in a peer's list of compression methods, as many as are read.
    pub(crate) fn read_list(list: Elements<'_>) -> impl Iterator<Item = u64> + Clone {
        list.take(Self::MAX_METHODS).filter_map(|code| code.as_u64())
    }

    /// The method to use towards the node: the first of `own` that it can decode.
    #[must_use]
    pub fn compression(&self, own: &[Compression]) -> Option<Compression> {
        Compression::choose(own, &self.methods)
    }

    /// Whether it announced a capability.
    #[must_use]
    pub fn can(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }
}

/// Why a handshake makes no sense. The peer is to blame; its link is closed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The payload cannot be read.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// There are not five packets, nor six.
    #[error("{packets} packets instead of 5")]
    Packets {
        /// Packets there are.
        packets: usize,
    },
    /// A packet is of the wrong type.
    #[error("the {packet} is of the wrong type")]
    Type {
        /// Which packet.
        packet: &'static str,
    },
    /// The id is none.
    #[error(transparent)]
    Id(#[from] NodeIdError),
}
