//! What a value is called.

use std::fmt;

use rs2p_kad::Key;
use sha1::{Digest as _, Sha1};

use crate::share::FileInfo;

/// The name of a value: the key under which it is filed, and the SHA-1 of its bytes.
///
/// Several values may lie under one key. Most values have the index as their key; the description
/// of a file lies under the key of the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ValueId {
    /// Which nodes hold it: those nearest to this key.
    pub key: Key,
    /// The SHA-1 of the value's bytes.
    pub index: Key,
}

impl ValueId {
    /// The value with this SHA-1, filed under just that.
    #[must_use]
    pub const fn plain(key: Key) -> Self {
        Self { key, index: key }
    }

    /// The name of these bytes when they are filed under their SHA-1.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::plain(sha1_of(bytes))
    }

    /// Whether these are the bytes that the name stands for.
    #[must_use]
    pub fn fits(&self, bytes: &[u8]) -> bool {
        sha1_of(bytes) == self.index
    }

    /// Whether these bytes have their place here: they are those that the name stands for, and
    /// the key is their SHA-1 or, if they describe a file, the SHA-1 of that file.
    ///
    /// Nothing else ties a value to a key that is not its SHA-1, so nothing else is to be stored.
    #[must_use]
    pub fn belongs(&self, bytes: &[u8]) -> bool {
        let is_of_key = || FileInfo::from_bytes(bytes).is_ok_and(|info| *info.hash() == self.key);
        self.fits(bytes) && (self.key == self.index || is_of_key())
    }
}

impl fmt::Display for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.key, self.index)
    }
}

/// The SHA-1 of these bytes.
pub(crate) fn sha1_of(bytes: &[u8]) -> Key {
    Key::new(Sha1::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share::vectors::{cases, hex_key};

    #[test]
    fn a_value_is_named_by_its_sha1() {
        let id = ValueId::of(b"abc");
        let key = "a9993e364706816aba3e25717850c26c9cd0d89d";
        assert_eq!(id.to_string(), format!("{key}/{key}"));
        assert!(id.fits(b"abc"));
        assert!(!id.fits(b"abd"));
    }

    #[test]
    fn values_fit_their_names_as_in_the_reference() {
        let all = cases("keys").into_iter();
        let all: Vec<_> = all.filter(|case| case.value["kind"] == "hash").collect();
        assert_eq!(all.len(), 3);
        for case in all {
            let (value, expect) = (case.bytes("value_hex"), &case.value["expect"]);
            let id = ValueId::of(&value);
            assert_eq!(id.key, hex_key(&expect["key_hex"]), "{}", case.id);
            assert!(id.fits(&value) && !id.fits(&[&value[..], b"x"].concat()), "{}", case.id);
        }
    }
}
