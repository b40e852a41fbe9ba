//! Rust files: each says what it is, has a telling name, and is not too long.

use super::Finding;

/// Lines from which a file under `crates/` is worth splitting.
const LONG: usize = 600;

/// File names that say nothing about what is inside.
const VAGUE: &[&str] = &["common", "helper", "helpers", "misc", "util", "utils"];

pub(super) fn check(file: &str, text: &str) -> Vec<Finding> {
    let Some(module) = file.strip_suffix(".rs") else { return Vec::new() };
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        let what = "begin the file with `//!` and one line on what it is for";
        findings.push(Finding::new(file, 1, what));
    }
    if let Some(name) = module.split('/').find(|part| VAGUE.contains(part)) {
        let what = format!("`{name}` names no thing: call the file after what is in it");
        findings.push(Finding::new(file, 1, what));
    }
    let lines = text.lines().count();
    if lines > LONG && file.starts_with("crates/") && !is_test(module) {
        let what = format!(
            "{lines} lines, over {LONG}: split it by concern, or move its tests to tests.rs"
        );
        findings.push(Finding::warning(file, LONG + 1, what));
    }
    findings
}

fn is_test(module: &str) -> bool {
    module.split('/').any(|part| matches!(part, "tests" | "benches"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, text: &str) -> Vec<String> {
        check(file, text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_opens_with_what_it_is() {
        assert_eq!(found("a.rs", "//! A.\nfn a() {}\n"), [""; 0]);
        assert!(found("a.rs", "use b;\n//! A.\n")[0].starts_with("a.rs:1: begin"));
        assert_eq!(found("a.md", "text"), [""; 0]);
    }

    #[test]
    fn a_vague_name_is_found_also_of_a_directory() {
        assert!(found("crates/x/src/utils.rs", "//! U.")[0].contains("`utils` names no thing"));
        assert!(found("tests/common/mod.rs", "//! C.")[0].contains("`common`"));
    }

    #[test]
    fn a_long_file_is_a_warning_and_a_long_test_nothing() {
        let text = "//! A.\n".repeat(601);
        assert!(found("crates/x/src/a.rs", &text)[0].contains("warning: 601 lines"));
        assert_eq!(found("crates/x/src/a/tests.rs", &text), [""; 0]);
        assert_eq!(found("crates/x/tests/a.rs", &text), [""; 0]);
    }
}
