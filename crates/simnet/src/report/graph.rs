//! The network at the end of a run, drawn on the ring of ids.

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::fmt::{self, Display};

use super::figure::{Figure, Place};
use super::number::grouped;
use crate::outcome::{Graph, GraphNode};

/// A drawing of a network, with its key.
pub(super) struct Ring<'a> {
    /// What is drawn.
    pub(super) graph: &'a Graph,
    /// Unlike any other on the page.
    pub(super) id: &'a str,
}

impl Display for Ring<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { graph, id } = self;
        let (shown, all) = (graph.nodes.len(), graph.of as usize);
        let every = graph.links.len().div_ceil(LINKS).max(1);
        let drawn = graph.links.len().div_ceil(every);
        let mut note = match shown < all {
            true => format!("sample of {} of {} nodes, ", thousands(shown), thousands(all)),
            false => format!("{} nodes, ", thousands(shown)),
        };
        note.push_str(&match every {
            1 => format!("{} links between them", thousands(drawn)),
            _ => format!("{} of {} links", thousands(drawn), thousands(graph.links.len())),
        });
        let colours = Colours::of(graph);
        let key = colours.key(graph);
        let words: Vec<&str> = key.iter().map(|(_, words)| words.as_str()).collect();
        f.write_str("<h3>The network at the end</h3>\n<div class=\"network\">\n")?;
        Figure {
            id,
            name: "The ring of ids",
            unit: "",
            note: &note,
            description: &format!("Nodes around a circle by their ids: {}.", words.join(", ")),
            size: (SIDE, SIDE),
            drawing: Drawing { graph, colours: &colours, every },
        }
        .fmt(f)?;
        f.write_str("<ul class=\"key\">\n")?;
        for (symbol, words) in &key {
            write!(f, "<li><svg viewBox=\"-7 -7 14 14\" aria-hidden=\"true\">")?;
            writeln!(f, "{symbol}</svg>{words}</li>")?;
        }
        f.write_str("</ul>\n</div>\n")
    }
}

struct Drawing<'a> {
    graph: &'a Graph,
    colours: &'a Colours,
    every: usize,
}

impl Display for Drawing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "<circle class=\"ring\" cx=\"{0}\" cy=\"{0}\" r=\"{RADIUS}\"/>", SIDE / 2.0)?;
        for (position, label) in [(0.0, "0"), (0.25, "¼"), (0.5, "½"), (0.75, "¾")] {
            let (x, y) = place(position, RADIUS + 16.0);
            let (x, y) = (Place(x), Place(y + 4.0));
            writeln!(f, "<text class=\"middle\" x=\"{x}\" y=\"{y}\">{label}</text>")?;
        }
        self.links(f)?;
        self.nodes(f)
    }
}

impl Drawing<'_> {
    /// Some links to a path: fewer bytes than a path for each, and still darker where they are
    /// dense, as those of one path would not be.
    fn links(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chords: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (one, other) in self.graph.links.iter().step_by(self.every) {
            let node = |place: &u32| self.graph.nodes.get(*place as usize);
            let (Some(one), Some(other)) = (node(one), node(other)) else { continue };
            let chord = chord(one.position, other.position);
            chords.entry(self.colours.class(one)).or_default().push(chord);
        }
        let drawn: usize = chords.values().map(Vec::len).sum();
        // Few links are told apart by eye, many by where they are dense.
        let opacity = (9.0 / (drawn.max(1) as f64).sqrt()).clamp(0.12, 0.7);
        for (class, chords) in &chords {
            for path in chords.chunks(CHORDS) {
                let path = path.concat();
                writeln!(
                    f,
                    "<path class=\"link {class}\" opacity=\"{opacity:.2}\" d=\"{path}\"/>"
                )?;
            }
        }
        Ok(())
    }

    /// What is rare comes last, so that nothing covers it.
    fn nodes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut nodes: Vec<&GraphNode> = self.graph.nodes.iter().collect();
        nodes.sort_by_key(|node| (node.is_byzantine, !node.is_up, node.component, node.node));
        let room = TAU * RADIUS / nodes.len().max(1) as f64;
        let radius = (0.45 * room).clamp(2.2, 5.0);
        for node in nodes {
            let (x, y) = place(node.position, RADIUS);
            let state = if node.is_up { "" } else { ", down" };
            let character = if node.is_byzantine { ", byzantine" } else { "" };
            let (number, links) = (node.node, node.links);
            let title = format!("<title>node {number}, {links} links{state}{character}</title>");
            let symbol =
                Symbol { class: self.colours.class(node), at: (x, y), radius, title: &title };
            writeln!(f, "{}", Shaped { symbol, is_byzantine: node.is_byzantine })?;
        }
        Ok(())
    }
}

/// Which colour a node has, by its component.
struct Colours {
    /// Components and how many of the nodes shown are in each, the largest first.
    components: Vec<(u32, usize)>,
}

impl Colours {
    fn of(graph: &Graph) -> Self {
        let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
        for node in graph.nodes.iter().filter(|node| is_joined(node)) {
            *sizes.entry(node.component).or_default() += 1;
        }
        let mut components: Vec<(u32, usize)> = sizes.into_iter().collect();
        components.sort_by_key(|(component, size)| (std::cmp::Reverse(*size), *component));
        Self { components }
    }

    fn class(&self, node: &GraphNode) -> &'static str {
        if !node.is_up {
            return "down";
        }
        let rank = self.components.iter().position(|(component, _)| *component == node.component);
        match rank {
            Some(rank) if is_joined(node) => COLOURS.get(rank).copied().unwrap_or("others"),
            _ => "alone",
        }
    }

    /// A symbol and what it means, for each that is used.
    fn key(&self, graph: &Graph) -> Vec<(String, String)> {
        let symbol = |class, is_byzantine| {
            let symbol = Symbol { class, at: (0.0, 0.0), radius: 4.5, title: "" };
            Shaped { symbol, is_byzantine }.to_string()
        };
        let count = |test: &dyn Fn(&GraphNode) -> bool| {
            graph.nodes.iter().filter(|node| test(node)).count()
        };
        let coloured = self.components.iter().zip(COLOURS);
        let mut key: Vec<(String, String)> =
            coloured.map(|((_, size), class)| (symbol(class, false), component(*size))).collect();
        let others = self.components.get(COLOURS.len()..).unwrap_or_default();
        let further = [
            ("others", false, others.iter().map(|(_, size)| size).sum(), "in smaller components"),
            ("alone", false, count(&|node| node.is_up && !is_joined(node)), "up without a link"),
            ("down", false, count(&|node| !node.is_up), "down"),
            ("byzantine", true, count(&|node| node.is_byzantine), "byzantine, of any colour"),
        ];
        for (class, is_byzantine, count, words) in further {
            if count > 0 {
                key.push((symbol(class, is_byzantine), format!("{} {words}", thousands(count))));
            }
        }
        key
    }
}

struct Symbol<'a> {
    class: &'a str,
    at: (f64, f64),
    radius: f64,
    title: &'a str,
}

/// Misbehaving nodes have corners, for those who see no colours.
struct Shaped<'a> {
    symbol: Symbol<'a>,
    is_byzantine: bool,
}

impl Display for Shaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Symbol { class, at: (x, y), radius, title } = self.symbol;
        let r = Place(radius);
        match self.is_byzantine {
            false => {
                let (x, y) = (Place(x), Place(y));
                write!(f, "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{r}\">")?;
                write!(f, "{title}</circle>")
            }
            true => {
                let half = radius + 1.5;
                let (x, y, half) = (Place(x), Place(y - half), Place(half));
                write!(
                    f,
                    "<path class=\"{class} cornered\" d=\"M{x} {y}l{half} {half} -{half} {half} "
                )?;
                write!(f, "-{half} -{half}z\">{title}</path>")
            }
        }
    }
}

fn is_joined(node: &GraphNode) -> bool {
    node.is_up && node.links > 0
}

fn component(size: usize) -> String {
    match size {
        1 => "1 in a component".to_owned(),
        size => format!("{} in one component", thousands(size)),
    }
}

fn thousands(count: usize) -> String {
    grouped(count as f64)
}

/// Clockwise from the top.
fn place(position: f64, radius: f64) -> (f64, f64) {
    let angle = TAU * position;
    (SIDE / 2.0 + radius * angle.sin(), SIDE / 2.0 - radius * angle.cos())
}

/// Bent towards the middle, so that links between neighbours are seen too.
fn chord(one: f64, other: f64) -> String {
    let ((x, y), (to_x, to_y)) = (place(one, RADIUS), place(other, RADIUS));
    let bent = |from: f64, to: f64| SIDE / 2.0 + BEND * ((from + to) / 2.0 - SIDE / 2.0);
    let (via_x, via_y) = (bent(x, to_x), bent(y, to_y));
    format!(
        "M{} {}Q{} {} {} {}",
        Place(x),
        Place(y),
        Place(via_x),
        Place(via_y),
        Place(to_x),
        Place(to_y)
    )
}

/// The classes of the largest components.
const COLOURS: [&str; 6] = ["c1", "c2", "c3", "c4", "c5", "c6"];

/// Links drawn at the most.
const LINKS: usize = 3_000;

/// Links in a path.
const CHORDS: usize = 10;

/// How wide and high the drawing is.
const SIDE: f64 = 440.0;

/// Of the circle on which the nodes stand.
const RADIUS: f64 = 192.0;

/// How far from the middle a link passes: 1 is a straight line, 0 through the middle.
const BEND: f64 = 0.45;
