//! The numbers that say what a message is (spec section 4).

use std::fmt;
use std::ops::Range;

/// Message types and sub-flags that the protocol keeps for itself; applications use others.
pub const RESERVED: Range<u64> = 0x00..0x30;

/// First element of a message: how it travels.
///
/// Only [`Broadcast`](Self::Broadcast) and [`Renegotiate`](Self::Renegotiate) are treated
/// specially on the way; everything else stays on the link it was sent on. Numbers without a name
/// are carried through untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MainFlag {
    /// Relayed from node to node until everyone has it.
    Broadcast,
    /// About the link itself: compression methods, or a request to repeat a frame.
    Renegotiate,
    /// For the peer at the other end of the link.
    Whisper,
    /// Reserved by the protocol, and sent by none of the originals; between rs2p nodes, asks for a
    /// sign of life.
    Ping,
    /// As [`Ping`](Self::Ping); the sign of life.
    Pong,
    /// Any other number.
    Other(u64),
}

impl From<u64> for MainFlag {
    fn from(code: u64) -> Self {
        match code {
            0 => Self::Broadcast,
            1 => Self::Renegotiate,
            2 => Self::Whisper,
            3 => Self::Ping,
            4 => Self::Pong,
            other => Self::Other(other),
        }
    }
}

impl From<MainFlag> for u64 {
    fn from(flag: MainFlag) -> Self {
        match flag {
            MainFlag::Broadcast => 0,
            MainFlag::Renegotiate => 1,
            MainFlag::Whisper => 2,
            MainFlag::Ping => 3,
            MainFlag::Pong => 4,
            MainFlag::Other(code) => code,
        }
    }
}

/// First element of a payload: what the message means.
///
/// Handlers look at the sub-flag only; a user's message is one whose sub-flag is
/// [`Broadcast`](Self::Broadcast) or [`Whisper`](Self::Whisper).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubFlag {
    /// A user's message to everyone.
    Broadcast,
    /// With [`MainFlag::Renegotiate`]: the compression methods to use from now on.
    Compression,
    /// A user's message to one peer.
    Whisper,
    /// Who the peer is (five packets), or whether it stores data (chord, two packets).
    Handshake,
    /// Chord: a key came into being, or went.
    Notify,
    /// Addresses and ids of the sender's peers.
    Peers,
    /// Asks for the peers list, or for the address of a node.
    Request,
    /// With [`MainFlag::Renegotiate`]: asks to repeat the last frame.
    Resend,
    /// The address of a node that somebody asked for.
    Response,
    /// Sync and chord: a value to keep.
    Store,
    /// Chord: asks for a value.
    Retrieve,
    /// Chord: a value that was asked for.
    Retrieved,
    /// Ford: a message to pass on along a path.
    Forward,
    /// Ford: routes that came into being.
    NewPaths,
    /// Ford: routes that went.
    RevokePaths,
    /// Sync and chord: changes to a map held under a key.
    Delta,
    /// Any other number.
    Other(u64),
}

impl From<u64> for SubFlag {
    fn from(code: u64) -> Self {
        match code {
            0x00 => Self::Broadcast,
            0x01 => Self::Compression,
            0x02 => Self::Whisper,
            0x05 => Self::Handshake,
            0x06 => Self::Notify,
            0x07 => Self::Peers,
            0x08 => Self::Request,
            0x09 => Self::Resend,
            0x0A => Self::Response,
            0x0B => Self::Store,
            0x0C => Self::Retrieve,
            0x0D => Self::Retrieved,
            0x0E => Self::Forward,
            0x0F => Self::NewPaths,
            0x10 => Self::RevokePaths,
            0x11 => Self::Delta,
            other => Self::Other(other),
        }
    }
}

impl From<SubFlag> for u64 {
    fn from(flag: SubFlag) -> Self {
        match flag {
            SubFlag::Broadcast => 0x00,
            SubFlag::Compression => 0x01,
            SubFlag::Whisper => 0x02,
            SubFlag::Handshake => 0x05,
            SubFlag::Notify => 0x06,
            SubFlag::Peers => 0x07,
            SubFlag::Request => 0x08,
            SubFlag::Resend => 0x09,
            SubFlag::Response => 0x0A,
            SubFlag::Store => 0x0B,
            SubFlag::Retrieve => 0x0C,
            SubFlag::Retrieved => 0x0D,
            SubFlag::Forward => 0x0E,
            SubFlag::NewPaths => 0x0F,
            SubFlag::RevokePaths => 0x10,
            SubFlag::Delta => 0x11,
            SubFlag::Other(code) => code,
        }
    }
}

impl From<SubFlag> for rmpv::Value {
    fn from(flag: SubFlag) -> Self {
        u64::from(flag).into()
    }
}

impl fmt::Display for MainFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(code) => write!(f, "type {code:#04x}"),
            named => write!(f, "{named:?}"),
        }
    }
}

impl fmt::Display for SubFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(code) => write!(f, "sub-flag {code:#04x}"),
            named => write!(f, "{named:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_survives_the_way_through_the_enums() {
        for code in (0..=0x40).chain([u64::MAX]) {
            assert_eq!(u64::from(MainFlag::from(code)), code);
            assert_eq!(u64::from(SubFlag::from(code)), code);
        }
    }

    #[test]
    fn every_named_flag_lies_in_the_reserved_range() {
        for code in 0..=u64::from(u8::MAX) {
            let named = !matches!(MainFlag::from(code), MainFlag::Other(_))
                || !matches!(SubFlag::from(code), SubFlag::Other(_));
            assert!(!named || RESERVED.contains(&code), "{code:#x}");
        }
    }
}
