//! MessagePack, one token at a time, with every read checked against what is there.

use rmp::Marker;

use crate::error::MessageError;

/// A token: a scalar with its content, or the head of an array or map whose elements follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Token<'a> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float32(f32),
    Float64(f64),
    Str(&'a [u8]),
    Bin(&'a [u8]),
    Ext(i8, &'a [u8]),
    Array(u32),
    Map(u32),
}

/// Reads tokens off a body; `at` is the offset of the next byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// What lies between this reader and one that is further on in the same bytes.
    pub(crate) fn up_to(&self, later: &Self) -> &'a [u8] {
        &self.bytes[self.at..later.at]
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    // Compiled into its few callers, so that neither the offset nor the token goes through memory.
    #[inline(always)]
    pub(crate) fn token(&mut self) -> Result<Token<'a>, MessageError> {
        let start = self.at;
        let [marker] = self.array()?;
        Ok(match Marker::from_u8(marker) {
            Marker::FixPos(number) => Token::Unsigned(number.into()),
            Marker::FixNeg(number) => Token::Signed(number.into()),
            Marker::Null => Token::Nil,
            Marker::True => Token::Bool(true),
            Marker::False => Token::Bool(false),
            Marker::U8 => Token::Unsigned(u8::from_be_bytes(self.array()?).into()),
            Marker::U16 => Token::Unsigned(u16::from_be_bytes(self.array()?).into()),
            Marker::U32 => Token::Unsigned(u32::from_be_bytes(self.array()?).into()),
            Marker::U64 => Token::Unsigned(u64::from_be_bytes(self.array()?)),
            Marker::I8 => Token::Signed(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => Token::Signed(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => Token::Signed(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => Token::Signed(i64::from_be_bytes(self.array()?)),
            Marker::F32 => Token::Float32(f32::from_be_bytes(self.array()?)),
            Marker::F64 => Token::Float64(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(length) => Token::Str(self.slice(length.into())?),
            Marker::Str8 => Token::Str(self.sized::<1>()?),
            Marker::Str16 => Token::Str(self.sized::<2>()?),
            Marker::Str32 => Token::Str(self.sized::<4>()?),
            Marker::Bin8 => Token::Bin(self.sized::<1>()?),
            Marker::Bin16 => Token::Bin(self.sized::<2>()?),
            Marker::Bin32 => Token::Bin(self.sized::<4>()?),
            Marker::FixArray(length) => Token::Array(length.into()),
            Marker::Array16 => Token::Array(u16::from_be_bytes(self.array()?).into()),
            Marker::Array32 => Token::Array(u32::from_be_bytes(self.array()?)),
            Marker::FixMap(length) => Token::Map(length.into()),
            Marker::Map16 => Token::Map(u16::from_be_bytes(self.array()?).into()),
            Marker::Map32 => Token::Map(u32::from_be_bytes(self.array()?)),
            Marker::FixExt1 => self.ext(1)?,
            Marker::FixExt2 => self.ext(2)?,
            Marker::FixExt4 => self.ext(4)?,
            Marker::FixExt8 => self.ext(8)?,
            Marker::FixExt16 => self.ext(16)?,
            Marker::Ext8 => {
                let length = self.length::<1>()?;
                self.ext(length)?
            }
            Marker::Ext16 => {
                let length = self.length::<2>()?;
                self.ext(length)?
            }
            Marker::Ext32 => {
                let length = self.length::<4>()?;
                self.ext(length)?
            }
            Marker::Reserved => return Err(MessageError::ReservedMarker { at: start }),
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MessageError> {
        match self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            Some(chunk) => {
                self.at += N;
                Ok(*chunk)
            }
            None => Err(self.truncated(N)),
        }
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], MessageError> {
        if self.remaining() < length {
            return Err(self.truncated(length));
        }
        let slice = &self.bytes[self.at..self.at + length];
        self.at += length;
        Ok(slice)
    }

    /// A big-endian length of `N` bytes, at most four.
    fn length<const N: usize>(&mut self) -> Result<usize, MessageError> {
        let bytes: [u8; N] = self.array()?;
        Ok(bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }

    fn sized<const N: usize>(&mut self) -> Result<&'a [u8], MessageError> {
        let length = self.length::<N>()?;
        self.slice(length)
    }

    fn ext(&mut self, length: usize) -> Result<Token<'a>, MessageError> {
        let kind = i8::from_be_bytes(self.array()?);
        Ok(Token::Ext(kind, self.slice(length)?))
    }

    fn truncated(&self, wanted: usize) -> MessageError {
        MessageError::Truncated { at: self.at, missing: wanted - self.remaining() }
    }
}
