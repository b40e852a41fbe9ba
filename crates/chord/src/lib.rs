//! The arithmetic and the ring of a Chord DHT, as py2p 0.7 and js2p 0.7 have them.
//!
//! - A key lies at five [`Position`]s, one for each [`Table`]; a [`distance`] goes round the ring
//!   of 2^384 points clockwise. The member at or before a position owns it.
//! - A [`Ring`] is what a member knows of its neighbours, and how that stays right while members
//!   join and die: the corrected protocol of P. Zave. It sends nothing itself and can be used under
//!   any protocol that carries its questions and answers.

mod position;
mod ring;

pub use position::{Position, Table, distance};
pub use ring::{Ring, Step, View, between};
