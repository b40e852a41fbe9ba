//! The phases of a run: what was demanded in them, and what was measured.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use super::escape::Escaped;
use super::number::plain;
use super::overview::bounded_figure;
use super::run::moment;
use crate::outcome::{BoundOutcome, PhaseOutcome};

/// The phases and their bounds.
pub(super) struct Bounds<'a>(pub(super) &'a [PhaseOutcome]);

/// All figures, side by side for comparison.
pub(super) struct Figures<'a>(pub(super) &'a [PhaseOutcome]);

impl Display for Bounds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<div>\n<h3>Phases and bounds</h3>\n")?;
        if self.0.is_empty() {
            return f.write_str(
                "<p class=\"note\">The run ended before its first phase did.</p>\n</div>\n",
            );
        }
        f.write_str(
            "<div class=\"scroll\" role=\"region\" aria-label=\"Phases\" tabindex=\"0\">\n\
             <table>\n<thead><tr><th scope=\"col\">Phase</th><th scope=\"col\">Time</th>\
             <th scope=\"col\">Bound</th><th scope=\"col\" class=\"n\">Measured</th>\
             <th scope=\"col\">Verdict</th></tr></thead>\n",
        )?;
        for phase in self.0 {
            write!(
                f,
                "<tbody><tr><th scope=\"rowgroup\" rowspan=\"{0}\">{1}</th>\
                 <td class=\"span\" rowspan=\"{0}\">{2} to {3}</td>",
                phase.bounds.len().max(1),
                Escaped(&phase.name),
                moment(phase.from),
                moment(phase.to)
            )?;
            if phase.bounds.is_empty() {
                f.write_str("<td class=\"none\" colspan=\"3\">none</td></tr>")?;
            }
            for (index, bound) in phase.bounds.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { "\n<tr>" })?;
                demanded(f, bound)?;
            }
            f.write_str("</tbody>\n")?;
        }
        f.write_str("</table>\n</div>\n</div>\n")
    }
}

impl Display for Figures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: BTreeSet<&str> =
            self.0.iter().flat_map(|phase| phase.figures.keys()).map(String::as_str).collect();
        if names.is_empty() {
            return Ok(());
        }
        f.write_str(
            "<div>\n<h3>Figures by phase</h3>\n\
             <div class=\"scroll\" role=\"region\" aria-label=\"Figures\" tabindex=\"0\">\n\
             <table>\n<thead><tr><th scope=\"col\">Figure</th>",
        )?;
        for phase in self.0 {
            write!(f, "<th scope=\"col\" class=\"n\">{}</th>", Escaped(&phase.name))?;
        }
        f.write_str("</tr></thead>\n<tbody>\n")?;
        for name in names {
            write!(f, "<tr><th scope=\"row\">{}</th>", Escaped(name))?;
            self.0.iter().try_for_each(|phase| cell(f, phase, name))?;
            f.write_str("</tr>\n")?;
        }
        f.write_str("</tbody>\n</table>\n</div>\n</div>\n")
    }
}

fn demanded(f: &mut fmt::Formatter<'_>, bound: &BoundOutcome) -> fmt::Result {
    let measured = bound.measured.map_or_else(|| "nothing".to_owned(), plain);
    let (class, verdict) = if bound.held { ("good", "held") } else { ("bad", "broken") };
    write!(
        f,
        "<td><code>{}</code></td><td class=\"n\">{measured}</td>\
         <td><span class=\"badge {class}\">{verdict}</span></td></tr>",
        Escaped(&bound.bound)
    )
}

fn cell(f: &mut fmt::Formatter<'_>, phase: &PhaseOutcome, name: &str) -> fmt::Result {
    let is_broken =
        |bound: &BoundOutcome| !bound.held && bounded_figure(&bound.bound) == Some(name);
    let class = if phase.bounds.iter().any(is_broken) { "n broken" } else { "n" };
    let value = phase.figures.get(name).map_or_else(|| "–".to_owned(), |value| plain(*value));
    write!(f, "<td class=\"{class}\">{value}</td>")
}
