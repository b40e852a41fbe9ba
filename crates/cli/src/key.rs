//! Keys of a dictionary, as they are typed and told. Text and bytes are the same key; what is no
//! UTF-8 is typed as `hex:00ff`.

use rs2p_wire::Value;
use serde_json::Value as Json;

use crate::{json, words};

/// What begins a key that is typed as bytes.
const HEX: &str = "hex:";

/// The bytes of a key that was typed.
pub(crate) fn parse(word: &str) -> Result<Vec<u8>, String> {
    word.strip_prefix(HEX).map_or_else(|| Ok(word.into()), from_hex)
}

/// A key as a field: text where it is UTF-8, else binary.
pub(crate) fn to_json(key: &[u8]) -> Json {
    match std::str::from_utf8(key) {
        Ok(text) => text.into(),
        Err(_) => json::from_value(&Value::Binary(key.to_vec())),
    }
}

/// A key as a string that no other key has: what would have to be typed for it, quotes aside.
pub(crate) fn to_text(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !text.starts_with(HEX) => text.to_owned(),
        _ => format!("{HEX}{}", hex::encode(key)),
    }
}

/// A key as people can type it again.
pub(crate) fn to_word(key: &[u8]) -> String {
    let text = to_text(key);
    if text.chars().any(char::is_control) {
        return format!("{HEX}{}", hex::encode(key));
    }
    words::quote(&text)
}

pub(crate) fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: String = text.split_whitespace().collect();
    if let Some((at, odd)) = digits.chars().enumerate().find(|(_, it)| !it.is_ascii_hexdigit()) {
        return Err(format!("byte {}: `{odd}` is no hexadecimal digit", at / 2));
    }
    if digits.len() % 2 == 1 {
        return Err(format!("byte {}: it has one hexadecimal digit, not two", digits.len() / 2));
    }
    hex::decode(digits).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_key_can_be_typed_again() {
        let same = |key: &[u8], shown: &str| {
            assert_eq!(to_word(key), shown);
            let words = words::split(shown).unwrap();
            assert_eq!(words.len(), 1, "{shown}");
            assert_eq!(parse(&words[0]).unwrap(), key, "{shown}");
            assert_eq!(parse(&to_text(key)).unwrap(), key);
        };
        same(b"colour", "colour");
        same("日本".as_bytes(), "日本");
        same(b"", "''");
        same(b"two words", "'two words'");
        same(b"don't \"x\\", r#""don't \"x\\""#);
        same(b"a\nb", "hex:610a62");
        same(b"\xff\x00", "hex:ff00");
        same(b"hex:ff", "hex:6865783a6666");
    }

    #[test]
    fn a_key_is_a_string_in_json_where_it_is_utf_8() {
        assert_eq!(to_json(b"hex:ff").to_string(), r#""hex:ff""#);
        assert_eq!(to_json(b"\xff").to_string(), r#"{"bin":"ff"}"#);
    }
}
