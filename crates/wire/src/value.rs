//! MessagePack values, read within [`Limits`].

use rmpv::Value;

use crate::error::{EncodeError, MessageError};
use crate::id::IdForm;
use crate::limits::Limits;
use crate::reader::{Reader, Token};

/// The bytes of a text or binary value, and nothing of any other.
///
/// py2p writes keys and ids as binary, js2p as text; they are the same key and the same id, so
/// compare them by these bytes.
#[must_use]
pub fn text_bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::String(text) => Some(text.as_bytes()),
        Value::Binary(bytes) => Some(bytes),
        _ => None,
    }
}

/// Values one after the other, in their smallest encoding: for what is kept outside of messages.
#[must_use]
pub fn write_values(values: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for value in values {
        let written = rmpv::encode::write_value(&mut bytes, value);
        debug_assert!(written.is_ok());
    }
    bytes
}

/// Reads `count` values that stand one after the other.
///
/// # Errors
/// There are fewer of them; broken MessagePack, invalid UTF-8 in a text, or more than `limits`
/// allow.
pub fn read_values(bytes: &[u8], count: u32, limits: &Limits) -> Result<Vec<Value>, MessageError> {
    ValueReader::new(bytes, 0, limits).values(count, 1)
}

/// Reads values one after the other and counts what they cost.
pub(crate) struct ValueReader<'a> {
    reader: Reader<'a>,
    limits: Limits,
    items_left: u32,
}

impl<'a> ValueReader<'a> {
    /// `at`: where in `body` the first value begins.
    pub(crate) fn new(body: &'a [u8], at: usize, limits: &Limits) -> Self {
        Self { reader: Reader::new(body, at), limits: *limits, items_left: limits.items }
    }

    pub(crate) fn at(&self) -> usize {
        self.reader.at()
    }

    /// `count` values that stand at nesting `depth`.
    pub(crate) fn values(&mut self, count: u32, depth: u16) -> Result<Vec<Value>, MessageError> {
        self.enter(count, depth)?;
        (0..count).map(|_| self.value(depth)).collect()
    }

    fn value(&mut self, depth: u16) -> Result<Value, MessageError> {
        let at = self.reader.at();
        Ok(match self.reader.token()? {
            Token::Nil => Value::Nil,
            Token::Bool(boolean) => boolean.into(),
            Token::Unsigned(number) => number.into(),
            Token::Signed(number) => number.into(),
            Token::Float32(number) => number.into(),
            Token::Float64(number) => number.into(),
            Token::Str(bytes) => Value::String(utf8(bytes, at)?.into()),
            Token::Bin(bytes) => Value::Binary(bytes.to_vec()),
            Token::Ext(kind, bytes) => Value::Ext(kind, bytes.to_vec()),
            Token::Array(length) => Value::Array(self.values(length, depth + 1)?),
            Token::Map(length) => {
                self.enter(length.saturating_mul(2), depth + 1)?;
                let mut pairs = Vec::with_capacity(length as usize);
                for _ in 0..length {
                    pairs.push((self.value(depth + 1)?, self.value(depth + 1)?));
                }
                Value::Map(pairs)
            }
        })
    }

    /// Checks `count` values at `depth` without building them.
    pub(crate) fn pass_over(&mut self, count: u32, depth: u16) -> Result<(), MessageError> {
        self.enter(count, depth)?;
        for _ in 0..count {
            let at = self.reader.at();
            match self.reader.token()? {
                Token::Str(bytes) => {
                    utf8(bytes, at)?;
                }
                Token::Array(length) => self.pass_over(length, depth + 1)?,
                Token::Map(length) => self.pass_over(length.saturating_mul(2), depth + 1)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks `count` values at `depth` without building them, and that maps and timestamps are
    /// such as every node can read.
    pub(crate) fn skim(&mut self, count: u32, depth: u16) -> Result<(), MessageError> {
        self.enter(count, depth)?;
        (0..count).try_for_each(|_| self.skim_one(depth).map(drop))
    }

    fn skim_one(&mut self, depth: u16) -> Result<Token<'a>, MessageError> {
        let at = self.reader.at();
        let token = self.reader.token()?;
        match token {
            Token::Str(bytes) => {
                utf8(bytes, at)?;
            }
            Token::Ext(TIMESTAMP, bytes) if !is_date(bytes) => {
                return Err(MessageError::Timestamp { at });
            }
            Token::Array(length) => self.skim(length, depth + 1)?,
            Token::Map(length) => self.skim_map(length, depth + 1)?,
            _ => {}
        }
        Ok(token)
    }

    /// py2p refuses a map that has a key twice, or an array or a map for a key.
    fn skim_map(&mut self, length: u32, depth: u16) -> Result<(), MessageError> {
        self.enter(length.saturating_mul(2), depth)?;
        let mut keys = Vec::with_capacity(length as usize);
        for _ in 0..length {
            let at = self.reader.at();
            let key = Key::of(self.skim_one(depth)?).ok_or(MessageError::KeyType { at })?;
            keys.push((key, at));
            self.skim_one(depth)?;
        }
        keys.sort_unstable();
        match keys.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(MessageError::RepeatedKey { at: pair[1].1 }),
            None => Ok(()),
        }
    }

    /// Accounts for an array or map before any memory is set aside for it: each value takes a
    /// byte at least, so a count beyond the remaining bytes is cut short here.
    fn enter(&mut self, count: u32, depth: u16) -> Result<(), MessageError> {
        let at = self.reader.at();
        if depth > self.limits.nesting() {
            return Err(MessageError::TooDeep { at, limit: self.limits.nesting() });
        }
        if count as usize > self.reader.remaining() {
            let missing = count as usize - self.reader.remaining();
            return Err(MessageError::Truncated { at, missing });
        }
        self.items_left = self
            .items_left
            .checked_sub(count)
            .ok_or(MessageError::TooManyItems { at, limit: self.limits.items })?;
        Ok(())
    }
}

/// A map's key, by what it is equal to: in Python, 1, 1.0 and true are one key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Nil,
    Whole(i128),
    Fraction(u64),
    Str(&'a [u8]),
    Bin(&'a [u8]),
    Ext(i8, &'a [u8]),
}

impl<'a> Key<'a> {
    fn of(token: Token<'a>) -> Option<Self> {
        let float = match token {
            Token::Nil => return Some(Self::Nil),
            Token::Bool(boolean) => return Some(Self::Whole(boolean.into())),
            Token::Unsigned(number) => return Some(Self::Whole(number.into())),
            Token::Signed(number) => return Some(Self::Whole(number.into())),
            Token::Str(bytes) => return Some(Self::Str(bytes)),
            Token::Bin(bytes) => return Some(Self::Bin(bytes)),
            Token::Ext(kind, bytes) => return Some(Self::Ext(kind, bytes)),
            Token::Float32(number) => f64::from(number),
            Token::Float64(number) => number,
            Token::Array(_) | Token::Map(_) => return None,
        };
        // Beyond 64 bits a float equals no other number that a message can hold.
        let is_whole = float.fract() == 0.0 && float.abs() < 2f64.powi(65);
        Some(if is_whole { Self::Whole(float as i128) } else { Self::Fraction(float.to_bits()) })
    }
}

/// MessagePack's extension for timestamps.
const TIMESTAMP: i8 = -1;

/// Whether py2p can make a date of a timestamp: of one of three lengths, in the years 1 to 9999.
fn is_date(timestamp: &[u8]) -> bool {
    match timestamp.len() {
        // 32 and 34 bits of seconds since 1970 lead to the year 2514 at the most.
        4 | 8 => true,
        // Nanoseconds, which may be more than a second's by mistake, then seconds.
        12 => timestamp
            .last_chunk()
            .is_some_and(|seconds| DATES.contains(&i64::from_be_bytes(*seconds))),
        _ => false,
    }
}

/// The years 1 to 9999 in seconds since 1970, less the few by which nanoseconds can overrun.
const DATES: std::ops::Range<i64> = -62_135_596_800..253_402_300_795;

fn utf8(bytes: &[u8], at: usize) -> Result<&str, MessageError> {
    std::str::from_utf8(bytes).map_err(|_| MessageError::InvalidUtf8 { at })
}

/// Length of the smallest encodings of values that stand at nesting `depth`.
///
/// # Errors
/// Nesting beyond `limits`: the value is refused before anything recurses into its depth.
pub(crate) fn encoded_len_of<'a>(
    values: impl IntoIterator<Item = &'a Value>,
    depth: u16,
    limits: &Limits,
) -> Result<usize, EncodeError> {
    if depth > limits.nesting() {
        return Err(EncodeError::TooDeep { limit: limits.nesting() });
    }
    values.into_iter().try_fold(0, |sum, value| Ok(sum + encoded_len_at(value, depth, limits)?))
}

/// How many bytes a value takes, as an element of a payload.
///
/// # Errors
/// It is nested deeper than `limits` allow.
pub fn encoded_len(value: &Value, limits: &Limits) -> Result<usize, EncodeError> {
    encoded_len_at(value, 1, limits)
}

pub(crate) fn encoded_len_at(
    value: &Value,
    depth: u16,
    limits: &Limits,
) -> Result<usize, EncodeError> {
    Ok(match value {
        Value::Nil | Value::Boolean(_) => 1,
        Value::Integer(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => unsigned_len(number),
            (None, Some(-0x20..)) => 1,
            (None, Some(-0x80..)) => 2,
            (None, Some(-0x8000..)) => 3,
            (None, Some(-0x8000_0000..)) => 5,
            _ => 9,
        },
        Value::F32(_) => 5,
        Value::F64(_) => 9,
        // What is no text is written as binary.
        Value::String(text) => text.as_str().map_or_else(|| bin_len(text.as_bytes()), str_len),
        Value::Binary(bytes) => bin_len(bytes),
        Value::Ext(_, bytes) => match bytes.len() {
            length @ (1 | 2 | 4 | 8 | 16) => length + 2,
            length @ 0..=0xff => length + 3,
            length @ 0x100..=0xffff => length + 4,
            length => length + 6,
        },
        Value::Array(values) => {
            array_head_len(values.len()) + encoded_len_of(values, depth + 1, limits)?
        }
        Value::Map(pairs) => {
            let inner = pairs.iter().flat_map(|(key, value)| [key, value]);
            array_head_len(pairs.len()) + encoded_len_of(inner, depth + 1, limits)?
        }
    })
}

pub(crate) fn unsigned_len(number: u64) -> usize {
    match number {
        0..=0x7f => 1,
        0x80..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

pub(crate) fn id_len(id: &str, form: IdForm) -> usize {
    match form {
        IdForm::Bin => bin_len(id.as_bytes()),
        IdForm::Str => str_len(id),
    }
}

fn bin_len(bytes: &[u8]) -> usize {
    match bytes.len() {
        length @ 0..=0xff => length + 2,
        length @ 0x100..=0xffff => length + 3,
        length => length + 5,
    }
}

fn str_len(text: &str) -> usize {
    if text.len() < 32 { text.len() + 1 } else { bin_len(text.as_bytes()) }
}

/// Head of an array or map; both come in the same sizes.
pub(crate) fn array_head_len(length: usize) -> usize {
    match length {
        0..16 => 1,
        16..=0xffff => 3,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Value {
        (1..depth).fold(Value::Array(Vec::new()), |inner, _| Value::Array(vec![inner]))
    }

    #[test]
    fn the_length_told_is_the_length_written() {
        let integers = [0, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, u64::MAX >> 32, u64::MAX];
        let negatives = [-1, -32, -33, -128, -129, -32768, -32769, -2_147_483_648, i64::MIN];
        let lengths = [0, 1, 2, 4, 8, 15, 16, 17, 31, 32, 255, 256, 65_535, 65_536];
        let values = integers
            .into_iter()
            .map(Value::from)
            .chain(negatives.into_iter().map(Value::from))
            .chain(lengths.into_iter().flat_map(|length| {
                let array = vec![Value::Nil; length];
                let map = array.iter().cloned().map(|value| (value, true.into())).collect();
                [
                    Value::from("x".repeat(length)),
                    Value::Binary(vec![0; length]),
                    Value::Ext(7, vec![0; length]),
                    Value::Array(array),
                    Value::Map(map),
                ]
            }))
            .chain([Value::F32(1.5), Value::F64(1.5)]);
        for value in values {
            let mut written = Vec::new();
            rmpv::encode::write_value(&mut written, &value).unwrap();
            assert_eq!(encoded_len_of([&value], 1, &Limits::default()), Ok(written.len()));
        }
    }

    #[test]
    fn nesting_is_refused_at_the_same_depth_both_ways() {
        let limits = Limits { depth: 5, ..Limits::default() };
        for (depth, fits) in [(4, true), (5, false)] {
            let value = nested(depth);
            let mut written = Vec::new();
            rmpv::encode::write_value(&mut written, &value).unwrap();
            assert_eq!(encoded_len_of([&value], 1, &limits).is_ok(), fits, "{depth}");
            let read = ValueReader::new(&written, 0, &limits).values(1, 1);
            assert_eq!(read.is_ok(), fits, "{depth}");
            assert_eq!(ValueReader::new(&written, 0, &limits).skim(1, 1).is_ok(), fits);
        }
    }

    #[test]
    fn an_array_that_claims_more_than_there_is_sets_no_memory_aside() {
        let claim = [0xdd, 0xff, 0xff, 0xff, 0xff];
        let read = ValueReader::new(&claim, 0, &Limits::default()).values(1, 1);
        assert_eq!(read, Err(MessageError::Truncated { at: 5, missing: 0xffff_ffff }));
    }

    #[test]
    fn maps_that_not_every_node_can_read_are_found() {
        let skim = |map: Vec<(Value, Value)>| {
            let mut body = Vec::new();
            rmpv::encode::write_value(&mut body, &Value::Map(map)).unwrap();
            ValueReader::new(&body, 0, &Limits::default()).skim(1, 1)
        };
        let pair = |key: Value| (key, Value::Nil);
        let twice = |one: Value, other: Value| skim(vec![pair(one), pair("k".into()), pair(other)]);
        assert_eq!(twice("a".into(), Value::Binary(b"a".to_vec())), Ok(()));
        assert_eq!(twice(1.into(), 1.5.into()), Ok(()));
        assert_eq!(twice("k".into(), 1.into()), Err(MessageError::RepeatedKey { at: 4 }));
        assert_eq!(twice(1.into(), 1.0.into()), Err(MessageError::RepeatedKey { at: 6 }));
        assert_eq!(twice(0.into(), false.into()), Err(MessageError::RepeatedKey { at: 6 }));
        assert_eq!(twice(Value::Nil, Value::Nil), Err(MessageError::RepeatedKey { at: 6 }));
        let array = Value::Array(Vec::new());
        assert_eq!(skim(vec![pair(array)]), Err(MessageError::KeyType { at: 1 }));
        assert_eq!(
            skim(vec![(1.into(), Value::Map(vec![pair(2.into()), pair(2.into())]))]),
            Err(MessageError::RepeatedKey { at: 5 })
        );
    }

    #[test]
    fn timestamps_that_are_no_date_to_py2p_are_found() {
        let skim_ext = |kind, bytes: &[u8]| {
            let mut body = Vec::new();
            rmpv::encode::write_value(&mut body, &Value::Ext(kind, bytes.to_vec())).unwrap();
            ValueReader::new(&body, 0, &Limits::default()).skim(1, 1)
        };
        let skim = |timestamp: &[u8]| skim_ext(TIMESTAMP, timestamp);
        let long = |seconds: i64| skim(&[&[0xff; 4][..], &seconds.to_be_bytes()].concat());
        for good in [skim(&[0xff; 4]), skim(&[0xff; 8]), skim_ext(1, &[0; 5])] {
            assert_eq!(good, Ok(()));
        }
        for good in [DATES.start, -1, DATES.end - 1] {
            assert_eq!(long(good), Ok(()), "{good}");
        }
        let bad = [skim(&[]), skim(&[0; 5]), skim(&[0; 16]), long(i64::MAX)];
        for bad in bad.into_iter().chain([long(DATES.start - 1), long(DATES.end)]) {
            assert_eq!(bad, Err(MessageError::Timestamp { at: 0 }));
        }
    }

    #[test]
    fn items_are_counted_over_all_levels() {
        let limits = Limits { items: 6, ..Limits::default() };
        let body = [0x92, 0x01, 0x81, 0x02, 0x03, 0x04];
        assert!(ValueReader::new(&body, 0, &limits).values(2, 1).is_ok());
        let limits = Limits { items: 5, ..limits };
        let error = MessageError::TooManyItems { at: 3, limit: 5 };
        assert_eq!(ValueReader::new(&body, 0, &limits).values(2, 1), Err(error.clone()));
        assert_eq!(ValueReader::new(&body, 0, &limits).skim(2, 1), Err(error));
    }
}
