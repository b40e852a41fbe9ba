//! Questions to the owner of a position, and answers (`docs/protocol/chord.md`).

use bytes::Bytes;
use rs2p_base::NodeId;
use rs2p_wire::{Element, Elements, Encoded, MessageWriter};

use crate::contact::{self, Contact, read_id};
use crate::position::Table;
use crate::record::{Record, Spot, Version, read_value, write_value};
use crate::shelf::Shelf;

/// The sub-flag of a question on its way.
pub(crate) const REQUEST: u64 = 0x2c;
/// The sub-flag of an answer on its way back.
pub(crate) const ANSWER: u64 = 0x2d;

/// Nodes that a question may pass at the most, its author counted.
pub(crate) const MAX_HOPS: usize = 48;
/// Keys in one answer.
pub(crate) const MAX_KEYS: usize = 512;

/// A question on its way to whom a point belongs.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) target: NodeId,
    /// Who has had it, its author first.
    pub(crate) hops: Vec<NodeId>,
    /// The author's number for it.
    pub(crate) number: u64,
    /// Whoever gets it answers it: the point belongs to its successor, which does not know
    /// everything yet.
    pub(crate) stays: bool,
    pub(crate) op: Op,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Who is it?
    Find,
    /// What is known of this spot?
    Fetch(Spot),
    /// Keep this, unless something later is known: then its author hears of that.
    Keep { spot: Spot, record: Record },
    /// Which version of this is there?
    Check(Spot),
    /// Merge a map into the one that is there, which should be at least this one. Asked again, it
    /// has the same number, which its author has drawn.
    Merge { spot: Spot, base: Option<Record>, key: Option<Bytes>, number: u64, delta: Encoded },
    /// Which keys lie from this point on, in this table? Up to a point that the owner has added, if
    /// it lets its predecessor answer, which may not know where the owner's stretch ends.
    List(Table, Option<NodeId>),
    /// An old node that stores is there: link to it.
    Adopt(Contact),
}

/// What the owner says.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Found { predecessor: Option<Contact>, successors: Vec<Contact> },
    Fetched(Fetched),
    Kept(Kept),
    Checked(Option<Version>),
    Merged { version: Version, value: Encoded },
    Listed { keys: Vec<Bytes>, next: Option<NodeId> },
}

/// What is known of a spot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// Nothing at all.
    Nothing,
    /// This record.
    Record(Version, Option<Encoded>),
    /// An old node has this value, or none yet.
    Old(Option<Encoded>),
}

/// What became of a record that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// So many nodes have it; and whether there was a value before.
    Done { copies: u64, had: bool },
    /// Something later is known.
    Newer(Version),
    /// It was not taken.
    Refused(Refusal),
}

/// Why an owner does not keep something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    Ahead,
    NoMap,
    /// Too many writes wait for their copies: later it may.
    Busy,
}

impl Request {
    /// Elements of the payload that [`write`](Self::write) writes, the sub-flag counted.
    pub(crate) const ELEMENTS: usize = 6;

    pub(crate) fn room(&self) -> usize {
        let op = match &self.op {
            Op::Keep { record, .. } => record.size() + 160,
            Op::Merge { base, delta, .. } => {
                base.as_ref().map_or(0, Record::size) + delta.as_bytes().len() + 320
            }
            _ => 96,
        };
        op + NodeId::BYTES * (self.hops.len() + 2) + 32
    }

    pub(crate) fn write(&self, writer: &mut MessageWriter) {
        writer.unsigned(REQUEST);
        writer.binary(&self.target.to_bytes());
        write_hops(&self.hops, writer);
        writer.unsigned(self.number);
        writer.unsigned(self.stays.into());
        self.op.write(writer);
    }

    /// Reads what stands behind the sub-flag.
    pub(crate) fn read(elements: &mut Elements<'_>) -> Option<Self> {
        let target = read_id(&elements.next()?)?;
        let hops = read_hops(&elements.next()?)?;
        let number = elements.next()?.as_u64()?;
        let stays = elements.next()?.as_u64()? != 0;
        let op = Op::read(&mut elements.next()?.as_array()?)?;
        let spot = match &op {
            Op::Fetch(spot) | Op::Check(spot) => Some(spot),
            Op::Keep { spot, .. } | Op::Merge { spot, .. } => Some(spot),
            Op::Find | Op::List(..) | Op::Adopt(_) => None,
        };
        let is_there = spot.is_none_or(|spot| spot.point() == target);
        is_there.then_some(Self { target, hops, number, stays, op })
    }
}

impl Op {
    /// Whether it can be answered by a member that does not know everything yet.
    pub(crate) fn is_answered_by(&self, shelf: &Shelf) -> bool {
        matches!(self, Self::Fetch(spot) if shelf.get(*spot).is_some())
            || matches!(self, Self::Find)
    }

    fn write(&self, writer: &mut MessageWriter) {
        match self {
            Self::Find => writer.array(1, |writer| writer.unsigned(0)),
            Self::Fetch(spot) => writer.array(3, |writer| {
                writer.unsigned(1);
                spot.write(writer);
            }),
            Self::Keep { spot, record } => writer.array(1 + Record::ELEMENTS, |writer| {
                writer.unsigned(2);
                record.write(*spot, writer);
            }),
            Self::Check(spot) => writer.array(3, |writer| {
                writer.unsigned(3);
                spot.write(writer);
            }),
            Self::Merge { spot, base, key, number, delta } => {
                let base_elements = if base.is_some() { Record::ELEMENTS } else { 0 };
                writer.array(6 + base_elements, |writer| {
                    writer.unsigned(4);
                    spot.write(writer);
                    write_key(key.as_ref(), writer);
                    writer.unsigned(*number);
                    writer.encoded(delta);
                    if let Some(base) = base {
                        base.write(*spot, writer);
                    }
                });
            }
            Self::List(table, end) => writer.array(2 + usize::from(end.is_some()), |writer| {
                writer.unsigned(5);
                writer.unsigned(table.index() as u64);
                if let Some(end) = end {
                    writer.binary(&end.to_bytes());
                }
            }),
            Self::Adopt(contact) => writer.array(2, |writer| {
                writer.unsigned(6);
                contact.write(writer);
            }),
        }
    }

    fn read(elements: &mut Elements<'_>) -> Option<Self> {
        Some(match elements.next()?.as_u64()? {
            0 => Self::Find,
            1 => Self::Fetch(Spot::read(elements)?),
            2 => {
                let (spot, record) = Record::read(elements)?;
                Self::Keep { spot, record }
            }
            3 => Self::Check(Spot::read(elements)?),
            4 => {
                let spot = Spot::read(elements)?;
                let key = read_key(&elements.next()?)?;
                let number = elements.next()?.as_u64()?;
                let delta = elements.next_encoded()?;
                let base = if elements.len() > 0 { Some(Record::read(elements)?) } else { None };
                if base.as_ref().is_some_and(|(its, _)| *its != spot) {
                    return None;
                }
                Self::Merge { spot, base: base.map(|(_, base)| base), key, number, delta }
            }
            5 => {
                let table = read_table(&elements.next()?)?;
                let end = elements.next().map(|end| read_id(&end));
                Self::List(table, if let Some(end) = end { Some(end?) } else { None })
            }
            6 => Self::Adopt(Contact::read(&elements.next()?)?),
            _ => return None,
        })
    }
}

impl Answer {
    pub(crate) fn room(&self) -> usize {
        match self {
            Self::Found { successors, .. } => 100 * (successors.len() + 2),
            Self::Fetched(Fetched::Record(_, value) | Fetched::Old(value)) => {
                value.as_ref().map_or(0, |value| value.as_bytes().len()) + 96
            }
            Self::Merged { value, .. } => value.as_bytes().len() + 96,
            Self::Listed { keys, .. } => keys.iter().map(|key| key.len() + 5).sum::<usize>() + 96,
            _ => 96,
        }
    }

    /// The version that it tells of.
    pub(crate) fn version(&self) -> Option<Version> {
        match self {
            Self::Fetched(Fetched::Record(version, _))
            | Self::Kept(Kept::Newer(version))
            | Self::Checked(Some(version))
            | Self::Merged { version, .. } => Some(*version),
            _ => None,
        }
    }

    /// What is left of an answer whose version is not believed.
    pub(crate) fn without_version(&self) -> Self {
        match self {
            Self::Fetched(_) => Self::Fetched(Fetched::Nothing),
            Self::Checked(_) => Self::Checked(None),
            _ => Self::Kept(Kept::Refused(Refusal::Ahead)),
        }
    }

    /// Writes one element.
    pub(crate) fn write(&self, writer: &mut MessageWriter) {
        match self {
            Self::Found { predecessor, successors } => writer.array(3, |writer| {
                writer.unsigned(0);
                match predecessor {
                    Some(contact) => contact.write(writer),
                    None => writer.nil(),
                }
                contact::write_all(successors, writer);
            }),
            Self::Fetched(Fetched::Nothing) => writer.array(1, |writer| writer.unsigned(1)),
            Self::Fetched(Fetched::Record(version, value)) => writer.array(4, |writer| {
                writer.unsigned(2);
                version.write(writer);
                write_value(value.as_ref(), writer);
            }),
            Self::Fetched(Fetched::Old(value)) => writer.array(2, |writer| {
                writer.unsigned(3);
                write_value(value.as_ref(), writer);
            }),
            Self::Kept(Kept::Done { copies, had }) => writer.array(3, |writer| {
                writer.unsigned(4);
                writer.unsigned(*copies);
                writer.unsigned((*had).into());
            }),
            Self::Kept(Kept::Newer(version)) => writer.array(3, |writer| {
                writer.unsigned(5);
                version.write(writer);
            }),
            Self::Kept(Kept::Refused(refusal)) => writer.array(2, |writer| {
                writer.unsigned(6);
                writer.unsigned(*refusal as u64);
            }),
            Self::Checked(None) => writer.array(1, |writer| writer.unsigned(7)),
            Self::Checked(Some(version)) => writer.array(3, |writer| {
                writer.unsigned(7);
                version.write(writer);
            }),
            Self::Merged { version, value } => writer.array(4, |writer| {
                writer.unsigned(8);
                version.write(writer);
                writer.encoded(value);
            }),
            Self::Listed { keys, next } => writer.array(3, |writer| {
                writer.unsigned(9);
                match next {
                    Some(next) => writer.binary(&next.to_bytes()),
                    None => writer.nil(),
                }
                writer.array(keys.len(), |writer| keys.iter().for_each(|key| writer.binary(key)));
            }),
        }
    }

    pub(crate) fn read(element: &Element<'_>) -> Option<Self> {
        let mut elements = element.as_array()?;
        Some(match elements.next()?.as_u64()? {
            0 => {
                let predecessor = match elements.next()? {
                    Element::Nil => None,
                    contact => Some(Contact::read(&contact)?),
                };
                let successors = contact::read_all(&elements.next()?, MAX_HOPS)?;
                Self::Found { predecessor, successors }
            }
            1 => Self::Fetched(Fetched::Nothing),
            2 => {
                let version = Version::read(&mut elements)?;
                Self::Fetched(Fetched::Record(version, read_value(&mut elements)?))
            }
            3 => Self::Fetched(Fetched::Old(read_value(&mut elements)?)),
            4 => {
                let copies = elements.next()?.as_u64()?;
                Self::Kept(Kept::Done { copies, had: elements.next()?.as_u64()? != 0 })
            }
            5 => Self::Kept(Kept::Newer(Version::read(&mut elements)?)),
            6 => Self::Kept(Kept::Refused(match elements.next()?.as_u64()? {
                0 => Refusal::Full,
                1 => Refusal::Ahead,
                3 => Refusal::Busy,
                _ => Refusal::NoMap,
            })),
            7 if elements.len() == 0 => Self::Checked(None),
            7 => Self::Checked(Some(Version::read(&mut elements)?)),
            8 => {
                let version = Version::read(&mut elements)?;
                Self::Merged { version, value: elements.next_encoded()? }
            }
            9 => {
                let next = match elements.next()? {
                    Element::Nil => None,
                    id => Some(read_id(&id)?),
                };
                let keys = elements.next()?.as_array()?.take(MAX_KEYS);
                let keys = keys.map(|key| key.text_bytes().map(Bytes::copy_from_slice));
                Self::Listed { keys: keys.collect::<Option<_>>()?, next }
            }
            _ => return None,
        })
    }
}

pub(crate) fn write_hops(hops: &[NodeId], writer: &mut MessageWriter) {
    let mut bytes = Vec::with_capacity(NodeId::BYTES * hops.len());
    hops.iter().for_each(|hop| bytes.extend_from_slice(&hop.to_bytes()));
    writer.binary(&bytes);
}

pub(crate) fn read_hops(element: &Element<'_>) -> Option<Vec<NodeId>> {
    let (hops, rest) = element.text_bytes()?.as_chunks::<{ NodeId::BYTES }>();
    let is_some = rest.is_empty() && (1..=MAX_HOPS).contains(&hops.len());
    is_some.then(|| hops.iter().map(|hop| NodeId::from_bytes(*hop)).collect())
}

fn write_key(key: Option<&Bytes>, writer: &mut MessageWriter) {
    match key {
        Some(key) => writer.binary(key),
        None => writer.nil(),
    }
}

fn read_key(element: &Element<'_>) -> Option<Option<Bytes>> {
    match element {
        Element::Nil => Some(None),
        key => Some(Some(Bytes::copy_from_slice(key.text_bytes()?))),
    }
}

fn read_table(element: &Element<'_>) -> Option<Table> {
    Table::ALL.get(usize::try_from(element.as_u64()?).ok()?).copied()
}

#[cfg(test)]
mod tests;
