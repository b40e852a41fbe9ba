//! What there is, and whether it is well formed.

use std::fmt::Write as _;

use rs2p_scenarios::{BUILT_IN, COMMON_FIGURES, LAYERS, LayerEntry, TOUR};

use super::failure::Failure;
use super::told::Told;
use super::{numbers, plan};

/// The built-in scenarios, and what scenarios of each layer can name.
pub(crate) fn list() -> Result<bool, Failure> {
    let mut text = String::new();
    for built_in in BUILT_IN {
        let (_, summary) = plan::checked(built_in.name)?;
        let nodes = numbers::count(summary.nodes.into());
        let tour = TOUR.iter().find(|(name, _)| *name == built_in.name);
        let tour = tour.map_or_else(String::new, |&(_, nodes)| {
            format!("; in the tour {}", numbers::count(nodes.into()))
        });
        let (name, about) = (built_in.name, &summary.about);
        // Into a string, writing does not fail.
        _ = writeln!(text, "{name}  ({nodes} nodes{tour})\n    {about}");
    }
    explain(&mut text, "Figures of every layer, for bounds:", COMMON_FIGURES);
    for LayerEntry { name, vocabulary, bugs, .. } in LAYERS {
        explain(&mut text, &format!("Figures of {name}:"), vocabulary.figures);
        explain(&mut text, &format!("Misdeeds of byzantine nodes in {name}:"), vocabulary.misdeeds);
        explain(&mut text, &format!("Bugs to plant in {name}, with --bug:"), bugs);
    }
    Told::new(false).words(&text)?;
    Ok(true)
}

fn explain(text: &mut String, title: &str, names: &[(&str, &str)]) {
    if names.is_empty() {
        return;
    }
    _ = writeln!(text, "\n{title}");
    let width = names.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, about) in names {
        _ = writeln!(text, "  {name:<width$}  {about}");
    }
}

/// Checks scenarios, all built-in ones where none is named.
///
/// # Errors
/// Those that are not good, all of them.
pub(crate) fn check(given: &[String]) -> Result<bool, Failure> {
    let all = BUILT_IN.iter().map(|built_in| built_in.name.to_owned()).collect();
    let given = if given.is_empty() { all } else { given.to_vec() };
    let told = Told::new(false);
    let mut bad = Vec::new();
    for given in given {
        let summary = match plan::checked(&given) {
            Ok((_, summary)) => summary,
            Err(failure) => {
                bad.push(failure);
                continue;
            }
        };
        let nodes = numbers::count(summary.nodes.into());
        let time = numbers::seconds(summary.virtual_seconds);
        let (layer, faults) = (&summary.layer, summary.faults);
        let faults = format!("{faults} fault{}", if faults == 1 { "" } else { "s" });
        told.words(&format!("{given}: good: {layer}, {nodes} nodes, {time}, {faults}\n"))?;
    }
    if bad.is_empty() { Ok(true) } else { Err(Failure::Several(bad)) }
}
