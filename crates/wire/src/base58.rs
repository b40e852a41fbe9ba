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

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const NO_DIGIT: u8 = 58;
/// What each byte is worth as a digit.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < 58 {
        digits[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};
/// Digits that are converted at a time, the most of which the numbers fit into 32 bits. A library
/// for byte strings goes digit by digit, which made ids a third of a simulated network's work.
const GROUP: usize = 5;

/// Writes a big-endian number.
///
/// ```
/// assert_eq!(rs2p_wire::base58::encode(&[0, 0, 58]), "21");
/// assert_eq!(rs2p_wire::base58::encode(&[]), "1");
/// ```
#[must_use]
pub fn encode(number: &[u8]) -> String {
    let mut limbs: Vec<u32> = number.rchunks(4).rev().map(limb).collect();
    let mut digits = Vec::with_capacity(number.len() * 7 / 5 + GROUP);
    let mut first = 0;
    while first < limbs.len() {
        let mut rest = 0;
        for limb in &mut limbs[first..] {
            let dividend = rest << 32 | u64::from(*limb);
            *limb = (dividend / power(GROUP)) as u32;
            rest = dividend % power(GROUP);
        }
        for _ in 0..GROUP {
            digits.push(ALPHABET[(rest % 58) as usize]);
            rest /= 58;
        }
        first += limbs[first..].iter().take_while(|limb| **limb == 0).count();
    }
    while digits.len() > 1 && digits.last() == Some(&b'1') {
        digits.pop();
    }
    if digits.is_empty() {
        digits.push(b'1');
    }
    digits.iter().rev().copied().map(char::from).collect()
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
    // Least significant limb first.
    let mut limbs: Vec<u32> = Vec::with_capacity(N / 4 + 1);
    for (group, digits) in text.chunks(GROUP).enumerate() {
        let mut carry = 0;
        for (place, byte) in digits.iter().enumerate() {
            let digit = DIGITS[usize::from(*byte)];
            if digit == NO_DIGIT {
                return Err(Base58Error::Digit { index: group * GROUP + place, byte: *byte });
            }
            carry = carry * 58 + u64::from(digit);
        }
        for limb in &mut limbs {
            carry += u64::from(*limb) * power(digits.len());
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            limbs.push(carry as u32);
        }
    }
    let mut number = [0; N];
    let mut bytes = limbs.iter().flat_map(|limb| limb.to_le_bytes());
    for (byte, value) in number.iter_mut().rev().zip(&mut bytes) {
        *byte = value;
    }
    match bytes.all(|byte| byte == 0) {
        true => Ok(number),
        false => Err(Base58Error::TooLarge { width: N }),
    }
}

/// 58 to the power of `digits`, at most [`GROUP`].
fn power(digits: usize) -> u64 {
    58u64.pow(digits as u32)
}

/// The number that at most four big-endian bytes stand for.
fn limb(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |limb, byte| limb << 8 | u32::from(*byte))
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
    fn numbers_of_all_lengths_survive_the_way_through_text() {
        for length in 0..=48 {
            for fill in [1, 0x7f, 0x80, 0xff] {
                let mut number = [0; 48];
                number[48 - length..].fill(fill);
                assert_eq!(decode(encode(&number).as_bytes()), Ok(number));
                assert_eq!(encode(&number[48 - length..]), encode(&number));
            }
        }
    }

    #[test]
    fn an_overlong_text_is_refused_before_any_arithmetic() {
        let text = [b'1'; MAX_TEXT + 1];
        assert_eq!(decode::<8>(&text), Err(Base58Error::TooLong { length: MAX_TEXT + 1 }));
        assert_eq!(decode::<8>(&text[1..]), Ok([0; 8]));
    }
}
