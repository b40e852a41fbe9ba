//! What a driver may be told.

use std::time::Duration;

use rs2p_wire::Limits;

/// Bounds and waits of the tokio driver.
#[derive(Clone, Debug)]
pub struct NetConfig {
    /// What a frame from a peer may cost. Keep it equal to
    /// [`LinkConfig::limits`](crate::LinkConfig::limits).
    pub limits: Limits,
    /// Links at the same time; further peers are turned away at the door. So are those beyond
    /// twice as many, links on their way in and out included. A link takes about 4 KiB. Default
    /// 1,024.
    pub links: usize,
    /// Bytes that may wait to be written to one link, before compression. A link that exceeds it
    /// is closed as [`SlowReader`](crate::CloseReason::SlowReader). Should exceed
    /// [`LinkConfig::send_queue`](crate::LinkConfig::send_queue) several times, so that a node's
    /// own messages wait rather than cost a link. Default 16 MiB.
    pub send_queue: usize,
    /// How long a dial may take, the look-up of a name included. Default 10 s.
    pub dial: Duration,
    /// How long a peer may leave a frame unfinished without sending anything. Default 60 s, as
    /// py2p.
    pub stall: Duration,
    /// How long frames that were accepted for sending may take to leave once a link is closing.
    /// Default 5 s.
    pub flush: Duration,
    /// How long a closing link waits, all written, for the peer to close its end. Closing with
    /// unread bytes would make the system throw away what the peer has not read yet. Default 1 s.
    pub linger: Duration,
    /// How long a full stream of events that is [paced](super::StreamConfig::paced) may hold up
    /// reading from links. Meanwhile nobody is heard, so keep it well below
    /// [`LinkConfig::keepalive`](crate::LinkConfig::keepalive). Default 1 s.
    pub patience: Duration,
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            links: 1_024,
            send_queue: 16 << 20,
            dial: Duration::from_secs(10),
            stall: Duration::from_secs(60),
            flush: Duration::from_secs(5),
            linger: Duration::from_secs(1),
            patience: Duration::from_secs(1),
        }
    }
}
