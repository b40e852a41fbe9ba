//! A file cut into parts, each named by its SHA-1.

use std::mem;
use std::num::NonZeroU32;

use rs2p_kad::Key;
use sha1::{Digest as _, Sha1};

/// The size of a part in bytes; the last one of a file may be shorter.
pub const PART_SIZE: NonZeroU32 = NonZeroU32::new(262_144).unwrap();

/// Names a file and its parts while its bytes stream through. It keeps none of them.
#[derive(Clone, Debug)]
pub struct PartHasher {
    part_size: u64,
    /// Bytes of the part that is not yet whole.
    in_part: u64,
    part: Sha1,
    /// Nothing up to the end of the first part: so far file and part are the same bytes.
    whole: Option<Sha1>,
    parts: Vec<Key>,
    size: u64,
}

/// A file's name, its size, and the names of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedFile {
    /// The SHA-1 of the whole file.
    pub hash: Key,
    /// The SHA-1 of each part in order; none of an empty file.
    pub parts: Vec<Key>,
    /// Bytes.
    pub size: u64,
}

impl PartHasher {
    /// Begins with the first byte of a file. Nodes share files in parts of [`PART_SIZE`].
    #[must_use]
    pub fn new(part_size: NonZeroU32) -> Self {
        Self {
            part_size: u64::from(part_size.get()),
            in_part: 0,
            part: Sha1::new(),
            whole: None,
            parts: Vec::new(),
            size: 0,
        }
    }

    /// Takes the next bytes of the file, in pieces of any size.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.in_part == self.part_size {
                self.end_part();
            }
            let room = usize::try_from(self.part_size - self.in_part).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.part.update(now);
            if let Some(whole) = &mut self.whole {
                whole.update(now);
            }
            self.in_part += now.len() as u64;
            self.size += now.len() as u64;
            bytes = later;
        }
    }

    /// The file has ended.
    #[must_use]
    pub fn finish(mut self) -> HashedFile {
        if self.in_part > 0 {
            self.end_part();
        }
        let hash = match (self.whole, &self.parts[..]) {
            (_, [only]) => *only,
            (whole, _) => Key::new(whole.unwrap_or_default().finalize().into()),
        };
        HashedFile { hash, parts: self.parts, size: self.size }
    }

    fn end_part(&mut self) {
        let part = mem::take(&mut self.part);
        if self.whole.is_none() {
            self.whole = Some(part.clone());
        }
        self.parts.push(Key::new(part.finalize().into()));
        self.in_part = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::sha1_of;

    #[test]
    fn pieces_of_any_size_make_the_same_parts() {
        proptest::proptest!(|(
            pieces in proptest::collection::vec(proptest::collection::vec(0_u8.., 0..30), 0..12),
            part_size in 1_u32..40,
        )| {
            let mut hasher = PartHasher::new(NonZeroU32::new(part_size).unwrap());
            pieces.iter().for_each(|piece| hasher.update(piece));
            let whole = pieces.concat();
            let parts = whole.chunks(part_size as usize).map(sha1_of).collect();
            let expected = HashedFile { hash: sha1_of(&whole), parts, size: whole.len() as u64 };
            proptest::prop_assert_eq!(hasher.finish(), expected);
        });
    }
}
