//! The faults of a run, and whether they did anything.

use std::fmt::{self, Display};

use super::escape::Escaped;
use super::number::grouped;
use super::run::moment;
use crate::outcome::PhaseOutcome;

/// A row for each fault, by the number that the plots call it.
pub(super) struct Faults<'a>(pub(super) &'a [PhaseOutcome]);

impl Display for Faults<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = self.0.iter().flat_map(|phase| phase.faults.iter().map(move |it| (phase, it)));
        let mut numbered = (1..).zip(faults).peekable();
        if numbered.peek().is_none() {
            return Ok(());
        }
        f.write_str(
            "<h3>Faults</h3>\n\
             <div class=\"scroll\" role=\"region\" aria-label=\"Faults\" tabindex=\"0\">\n\
             <table>\n<thead><tr><th scope=\"col\" class=\"n\">No.</th>\
             <th scope=\"col\">Fault</th><th scope=\"col\">Began in</th><th scope=\"col\">Time</th>\
             <th scope=\"col\" class=\"n\">Hits</th><th scope=\"col\">Counted</th></tr></thead>\n\
             <tbody>\n",
        )?;
        for (number, (phase, fault)) in numbered {
            let (class, hits) = match fault.hits {
                0 => ("n broken", "none".to_owned()),
                hits => ("n", grouped(hits as f64)),
            };
            writeln!(
                f,
                "<tr><td class=\"n\">{number}</td><th scope=\"row\">{}</th><td>{}</td>\
                 <td class=\"span\">{}</td><td class=\"{class}\">{hits}</td><td>{}</td></tr>",
                Escaped(&fault.fault),
                Escaped(&phase.name),
                span(fault.from, fault.to),
                Escaped(&fault.counted)
            )?;
        }
        f.write_str("</tbody>\n</table>\n</div>\n")
    }
}

/// When something was; a blow has no end.
pub(super) fn span(from: f64, to: f64) -> String {
    if to > from { format!("{} to {}", moment(from), moment(to)) } else { moment(from) }
}
