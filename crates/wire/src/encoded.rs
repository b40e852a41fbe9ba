//! Values kept as the bytes they have on the wire.

use std::fmt;

use bytes::Bytes;
use rmpv::Value;

use crate::error::{EncodeError, MessageError};
use crate::limits::Limits;
use crate::reader::{Reader, Token};
use crate::value::{ValueReader, encoded_len_at};

/// A value in its encoding: for layers that keep what others wrote and hardly ever look into it.
///
/// Values that are built the same way have the same bytes, so equality is that of the bytes. Clones
/// share them.
///
/// ```
/// use rs2p_wire::{Encoded, Limits, Value};
///
/// let value = Value::from(vec![Value::from(1), Value::from("two")]);
/// let encoded = Encoded::new(&value, &Limits::default())?;
/// assert_eq!(encoded.to_value(), value);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Encoded {
    bytes: Bytes,
    /// Levels of arrays and maps.
    depth: u16,
}

impl Encoded {
    /// A value in its smallest encoding.
    ///
    /// # Errors
    /// It is nested deeper than `limits` allow.
    pub fn new(value: &Value, limits: &Limits) -> Result<Self, EncodeError> {
        let mut bytes = Vec::with_capacity(encoded_len_at(value, 1, limits)?);
        let written = rmpv::encode::write_value(&mut bytes, value);
        debug_assert!(written.is_ok());
        let depth = depth_of(&bytes);
        Ok(Self { bytes: bytes.into(), depth })
    }

    /// A value that was kept as bytes.
    ///
    /// # Errors
    /// They are not exactly one value, or one over `limits`.
    pub fn from_bytes(bytes: Bytes, limits: &Limits) -> Result<Self, MessageError> {
        let mut reader = ValueReader::new(&bytes, 0, limits);
        reader.pass_over(1, 1)?;
        let rest = bytes.len() - reader.at();
        if rest > 0 {
            return Err(MessageError::Trailing { at: reader.at(), bytes: rest });
        }
        let depth = depth_of(&bytes);
        Ok(Self { bytes, depth })
    }

    /// Bytes that are known to be one value.
    pub(crate) fn known(bytes: &[u8]) -> Self {
        Self { bytes: Bytes::copy_from_slice(bytes), depth: depth_of(bytes) }
    }

    /// The value.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let limits = Limits { depth: u16::MAX, items: u32::MAX, ..Limits::default() };
        let value = ValueReader::new(&self.bytes, 0, &limits).values(1, 1);
        value.ok().and_then(|mut values| values.pop()).unwrap_or(Value::Nil)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn depth(&self) -> u16 {
        self.depth
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_value(), f)
    }
}

/// Levels of arrays and maps in bytes that hold values.
fn depth_of(bytes: &[u8]) -> u16 {
    let mut reader = Reader::new(bytes, 0);
    let mut open: Vec<u64> = Vec::new();
    let mut deepest = 0;
    while let Ok(token) = reader.token() {
        let inner = match token {
            Token::Array(length) => Some(u64::from(length)),
            Token::Map(length) => Some(2 * u64::from(length)),
            _ => None,
        };
        if let Some(last) = open.last_mut() {
            *last -= 1;
        }
        if let Some(inner) = inner {
            open.push(inner);
            deepest = deepest.max(open.len());
        }
        while open.last() == Some(&0) {
            open.pop();
        }
    }
    u16::try_from(deepest).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_is_that_of_the_deepest_branch() {
        let flat = Value::from(vec![Value::Nil, 1.into()]);
        let deep =
            Value::Map(vec![("a".into(), Value::from(vec![flat.clone()])), (2.into(), 3.into())]);
        for (value, depth) in [(Value::Nil, 0), (flat, 1), (deep, 3), (Value::Array(Vec::new()), 1)]
        {
            let encoded = Encoded::new(&value, &Limits::default()).unwrap();
            assert_eq!(encoded.depth(), depth, "{value}");
            assert_eq!(Encoded::from_bytes(encoded.bytes.clone(), &Limits::default()), Ok(encoded));
        }
    }

    #[test]
    fn what_is_not_exactly_one_value_is_refused() {
        let limits = Limits::default();
        for bytes in [&[][..], &[0x91], &[1, 2], &[0xc1]] {
            assert!(Encoded::from_bytes(Bytes::copy_from_slice(bytes), &limits).is_err());
        }
    }
}
