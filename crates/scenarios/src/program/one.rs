//! One run. A machine that panics is a finding like any other, with its seed.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};

use rs2p_scenarios::Request;
use rs2p_simnet::{Failure, Graph, Outcome, ScenarioError, Speed};

/// Has panics of runs noted in the place of printed, for [`run`] to tell.
pub(crate) fn note_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        NOTED.with_borrow_mut(|noted| match noted {
            Some(noted) => {
                let backtrace = Backtrace::capture();
                let has_frames = backtrace.status() == BacktraceStatus::Captured;
                let frames = if has_frames { backtrace.to_string() } else { String::new() };
                *noted = (info.to_string(), frames);
            }
            None => print(info),
        });
    }));
}

/// Runs one; `progress` is told the share of virtual time done.
///
/// # Errors
/// The scenario is refused.
pub(crate) fn run(
    request: &Request,
    progress: &mut dyn FnMut(f64),
) -> Result<Outcome, ScenarioError> {
    caught(request, || rs2p_scenarios::run(request, progress))
}

fn caught(
    request: &Request,
    run: impl FnOnce() -> Result<Outcome, ScenarioError>,
) -> Result<Outcome, ScenarioError> {
    NOTED.set(Some(Default::default()));
    // What a panic leaves half done is dropped with the run.
    let ended = panic::catch_unwind(AssertUnwindSafe(run));
    let (what, frames) = NOTED.take().unwrap_or_default();
    match ended {
        Ok(outcome) => outcome,
        Err(_) => panicked(request, what, &frames),
    }
}

fn panicked(request: &Request, what: String, frames: &str) -> Result<Outcome, ScenarioError> {
    let summary = rs2p_scenarios::check(&request.source)?;
    Ok(Outcome {
        scenario: summary.name.to_string(),
        about: summary.about.to_string(),
        layer: summary.layer.to_string(),
        seed: request.seed,
        nodes: request.nodes.unwrap_or(summary.nodes),
        bug: request.bug.clone(),
        source: request.source.clone(),
        drawn: Default::default(),
        digest: String::new(),
        phases: Vec::new(),
        failures: vec![Failure {
            rule: "panic".to_owned(),
            seen: what.replace('\n', " "),
            at: 0.0,
            node: None,
            recent: frames.lines().map(str::to_owned).collect(),
        }],
        series: Vec::new(),
        distributions: Vec::new(),
        graph: Graph::default(),
        speed: Speed::default(),
    })
}

thread_local! {
    /// Inside of a run: message and frames of its panic.
    static NOTED: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_of_its_run_with_the_place_it_comes_from() {
        note_panics();
        let source = rs2p_scenarios::BUILT_IN[0].source.to_owned();
        let request = Request { source, seed: 7, ..Request::default() };
        let outcome = caught(&request, || panic!("no such link")).unwrap();
        assert_eq!((outcome.seed, outcome.failures[0].rule.as_str()), (7, "panic"));
        let seen = &outcome.failures[0].seen;
        assert!(seen.contains("one.rs") && seen.contains("no such link"), "{seen}");
    }
}
