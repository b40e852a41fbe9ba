//! The first page of a file: that it is a store, of which format, what for, and whether it was
//! ever finished. It lies before the database, so a file that is not ours to change is known
//! before anything is changed.

/// What a file's first page and length say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It holds nothing, or a creation that never ended: nobody was told that anything is in it.
    Empty,
    /// A whole store for this kind.
    Ready {
        /// What it is for.
        kind: String,
    },
    /// A store of a later format.
    Newer {
        /// Which.
        format: u8,
    },
    /// No store, or not a whole one.
    Damaged {
        /// What is wrong.
        why: &'static str,
    },
}

/// The first page of a store that is being created.
pub(crate) fn encode(kind: &str) -> [u8; HEADER_BYTES] {
    page(FORMAT, UNFINISHED, kind.as_bytes())
}

/// What a file of `file_len` bytes is, by its first page or as much of it as there is.
pub(crate) fn judge(first: &[u8], file_len: u64) -> Judgement {
    let header_len = HEADER_BYTES as u64;
    // A crash of the machine can leave a file of the right length without its bytes.
    if file_len <= header_len && first.iter().all(|byte| *byte == 0) {
        return Judgement::Empty;
    }
    let Some(state) = first.strip_prefix(MAGIC).and_then(|rest| rest.first().copied()) else {
        return Judgement::Damaged { why: "it does not begin like a store" };
    };
    if state == UNFINISHED {
        return Judgement::Empty;
    }
    let Ok(first) = <&[u8; HEADER_BYTES]>::try_from(first) else {
        return Judgement::Damaged { why: "it ends within its first page" };
    };
    let (format, again) = (first[FIRST_COPY], first[SECOND_COPY]);
    if format == again && format > FORMAT {
        return Judgement::Newer { format };
    }
    let kind_len = usize::from(first[FIRST_COPY + 1]);
    let kind = &first[FIRST_COPY + 2..FIRST_COPY + 2 + kind_len];
    // All of it is written twice or zero, so whatever changed shows.
    if *first != page(FORMAT, READY, kind) {
        return Judgement::Damaged { why: "its first page has changed" };
    }
    if file_len == header_len {
        return Judgement::Damaged { why: "it ends after its first page" };
    }
    match String::from_utf8(kind.to_vec()) {
        Ok(kind) => Judgement::Ready { kind },
        Err(_) => Judgement::Damaged { why: "its kind is no text" },
    }
}

fn page(format: u8, state: u8, kind: &[u8]) -> [u8; HEADER_BYTES] {
    let mut page = [0; HEADER_BYTES];
    page[..MAGIC.len()].copy_from_slice(MAGIC);
    page[STATE_OFFSET as usize] = state;
    let kind = &kind[..kind.len().min(MAX_KIND_BYTES)];
    for start in [FIRST_COPY, SECOND_COPY] {
        page[start] = format;
        page[start + 1] = kind.len().to_le_bytes()[0];
        page[start + 2..start + 2 + kind.len()].copy_from_slice(kind);
    }
    page
}

/// The size of the page, a multiple of what disks write at once.
pub(crate) const HEADER_BYTES: usize = 4096;
/// The longest name for a kind.
pub(crate) const MAX_KIND_BYTES: usize = 255;
/// The format that this version writes.
pub(crate) const FORMAT: u8 = 1;
/// Where the byte lies that turns from [`UNFINISHED`] to [`READY`]. One byte is written whole or
/// not at all, and no single flipped bit makes one of the other.
pub(crate) const STATE_OFFSET: u64 = MAGIC.len() as u64;
/// The file is complete.
pub(crate) const READY: u8 = 0xff;

const UNFINISHED: u8 = 0;
const MAGIC: &[u8; 15] = b"rs2p-store file";
const FIRST_COPY: usize = 16;
const SECOND_COPY: usize = HEADER_BYTES / 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(kind: &str) -> [u8; HEADER_BYTES] {
        page(FORMAT, READY, kind.as_bytes())
    }

    #[test]
    fn a_finished_page_tells_its_kind() {
        let page = ready("mesh 1");
        assert_eq!(judge(&page, 5000), Judgement::Ready { kind: "mesh 1".to_owned() });
    }

    #[test]
    fn a_creation_that_never_ended_is_empty() {
        assert_eq!(judge(&[], 0), Judgement::Empty);
        assert_eq!(judge(&[0; HEADER_BYTES], 4096), Judgement::Empty);
        assert_eq!(judge(&encode("mesh 1"), 9000), Judgement::Empty);
    }

    #[test]
    fn zeros_before_a_database_are_damage() {
        assert!(matches!(judge(&[0; HEADER_BYTES], 9000), Judgement::Damaged { .. }));
    }

    #[test]
    fn every_flipped_bit_of_the_page_shows() {
        let whole = ready("mesh 1");
        for bit in 0..HEADER_BYTES * 8 {
            let mut page = whole;
            page[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(judge(&page, 9000), Judgement::Damaged { .. }), "bit {bit}");
        }
    }

    #[test]
    fn a_later_format_is_named() {
        let page = page(FORMAT + 1, READY, b"mesh 1");
        assert_eq!(judge(&page, 9000), Judgement::Newer { format: FORMAT + 1 });
    }

    #[test]
    fn a_page_cut_short_is_damage_at_every_length() {
        let page = ready("mesh 1");
        for length in 1..HEADER_BYTES {
            let judged = judge(&page[..length], length as u64);
            assert!(matches!(judged, Judgement::Damaged { .. }), "{length}");
        }
        assert!(matches!(judge(&page, 4096), Judgement::Damaged { .. }));
    }
}
