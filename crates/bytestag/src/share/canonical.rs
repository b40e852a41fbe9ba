//! The one way in which the description of a file is written as JSON.
//!
//! Members are sorted by name, nothing is spaced, and every character outside U+0020 to U+007E is
//! escaped. The SHA-1 of these bytes names the document, so there is no other way to write it.

use std::fmt::Write as _;

use rs2p_kad::Key;

/// An object that is being written. Whoever writes the members does so in the order of their names.
pub(crate) struct Object<'out> {
    out: &'out mut String,
    is_empty: bool,
}

impl<'out> Object<'out> {
    pub(crate) fn open(out: &'out mut String) -> Self {
        out.push('{');
        Self { out, is_empty: true }
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        push_text(self.member(name), text);
        self
    }

    pub(crate) fn number(&mut self, name: &str, number: u64) -> &mut Self {
        let out = self.member(name);
        let _ = write!(out, "{number}");
        self
    }

    pub(crate) fn key(&mut self, name: &str, key: &Key) -> &mut Self {
        push_text(self.member(name), &key.to_base64());
        self
    }

    /// A list; `write` appends one element.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        elements: impl IntoIterator<Item = T>,
        write: impl Fn(&mut String, T),
    ) -> &mut Self {
        let out = self.member(name);
        out.push('[');
        for (number, element) in elements.into_iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            write(out, element);
        }
        out.push(']');
        self
    }

    pub(crate) fn close(&mut self) {
        self.out.push('}');
    }

    fn member(&mut self, name: &str) -> &mut String {
        if !self.is_empty {
            self.out.push(',');
        }
        self.is_empty = false;
        push_text(self.out, name);
        self.out.push(':');
        self.out
    }
}

pub(crate) fn push_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = String::new();
        push_text(&mut out, text);
        out
    }

    #[test]
    fn what_is_not_printable_ascii_is_escaped_in_lower_case() {
        assert_eq!(written("a/b ~"), r#""a/b ~""#);
        assert_eq!(written("\"\\\n\r\t\u{8}\u{c}"), r#""\"\\\n\r\t\b\f""#);
        assert_eq!(written("\0\u{1f}\u{7f}é"), r#""\u0000\u001f\u007f\u00e9""#);
        assert_eq!(written("\u{1f600}"), r#""\ud83d\ude00""#);
    }

    #[test]
    fn any_text_is_read_back_as_it_was() {
        proptest::proptest!(|(text: String)| {
            let out = written(&text);
            proptest::prop_assert!(out.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            proptest::prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        });
    }
}
