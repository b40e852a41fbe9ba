//! The five compression methods, and which one a link uses (spec section 5).

use std::fmt;

use crate::error::FrameError;

/// A compression method, with the protocol's number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Compression {
    /// One bzip2 stream.
    Bz2 = 0x10,
    /// One gzip member (RFC 1952).
    Gzip = 0x11,
    /// An `.xz` container.
    Lzma = 0x12,
    /// A zlib stream (RFC 1950).
    Zlib = 0x13,
    /// A raw snappy block.
    Snappy = 0x20,
}

impl Compression {
    /// The methods this build has, in the order in which the protocol prefers them.
    pub const AVAILABLE: &[Self] = &[
        #[cfg(feature = "snappy")]
        Self::Snappy,
        #[cfg(feature = "zlib")]
        Self::Zlib,
        #[cfg(feature = "gzip")]
        Self::Gzip,
        #[cfg(feature = "bz2")]
        Self::Bz2,
        #[cfg(feature = "lzma")]
        Self::Lzma,
    ];

    /// Memory that an `.xz` stream may claim for its dictionary. The strongest preset takes
    /// 65 MiB to read; both references use the default one with 9 MiB.
    #[cfg(feature = "lzma")]
    const LZMA_MEMORY: u64 = 72 << 20;

    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u64 {
        self as u64
    }

    /// The method that a number names, whether or not this build has it.
    #[must_use]
    pub fn from_code(code: u64) -> Option<Self> {
        Some(match code {
            0x10 => Self::Bz2,
            0x11 => Self::Gzip,
            0x12 => Self::Lzma,
            0x13 => Self::Zlib,
            0x20 => Self::Snappy,
            _ => return None,
        })
    }

    /// The method to send with: the first of `own` that the peer announced. Numbers in the peer's
    /// list that name no method are passed over.
    #[must_use]
    pub fn choose(own: &[Self], announced: &[u64]) -> Option<Self> {
        own.iter().copied().find(|method| announced.contains(&method.code()))
    }

    /// The method whose output begins as `data` does. Snappy blocks have no mark.
    pub(crate) fn marked_on(data: &[u8]) -> Option<Self> {
        Some(match data {
            [b'B', b'Z', b'h', ..] => Self::Bz2,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Lzma,
            [cmf, flg, ..] if cmf & 0x0f == 8 && u16::from_be_bytes([*cmf, *flg]) % 31 == 0 => {
                Self::Zlib
            }
            _ => return None,
        })
    }

    /// Appends the compressed form of `data` to `out`. A method that this build lacks appends
    /// nothing and returns `false`.
    #[cfg_attr(
        not(any(
            feature = "bz2",
            feature = "gzip",
            feature = "lzma",
            feature = "snappy",
            feature = "zlib"
        )),
        expect(unused_variables, reason = "no method is built in")
    )]
    pub(crate) fn compress(self, data: &[u8], out: &mut Vec<u8>) -> bool {
        #[cfg(any(feature = "bz2", feature = "gzip", feature = "lzma", feature = "zlib"))]
        use std::io::Write as _;
        let before = out.len();
        let written = match self {
            #[cfg(feature = "bz2")]
            Self::Bz2 => {
                let mut encoder =
                    bzip2::write::BzEncoder::new(&mut *out, bzip2::Compression::default());
                encoder.write_all(data).and_then(|()| encoder.try_finish()).is_ok()
            }
            #[cfg(feature = "gzip")]
            Self::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(&mut *out, flate2::Compression::default());
                encoder.write_all(data).and_then(|()| encoder.try_finish()).is_ok()
            }
            #[cfg(feature = "lzma")]
            Self::Lzma => {
                let mut encoder = liblzma::write::XzEncoder::new(&mut *out, 6);
                encoder.write_all(data).and_then(|()| encoder.try_finish()).is_ok()
            }
            #[cfg(feature = "snappy")]
            Self::Snappy => {
                out.resize(before + snap::raw::max_compress_len(data.len()), 0);
                let length = snap::raw::Encoder::new().compress(data, &mut out[before..]);
                out.truncate(before + *length.as_ref().unwrap_or(&0));
                length.is_ok()
            }
            #[cfg(feature = "zlib")]
            Self::Zlib => {
                let mut encoder =
                    flate2::write::ZlibEncoder::new(&mut *out, flate2::Compression::default());
                encoder.write_all(data).and_then(|()| encoder.try_finish()).is_ok()
            }
            #[cfg(not(all(
                feature = "bz2",
                feature = "gzip",
                feature = "lzma",
                feature = "snappy",
                feature = "zlib"
            )))]
            _ => false,
        };
        if !written {
            out.truncate(before);
        }
        written
    }

    /// Appends the expanded form of `data` to `out`; `Ok(false)` when `data` is not this method's
    /// output.
    ///
    /// # Errors
    /// More than `limit` bytes come out.
    #[cfg_attr(
        not(any(
            feature = "bz2",
            feature = "gzip",
            feature = "lzma",
            feature = "snappy",
            feature = "zlib"
        )),
        expect(unused_variables, clippy::ptr_arg, reason = "no method is built in")
    )]
    pub(crate) fn expand(
        self,
        data: &[u8],
        limit: u32,
        out: &mut Vec<u8>,
    ) -> Result<bool, FrameError> {
        match self {
            #[cfg(feature = "bz2")]
            Self::Bz2 => self.read(bzip2::read::BzDecoder::new(data), limit, out),
            #[cfg(feature = "gzip")]
            Self::Gzip => self.read(flate2::read::GzDecoder::new(data), limit, out),
            #[cfg(feature = "lzma")]
            Self::Lzma => match liblzma::stream::Stream::new_stream_decoder(Self::LZMA_MEMORY, 0) {
                Ok(stream) => {
                    self.read(liblzma::read::XzDecoder::new_stream(data, stream), limit, out)
                }
                Err(_) => Ok(false),
            },
            #[cfg(feature = "zlib")]
            Self::Zlib => self.read(flate2::read::ZlibDecoder::new(data), limit, out),
            #[cfg(feature = "snappy")]
            Self::Snappy => {
                let Ok(length) = snap::raw::decompress_len(data) else { return Ok(false) };
                // Each byte of a block stands for 64 at the most, so a claim beyond that is not
                // worth an allocation.
                if length / 64 > data.len() {
                    return Ok(false);
                }
                if length > limit as usize {
                    return Err(FrameError::Expanded { method: self, limit });
                }
                let before = out.len();
                out.resize(before + length, 0);
                let read = snap::raw::Decoder::new().decompress(data, &mut out[before..]);
                Ok(read.is_ok_and(|read| read == length))
            }
            #[cfg(not(all(
                feature = "bz2",
                feature = "gzip",
                feature = "lzma",
                feature = "snappy",
                feature = "zlib"
            )))]
            _ => Ok(false),
        }
    }

    #[cfg(any(feature = "bz2", feature = "gzip", feature = "lzma", feature = "zlib"))]
    fn read(
        self,
        reader: impl std::io::Read,
        limit: u32,
        out: &mut Vec<u8>,
    ) -> Result<bool, FrameError> {
        use std::io::Read as _;
        match reader.take(u64::from(limit) + 1).read_to_end(out) {
            Ok(length) if length > limit as usize => {
                Err(FrameError::Expanded { method: self, limit })
            }
            Ok(_) => Ok(true),
            Err(_) => Ok(false),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bz2 => "bz2",
            Self::Gzip => "gzip",
            Self::Lzma => "lzma",
            Self::Zlib => "zlib",
            Self::Snappy => "snappy",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_order_decides_and_unknown_numbers_are_passed_over() {
        use Compression::{Gzip, Zlib};
        assert_eq!(Compression::choose(&[Zlib, Gzip], &[0x7f, 0x11, 0x13]), Some(Zlib));
        assert_eq!(Compression::choose(&[Zlib, Gzip], &[0x10, 0x7f]), None);
        assert_eq!(Compression::choose(&[], &[0x13]), None);
    }

    #[test]
    fn every_method_expands_what_it_compressed_and_stops_at_the_limit() {
        let data = vec![7; 5_000];
        for method in Compression::AVAILABLE.iter().copied() {
            let mut packed = Vec::new();
            assert!(method.compress(&data, &mut packed), "{method}");
            let mark = Some(method).filter(|method| *method != Compression::Snappy);
            assert_eq!(Compression::marked_on(&packed), mark);
            let mut out = Vec::new();
            assert_eq!(method.expand(&packed, 5_000, &mut out), Ok(true), "{method}");
            assert_eq!(out, data, "{method}");
            let over = method.expand(&packed, 4_999, &mut Vec::new());
            assert_eq!(over, Err(FrameError::Expanded { method, limit: 4_999 }));
        }
    }
}
