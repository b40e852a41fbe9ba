//! Parts of the ring.

use rs2p_base::NodeId;

use crate::position::distance;

/// The points from one on, up to another, which is not among them, going round clockwise. Of equal
/// ends it is the whole ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stretch {
    /// The first point.
    pub from: NodeId,
    /// The first point behind it.
    pub to: NodeId,
}

impl Stretch {
    /// The whole ring.
    pub(crate) fn whole(from: NodeId) -> Self {
        Self { from, to: from }
    }

    pub(crate) fn is_whole(self) -> bool {
        self.from == self.to
    }

    /// Whether a point lies in it.
    #[must_use]
    pub fn contains(self, point: NodeId) -> bool {
        self.is_whole() || distance(self.from, point) < distance(self.from, self.to)
    }
}
