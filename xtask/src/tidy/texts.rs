//! All text files: no paths of one person's machine; vectors are JSON.

use serde_json::Value;

use super::Finding;

/// First components of absolute paths that exist on somebody's machine only.
const HOMES: &[&str] = &["home", "root", "work", "Users"];

pub(super) fn check(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(home) = HOMES.iter().find(|home| has_path(line, home)) {
            let what =
                format!("an absolute path below /{home}: make it relative to the repository");
            findings.push(Finding::new(file, index + 1, what));
        }
    }
    if file.starts_with("tests/vectors/")
        && file.ends_with(".json")
        && let Err(error) = serde_json::from_str::<Value>(text)
    {
        let what = format!("not JSON, capture the vectors again: {error}");
        findings.push(Finding::new(file, error.line(), what));
    }
    findings
}

/// Such a path where it begins, but not where it goes on, as in `docs/home` or `example.com/home`.
fn has_path(line: &str, home: &str) -> bool {
    line.match_indices(&format!("/{home}/")).any(|(at, _)| {
        !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_a_home_directory_is_found_with_its_line() {
        for home in HOMES {
            let found = check("a.md", &format!("fine\nsee `/{home}/me/x`\n"));
            assert_eq!((found.len(), found[0].line), (1, 2), "{home}");
            let fine = format!("docs/{home}/x https://example.com/{home}/x ${{ROOT}}/{home}/x");
            assert!(check("a.md", &fine).is_empty(), "{fine}");
        }
    }

    #[test]
    fn a_broken_vector_is_found_with_its_line() {
        assert!(check("tests/vectors/a.json", "{\"a\": 1}").is_empty());
        assert_eq!(check("tests/vectors/a.json", "{\n\"a\": 1,\n}")[0].line, 3);
    }
}
