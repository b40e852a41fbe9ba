//! The text forms of keys, and the order in which they are tried (spec, section 2).

/// The bytes of a text, by the first decoder that takes it: hexadecimal, base32, base64.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() {
        return None;
    }
    let text = text.as_bytes();
    from_hex(text).or_else(|| from_base32(text)).or_else(|| from_base64(text))
}

pub(crate) fn base32(bytes: &[u8]) -> String {
    in_groups(bytes, 5, BASE32)
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    in_groups(bytes, 3, BASE64)
}

/// Groups of bytes as digits of one alphabet, padded with `=` to whole groups.
fn in_groups(bytes: &[u8], group: usize, alphabet: &[u8]) -> String {
    let bits = alphabet.len().ilog2() as usize;
    let digits = 8 * group / bits;
    let mut text = String::with_capacity(bytes.len().div_ceil(group) * digits);
    for chunk in bytes.chunks(group) {
        let number = (0..group)
            .fold(0_u64, |number, i| number << 8 | u64::from(*chunk.get(i).unwrap_or(&0)));
        let meant = (8 * chunk.len()).div_ceil(bits);
        for digit in 0..digits {
            let value = number >> (bits * (digits - 1 - digit)) & (alphabet.len() as u64 - 1);
            let sign = if digit < meant { alphabet[value as usize] } else { b'=' };
            text.push(char::from(sign));
        }
    }
    text
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_chunks() else { return None };
    let digit = |sign: u8| char::from(sign).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| Some((digit(*high)? << 4 | digit(*low)?) as u8);
    pairs.iter().map(byte).collect()
}

fn from_base32(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|sign| **sign == b'=').count();
    let digits = &text[..text.len() - padding];
    if !text.len().is_multiple_of(8) || ![0, 1, 3, 4, 6].contains(&padding) {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 5 / 8);
    let mut bits = Bits::default();
    for digit in digits {
        bytes.extend(bits.push(value_in(&BASE32_VALUES, digit.to_ascii_uppercase())?, 5));
    }
    Some(bytes)
}

/// As lenient as the reference: foreign characters are skipped, a `=` counts only where one is
/// due, and nothing after the last of them is read.
fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let mut bits = Bits::default();
    let mut in_group = 0;
    let mut padding = 0;
    for sign in text {
        if *sign == b'=' {
            padding += 1;
            if in_group >= 2 && in_group + padding >= 4 {
                return Some(bytes);
            }
        } else if let Some(value) = value_in(&BASE64_VALUES, *sign) {
            padding = 0;
            in_group = (in_group + 1) % 4;
            bytes.extend(bits.push(value, 6));
        }
    }
    (in_group == 0).then_some(bytes)
}

fn value_in(values: &[u8; 256], sign: u8) -> Option<u32> {
    let value = values[usize::from(sign)];
    (value != FOREIGN).then_some(u32::from(value))
}

/// Bits that do not make a byte yet.
#[derive(Default)]
struct Bits {
    held: u32,
    count: u32,
}

impl Bits {
    /// Takes in a digit and gives out a byte once there is one.
    fn push(&mut self, value: u32, width: u32) -> Option<u8> {
        self.held = self.held << width | value;
        self.count += width;
        if self.count < 8 {
            return None;
        }
        self.count -= 8;
        let byte = (self.held >> self.count) as u8;
        self.held &= (1 << self.count) - 1;
        Some(byte)
    }
}

const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What each sign stands for, so that reading takes no search.
static BASE32_VALUES: [u8; 256] = values_of(BASE32);

static BASE64_VALUES: [u8; 256] = values_of(BASE64);

/// Of a sign that is none of the alphabet.
const FOREIGN: u8 = u8::MAX;

const fn values_of(alphabet: &[u8]) -> [u8; 256] {
    let mut values = [FOREIGN; 256];
    let mut value = 0;
    while value < alphabet.len() {
        values[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    values
}
