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
/// Digits that are converted at a time, the most of which the numbers fit into 64 bits. A library
/// for byte strings goes digit by digit, which made ids a third of a simulated network's work.
const GROUP: usize = 10;
/// Bytes of the numbers that are converted without taking memory.
const USUAL: usize = 64;
/// Writes a big-endian number.
///
/// ```
/// assert_eq!(rs2p_wire::base58::encode(&[0, 0, 58]), "21");
/// assert_eq!(rs2p_wire::base58::encode(&[]), "1");
/// ```
#[must_use]
pub fn encode(number: &[u8]) -> String {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = &number[zeros..];
    let length = number.len().div_ceil(8);
    let (mut few, mut many) = ([0; USUAL / 8], Vec::new());
    let limbs = room(length, &mut few, &mut many);
    for (limb, bytes) in limbs.iter_mut().rev().zip(number.rchunks(8)) {
        *limb = bytes.iter().fold(0, |limb, byte| limb << 8 | u64::from(*byte));
    }
    // Written from its end on. A limb takes eleven digits at the most.
    let (mut short, mut long) = ([b'1'; USUAL / 8 * 11 + GROUP], Vec::new());
    let text = room(length * 11 + GROUP, &mut short, &mut long);
    let mut end = text.len();
    let mut first = 0;
    while first < limbs.len() {
        let mut rest = 0;
        for limb in &mut limbs[first..] {
            (*limb, rest) = divide(rest, *limb);
        }
        // The halves are independent of each other, so their digits are found at the same time.
        let half = 58u64.pow(GROUP as u32 / 2);
        let (mut high, mut low) = ((rest / half) as u32, (rest % half) as u32);
        for place in 1..=GROUP / 2 {
            text[end - place] = ALPHABET[(low % 58) as usize];
            text[end - GROUP / 2 - place] = ALPHABET[(high % 58) as usize];
            (high, low) = (high / 58, low / 58);
        }
        end -= GROUP;
        first += limbs[first..].iter().take_while(|limb| **limb == 0).count();
    }
    let ones = text[end..].iter().take_while(|digit| **digit == b'1').count();
    let begin = (end + ones).min(text.len() - 1);
    String::from_utf8_lossy(&text[begin..]).into_owned()
}

/// A number of at most 48 bytes, which is what ids have, in base 58: as [`encode`] writes it, at half
/// the time and without taking memory.
///
/// ```
/// assert_eq!(rs2p_wire::base58::Text::of(&[0, 0, 58]).as_str(), "21");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Text {
    text: [u8; Self::GROUPS * Self::GROUP],
    begin: u8,
}

impl Text {
    const BYTES: usize = 48;
    /// Bytes of a part of a number, and digits of a group of its text: the sum of as many products
    /// of the two as there are parts still fits into 64 bits.
    const PART: usize = 3;
    const GROUP: usize = 5;
    const PARTS: usize = Self::BYTES / Self::PART;
    const GROUPS: usize = 14;

    /// The first group's digits, when each part has the value one: most significant first.
    const PLACES: [[u32; Self::GROUPS]; Self::PARTS] = {
        let base = POWERS[Self::GROUP];
        let mut places = [[0; Self::GROUPS]; Self::PARTS];
        let mut place = [0; Self::GROUPS];
        place[Self::GROUPS - 1] = 1;
        let mut part = Self::PARTS;
        while part > 0 {
            part -= 1;
            places[part] = place;
            let (mut carry, mut group) = (0, Self::GROUPS);
            while group > 0 {
                group -= 1;
                carry += (place[group] as u64) << (8 * Self::PART);
                place[group] = (carry % base) as u32;
                carry /= base;
            }
        }
        places
    };

    /// Writes a big-endian number.
    #[must_use]
    pub fn of<const N: usize>(number: &[u8; N]) -> Self {
        const { assert!(N <= Self::BYTES, "the number is longer than the place for it") };
        let mut padded = [0; Self::BYTES];
        padded[Self::BYTES - N..].copy_from_slice(number);
        // Each part adds to all groups, and no addition waits for another. What is over a group's
        // size is carried in the end, once.
        let mut groups = [0u64; Self::GROUPS];
        let (parts, _) = padded.as_chunks::<{ Self::PART }>();
        for (part, places) in parts.iter().zip(&Self::PLACES) {
            let part = part.iter().fold(0, |part, byte| part << 8 | u32::from(*byte));
            for (group, place) in groups.iter_mut().zip(places) {
                *group += u64::from(part) * u64::from(*place);
            }
        }
        let mut carry = 0;
        for group in groups.iter_mut().rev() {
            *group += carry;
            carry = *group / POWERS[Self::GROUP];
            *group -= carry * POWERS[Self::GROUP];
        }
        let mut text = [0; Self::GROUPS * Self::GROUP];
        for (group, digits) in groups.iter().zip(text.as_chunks_mut::<{ Self::GROUP }>().0) {
            let mut rest = *group as u32;
            for digit in digits.iter_mut().rev() {
                *digit = ALPHABET[(rest % 58) as usize];
                rest /= 58;
            }
        }
        let ones = text.iter().take_while(|digit| **digit == b'1').count();
        Self { text, begin: ones.min(text.len() - 1) as u8 }
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The digits, in ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[self.begin.into()..]
    }
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
    // Least significant limb first; 256 digits are less than 1,500 bits.
    let (mut limbs, mut used) = ([0; MAX_TEXT * 6 / 64], 0);
    for (group, digits) in text.chunks(GROUP).enumerate() {
        let mut carry = 0;
        for (place, byte) in digits.iter().enumerate() {
            let digit = DIGITS[usize::from(*byte)];
            if digit == NO_DIGIT {
                return Err(Base58Error::Digit { index: group * GROUP + place, byte: *byte });
            }
            carry = carry * 58 + u64::from(digit);
        }
        let power = POWERS[digits.len()];
        for limb in &mut limbs[..used] {
            let product = u128::from(*limb) * u128::from(power) + u128::from(carry);
            (*limb, carry) = (product as u64, (product >> 64) as u64);
        }
        if carry > 0 {
            limbs[used] = carry;
            used += 1;
        }
    }
    let mut number = [0; N];
    let mut bytes = limbs[..used].iter().flat_map(|limb| limb.to_le_bytes());
    for (byte, value) in number.iter_mut().rev().zip(&mut bytes) {
        *byte = value;
    }
    match bytes.all(|byte| byte == 0) {
        true => Ok(number),
        false => Err(Base58Error::TooLarge { width: N }),
    }
}

/// The powers of 58 up to that of a whole group.
const POWERS: [u64; GROUP + 1] = {
    let mut powers = [1; GROUP + 1];
    let mut digits = 1;
    while digits <= GROUP {
        powers[digits] = powers[digits - 1] * 58;
        digits += 1;
    }
    powers
};

/// As much of `few` as is asked for, else `many`.
fn room<'a, T: Copy + Default>(
    length: usize,
    few: &'a mut [T],
    many: &'a mut Vec<T>,
) -> &'a mut [T] {
    if length <= few.len() {
        return &mut few[..length];
    }
    many.resize(length, T::default());
    many
}

/// Divides `high * 2^64 + low` by the power of 58 that a group of digits stands for, which is
/// larger than `high`: quotient and remainder.
///
/// The processor's own division of such numbers takes several times as long as this one by way of
/// the reciprocal (Möller and Granlund, *Improved division by invariant integers*, 2011).
#[inline(always)]
fn divide(high: u64, low: u64) -> (u64, u64) {
    /// Of the divisor, whose highest bit has to be set.
    const SHIFT: u32 = POWERS[GROUP].leading_zeros();
    const DIVISOR: u64 = POWERS[GROUP] << SHIFT;
    const RECIPROCAL: u64 = (u128::MAX / DIVISOR as u128 - (1 << 64)) as u64;
    let (high, low) = (high << SHIFT | low >> (u64::BITS - SHIFT), low << SHIFT);
    let guess =
        u128::from(RECIPROCAL) * u128::from(high) + (u128::from(high) << 64 | u128::from(low));
    let mut quotient = ((guess >> 64) as u64).wrapping_add(1);
    let mut rest = low.wrapping_sub(quotient.wrapping_mul(DIVISOR));
    if rest > guess as u64 {
        quotient = quotient.wrapping_sub(1);
        rest = rest.wrapping_add(DIVISOR);
    }
    if rest >= DIVISOR {
        quotient += 1;
        rest -= DIVISOR;
    }
    (quotient, rest >> SHIFT)
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
                assert_eq!(Text::of(&number).as_str(), encode(&number));
            }
        }
    }

    #[test]
    fn a_division_by_way_of_the_reciprocal_is_exact() {
        let divisor = POWERS[GROUP];
        let edges = [0, 1, 57, divisor - 1, divisor, divisor + 1, 1 << 58, u64::MAX - 1, u64::MAX];
        for high in edges.into_iter().filter(|high| *high < divisor) {
            for low in edges {
                let dividend = u128::from(high) << 64 | u128::from(low);
                let (quotient, rest) = divide(high, low);
                assert_eq!(u128::from(quotient), dividend / u128::from(divisor));
                assert_eq!(u128::from(rest), dividend % u128::from(divisor));
            }
        }
    }

    #[test]
    fn numbers_of_any_length_are_written() {
        // 58^n is a one and n zeros.
        let mut number = vec![1];
        for zeros in 0..200 {
            assert_eq!(encode(&number), format!("2{}", "1".repeat(zeros)));
            let mut carry = 0;
            for byte in number.iter_mut().rev() {
                carry += u32::from(*byte) * 58;
                *byte = carry as u8;
                carry >>= 8;
            }
            number.insert(0, carry as u8);
        }
    }

    #[test]
    fn an_overlong_text_is_refused_before_any_arithmetic() {
        let text = [b'1'; MAX_TEXT + 1];
        assert_eq!(decode::<8>(&text), Err(Base58Error::TooLong { length: MAX_TEXT + 1 }));
        assert_eq!(decode::<8>(&text[1..]), Ok([0; 8]));
    }
}
