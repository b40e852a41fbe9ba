//! Bencode, the notation of torrent documents, read strictly.

use std::collections::BTreeMap;

use thiserror::Error;

/// A bencoded value, which borrows its texts and numbers from the bytes it was read from.
///
/// The reader is strict about numbers: no `-0`, no leading zeros, no `+`, no `_`. Integers are of
/// any size, so they are kept as text. Members of a dictionary may come in any order, and the last
/// of repeated ones counts; they are written in order. Hash the bytes as received, not these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bencode<'a> {
    /// A number in decimal digits, with a `-` before it if it is negative.
    Integer(&'a str),
    /// A string, which is bytes.
    Bytes(&'a [u8]),
    /// Values in order.
    List(Vec<Self>),
    /// Values by name.
    Dictionary(BTreeMap<&'a [u8], Self>),
}

impl<'a> Bencode<'a> {
    /// The longest document in bytes.
    pub const MAX_BYTES: usize = 8 << 20;

    /// How deep lists and dictionaries may lie in each other.
    pub const MAX_DEPTH: usize = 64;

    /// The most values of a document, those within others included.
    pub const MAX_VALUES: usize = 1 << 18;

    /// Reads one value, which must fill the bytes.
    ///
    /// # Errors
    ///
    /// Something else than a value, something after it, or more than one of the limits of this
    /// type; the error says what and at which byte.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, BencodeError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(BencodeError::TooLong { found: bytes.len(), limit: Self::MAX_BYTES });
        }
        let mut reader = Reader { bytes, at: 0, values: 0 };
        let value = reader.value(0)?;
        match reader.at == bytes.len() {
            true => Ok(value),
            false => Err(BencodeError::Trailing { at: reader.at }),
        }
    }

    /// The value in its canonical form: members of dictionaries sorted by name.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Integer(digits) => {
                out.push(b'i');
                out.extend_from_slice(digits.as_bytes());
                out.push(b'e');
            }
            Self::Bytes(bytes) => write_bytes(out, bytes),
            Self::List(values) => {
                out.push(b'l');
                values.iter().for_each(|value| value.write(out));
                out.push(b'e');
            }
            Self::Dictionary(members) => {
                out.push(b'd');
                for (name, value) in members {
                    write_bytes(out, name);
                    value.write(out);
                }
                out.push(b'e');
            }
        }
    }

    /// The member of this name, if this is a dictionary that has it.
    #[must_use]
    pub fn member(&self, name: &[u8]) -> Option<&Self> {
        match self {
            Self::Dictionary(members) => members.get(name),
            _ => None,
        }
    }

    /// The number, if this is one that 64 bits hold.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// The bytes, if this is a string.
    #[must_use]
    pub const fn as_bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// Why bytes are no [`Bencode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BencodeError {
    /// More bytes than are read.
    #[error("{found} bytes of bencode, where {limit} are allowed")]
    TooLong {
        /// Bytes there are.
        found: usize,
        /// Bytes there may be.
        limit: usize,
    },
    /// The bytes end within a value.
    #[error("bencode ends at byte {at}, within a value")]
    CutShort {
        /// Where.
        at: usize,
    },
    /// Bytes follow after the value.
    #[error("bencode: something follows after the value, at byte {at}")]
    Trailing {
        /// Where.
        at: usize,
    },
    /// A byte with which no value begins.
    #[error("bencode: no value begins with the byte {found:#04x}, at byte {at}")]
    NotAValue {
        /// The byte.
        found: u8,
        /// Where.
        at: usize,
    },
    /// A number that is none, or not in its one form.
    #[error("bencode: not a number in its shortest decimal form, at byte {at}")]
    NotANumber {
        /// Where it begins.
        at: usize,
    },
    /// The name of a member is no string.
    #[error("bencode: a member's name must be a string, at byte {at}")]
    NotAName {
        /// Where.
        at: usize,
    },
    /// Lists or dictionaries in each other too often.
    #[error("bencode nested deeper than {limit}, at byte {at}")]
    TooDeep {
        /// Where.
        at: usize,
        /// How deep they may be.
        limit: usize,
    },
    /// Too many values.
    #[error("bencode of more than {limit} values, at byte {at}")]
    TooMany {
        /// Where.
        at: usize,
        /// Values there may be.
        limit: usize,
    },
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(bytes);
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    values: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Bencode<'a>, BencodeError> {
        let at = self.at;
        self.values += 1;
        if self.values > Bencode::MAX_VALUES {
            return Err(BencodeError::TooMany { at, limit: Bencode::MAX_VALUES });
        }
        match self.peek()? {
            b'i' => {
                self.at += 1;
                self.number(b'e').map(Bencode::Integer)
            }
            b'0'..=b'9' => self.string().map(Bencode::Bytes),
            b'l' | b'd' if depth >= Bencode::MAX_DEPTH => {
                Err(BencodeError::TooDeep { at, limit: Bencode::MAX_DEPTH })
            }
            b'l' => {
                self.at += 1;
                let mut values = Vec::new();
                while !self.ends()? {
                    values.push(self.value(depth + 1)?);
                }
                Ok(Bencode::List(values))
            }
            b'd' => {
                self.at += 1;
                let mut members = BTreeMap::new();
                while !self.ends()? {
                    if !self.peek()?.is_ascii_digit() {
                        return Err(BencodeError::NotAName { at: self.at });
                    }
                    let name = self.string()?;
                    members.insert(name, self.value(depth + 1)?);
                }
                Ok(Bencode::Dictionary(members))
            }
            found => Err(BencodeError::NotAValue { found, at }),
        }
    }

    fn string(&mut self) -> Result<&'a [u8], BencodeError> {
        let at = self.at;
        let digits = self.number(b':')?;
        let length: usize = digits.parse().map_err(|_| BencodeError::NotANumber { at })?;
        let rest = &self.bytes[self.at..];
        let Some(string) = rest.get(..length) else {
            return Err(BencodeError::CutShort { at: self.bytes.len() });
        };
        self.at += length;
        Ok(string)
    }

    /// The digits up to `end`, with a sign that only a number other than zero may have.
    fn number(&mut self, end: u8) -> Result<&'a str, BencodeError> {
        let at = self.at;
        let rest = &self.bytes[at..];
        let is_part = |byte: &&u8| byte.is_ascii_digit() || **byte == b'-';
        let length = rest.iter().take_while(is_part).count();
        let wrong = BencodeError::NotANumber { at };
        match rest.get(length) {
            None => return Err(BencodeError::CutShort { at: self.bytes.len() }),
            Some(byte) if *byte == end => self.at += length + 1,
            Some(_) => return Err(wrong),
        }
        let text = str::from_utf8(&rest[..length]).map_err(|_| wrong)?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_shortest = match digits.as_bytes() {
            [] => false,
            [b'0'] => digits.len() == text.len(),
            [first, rest @ ..] => *first != b'0' && rest.iter().all(u8::is_ascii_digit),
        };
        // "--1" has a sign after its sign.
        match is_shortest && !digits.starts_with('-') {
            true => Ok(text),
            false => Err(wrong),
        }
    }

    fn ends(&mut self) -> Result<bool, BencodeError> {
        let ends = self.peek()? == b'e';
        self.at += usize::from(ends);
        Ok(ends)
    }

    fn peek(&self) -> Result<u8, BencodeError> {
        self.bytes.get(self.at).copied().ok_or(BencodeError::CutShort { at: self.at })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::share::vectors::cases;

    fn assert_is(value: &Bencode, expected: &Value, case: &str) {
        match value {
            Bencode::Integer(digits) => assert_eq!(*digits, expected.to_string(), "{case}"),
            Bencode::Bytes(bytes) => assert_eq!(hex::encode(bytes), expected["hex"], "{case}"),
            Bencode::List(values) => {
                let expected = expected.as_array().unwrap();
                assert_eq!(values.len(), expected.len(), "{case}");
                values.iter().zip(expected).for_each(|(value, of)| assert_is(value, of, case));
            }
            Bencode::Dictionary(members) => {
                let expected = expected["dict"].as_array().unwrap();
                assert_eq!(members.len(), expected.len(), "{case}");
                for pair in expected {
                    let name = hex::decode(pair[0].as_str().unwrap()).unwrap();
                    assert_is(&members[&name[..]], &pair[1], case);
                }
            }
        }
    }

    #[test]
    fn documents_are_read_and_written_as_the_original_does() {
        for case in cases("bencode") {
            let bytes = case.bytes("bytes_hex");
            let (expected, id) = (&case.value["expect"], &case.id);
            let read = Bencode::from_bytes(&bytes);
            match case.value["compat"].as_str().unwrap() {
                "must" => {
                    assert_eq!(read.is_ok(), expected["ok"].as_bool().unwrap(), "{id}: {read:?}");
                    let Ok(value) = read else { continue };
                    // The parser of this test keeps no integers beyond 64 bits.
                    if id != "bigint" {
                        assert_is(&value, &expected["value"], id);
                    }
                    let written = value.to_bytes();
                    assert_eq!(hex::encode(&written), expected["bytes_hex"], "{id}");
                    assert_eq!(written == bytes, expected["same_as_input"], "{id}");
                }
                // Numbers in another form than the shortest: the original takes them.
                "quirk" => {
                    let is_refused = matches!(read, Err(BencodeError::NotANumber { .. }));
                    assert!(is_refused, "{id}: {read:?}");
                }
                // The original fails over a list of pairs; it is a list.
                "defect" => assert!(matches!(read, Ok(Bencode::List(_))), "{id}: {read:?}"),
                other => panic!("{id}: {other}"),
            }
        }
    }

    #[test]
    fn a_number_has_one_form() {
        for text in ["i0e", "i7e", "i-7e", "i10e", "i-10e", "0:", "1:a"] {
            assert!(Bencode::from_bytes(text.as_bytes()).is_ok(), "{text}");
        }
        let wrong =
            ["i-0e", "i00e", "i07e", "i-07e", "i+7e", "i1_0e", "i--1e", "i1-1e", "ie", "i-e"];
        for text in wrong {
            let read = Bencode::from_bytes(text.as_bytes());
            assert_eq!(read, Err(BencodeError::NotANumber { at: 1 }), "{text}");
        }
        for text in ["00:", "01:a", "+1:a", "-1:a", "1_0:aaaaaaaaaa"] {
            assert!(Bencode::from_bytes(text.as_bytes()).is_err(), "{text}");
        }
        let huge = format!("{}:a", "9".repeat(30));
        assert_eq!(Bencode::from_bytes(huge.as_bytes()), Err(BencodeError::NotANumber { at: 0 }));
    }

    #[test]
    fn depth_length_and_number_are_limited() {
        let nested = |depth: usize| [vec![b'l'; depth], vec![b'e'; depth]].concat();
        assert!(Bencode::from_bytes(&nested(Bencode::MAX_DEPTH)).is_ok());
        let refused = Bencode::from_bytes(&nested(1_000_000)).unwrap_err();
        assert_eq!(refused, BencodeError::TooDeep { at: 64, limit: 64 });
        let many = [b"l", &b"le".repeat(Bencode::MAX_VALUES)[..], b"e"].concat();
        let refused = Bencode::from_bytes(&many).unwrap_err();
        assert!(matches!(refused, BencodeError::TooMany { .. }), "{refused}");
        let long = vec![b'l'; Bencode::MAX_BYTES + 1];
        let refused = Bencode::from_bytes(&long).unwrap_err();
        assert!(matches!(refused, BencodeError::TooLong { .. }), "{refused}");
    }

    #[test]
    fn any_bytes_are_read_or_refused_and_what_is_read_is_written_back() {
        proptest::proptest!(|(bytes in "[0-3ilde:a-]{0,24}")| {
            if let Ok(value) = Bencode::from_bytes(bytes.as_bytes()) {
                let written = value.to_bytes();
                proptest::prop_assert_eq!(Bencode::from_bytes(&written), Ok(value));
            }
        });
    }
}
