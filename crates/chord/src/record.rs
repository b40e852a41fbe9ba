//! What a node keeps at a position.

use std::fmt;

use bytes::Bytes;
use rs2p_base::NodeId;
use rs2p_wire::{Element, Elements, Encoded, MessageWriter};
use sha2::{Digest as _, Sha256};

use crate::contact::read_id;
use crate::position::{Position, Table};

/// A position of a table. Ordered as the ring is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    point: NodeId,
    table: Table,
    high: u128,
}

impl Spot {
    /// Where a key lies in a table.
    #[must_use]
    pub fn of(table: Table, key: &[u8]) -> Self {
        Self::new(table, table.position(key))
    }

    pub(crate) fn new(table: Table, position: Position) -> Self {
        Self { point: position.point(), table, high: position.high() }
    }

    /// The first of all spots at a point of the ring.
    pub(crate) fn first_at(point: NodeId) -> Self {
        Self { point, table: Table::Sha1, high: 0 }
    }

    /// The point of the ring at which it lies.
    #[must_use]
    pub fn point(self) -> NodeId {
        self.point
    }

    /// Its table.
    #[must_use]
    pub fn table(self) -> Table {
        self.table
    }

    /// Its position, as tables of the originals have it.
    #[must_use]
    pub fn position(self) -> Position {
        Position::of_parts(self.high, self.point)
    }

    /// Writes two elements.
    pub(crate) fn write(self, writer: &mut MessageWriter) {
        writer.unsigned(self.table.index() as u64);
        let bytes = self.point.to_bytes();
        if self.high == 0 {
            writer.binary(&bytes);
        } else {
            writer.binary(&[&self.high.to_be_bytes()[..], &bytes].concat());
        }
    }

    pub(crate) fn read(elements: &mut Elements<'_>) -> Option<Self> {
        let table = usize::try_from(elements.next()?.as_u64()?).ok()?;
        let table = *Table::ALL.get(table)?;
        let bytes = elements.next()?.text_bytes()?;
        let (point, high) = bytes.split_last_chunk::<{ NodeId::BYTES }>().map(|(h, p)| (p, h))?;
        let high = match high.len() {
            0 => 0,
            16 if table == Table::Sha512 => u128::from_be_bytes(high.try_into().ok()?),
            _ => return None,
        };
        Some(Self { point: NodeId::from_bytes(*point), table, high })
    }
}

impl fmt::Debug for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.table, self.position())
    }
}

/// Which write a record comes from; the larger one stays.
///
/// Its author may have made up the time; nobody verifies it. Two writes of one author never have
/// the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// When, in milliseconds since the Unix epoch, by the network's time.
    pub time: u64,
    /// By whom.
    pub author: NodeId,
}

impl Version {
    /// The first one behind this: nothing that is written lies between them.
    pub(crate) fn next(self) -> Self {
        let mut bytes = self.author.to_bytes();
        for byte in bytes.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                return Self { time: self.time, author: NodeId::from_bytes(bytes) };
            }
        }
        Self { time: self.time.saturating_add(1), author: NodeId::from_bytes(bytes) }
    }

    /// Writes two elements.
    pub(crate) fn write(self, writer: &mut MessageWriter) {
        writer.unsigned(self.time);
        writer.binary(&self.author.to_bytes());
    }

    pub(crate) fn read(elements: &mut Elements<'_>) -> Option<Self> {
        let time = elements.next()?.as_u64()?;
        Some(Self { time, author: read_id(&elements.next()?)? })
    }
}

/// What is known of a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which write it comes from.
    pub version: Version,
    /// The key, if an rs2p node wrote it: old nodes tell its positions only.
    pub key: Option<Bytes>,
    /// The value, or nothing when it was deleted.
    pub value: Option<Encoded>,
}

impl Record {
    /// Elements that [`write`](Self::write) writes.
    pub(crate) const ELEMENTS: usize = 6;

    /// Bytes that it counts for.
    pub(crate) fn size(&self) -> usize {
        let value = self.value.as_ref().map_or(0, |value| value.as_bytes().len());
        value + self.key.as_ref().map_or(0, Bytes::len)
    }

    pub(crate) fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }

    /// What tells it from other records: equal for equal records, on all nodes.
    pub(crate) fn digest(&self, spot: Spot) -> u64 {
        let digest = Sha256::new()
            .chain_update(spot.point.to_bytes())
            .chain_update([spot.table.index() as u8])
            .chain_update(self.version.time.to_be_bytes())
            .chain_update(self.version.author.to_bytes())
            .finalize();
        digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    pub(crate) fn write(&self, spot: Spot, writer: &mut MessageWriter) {
        spot.write(writer);
        self.version.write(writer);
        match &self.key {
            Some(key) => writer.binary(key),
            None => writer.nil(),
        }
        write_value(self.value.as_ref(), writer);
    }

    pub(crate) fn read(elements: &mut Elements<'_>) -> Option<(Spot, Self)> {
        let spot = Spot::read(elements)?;
        let version = Version::read(elements)?;
        let key = match elements.next()? {
            Element::Nil => None,
            key => Some(Bytes::copy_from_slice(key.text_bytes()?)),
        };
        let value = read_value(elements)?;
        // Nobody can put a value under a key where that key does not lie.
        let is_there = key.as_ref().is_none_or(|key| Spot::of(spot.table, key) == spot);
        is_there.then_some((spot, Self { version, key, value }))
    }
}

/// A value, or nil: nothing.
pub(crate) fn write_value(value: Option<&Encoded>, writer: &mut MessageWriter) {
    match value {
        Some(value) => writer.encoded(value),
        None => writer.nil(),
    }
}

/// A value; nil is none.
pub(crate) fn read_value(elements: &mut Elements<'_>) -> Option<Option<Encoded>> {
    const NIL: &[u8] = &[0xc0];
    let value = elements.next_encoded()?;
    Some((value.as_bytes() != NIL).then_some(value))
}
