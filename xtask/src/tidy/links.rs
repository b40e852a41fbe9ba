//! Links of Markdown pages lead somewhere, and every page of the book is in its summary.

use std::path::{Component, Path, PathBuf};

use super::Finding;
use crate::workspace::Workspace;

const SUMMARY: &str = "docs/SUMMARY.md";

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut chapters = Vec::new();
    let files = workspace.files();
    for page in files.iter().filter(|file| file.ends_with(".md")) {
        let text = workspace.text(page).unwrap_or_default();
        for (line, link) in links(&text) {
            let Some(target) = resolve(page, link.path) else { continue };
            if page == SUMMARY {
                chapters.push(target.clone());
            }
            if !workspace.root.join(&target).exists() {
                let what = format!("the link leads nowhere: there is no {target}");
                findings.push(Finding::new(page, line, what));
            } else if let Some(anchor) = link.anchor {
                let included = workspace.text(&target).unwrap_or_default();
                if !included.lines().any(|line| line.trim_end().ends_with(&anchor)) {
                    let what = format!("{target} has no line `// {anchor}` to include from");
                    findings.push(Finding::new(page, line, what));
                }
            }
        }
    }
    for page in files.iter().filter(|file| file.starts_with("docs/") && file.ends_with(".md")) {
        if page != SUMMARY && !chapters.contains(page) {
            findings.push(Finding::new(page, 1, format!("the page is not in {SUMMARY}: list it")));
        }
    }
    findings
}

#[derive(Debug, PartialEq)]
struct Link<'a> {
    path: &'a str,
    /// The part of the file that is included.
    anchor: Option<String>,
}

/// `[text](target)` outside of code blocks, and what mdBook includes anywhere.
fn links(page: &str) -> Vec<(usize, Link<'_>)> {
    let mut links = Vec::new();
    let mut in_code = false;
    for (index, line) in page.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        for (_, rest) in
            line.match_indices("{{#include ").map(|(at, word)| line.split_at(at + word.len()))
        {
            let target = rest.split("}}").next().unwrap_or_default().trim();
            let (path, anchor) = target.split_once(':').unwrap_or((target, ""));
            let anchor = (!anchor.is_empty()).then(|| format!("ANCHOR: {anchor}"));
            links.push((index + 1, Link { path, anchor }));
        }
        if in_code {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let Some((target, _)) = line[at + 2..].split_once(')') else { continue };
            let path = target.split('#').next().unwrap_or_default();
            if !path.is_empty() && !path.contains(':') {
                links.push((index + 1, Link { path, anchor: None }));
            }
        }
    }
    links
}

/// A link's target relative to the root; `None` when it leads out of the repository.
fn resolve(page: &str, path: &str) -> Option<String> {
    let mut resolved = PathBuf::new();
    for part in Path::new(page).parent()?.join(path).components() {
        match part {
            Component::Normal(name) => resolved.push(name),
            Component::ParentDir if resolved.pop() => {}
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(resolved.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_seen_in_text_and_includes_in_code() {
        let page = "See [a](b.md#c) and [d](https://e.f/g.md), [h](#i).\n```rust\nlet x = y[0](z);\n\
            {{#include ../examples/a.rs:send}}\n```\n";
        let link = |path, anchor: Option<&str>| Link { path, anchor: anchor.map(str::to_owned) };
        let expected =
            [(1, link("b.md", None)), (4, link("../examples/a.rs", Some("ANCHOR: send")))];
        assert_eq!(links(page), expected);
    }

    #[test]
    fn targets_are_relative_to_their_page() {
        assert_eq!(resolve("docs/a/b.md", "../c.md").as_deref(), Some("docs/c.md"));
        assert_eq!(resolve("README.md", "./docs").as_deref(), Some("docs"));
        assert_eq!(resolve("README.md", "../out.md"), None);
    }
}
