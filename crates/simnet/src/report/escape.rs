//! Text from outside, made safe for a place in the page.

use std::fmt::{self, Display, Write};

/// Shows as the same text in an element or a quoted attribute, whatever is in it.
pub(super) struct Escaped<T>(pub(super) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_char(c))
    }

    fn write_char(&mut self, c: char) -> fmt::Result {
        match c {
            '&' => self.0.write_str("&amp;"),
            '<' => self.0.write_str("&lt;"),
            '>' => self.0.write_str("&gt;"),
            '"' => self.0.write_str("&quot;"),
            '\'' => self.0.write_str("&#39;"),
            '\n' | '\t' => self.0.write_char(c),
            // HTML has no way to write these.
            c if c.is_control() => self.0.write_char(char::REPLACEMENT_CHARACTER),
            c => self.0.write_char(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        let shown = Escaped("<a href='x' b=\"y\">&amp;").to_string();
        assert_eq!(shown, "&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;amp;");
    }

    #[test]
    fn control_characters_are_replaced_and_lines_kept() {
        assert_eq!(Escaped("a\0b\u{1b}c\nd\te").to_string(), "a\u{fffd}b\u{fffd}c\nd\te");
        assert_eq!(Escaped("größer ≥ 1").to_string(), "größer ≥ 1");
    }
}
