//! Payloads read element by element.

use rmpv::Value;

use crate::encoded::Encoded;
use crate::id::IdForm;
use crate::reader::{Reader, Token};

/// The elements of a payload, or of an array in it, one after the other and straight from the
/// message's bytes.
///
/// For payloads that would cost much to build as values: see
/// [`Message::elements`](crate::Message::elements), which has looked at all of them.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'a> {
    reader: Reader<'a>,
    left: u32,
}

/// An element of a payload.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Element<'a> {
    /// Nothing.
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number that is not negative.
    Unsigned(u64),
    /// A negative whole number.
    Negative(i64),
    /// A float of 32 bits.
    Float32(f32),
    /// A float of 64 bits.
    Float64(f64),
    /// A text: its UTF-8 bytes.
    Str(&'a [u8]),
    /// Binary.
    Bin(&'a [u8]),
    /// An extension: its type and its bytes.
    Ext(i8, &'a [u8]),
    /// An array.
    Array(Elements<'a>),
    /// A map: each key and then what belongs to it.
    Map(Elements<'a>),
}

impl<'a> Elements<'a> {
    /// `length` elements from here on, which are known to be readable.
    pub(crate) fn new(reader: Reader<'a>, length: u32) -> Self {
        Self { reader, left: length }
    }

    /// Passes over all that is left, and leaves `reader` behind it.
    pub(crate) fn pass_all(mut self, reader: &mut Reader<'a>) -> Option<()> {
        self.skip_values(self.left)?;
        *reader = self.reader;
        Some(())
    }

    /// The next element as it stands, not looked into.
    pub fn next_encoded(&mut self) -> Option<Encoded> {
        self.left = self.left.checked_sub(1)?;
        let mut rest = *self;
        rest.skip_values(1)?;
        let encoded = Encoded::known(self.reader.up_to(&rest.reader));
        self.reader = rest.reader;
        Some(encoded)
    }

    /// Passes over as many values, with all that is in them.
    fn skip_values(&mut self, count: u32) -> Option<()> {
        let mut left = u64::from(count);
        while left > 0 {
            left -= 1;
            left += match self.reader.token().ok()? {
                Token::Array(length) => length.into(),
                Token::Map(length) => 2 * u64::from(length),
                _ => 0,
            };
        }
        Some(())
    }

    /// What stands in the element whose head has just been read.
    fn inner(&mut self, length: u32) -> Option<Self> {
        let inner = Self::new(self.reader, length);
        // Behind the last element there is nothing to be found.
        if self.left > 0 {
            self.skip_values(length)?;
        }
        Some(inner)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        self.left = self.left.checked_sub(1)?;
        Some(match self.reader.token().ok()? {
            Token::Nil => Element::Nil,
            Token::Bool(boolean) => Element::Bool(boolean),
            Token::Unsigned(number) => Element::Unsigned(number),
            Token::Signed(number) => {
                u64::try_from(number).map_or(Element::Negative(number), Element::Unsigned)
            }
            Token::Float32(number) => Element::Float32(number),
            Token::Float64(number) => Element::Float64(number),
            Token::Str(bytes) => Element::Str(bytes),
            Token::Bin(bytes) => Element::Bin(bytes),
            Token::Ext(kind, bytes) => Element::Ext(kind, bytes),
            Token::Array(length) => Element::Array(self.inner(length)?),
            Token::Map(length) => Element::Map(self.inner(length.saturating_mul(2))?),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Elements<'_> {}

impl<'a> Element<'a> {
    /// The bytes of a text or binary element, and nothing of any other: see
    /// [`text_bytes`](crate::text_bytes).
    #[must_use]
    pub fn text_bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Str(bytes) | Self::Bin(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The form of an element that holds an id.
    #[must_use]
    pub fn form(&self) -> Option<IdForm> {
        match self {
            Self::Bin(_) => Some(IdForm::Bin),
            Self::Str(_) => Some(IdForm::Str),
            _ => None,
        }
    }

    /// The element as a value of its own.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match *self {
            Self::Nil => Value::Nil,
            Self::Bool(boolean) => boolean.into(),
            Self::Unsigned(number) => number.into(),
            Self::Negative(number) => number.into(),
            Self::Float32(number) => number.into(),
            Self::Float64(number) => number.into(),
            // Texts of a message that has been looked at are UTF-8.
            Self::Str(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => text.into(),
                Err(_) => bytes.into(),
            },
            Self::Bin(bytes) => bytes.into(),
            Self::Ext(kind, bytes) => Value::Ext(kind, bytes.to_vec()),
            Self::Array(elements) => elements.map(|element| element.to_value()).collect(),
            Self::Map(mut elements) => {
                let mut pairs = Vec::with_capacity(elements.len() / 2);
                while let (Some(key), Some(value)) = (elements.next(), elements.next()) {
                    pairs.push((key.to_value(), value.to_value()));
                }
                Value::Map(pairs)
            }
        }
    }

    /// A whole number that is not negative.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(*number),
            _ => None,
        }
    }

    /// The elements of an array.
    #[must_use]
    pub fn as_array(&self) -> Option<Elements<'a>> {
        match self {
            Self::Array(elements) => Some(*elements),
            _ => None,
        }
    }

    /// The elements of an array that has so many.
    #[must_use]
    pub fn as_array_of<const N: usize>(&self) -> Option<[Element<'a>; N]> {
        let mut elements = self.as_array().filter(|elements| elements.len() == N)?;
        let mut array = [Self::Nil; N];
        for element in &mut array {
            *element = elements.next()?;
        }
        Some(array)
    }
}
