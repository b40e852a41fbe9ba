//! Whole pages: well formed, complete, and safe to open.

use std::collections::{BTreeMap, BTreeSet};

use super::html;
use crate::outcome::{
    BoundOutcome, Distribution, Failure, FaultOutcome, Graph, GraphNode, Outcome, PhaseOutcome,
    Series, Speed,
};

#[test]
fn a_page_is_well_formed_and_needs_nothing_else() {
    let mut buggy = outcome("eclipse", 1);
    buggy.bug = Some("mute".to_owned());
    let page = html(&[failed(outcome("churn", 7)), outcome("churn", 8), buggy]);
    assert_eq!(flaw(&page), None);
    for outside in ["http", "//", "url(", "@import", "<script", "<link", "src="] {
        assert!(!page.contains(outside), "{outside} in the page");
    }
    for part in [
        "<svg",
        "cargo xtask simnet churn --nodes 500 --seed 7<",
        "cargo xtask simnet eclipse --nodes 500 --seed 1 --bug mute<",
        "9f3a",
        "150 ms to 300 ms",
        "partition of 4 nodes",
        "messages held up",
        "heard &gt;= 0.999",
        "99.98",
        "sample of 8 of 500 nodes",
        "link to 3 closed",
        "nodes = 500",
    ] {
        assert!(page.contains(part), "{part} is missing");
    }
}

#[test]
fn a_page_of_little_or_nothing_is_well_formed_too() {
    assert_eq!(flaw(&html(&[])), None);
    let mut bare = outcome("bare", 1);
    bare.phases.clear();
    bare.graph = Graph::default();
    bare.series = vec![
        Series { name: "empty".to_owned(), unit: String::new(), points: vec![] },
        Series { name: "one".to_owned(), unit: String::new(), points: vec![(0.0, 0.0)] },
        Series { name: "odd".to_owned(), unit: "s".to_owned(), points: vec![(f64::NAN, 1.0)] },
    ];
    bare.distributions[0].points.clear();
    bare.distributions[0].count = 0;
    bare.speed = Speed::default();
    let page = html(&[bare]);
    assert_eq!(flaw(&page), None);
    assert!(!page.contains("NaN") && !page.contains("inf"));
}

#[test]
fn hostile_text_stays_text_wherever_it_stands() {
    let hostile = "</pre></style>\"'><script>alert(1)</script>&";
    let text = || hostile.to_owned();
    let mut outcome = failed(outcome("x", 1));
    (outcome.scenario, outcome.about, outcome.layer) = (text(), text(), text());
    (outcome.source, outcome.digest, outcome.bug) = (text(), text(), Some(text()));
    outcome.drawn = BTreeMap::from([(text(), text())]);
    for phase in &mut outcome.phases {
        phase.name = text();
        phase.figures.insert(text(), 1.0);
        phase.bounds[0].bound = text();
        phase.faults.iter_mut().for_each(|fault| {
            (fault.fault, fault.counted) = (text(), text());
        });
    }
    let failure = &mut outcome.failures[0];
    (failure.rule, failure.seen, failure.recent) = (text(), text(), vec![text()]);
    outcome.series.iter_mut().for_each(|it| (it.name, it.unit) = (text(), text()));
    outcome.distributions.iter_mut().for_each(|it| (it.name, it.unit) = (text(), text()));
    let page = html(&[outcome]);
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
    assert_eq!(flaw(&page), None);
}

#[test]
fn the_same_outcomes_make_the_same_page() {
    let outcomes = [failed(outcome("churn", 7)), outcome("eclipse", 8)];
    assert_eq!(html(&outcomes), html(&outcomes.clone()));
}

#[test]
fn of_many_runs_those_that_failed_and_the_first_of_each_scenario_are_shown_in_full() {
    let few: Vec<Outcome> = (0..12).map(|seed| outcome("churn", seed)).collect();
    assert_eq!(sections(&html(&few)), 12);
    let mut many: Vec<Outcome> = (0..30).map(|seed| outcome("churn", seed)).collect();
    many.extend((0..5).map(|seed| outcome("eclipse", seed)));
    many[20] = failed(many[20].clone());
    let page = html(&many);
    assert_eq!(sections(&page), 3);
    assert!(page.contains("3 of 35"), "the page says so");
    assert_eq!(page.matches("<th scope=\"row\"><a").count(), 3);
    let first = page.find("<a href=\"#run-1\">churn</a></th><td class=\"n\">20<");
    assert!(first.is_some(), "what failed stands first");
    assert_eq!(flaw(&page), None);
}

#[test]
fn a_long_run_makes_a_page_of_bounded_size() {
    let mut outcome = outcome("long", 1);
    outcome.series[0].points = (0..200_000).map(|at| (f64::from(at), f64::from(at % 97))).collect();
    outcome.graph.links = (0..100_000).map(|link| (link % 8, (link + 3) % 8)).collect();
    let page = html(&[outcome]);
    assert!(page.len() < 250_000, "{} bytes", page.len());
    assert!(page.contains("of 100,000 links"));
}

#[test]
fn the_check_of_pages_sees_what_is_wrong() {
    assert_eq!(flaw("<!doctype html><p class=\"a b\">x<br>&lt;<path d=\"\"/></p>"), None);
    for broken in [
        "<p>",
        "<p></b></p>",
        "</p>",
        "<p>a > b</p>",
        "<p>a & b</p>",
        "<p class=a></p>",
        "<p id=\"a\"></p><p id=\"a\"></p>",
        "<a href=\"#nowhere\"></a>",
    ] {
        assert!(flaw(broken).is_some(), "{broken}");
    }
}

fn sections(page: &str) -> usize {
    page.matches("<section").count()
}

fn outcome(scenario: &str, seed: u64) -> Outcome {
    let node = |node: u32| GraphNode {
        node: 10 * node,
        position: f64::from(node) / 8.0,
        is_up: node != 3,
        links: if node == 3 { 0 } else { 4 },
        component: if node < 5 { 0 } else { 50 },
        is_byzantine: node == 6,
    };
    let phase = |name: &str, from: f64, to: f64, heard: f64| PhaseOutcome {
        name: name.to_owned(),
        from,
        to,
        figures: BTreeMap::from([("heard".to_owned(), heard), ("links".to_owned(), 9.5)]),
        bounds: vec![BoundOutcome {
            bound: "heard >= 0.999".to_owned(),
            measured: Some(heard),
            held: heard >= 0.999,
        }],
        faults: vec![FaultOutcome {
            fault: "partition of 4 nodes".to_owned(),
            from: from + 1.0,
            to,
            hits: 12_345,
            counted: "messages held up".to_owned(),
        }],
    };
    Outcome {
        scenario: scenario.to_owned(),
        about: "Nodes come and go.".to_owned(),
        layer: "mesh".to_owned(),
        seed,
        nodes: 500,
        bug: None,
        source: "nodes = 500\n".to_owned(),
        drawn: BTreeMap::from([("network.latency".to_owned(), "150 ms to 300 ms".to_owned())]),
        digest: "9f3a".to_owned(),
        phases: vec![phase("calm", 0.0, 60.0, 1.0), phase("partition", 60.0, 200.0, 0.9998)],
        failures: vec![],
        series: vec![
            Series {
                name: "heard".to_owned(),
                unit: String::new(),
                points: (0..=200).map(|at| (f64::from(at), 0.9998)).collect(),
            },
            Series {
                name: "messages".to_owned(),
                unit: "/s".to_owned(),
                points: (0..=200).map(|at| (f64::from(at), f64::from(at * at))).collect(),
            },
        ],
        distributions: vec![Distribution {
            name: "delay".to_owned(),
            unit: "s".to_owned(),
            count: 4_000,
            points: vec![(0.004, 0.01), (0.05, 0.5), (0.4, 0.99), (3.0, 1.0)],
        }],
        graph: Graph {
            nodes: (0..8).map(node).collect(),
            links: vec![(0, 1), (0, 2), (1, 4), (5, 6), (6, 7)],
            of: 500,
        },
        speed: Speed {
            wall: 1.5,
            virtual_seconds: 200.0,
            deliveries: 6_000_000,
            bytes_per_node: Some(48_000),
        },
    }
}

fn failed(mut outcome: Outcome) -> Outcome {
    outcome.failures.push(Failure {
        rule: "one component".to_owned(),
        seen: "2 components".to_owned(),
        at: 120.5,
        node: Some(40),
        recent: vec!["119.000000 s  4: link to 3 closed".to_owned()],
    });
    outcome
}

/// The first thing that keeps a page from being well formed, if there is one: tags that do not
/// match, bare markup characters, attributes without quotes, ids that come twice, links to ids that
/// never come.
fn flaw(page: &str) -> Option<String> {
    let page = page.strip_prefix("<!doctype html>").unwrap_or(page);
    let (mut open, mut ids, mut wanted) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        if open.last() != Some(&"style")
            && let Some(bare) = bare(&rest[..at])
        {
            return Some(bare);
        }
        let Some(end) = end_of_tag(&rest[at..]) else { return Some("a tag without end".into()) };
        let tag = &rest[at + 1..at + end];
        rest = &rest[at + end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Some(format!("</{name}> closes nothing"));
            }
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let attributes = attributes.trim_end_matches('/');
        match quoted(attributes) {
            None => return Some(format!("attributes {attributes}")),
            Some(pairs) => {
                for (name, value) in pairs {
                    match name {
                        "id" if !ids.insert(value) => return Some(format!("id {value} twice")),
                        "href" => wanted.extend(value.strip_prefix('#')),
                        "aria-labelledby" => wanted.extend(value.split(' ')),
                        _ => {}
                    }
                }
            }
        }
        if !tag.ends_with('/') && !["br", "meta"].contains(&name) {
            open.push(name);
        }
    }
    let missing = wanted.difference(&ids).next().map(|id| format!("nothing has the id {id}"));
    open.pop().map(|name| format!("<{name}> stays open")).or_else(|| bare(rest)).or(missing)
}

fn bare(text: &str) -> Option<String> {
    let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
    let is_bare = |after: &str| !known.iter().any(|entity| after.starts_with(entity));
    let ampersand = text.split('&').skip(1).any(is_bare);
    (ampersand || text.contains('>')).then(|| format!("bare text {text}"))
}

fn end_of_tag(text: &str) -> Option<usize> {
    let mut is_quoted = false;
    text.char_indices().find_map(|(at, c)| {
        is_quoted ^= c == '"';
        (c == '>' && !is_quoted).then_some(at)
    })
}

fn quoted(mut attributes: &str) -> Option<Vec<(&str, &str)>> {
    let mut pairs = Vec::new();
    while !attributes.trim().is_empty() {
        let (name, rest) = attributes.trim_start().split_once("=\"")?;
        let (value, rest) = rest.split_once('"')?;
        if name.contains([' ', '=']) || value.contains('<') || bare(value).is_some() {
            return None;
        }
        pairs.push((name, value));
        attributes = rest;
    }
    Some(pairs)
}
