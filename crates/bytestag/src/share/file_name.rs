//! Names of files that strangers chose, made harmless.

use std::path::PathBuf;

use rs2p_kad::Key;

/// A path below a directory, from the names that a description tells
/// ([`FileInfo::filename`](crate::FileInfo::filename)).
///
/// The path is relative and stays below its directory: no component is empty, `.` or `..`, or has
/// a separator, a control character, or one with a meaning on some system. Names that Windows
/// keeps for devices get a `_` before them, and none ends in a dot, a space, or the suffix of files
/// that are not shared. A component has at most 200 bytes, so that a suffix can follow; the
/// extension survives the cut. Of more than 16 components only the last is taken, and where
/// nothing is left of a path the key in hexadecimal is its name.
#[must_use]
pub fn safe_path(names: &[String], key: &Key) -> PathBuf {
    let names = if names.len() > MAX_DEPTH { &names[names.len() - 1..] } else { names };
    let path: PathBuf = names.iter().filter_map(|name| safe_name(name)).collect();
    // A path whose last name is lost would put the file where its directory should be.
    match names.last().and_then(|name| safe_name(name)) {
        Some(_) => path,
        None => path.join(key.to_string()),
    }
}

/// One component, unless nothing is left of it.
fn safe_name(name: &str) -> Option<String> {
    let replaced: String = name
        .chars()
        .map(|character| if is_harmless(character) { character } else { '_' })
        .collect();
    let mut name = cut(trimmed(&replaced));
    while let Some(rest) = name.strip_suffix(INCOMPLETE) {
        name = trimmed(rest).to_owned();
    }
    if name.is_empty() {
        return None;
    }
    if is_device(&name) {
        name.insert(0, '_');
    }
    Some(name)
}

fn is_harmless(character: char) -> bool {
    let has_meaning = matches!(character, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    // They turn the order of what follows, so that a name shows as another one.
    let turns = matches!(
        character,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    !has_meaning && !turns && !character.is_control()
}

/// Neither spaces before it, nor spaces or dots behind it; `.` and `..` are nothing.
fn trimmed(name: &str) -> &str {
    name.trim_start().trim_end_matches(|last: char| last == '.' || last.is_whitespace())
}

fn cut(name: &str) -> String {
    if name.len() <= MAX_BYTES {
        return name.to_owned();
    }
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let end = |room: usize| trimmed(&name[..name.floor_char_boundary(room)]);
    match extension.len() {
        1..=MAX_EXTENSION => {
            format!("{}.{extension}", end(MAX_BYTES - extension.len() - 1))
        }
        _ => end(MAX_BYTES).to_owned(),
    }
}

/// Whether Windows takes the name for a device, whatever follows after its first dot.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    if ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]
        .iter()
        .any(|device| stem.eq_ignore_ascii_case(device))
    {
        return true;
    }
    let mut characters = stem.chars();
    let number = characters.next_back();
    let is_numbered = matches!(number, Some('0'..='9' | '\u{b9}' | '\u{b2}' | '\u{b3}'));
    let port = characters.as_str();
    is_numbered && (port.eq_ignore_ascii_case("COM") || port.eq_ignore_ascii_case("LPT"))
}

const MAX_DEPTH: usize = 16;
/// With room for the mark before the name of a device.
const MAX_BYTES: usize = 199;
const MAX_EXTENSION: usize = 16;
/// What a scan skips.
pub(super) const INCOMPLETE: &str = ".bytestag-incomplete";

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use super::*;

    fn path(names: &[&str]) -> String {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        safe_path(&names, &Key::new([0xab; 20])).to_str().unwrap().to_owned()
    }

    fn hex() -> String {
        "ab".repeat(20)
    }

    #[test]
    fn a_usual_name_stays() {
        assert_eq!(path(&["a.txt"]), "a.txt");
        assert_eq!(
            path(&["dir", "naïve ☃.bin"]),
            Path::new("dir").join("naïve ☃.bin").to_str().unwrap()
        );
        assert_eq!(path(&[".hidden"]), ".hidden");
        assert_eq!(path(&["console.txt"]), "console.txt");
    }

    #[test]
    fn no_name_leads_out_of_the_directory() {
        assert_eq!(
            path(&["..", "..", "etc", "passwd"]),
            Path::new("etc").join("passwd").to_str().unwrap()
        );
        assert_eq!(path(&["/etc/passwd"]), "_etc_passwd");
        assert_eq!(path(&["../up"]), ".._up");
        assert_eq!(path(&["C:\\a"]), "C__a");
        assert_eq!(path(&["a\0b\n\u{202e}c"]), "a_b__c");
    }

    #[test]
    fn where_no_name_is_left_the_key_is_the_name() {
        for names in [&[][..], &[""], &["."], &[".."], &["..", " . "], &[".bytestag-incomplete"]] {
            assert_eq!(path(names), hex(), "{names:?}");
        }
        assert_eq!(path(&["dir", ".."]), Path::new("dir").join(hex()).to_str().unwrap());
    }

    #[test]
    fn names_of_devices_are_changed() {
        assert_eq!(path(&["nul"]), "_nul");
        assert_eq!(path(&["Con.tar.gz"]), "_Con.tar.gz");
        assert_eq!(path(&["COM1 .x"]), "_COM1 .x");
        assert_eq!(path(&["lpt\u{b2}"]), "_lpt\u{b2}");
        assert_eq!(path(&["COM"]), "COM");
    }

    #[test]
    fn ends_that_systems_drop_or_scans_skip_are_cut() {
        assert_eq!(path(&["a. ."]), "a");
        assert_eq!(path(&["a.bytestag-incomplete"]), "a");
        assert_eq!(path(&["a.bytestag-incomplete.bytestag-incomplete"]), "a");
    }

    #[test]
    fn a_long_name_is_cut_and_keeps_its_extension() {
        assert_eq!(
            path(&[&format!("{}.txt", "a".repeat(300))]),
            format!("{}.txt", "a".repeat(195))
        );
        assert_eq!(path(&["é".repeat(300).as_str()]), "é".repeat(99));
        let deep = vec!["d"; MAX_DEPTH + 1];
        assert_eq!(path(&deep), "d");
    }

    #[test]
    fn any_names_make_a_path_below_the_directory() {
        let name = proptest::prop_oneof![
            ".*",
            "[./\\\\: a]{0,6}",
            "(?i:con|aux|com1|nul)[. ]?(\\.bytestag-incomplete)?",
            "[a.é]{150,260}(\\.bytestag-incomplete)?",
        ];
        proptest::proptest!(|(names in proptest::collection::vec(name, 0..20))| {
            let path = safe_path(&names, &Key::new([1; 20]));
            let mut components = 0;
            for component in path.components() {
                components += 1;
                let Component::Normal(name) = component else { panic!("{path:?}") };
                let name = name.to_str().unwrap();
                proptest::prop_assert!(!name.is_empty() && name.len() <= MAX_BYTES + 1);
                proptest::prop_assert!(!name.ends_with(INCOMPLETE) && !name.ends_with(['.', ' ']));
                proptest::prop_assert!(name.chars().all(is_harmless) && !is_device(name));
            }
            proptest::prop_assert!((1..=MAX_DEPTH + 1).contains(&components));
        });
    }
}
