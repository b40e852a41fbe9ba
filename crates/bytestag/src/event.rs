//! What a node tells its user.

use bytes::Bytes;
use rs2p_base::RequestId;

use crate::error::{GetError, PutError, ReachError};
use crate::packet::{Contact, Entry};
use crate::value::ValueId;

/// What a node tells its user.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DhtEvent {
    /// A node was pinged.
    Pinged {
        /// The request.
        request: RequestId,
        /// Who answered, if anybody did.
        result: Result<Contact, ReachError>,
    },
    /// The network was joined: the own neighbourhood was looked up.
    Joined {
        /// The request; nothing when the node joined by itself.
        request: Option<RequestId>,
        /// How many nodes are known now.
        result: Result<usize, ReachError>,
    },
    /// The nodes nearest to a key were looked up.
    Found {
        /// The request.
        request: RequestId,
        /// What was looked up.
        found: Found,
    },
    /// A value was fetched, or not.
    Got {
        /// The request.
        request: RequestId,
        /// The value.
        result: Result<Got, GetError>,
    },
    /// A value of this node was published, or not.
    Published {
        /// The request; nothing when it was due by itself.
        request: Option<RequestId>,
        /// The value.
        id: ValueId,
        /// Where it is now.
        result: Result<Copies, PutError>,
    },
    /// A value of another was stored here.
    Stored {
        /// The value.
        id: ValueId,
        /// Its length in bytes.
        size: u64,
    },
    /// A value of another was dropped: it was not published again in time.
    Expired {
        /// The value.
        id: ValueId,
    },
    /// The bytes of a value cannot be read or written. It is not served until that is mended.
    Failing {
        /// The value.
        id: ValueId,
        /// What is wrong.
        reason: String,
    },
}

/// What a lookup found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The nodes nearest to the key that answered, nearest first: 20 at most.
    pub nodes: Vec<Contact>,
    /// Values under the key, as those nodes told of them: what each told once, with how many told
    /// it.
    pub values: Vec<(Entry, usize)>,
    /// Over how many nodes the nearest one was found: see [`rs2p_kad::Lookup::hops`].
    pub hops: u32,
    /// How many nodes were asked.
    pub asked: usize,
}

/// A value that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// Which value it is.
    pub id: ValueId,
    /// Its bytes; their SHA-1 is the index.
    pub value: Bytes,
    /// The node that sent the last of it; nothing if it was here.
    pub from: Option<Contact>,
}

/// How many nodes hold a value after it was published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// Nodes that have it now and did not before.
    pub stored: usize,
    /// Nodes that had it.
    pub had: usize,
    /// Nodes that refused it.
    pub refused: usize,
    /// Nodes that were silent, or lost it on the way.
    pub silent: usize,
}
