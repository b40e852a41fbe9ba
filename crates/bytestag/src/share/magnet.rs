//! Magnet links.

use std::fmt;
use std::str::FromStr;

use rs2p_kad::{Key, KeyError};
use thiserror::Error;

/// A magnet link: what it is about, and whatever else it says.
///
/// Its topic is the first `xt`; those numbered `xt.1`, `xt.2` count as `xt` in the order in which
/// they come. A key may be written in each form that [`Key`] reads, and is written in base32.
///
/// The form `urn:bstagih:` does not say what its key is the key of. [`new`](Self::new) is meant
/// for the key of a file, under which its description lies. A description is best asked for with
/// its index (an old node that shares the file cannot be asked without), so the link can carry
/// that as well, in a parameter that other programs ignore: [`with_index`](Self::with_index).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Magnet {
    /// Name and value as they come, numbers of names taken off.
    parameters: Vec<(String, String)>,
}

/// What a magnet link is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Topic {
    /// `urn:bstagih:`, a key of this network.
    Bytestag(Key),
    /// `urn:btih:`, the info hash of a torrent.
    BitTorrent(Key),
}

impl Magnet {
    /// The longest link in bytes.
    pub const MAX_BYTES: usize = 16 << 10;

    /// The most parameters of a link.
    pub const MAX_PARAMETERS: usize = 256;

    /// A link to this key.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self { parameters: Vec::new() }.with("xt", format!("{BYTESTAG}{}", key.to_base32()))
    }

    /// The same with the index of the value that lies under the key (`x.index`).
    #[must_use]
    pub fn with_index(self, index: Key) -> Self {
        self.with(INDEX, index.to_base32())
    }

    /// The same with a name to show (`dn`). Beyond 255 bytes it is cut.
    #[must_use]
    pub fn with_name(self, name: &str) -> Self {
        let end = name.floor_char_boundary(255);
        self.with("dn", name[..end].to_owned())
    }

    /// The same with the size in bytes (`xl`).
    #[must_use]
    pub fn with_size(self, size: u64) -> Self {
        self.with("xl", size.to_string())
    }

    /// What the link is about.
    ///
    /// # Errors
    ///
    /// It has no topic, or one that is no key or of a kind that is not known here.
    pub fn topic(&self) -> Result<Topic, MagnetError> {
        let topic = self.parameter("xt").ok_or(MagnetError::NoTopic)?;
        let key = |text: &str| text.parse().map_err(|source| MagnetError::BadKey { source });
        if let Some(text) = topic.strip_prefix(BYTESTAG) {
            key(text).map(Topic::Bytestag)
        } else if let Some(text) = topic.strip_prefix(BITTORRENT) {
            key(text).map(Topic::BitTorrent)
        } else {
            let end = topic.floor_char_boundary(64);
            Err(MagnetError::UnknownTopic { topic: topic[..end].to_owned() })
        }
    }

    /// The index of the value that is meant, if the link tells one.
    #[must_use]
    pub fn index(&self) -> Option<Key> {
        self.parameter(INDEX)?.parse().ok()
    }

    /// The name to show, any text whatsoever. For a place on disk take
    /// [`safe_path`](crate::safe_path).
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.parameter("dn")
    }

    /// The size in bytes, if the link tells one. Nothing ties it to the content.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.parameter("xl")?.parse().ok()
    }

    /// The first parameter of this name, decoded.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters(name).next()
    }

    /// All parameters of this name, in order, decoded.
    pub fn parameters(&self, name: &str) -> impl Iterator<Item = &str> {
        let of_name = move |(own, _): &&(String, String)| own == name;
        self.parameters.iter().filter(of_name).map(|(_, value)| value.as_str())
    }

    fn with(mut self, name: &str, value: String) -> Self {
        self.parameters.retain(|(own, _)| own != name);
        if !value.is_empty() {
            self.parameters.push((name.to_owned(), value));
        }
        self
    }
}

impl FromStr for Magnet {
    type Err = MagnetError;

    fn from_str(text: &str) -> Result<Self, MagnetError> {
        if text.len() > Self::MAX_BYTES {
            return Err(MagnetError::TooLong { found: text.len(), limit: Self::MAX_BYTES });
        }
        let is_scheme = |(scheme, _): &(&str, &str)| scheme.eq_ignore_ascii_case("magnet");
        let (_, rest) = text.split_once(':').filter(is_scheme).ok_or(MagnetError::NotAMagnet)?;
        let (_, query) = rest.split_once('?').ok_or(MagnetError::NoParameters)?;
        let mut parameters = Vec::new();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            if value.is_empty() {
                continue;
            }
            if parameters.len() == Self::MAX_PARAMETERS {
                return Err(MagnetError::TooMany { limit: Self::MAX_PARAMETERS });
            }
            parameters.push((without_number(decoded(name)), decoded(value)));
        }
        Ok(Self { parameters })
    }
}

impl fmt::Display for Magnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("magnet:")?;
        if self.parameters.is_empty() {
            f.write_str("?")?;
        }
        for (number, (name, value)) in self.parameters.iter().enumerate() {
            f.write_str(if number == 0 { "?" } else { "&" })?;
            encode(f, name)?;
            f.write_str("=")?;
            encode(f, value)?;
        }
        Ok(())
    }
}

/// Why a text is no magnet link, or of no use here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MagnetError {
    /// Another scheme, or none.
    #[error("not a magnet link: it must begin with \"magnet:?\"")]
    NotAMagnet,
    /// No question mark.
    #[error("a magnet link without parameters: nothing follows after \"magnet:\" and \"?\"")]
    NoParameters,
    /// More bytes than are read.
    #[error("a magnet link of {found} bytes, where {limit} are allowed")]
    TooLong {
        /// Bytes there are.
        found: usize,
        /// Bytes there may be.
        limit: usize,
    },
    /// More parameters than are read.
    #[error("a magnet link of more than {limit} parameters")]
    TooMany {
        /// Parameters there may be.
        limit: usize,
    },
    /// No `xt`.
    #[error("a magnet link without a topic: \"xt=urn:bstagih:KEY\" is missing")]
    NoTopic,
    /// A topic of another kind.
    #[error("the topic \"{topic}\" is neither \"urn:bstagih:KEY\" nor \"urn:btih:KEY\"")]
    UnknownTopic {
        /// The topic, cut after 64 bytes.
        topic: String,
    },
    /// A topic whose key cannot be read.
    #[error("the topic of the magnet link: {source}")]
    BadKey {
        /// What is wrong with it.
        source: KeyError,
    },
}

/// `xt.1` is `xt`.
fn without_number(mut name: String) -> String {
    if let Some((base, number)) = name.rsplit_once('.')
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
    {
        name.truncate(base.len());
    }
    name
}

/// A `+` is a space, `%XX` a byte; what is no UTF-8 then is replaced.
fn decoded(text: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let (decoded, length) = match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => ((high * 16 + low) as u8, 3),
            (b'+', ..) => (b' ', 1),
            _ => (*byte, 1),
        };
        out.push(decoded);
        at += length;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn encode(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' => {
                write!(f, "{}", char::from(byte))?;
            }
            _ => write!(f, "%{byte:02X}")?,
        }
    }
    Ok(())
}

const BYTESTAG: &str = "urn:bstagih:";
const BITTORRENT: &str = "urn:btih:";
const INDEX: &str = "x.index";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share::vectors::{cases, hex_key};

    #[test]
    fn links_are_read_as_the_original_does() {
        for case in cases("magnet") {
            let (id, expected) = (&case.id, &case.value["expect"]);
            if case.value["kind"] == "format" {
                let magnet = Magnet::new(hex_key(&case.value["key_hex"]));
                let topic = expected["exact_topic"].as_str().unwrap();
                assert_eq!(magnet.to_string(), format!("magnet:?xt={topic}"), "{id}");
                continue;
            }
            let read = case.value["uri"].as_str().unwrap().parse::<Magnet>();
            assert_eq!(read.is_ok(), expected["ok"].as_bool().unwrap(), "{id}: {read:?}");
            let Ok(magnet) = read else { continue };
            let parameters = expected["params"].as_object().unwrap();
            for (name, values) in parameters {
                let values: Vec<_> =
                    values.as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
                assert_eq!(magnet.parameters(name).collect::<Vec<_>>(), values, "{id}");
            }
            assert!(
                magnet.parameters.iter().all(|(name, _)| parameters.contains_key(name)),
                "{id}"
            );
            assert_eq!(magnet.parameter("xt"), expected["exact_topic"].as_str(), "{id}");
            let topic = magnet.topic();
            let (bytestag, torrent) =
                (&expected["bytestag_info_hash_hex"], &expected["bittorrent_info_hash_hex"]);
            if !bytestag.is_null() {
                assert_eq!(topic, Ok(Topic::Bytestag(hex_key(bytestag))), "{id}");
            } else if !torrent.is_null() {
                assert_eq!(topic, Ok(Topic::BitTorrent(hex_key(torrent))), "{id}");
            } else {
                let is_bad_key = matches!(topic, Err(MagnetError::BadKey { .. }));
                assert_eq!(is_bad_key, !expected["bytestag_error"].is_null(), "{id}: {topic:?}");
                assert!(topic.is_err(), "{id}");
            }
        }
    }

    #[test]
    fn an_error_says_what_is_wrong() {
        let error = |text: &str| match text.parse::<Magnet>() {
            Ok(magnet) => magnet.topic().unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error("http://x/?xt=1"), MagnetError::NotAMagnet);
        assert_eq!(error("magnet:xt=1"), MagnetError::NoParameters);
        assert_eq!(error("magnet:?dn=n"), MagnetError::NoTopic);
        assert_eq!(error("magnet:?xt=abcd"), MagnetError::UnknownTopic { topic: "abcd".into() });
        let short = error("magnet:?xt=urn:bstagih:ABCD").to_string();
        assert!(short.starts_with("the topic of the magnet link: a key of 2 bytes"), "{short}");
        let many = format!("magnet:?{}", "a=b&".repeat(Magnet::MAX_PARAMETERS + 1));
        assert_eq!(error(&many), MagnetError::TooMany { limit: 256 });
        let long = format!("magnet:?xt={}", "a".repeat(Magnet::MAX_BYTES));
        assert!(matches!(error(&long), MagnetError::TooLong { .. }));
    }

    #[test]
    fn whatever_a_link_carries_is_read_back() {
        proptest::proptest!(|(key: [u8; 20], index: [u8; 20], name in ".{0,40}", size: u64)| {
            let (key, index) = (Key::new(key), Key::new(index));
            let magnet = Magnet::new(key).with_index(index).with_name(&name).with_size(size);
            let read: Magnet = magnet.to_string().parse().unwrap();
            proptest::prop_assert_eq!(read.topic(), Ok(Topic::Bytestag(key)));
            proptest::prop_assert_eq!(read.index(), Some(index));
            proptest::prop_assert_eq!(read.name().unwrap_or(""), &name);
            proptest::prop_assert_eq!(read.size(), Some(size));
            proptest::prop_assert_eq!(read, magnet);
        });
    }

    #[test]
    fn any_text_is_read_or_refused_without_harm() {
        proptest::proptest!(|(text in "(?i:magnet:)[?]?.{0,60}")| {
            if let Ok(magnet) = text.parse::<Magnet>() {
                let _ = (magnet.topic(), magnet.index(), magnet.size());
            }
        });
    }
}
