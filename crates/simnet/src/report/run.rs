//! The section about one run.

use std::fmt::{self, Display};

use super::cdf::Cdf;
use super::escape::Escaped;
use super::faults::Faults;
use super::graph::Ring;
use super::number::{grouped, humane};
use super::overview::{Verdict, memory, pace};
use super::phases::{Bounds, Figures};
use super::series::Line;
use super::timeline::Timeline;
use crate::outcome::{Failure, Outcome};

/// All there is about a run.
pub(super) struct Run<'a> {
    /// What it came to.
    pub(super) outcome: &'a Outcome,
    /// The name of its section in links.
    pub(super) section: &'a str,
}

impl Display for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outcome, section } = self;
        write!(
            f,
            "<section class=\"run\" id=\"{section}\" aria-labelledby=\"{section}-name\">\n\
             <h2 id=\"{section}-name\">{} <span class=\"seed\">seed {}</span> {}</h2>\n\
             <p class=\"about\">{}</p>\n",
            Escaped(&outcome.scenario),
            outcome.seed,
            Verdict(outcome.passed()),
            Escaped(&outcome.about)
        )?;
        if let Some(bug) = &outcome.bug {
            writeln!(f, "<p class=\"bug\"><b>Planted bug:</b> {}</p>", Escaped(bug))?;
        }
        writeln!(
            f,
            "<p class=\"again\"><span>Reproduce</span> \
             <code>cargo xtask simnet {} --nodes {} --seed {}{}</code></p>",
            // One of a file is found by its path, which an outcome does not know.
            Escaped(if outcome.scenario.contains(' ') { "FILE.toml" } else { &outcome.scenario }),
            outcome.nodes,
            outcome.seed,
            Escaped(&outcome.bug.as_ref().map_or(String::new(), |bug| format!(" --bug {bug}"))),
        )?;
        self.failures(f)?;
        self.facts(f)?;
        let (bounds, figures) = (Bounds(&outcome.phases), Figures(&outcome.phases));
        write!(f, "<div class=\"abreast\">\n{bounds}{figures}</div>\n")?;
        write!(f, "{}", Faults(&outcome.phases))?;
        self.plots(f)?;
        if !outcome.graph.nodes.is_empty() {
            write!(f, "{}", Ring { graph: &outcome.graph, id: &format!("{section}-network") })?;
        }
        write!(
            f,
            "<details><summary>The scenario</summary>\n<pre tabindex=\"0\">{}</pre></details>\n\
             <p class=\"back\"><a href=\"#top\">All runs</a></p>\n</section>\n",
            Escaped(outcome.source.trim_end())
        )
    }
}

impl Run<'_> {
    fn failures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failures = &self.outcome.failures;
        if failures.is_empty() {
            return Ok(());
        }
        f.write_str("<h3>What is wrong</h3>\n")?;
        failures.iter().take(FAILURES).try_for_each(|failure| told(f, failure))?;
        match failures.len().saturating_sub(FAILURES) {
            0 => Ok(()),
            more => writeln!(f, "<p class=\"note\">And {more} more, not shown here.</p>"),
        }
    }

    fn facts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { seed, nodes, layer, digest, speed, drawn, .. } = self.outcome;
        let facts = [
            ("Seed", seed.to_string()),
            ("Digest", digest.clone()),
            ("Layer", layer.clone()),
            ("Nodes at the start", grouped(f64::from(*nodes))),
            ("Virtual time", humane(speed.virtual_seconds, "s")),
            ("It took", humane(speed.wall, "s")),
            ("Deliveries", grouped(speed.deliveries as f64)),
            ("Deliveries per second", pace(self.outcome)),
            ("Memory per node", memory(self.outcome)),
        ];
        f.write_str("<h3>The run</h3>\n<dl class=\"facts\">\n")?;
        for (name, value) in facts {
            writeln!(f, "<div><dt>{name}</dt><dd>{}</dd></div>", Escaped(value))?;
        }
        f.write_str("</dl>\n")?;
        if drawn.is_empty() {
            return Ok(());
        }
        f.write_str("<h3>What the seed drew</h3>\n<dl class=\"facts\">\n")?;
        for (place, value) in drawn {
            let (place, value) = (Escaped(place), Escaped(value));
            writeln!(f, "<div><dt>{place}</dt><dd>{value}</dd></div>")?;
        }
        f.write_str("</dl>\n")
    }

    fn plots(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timeline = Timeline::of(self.outcome);
        if !self.outcome.series.is_empty() {
            f.write_str("<h3>Over time</h3>\n")?;
            if !timeline.key().is_empty() {
                writeln!(f, "<p class=\"note\">{}</p>", timeline.key())?;
            }
            f.write_str("<div class=\"plots\">\n")?;
            for (index, series) in self.outcome.series.iter().enumerate() {
                let id = format!("{}-series-{}", self.section, index + 1);
                write!(f, "{}", Line { series, timeline: &timeline, id: &id })?;
            }
            f.write_str("</div>\n")?;
        }
        if !self.outcome.distributions.is_empty() {
            f.write_str(
                "<h3>Distributions</h3>\n<p class=\"note\">The share of all values that are no \
                 larger, over the whole run. Marked are the median and the 99th percentile.</p>\n\
                 <div class=\"plots\">\n",
            )?;
            for (index, distribution) in self.outcome.distributions.iter().enumerate() {
                let id = format!("{}-distribution-{}", self.section, index + 1);
                write!(f, "{}", Cdf { distribution, id: &id })?;
            }
            f.write_str("</div>\n")?;
        }
        Ok(())
    }
}

fn told(f: &mut fmt::Formatter<'_>, failure: &Failure) -> fmt::Result {
    write!(
        f,
        "<div class=\"failure\">\n<p><b>{}:</b> {}</p>\n<p class=\"when\">at {}",
        Escaped(&failure.rule),
        Escaped(&failure.seen),
        moment(failure.at)
    )?;
    if let Some(node) = failure.node {
        write!(f, ", node {node}")?;
    }
    f.write_str("</p>\n")?;
    if !failure.recent.is_empty() {
        f.write_str("<p class=\"when\">What happened there before:</p>\n<pre class=\"recent\" tabindex=\"0\"><span>")?;
        for line in &failure.recent {
            writeln!(f, "{}", Escaped(line))?;
        }
        f.write_str("</span></pre>\n")?;
    }
    f.write_str("</div>\n")
}

/// A moment of virtual time, as exact as logs tell it.
pub(super) fn moment(seconds: f64) -> String {
    let text = format!("{seconds:.3}");
    format!("{}\u{a0}s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Of a run in which everything breaks, the first failures say what the others repeat.
const FAILURES: usize = 20;
