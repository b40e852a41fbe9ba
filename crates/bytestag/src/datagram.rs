//! Datagrams: one zlib stream that holds one JSON object.

use std::cell::RefCell;

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use serde_json::{Map, Value};
use thiserror::Error;

/// A JSON object, as a datagram holds it.
pub(crate) type Object = Map<String, Value>;

/// The most that is read, in bytes: what fits into a UDP datagram over IPv4.
pub const MAX_RECEIVED: usize = 65_507;

/// The most that a datagram may hold once inflated, in bytes. A chunk of the largest datagram is
/// well below it; a small one that inflates without end is not.
pub const MAX_INFLATED: usize = 256 * 1024;

/// The most that is sent, in bytes: old nodes read no more (spec, section 15, rule 3).
pub const MAX_SENT: usize = 8_192;

/// Why a datagram is none of this protocol. It is dropped, and costs its sender nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DatagramError {
    /// Longer than [`MAX_RECEIVED`].
    #[error("longer than {MAX_RECEIVED} bytes")]
    TooLong,
    /// It is no zlib stream, or one that was cut or damaged.
    #[error("no whole zlib stream")]
    Compression,
    /// It inflates to more than [`MAX_INFLATED`].
    #[error("inflates to more than {MAX_INFLATED} bytes")]
    TooLarge,
    /// What was compressed is no JSON object, or one nested too deeply.
    #[error("no JSON object")]
    Json,
}

/// Texts of no more bytes are written without compression: that costs a fraction of the time, and
/// the datagram still fits into those of any path.
const STORED: usize = 1_100;

/// Reads a datagram.
pub(crate) fn decode(datagram: &[u8]) -> Result<Object, DatagramError> {
    if datagram.len() > MAX_RECEIVED {
        return Err(DatagramError::TooLong);
    }
    if let Some(text) = stored(datagram) {
        return serde_json::from_slice(text).map_err(|_| DatagramError::Json);
    }
    CODEC.with_borrow_mut(|codec| {
        let text = codec.inflate(datagram)?;
        serde_json::from_slice(text).map_err(|_| DatagramError::Json)
    })
}

/// Writes a datagram.
pub(crate) fn encode(object: &Object) -> Bytes {
    CODEC.with_borrow_mut(|codec| codec.deflate(object))
}

/// The text of a stream that is one block without compression: what nodes of rs2p write most.
fn stored(datagram: &[u8]) -> Option<&[u8]> {
    let (head, rest) = datagram.split_first_chunk::<7>()?;
    let [0x78, 0x01, 0x01, low, high, not_low, not_high] = *head else { return None };
    let length = u16::from_le_bytes([low, high]);
    let (text, sum) = rest.split_at_checked(usize::from(length))?;
    let is_whole = u16::from_le_bytes([not_low, not_high]) == !length
        && sum.first_chunk().is_some_and(|sum| u32::from_be_bytes(*sum) == adler32(text));
    is_whole.then_some(text)
}

/// The checksum of a zlib stream (RFC 1950, section 8.2), reduced no more often than the
/// sums need.
fn adler32(text: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (mut low, mut high) = (1_u32, 0_u32);
    for chunk in text.chunks(5_552) {
        for byte in chunk {
            low += u32::from(*byte);
            high += low;
        }
        low %= MODULUS;
        high %= MODULUS;
    }
    high << 16 | low
}

thread_local! {
    /// What a compressor needs is large and the same for all nodes, so they share it. Nothing of
    /// one datagram is left in it for the next.
    static CODEC: RefCell<Codec> = RefCell::new(Codec::new());
}

struct Codec {
    compress: Compress,
    decompress: Decompress,
    text: Vec<u8>,
    packed: Vec<u8>,
}

impl Codec {
    fn new() -> Self {
        Self {
            compress: Compress::new(Compression::fast(), true),
            decompress: Decompress::new(true),
            text: Vec::new(),
            packed: Vec::new(),
        }
    }

    fn inflate(&mut self, datagram: &[u8]) -> Result<&[u8], DatagramError> {
        self.decompress.reset(true);
        self.text.clear();
        self.text.reserve(4 * datagram.len().max(256));
        loop {
            let read = self.decompress.total_in() as usize;
            let rest = &datagram[read.min(datagram.len())..];
            let before = self.text.len();
            let status = self
                .decompress
                .decompress_vec(rest, &mut self.text, FlushDecompress::None)
                .map_err(|_| DatagramError::Compression)?;
            if self.text.len() > MAX_INFLATED {
                return Err(DatagramError::TooLarge);
            }
            if status == Status::StreamEnd {
                return Ok(&self.text);
            }
            let stands = self.decompress.total_in() as usize == read && self.text.len() == before;
            if self.text.len() < self.text.capacity() && (rest.is_empty() || stands) {
                return Err(DatagramError::Compression);
            }
            self.text.reserve(self.text.len().max(1_024));
        }
    }

    fn deflate(&mut self, object: &Object) -> Bytes {
        self.text.clear();
        // Writing into memory does not fail, and the keys of an object are texts.
        if serde_json::to_writer(&mut self.text, object).is_err() {
            return Bytes::new();
        }
        self.packed.clear();
        if let Some(length) =
            u16::try_from(self.text.len()).ok().filter(|_| self.text.len() <= STORED)
        {
            self.packed.extend([0x78, 0x01, 0x01]);
            self.packed.extend(length.to_le_bytes());
            self.packed.extend((!length).to_le_bytes());
            self.packed.extend_from_slice(&self.text);
            self.packed.extend(adler32(&self.text).to_be_bytes());
            return Bytes::copy_from_slice(&self.packed);
        }
        self.compress.reset();
        // Deflate stores what it cannot shrink, so this is always enough.
        self.packed.reserve(self.text.len() + self.text.len() / 1_000 + 64);
        let done = self.compress.compress_vec(&self.text, &mut self.packed, FlushCompress::Finish);
        debug_assert_eq!(done.ok(), Some(Status::StreamEnd));
        Bytes::copy_from_slice(&self.packed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::io::Write as _;

    use flate2::write::ZlibEncoder;

    use super::*;
    use crate::share::vectors::cases;

    #[test]
    fn a_small_datagram_that_inflates_without_end_is_refused() {
        let mut bomb = Object::new();
        bomb.insert("pad".into(), Value::String("x".repeat(MAX_INFLATED)));
        let datagram = encode(&bomb);
        assert!(datagram.len() < 8_000);
        assert_eq!(decode(&datagram), Err(DatagramError::TooLarge));
    }

    #[test]
    fn a_datagram_cut_anywhere_is_refused() {
        let mut object = Object::new();
        object.insert("rpc".into(), Value::String("ping".into()));
        let datagram = encode(&object);
        for length in 0..datagram.len() {
            assert!(decode(&datagram[..length]).is_err(), "cut to {length}");
        }
    }

    /// A datagram that is described by what it is made of, since it is long.
    fn padded(case: &Value) -> Vec<u8> {
        let made_of = &case["raw_made_of"]["stored_zlib_of_json"];
        let pad: usize = made_of["pad"].as_str().unwrap()[4..].parse().unwrap();
        let text = |member: &str| made_of[member].as_str().unwrap();
        let text = format!(
            r#"{{"netid": "{}", "nodeid": "{}", "rpc": "{}", "seq_id": "{}", "pad": "{}"}}"#,
            text("netid"),
            text("nodeid"),
            text("rpc"),
            text("seq_id"),
            "x".repeat(pad)
        );
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::none());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_real_datagram_is_read_or_refused_as_the_reference_does() {
        let cases = cases("framing");
        assert_eq!(cases.len(), 34);
        for case in cases {
            let datagram = match case.value["raw_hex"].as_str() {
                Some(_) => case.bytes("raw_hex"),
                None => padded(&case.value),
            };
            assert_eq!(datagram.len() as u64, case.value["raw_size"], "{}", case.id);
            let expect = &case.value["expect"];
            let ours = match case.id.as_str() {
                // These are no JSON, though the reference reads them.
                "nan" | "lone-surrogate" => false,
                _ => expect["decodes"] == true,
            };
            assert_eq!(decode(&datagram).is_ok(), ours, "{}", case.id);
            assert!(ours == (expect["decodes"] == true) || case.value["compat"] == "quirk");
            if ours && expect["json"].is_object() {
                let read = Value::Object(decode(&datagram).unwrap());
                assert_eq!(read, expect["json"], "{}", case.id);
            }
        }
    }

    proptest! {
        #[test]
        fn a_short_stream_is_read_as_any_reader_of_zlib_reads_it(text in "[ -~]{0,1000}") {
            let mut object = Object::new();
            object.insert("text".into(), Value::String(text));
            let datagram = encode(&object);
            let mut codec = Codec::new();
            let inflated = codec.inflate(&datagram).unwrap();
            prop_assert_eq!(stored(&datagram).unwrap_or(inflated), inflated);
            prop_assert_eq!(serde_json::from_slice::<Object>(inflated).unwrap(), object);
        }

        #[test]
        fn what_is_written_is_read(text in ".{0,400}", number: i64, bytes in 0usize..20_000) {
            let mut object = Object::new();
            object.insert("text".into(), Value::String(text));
            object.insert("number".into(), number.into());
            object.insert("long".into(), Value::String("ab c".repeat(bytes)));
            prop_assert_eq!(decode(&encode(&object)).unwrap(), object);
        }

        #[test]
        fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = decode(&bytes);
        }
    }
}
