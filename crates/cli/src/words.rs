//! Command lines of a session: words as in a shell, values as in JSON.

use rs2p_wire::Value;
use serde_json::Value as Json;
use thiserror::Error;

use crate::json;

/// Splits a line into words as a POSIX shell does, without what a shell would expand.
///
/// White space separates words. Single quotes keep all up to the next one. Double quotes keep all
/// but a backslash before `"`, `\`, `$` or a backtick. Elsewhere a backslash keeps the character
/// behind it. Nothing is a comment: people send `#1`.
pub(crate) fn split(line: &str) -> Result<Vec<String>, WordError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars().zip(1..).peekable();
    while let Some((character, column)) = characters.next() {
        match character {
            space if space.is_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some(('\'', _)) => break,
                        Some((inside, _)) => word.push(inside),
                        None => return Err(WordError::Open { quote: '\'', column }),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some(('"', _)) => break,
                        Some(('\\', _)) => match characters.peek() {
                            Some(('"' | '\\' | '$' | '`', _)) => {
                                word.extend(characters.next().map(|(kept, _)| kept));
                            }
                            _ => word.push('\\'),
                        },
                        Some((inside, _)) => word.push(inside),
                        None => return Err(WordError::Open { quote: '"', column }),
                    }
                }
            }
            '\\' => match characters.next() {
                Some((kept, _)) => word.get_or_insert_default().push(kept),
                None => return Err(WordError::Dangling { column }),
            },
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// A word as it has to be typed to be one word.
pub(crate) fn quote(word: &str) -> String {
    let is_plain = |it: char| !it.is_whitespace() && !matches!(it, '\'' | '"' | '\\');
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    if !word.contains('\'') {
        return format!("'{word}'");
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A value as the user writes one: text, or with a leading `json:` any JSON value.
pub(crate) fn value(word: &str) -> Result<Value, WordError> {
    let Some(text) = word.strip_prefix(JSON) else { return Ok(word.into()) };
    to_value(&parse(word, text)?)
}

/// A JSON object as the user writes one where nothing else makes sense: its entries.
pub(crate) fn entries(word: &str) -> Result<Vec<(Value, Value)>, WordError> {
    let parsed = parse(word, word.strip_prefix(JSON).unwrap_or(word))?;
    let Json::Object(map) = parsed else {
        return Err(WordError::NoObject { word: beginning(word) });
    };
    map.iter().map(|(key, value)| Ok((key.as_str().into(), to_value(value)?))).collect()
}

fn parse(word: &str, text: &str) -> Result<Json, WordError> {
    serde_json::from_str(text).map_err(|error| WordError::Json { word: beginning(word), error })
}

fn to_value(json: &Json) -> Result<Value, WordError> {
    json::to_value(json).map_err(|reason| WordError::Value { reason })
}

fn beginning(word: &str) -> String {
    word.chars().take(64).collect()
}

/// What begins a word that is JSON.
const JSON: &str = "json:";

/// Why a line makes no sense.
#[derive(Debug, Error)]
pub(crate) enum WordError {
    #[error(
        "the {quote} in column {column} is not closed: close it, or write \\{quote} for the sign \
         itself"
    )]
    Open { quote: char, column: usize },
    #[error("the \\ in column {column} has nothing behind it: write \\\\ for the sign itself")]
    Dangling { column: usize },
    #[error(
        "`{word}` holds no JSON: {error} (quotes are taken away as in a shell, so write \
         'json:{{\"key\":1}}' within single ones)"
    )]
    Json { word: String, error: serde_json::Error },
    #[error("`{word}` is no JSON object: write '{{\"key\":1}}' within single quotes")]
    NoObject { word: String },
    #[error("{reason}")]
    Value { reason: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_in_a_shell() {
        let same = |line: &str, words: &[&str]| assert_eq!(split(line).unwrap(), words, "{line}");
        same("", &[]);
        same("  a \t b ", &["a", "b"]);
        same("'a b'\"c d\"e", &["a bc de"]);
        same("'' \"\"", &["", ""]);
        same(r#""a \" \\ \n \$" 'a\'"#, &[r#"a " \ \n $"#, r"a\"]);
        same(r"a\ b don\'t", &["a b", "don't"]);
        same("send #1 日本", &["send", "#1", "日本"]);
        same(r#"'json:{"a": 1}'"#, &[r#"json:{"a": 1}"#]);
    }

    #[test]
    fn what_is_left_open_is_named_with_its_column() {
        assert!(split("send don't").unwrap_err().to_string().contains("' in column 9"));
        assert!(split("a \"b").unwrap_err().to_string().contains("\" in column 3"));
        assert!(split("a\\").unwrap_err().to_string().contains("column 2"));
    }

    #[test]
    fn a_value_is_text_or_json() {
        assert_eq!(value("12").unwrap(), Value::from("12"));
        assert_eq!(value("json:12").unwrap(), Value::from(12));
        assert_eq!(value("json:\"json:1\"").unwrap(), Value::from("json:1"));
        assert_eq!(value("json:{\"bin\":\"00ff\"}").unwrap(), Value::Binary(vec![0, 255]));
        assert!(value("json:{a:1}").unwrap_err().to_string().contains("single ones"));
        assert!(value("json:").is_err());
    }
}
