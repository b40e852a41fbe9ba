//! One thing that is told: a reply, an event or an error, in a form for programs and one for people.

use serde_json::{Map, Value as Json};

/// What is told, in both forms.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    json: Map<String, Json>,
    lines: Vec<Vec<Span>>,
}

/// A piece of a line, and how it looks at a terminal that shows colours.
pub(crate) type Span = (Style, String);

/// The beginning of an id, enough to know it by.
pub(crate) fn name(id: &str) -> Span {
    let mut short: String = id.chars().take(SHORT).collect();
    if short.len() < id.len() {
        short.push('…');
    }
    (Style::Name, short)
}

/// A line of `status`.
pub(crate) fn row(title: &str, text: String) -> [Span; 2] {
    [(Style::Bold, format!("{title:10}")), (Style::Plain, text)]
}

/// Characters of an id that people are shown.
const SHORT: usize = 10;

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Bold,
    Faint,
    /// Who.
    Name,
    Good,
    Bad,
}

impl Told {
    pub(crate) fn reply(command: &str) -> Self {
        Self::of("reply", command)
    }

    pub(crate) fn event(name: &str) -> Self {
        Self::of("event", name)
    }

    /// A command that failed.
    pub(crate) fn error(reason: &str, command: &str) -> Self {
        let told = Self::of("error", reason).field("command", command);
        told.line([(Style::Bad, "error: ".to_owned()), (Style::Plain, reason.to_owned())])
    }

    /// Events that were not told since they came faster than they were read.
    pub(crate) fn missed(count: u64) -> Self {
        let text = format!("{count} events were dropped: they came faster than they were read");
        Self::event("missed").field("count", count).line([(Style::Bad, text)])
    }

    /// For people only.
    pub(crate) fn note(text: &str) -> Self {
        Self { json: Map::new(), lines: vec![vec![(Style::Faint, text.to_owned())]] }
    }

    fn of(key: &str, name: &str) -> Self {
        Self { json: Map::new(), lines: Vec::new() }.field(key, name)
    }

    /// For programs: one more field.
    pub(crate) fn field(mut self, key: &str, value: impl Into<Json>) -> Self {
        self.json.insert(key.to_owned(), value.into());
        self
    }

    /// For people: one more line.
    pub(crate) fn line(mut self, spans: impl IntoIterator<Item = Span>) -> Self {
        self.lines.push(spans.into_iter().collect());
        self
    }

    /// The JSON object on a line of its own; nothing for a note.
    pub(crate) fn to_json(&self) -> String {
        if self.json.is_empty() {
            return String::new();
        }
        // A map with keys of text can always be written.
        let mut line = serde_json::to_string(&self.json).unwrap_or_default();
        line.push('\n');
        line
    }

    /// The lines for people; nothing for a reply that has none.
    pub(crate) fn to_text(&self, coloured: bool) -> String {
        let mut text = String::new();
        for spans in &self.lines {
            for (style, span) in spans {
                let code = if coloured { style.code() } else { "" };
                text.push_str(code);
                push_harmless(&mut text, span);
                if !code.is_empty() {
                    text.push_str("\x1b[0m");
                }
            }
            text.push('\n');
        }
        text
    }
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Faint => "\x1b[2m",
            Self::Name => "\x1b[36m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
        }
    }
}

/// A text from strangers, as it can be shown.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::new();
    push_harmless(&mut shown, text);
    shown
}

/// Much of what is told comes from strangers: nothing in it may steer the terminal, break the line
/// or turn the direction of writing.
fn push_harmless(text: &mut String, span: &str) {
    for character in span.chars() {
        let steers = character.is_control()
            || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if steers {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_get_one_object_on_a_line_with_the_fields_in_order() {
        let told = Told::reply("x").field("b", 1).field("a", "two\nlines");
        assert_eq!(told.to_json(), "{\"reply\":\"x\",\"b\":1,\"a\":\"two\\nlines\"}\n");
        assert_eq!(Told::note("x").to_json(), "");
    }

    #[test]
    fn people_get_colours_only_where_they_are_shown() {
        let told =
            Told::event("x").line([(Style::Bold, "a".to_owned()), (Style::Plain, "b".into())]);
        assert_eq!(told.to_text(true), "\x1b[1ma\x1b[0mb\n");
        assert_eq!(told.to_text(false), "ab\n");
    }

    #[test]
    fn a_stranger_cannot_steer_the_terminal_or_fake_a_line() {
        let told = Told::note("a\x1b[2J\nb\u{202e}c\u{9b}日本");
        let text = told.to_text(false);
        assert_eq!(text, "a\\u{1b}[2J\\nb\\u{202e}c\\u{9b}日本\n");
    }
}
