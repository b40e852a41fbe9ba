//! Counters at the seams; the module's documentation has the table.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::counter;

use crate::machine::{CloseReason, Origin};

/// What has passed over a node's links since it started, as counted by
/// [`Node::traffic`](super::Node::traffic).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrafficCount {
    /// Frames read, duplicates included.
    pub frames_received: u64,
    /// Bytes of those frames on the wire.
    pub bytes_received: u64,
    /// Frames dropped unread because their message was known.
    pub duplicates: u64,
    /// Good frames that held no message.
    pub malformed: u64,
    /// Frames written.
    pub frames_sent: u64,
    /// Bytes of those frames on the wire.
    pub bytes_sent: u64,
}

#[derive(Debug, Default)]
pub(super) struct Traffic {
    frames_received: AtomicU64,
    bytes_received: AtomicU64,
    duplicates: AtomicU64,
    malformed: AtomicU64,
    frames_sent: AtomicU64,
    bytes_sent: AtomicU64,
}

impl Traffic {
    /// Frames of one read.
    pub(super) fn received(&self, frames: u64, bytes: u64, duplicates: u64, malformed: u64) {
        self.frames_received.fetch_add(frames, Ordering::Relaxed);
        self.bytes_received.fetch_add(bytes, Ordering::Relaxed);
        counter!("rs2p_frames_received_total").increment(frames);
        counter!("rs2p_bytes_received_total").increment(bytes);
        if duplicates > 0 {
            self.duplicates.fetch_add(duplicates, Ordering::Relaxed);
            counter!("rs2p_frames_duplicate_total").increment(duplicates);
        }
        if malformed > 0 {
            self.malformed.fetch_add(malformed, Ordering::Relaxed);
            counter!("rs2p_frames_malformed_total").increment(malformed);
        }
    }

    /// Frames of one batch of writes.
    pub(super) fn sent(&self, frames: u64, bytes: u64) {
        self.frames_sent.fetch_add(frames, Ordering::Relaxed);
        self.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
        counter!("rs2p_frames_sent_total").increment(frames);
        counter!("rs2p_bytes_sent_total").increment(bytes);
    }

    pub(super) fn count(&self) -> TrafficCount {
        TrafficCount {
            frames_received: self.frames_received.load(Ordering::Relaxed),
            bytes_received: self.bytes_received.load(Ordering::Relaxed),
            duplicates: self.duplicates.load(Ordering::Relaxed),
            malformed: self.malformed.load(Ordering::Relaxed),
            frames_sent: self.frames_sent.load(Ordering::Relaxed),
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
        }
    }
}

pub(super) fn link_opened(origin: Origin) {
    let origin = if origin.is_outgoing() { "dialled" } else { "accepted" };
    counter!("rs2p_links_opened_total", "origin" => origin).increment(1);
}

pub(super) fn link_closed(reason: &CloseReason) {
    counter!("rs2p_links_closed_total", "reason" => label(reason)).increment(1);
}

pub(super) fn link_refused() {
    counter!("rs2p_links_refused_total").increment(1);
}

pub(super) fn dial_failed(error: &io::Error) {
    counter!("rs2p_dials_failed_total", "kind" => error.kind().to_string()).increment(1);
}

pub(super) fn datagram_received(_bytes: usize) {
    counter!("rs2p_datagrams_received_total").increment(1);
}

pub(super) fn datagram_sent(sent: Option<io::Result<usize>>, bytes: usize) {
    match sent {
        Some(Ok(length)) if length == bytes => {
            counter!("rs2p_datagrams_sent_total").increment(1);
        }
        _ => counter!("rs2p_datagrams_dropped_total").increment(1),
    }
}

fn label(reason: &CloseReason) -> &'static str {
    match reason {
        CloseReason::Requested => "requested",
        CloseReason::Shutdown => "shutdown",
        CloseReason::PeerClosed => "peer_closed",
        CloseReason::PeerClosedInFrame { .. } => "peer_closed_in_frame",
        CloseReason::Io(_) => "io",
        CloseReason::Frame(_) => "frame",
        CloseReason::Stalled { .. } => "stalled",
        CloseReason::SlowReader { .. } => "slow_reader",
        CloseReason::NoHandshake { .. } => "no_handshake",
        CloseReason::Handshake(_) => "handshake",
        CloseReason::OtherNetwork { .. } => "other_network",
        CloseReason::Itself => "itself",
        CloseReason::IdentityChanged => "identity_changed",
        CloseReason::TooEarly => "too_early",
        CloseReason::Limits(_) => "limits",
        CloseReason::Idle { .. } => "idle",
        CloseReason::Full => "full",
        CloseReason::Exchanged => "exchanged",
        CloseReason::Surplus => "surplus",
    }
}
