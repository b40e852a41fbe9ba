//! How much of a peer's input is worth reading.

/// Bounds on what one frame from a peer may cost.
///
/// The protocol itself has none below 4 GiB; the defaults suit nodes that exchange messages of up
/// to a few megabytes. Every violation is an error of its own that names the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes behind the length header of a frame, as it stands on the wire. Checked before
    /// anything is buffered. 64 KiB is a sane minimum: handshakes and peers lists need it.
    pub frame: u32,
    /// Bytes of digest and body after decompression. Decompression stops there.
    pub expanded: u32,
    /// How deep arrays and maps may be nested; the message itself is depth 1. Values above
    /// [`Limits::MAX_DEPTH`] count as that.
    pub depth: u16,
    /// How many values one message may hold in all, each element of an array and each key and
    /// value of a map counted. A decoded value takes about 40 bytes of memory.
    pub items: u32,
}

impl Limits {
    /// The deepest nesting that any configuration allows, so that recursion over a value fits
    /// into any thread's stack.
    pub const MAX_DEPTH: u16 = 256;

    pub(crate) fn nesting(&self) -> u16 {
        self.depth.min(Self::MAX_DEPTH)
    }
}

impl Default for Limits {
    /// Frames of 16 MiB, as large when expanded, 64 levels, a million values.
    fn default() -> Self {
        Self { frame: 16 << 20, expanded: 16 << 20, depth: 64, items: 1_000_000 }
    }
}
