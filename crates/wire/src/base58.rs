//! Integers in base 58, as the protocol writes ids (spec section 2).
//!
//! The alphabet is Bitcoin's. Unlike Bitcoin's addresses the text stands for a *number*: leading
//! zero bytes leave no trace, zero is `1`, and leading `1`s of a text are zeros.

use thiserror::Error;

/// Longest text that [`decode`] reads, in characters; a 512-bit number takes 88.
pub const MAX_TEXT: usize = 256;

/// Why a text is not a base 58 number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Base58Error {
    /// Zero is written `1`; an empty text is nothing.
    #[error("an empty text is not a base 58 number")]
    Empty,
    /// The character is not among the 58.
    #[error("byte {byte:#04x} at index {index} is not a base 58 digit")]
    Digit {
        /// Where it stands.
        index: usize,
        /// What stands there.
        byte: u8,
    },
    /// Reading a number takes time in the square of its length, so the length is bounded.
    #[error("{length} characters are over the limit of {MAX_TEXT} for a base 58 number")]
    TooLong {
        /// Length of the text.
        length: usize,
    },
    /// The number needs more bytes than there is room for.
    #[error("the number does not fit into {width} bytes")]
    TooLarge {
        /// Bytes there is room for.
        width: usize,
    },
}

/// Writes a big-endian number.
///
/// ```
/// assert_eq!(rs2p_wire::base58::encode(&[0, 0, 58]), "21");
/// assert_eq!(rs2p_wire::base58::encode(&[]), "1");
/// ```
#[must_use]
pub fn encode(number: &[u8]) -> String {
    let significant = trim_start(number, 0);
    if significant.is_empty() {
        return "1".to_owned();
    }
    bs58::encode(significant).into_string()
}

/// Reads a number into `N` big-endian bytes.
///
/// # Errors
/// An empty or overlong text, a foreign character, a number of more than `N` bytes.
///
/// ```
/// assert_eq!(rs2p_wire::base58::decode::<2>(b"121")?, [0, 58]);
/// # Ok::<(), rs2p_wire::base58::Base58Error>(())
/// ```
pub fn decode<const N: usize>(text: &[u8]) -> Result<[u8; N], Base58Error> {
    if text.is_empty() {
        return Err(Base58Error::Empty);
    }
    if text.len() > MAX_TEXT {
        return Err(Base58Error::TooLong { length: text.len() });
    }
    let digits = trim_start(text, b'1');
    let mut number = [0; MAX_TEXT];
    let length = bs58::decode(digits).onto(&mut number[..]).map_err(|error| match error {
        bs58::decode::Error::InvalidCharacter { index, .. }
        | bs58::decode::Error::NonAsciiCharacter { index } => {
            Base58Error::Digit { index: index + text.len() - digits.len(), byte: digits[index] }
        }
        _ => Base58Error::TooLarge { width: N },
    })?;
    let mut out = [0; N];
    let start = N.checked_sub(length).ok_or(Base58Error::TooLarge { width: N })?;
    out[start..].copy_from_slice(&number[..length]);
    Ok(out)
}

fn trim_start(bytes: &[u8], zero: u8) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == zero).count();
    &bytes[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_needs_one_byte_more_is_refused() {
        assert_eq!(
            decode::<1>(encode(&[1, 0]).as_bytes()),
            Err(Base58Error::TooLarge { width: 1 })
        );
        assert_eq!(decode::<1>(encode(&[255]).as_bytes()), Ok([255]));
    }

    #[test]
    fn the_foreign_character_is_named_with_its_place() {
        assert_eq!(decode::<8>(b"11a0"), Err(Base58Error::Digit { index: 3, byte: b'0' }));
        assert_eq!(decode::<8>("aé".as_bytes()), Err(Base58Error::Digit { index: 1, byte: 0xc3 }));
    }

    #[test]
    fn an_overlong_text_is_refused_before_any_arithmetic() {
        let text = [b'1'; MAX_TEXT + 1];
        assert_eq!(decode::<8>(&text), Err(Base58Error::TooLong { length: MAX_TEXT + 1 }));
        assert_eq!(decode::<8>(&text[1..]), Ok([0; 8]));
    }
}
