//! What the runs came to, by scenario and seed, however many there are.

use std::collections::{BTreeMap, BTreeSet};

use rs2p_simnet::{Graph, Outcome};

use super::plan::Job;

/// Outcomes in order: the scenarios as they were named, the seeds of each rising.
///
/// The curves and the graph are most of an outcome, and nobody looks at ten thousand of them: the
/// first [`WHOLE`] runs of a scenario that pass keep theirs, and the first that fail. Which these
/// are does not depend on which ends first, nor on how the seeds are spread over machines.
#[derive(Default)]
pub(crate) struct Results {
    outcomes: BTreeMap<(usize, u64), Outcome>,
    /// Seeds of those that are whole, by scenario, and whether they passed.
    whole: BTreeMap<(usize, bool), BTreeSet<u64>>,
}

impl Results {
    pub(crate) fn add(&mut self, job: &Job, mut outcome: Outcome) {
        keep_numbers(&mut outcome);
        let whole = self.whole.entry((job.place, outcome.passed())).or_default();
        whole.insert(job.seed);
        let over = if whole.len() > WHOLE { whole.pop_last() } else { None };
        self.outcomes.insert((job.place, job.seed), outcome);
        if let Some(seed) = over
            && let Some(outcome) = self.outcomes.get_mut(&(job.place, seed))
        {
            outcome.series = Vec::new();
            outcome.distributions = Vec::new();
            outcome.graph = Graph::default();
        }
    }

    pub(crate) fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.values()
    }

    /// Those of one scenario after the other, by its place in the plan.
    pub(crate) fn by_scenario(&self) -> BTreeMap<usize, Vec<&Outcome>> {
        let mut scenarios: BTreeMap<usize, Vec<&Outcome>> = BTreeMap::new();
        for ((place, _), outcome) in &self.outcomes {
            scenarios.entry(*place).or_default().push(outcome);
        }
        scenarios
    }

    /// Those worth a place in the report: the whole ones.
    pub(crate) fn for_report(&self) -> Vec<Outcome> {
        let is_whole = |place, seed| {
            [true, false].iter().any(|&passed| {
                self.whole.get(&(place, passed)).is_some_and(|whole| whole.contains(&seed))
            })
        };
        let outcomes = self.outcomes.iter();
        outcomes
            .filter(|((place, seed), _)| is_whole(*place, *seed))
            .map(|(_, outcome)| outcome.clone())
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.outcomes.len()
    }

    pub(crate) fn failed(&self) -> usize {
        self.outcomes().filter(|outcome| !outcome.passed()).count()
    }

    pub(crate) fn passed(&self) -> bool {
        self.failed() == 0
    }
}

/// JSON knows no infinity; what was divided by nothing is left out.
fn keep_numbers(outcome: &mut Outcome) {
    let is_number = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
    for phase in &mut outcome.phases {
        phase.figures.retain(|_, figure| figure.is_finite());
        for bound in &mut phase.bounds {
            bound.measured = bound.measured.filter(|measured| measured.is_finite());
        }
    }
    outcome.series.iter_mut().for_each(|series| series.points.retain(is_number));
    outcome.distributions.iter_mut().for_each(|distribution| distribution.points.retain(is_number));
}

/// How many runs of a scenario keep their curves, of those that pass and of those that fail.
const WHOLE: usize = 10;

#[cfg(test)]
pub(crate) mod tests {
    use rs2p_simnet::{BoundOutcome, Failure, PhaseOutcome, Series, Speed};

    use super::*;

    /// A run with one phase, these figures, and a bound that holds or not.
    pub(crate) fn outcome(
        seed: u64,
        figures: &[(&str, f64)],
        bound: &str,
        measured: Option<f64>,
        held: bool,
    ) -> Outcome {
        let failure = || Failure {
            rule: bound.to_owned(),
            seen: "it is not so".to_owned(),
            at: 1.0,
            node: None,
            recent: Vec::new(),
        };
        Outcome {
            scenario: "mesh/flood".to_owned(),
            about: String::new(),
            layer: "mesh".to_owned(),
            seed,
            nodes: 1000,
            bug: None,
            source: String::new(),
            drawn: BTreeMap::new(),
            digest: format!("{seed:04x}"),
            phases: vec![PhaseOutcome {
                name: "steady".to_owned(),
                from: 0.0,
                to: 1.0,
                figures: figures.iter().map(|&(name, it)| (name.to_owned(), it)).collect(),
                bounds: vec![BoundOutcome { bound: bound.to_owned(), measured, held }],
                faults: Vec::new(),
            }],
            failures: (!held).then(failure).into_iter().collect(),
            series: vec![Series {
                name: "messages".to_owned(),
                unit: String::new(),
                points: vec![(0.0, 1.0), (1.0, f64::NAN)],
            }],
            distributions: Vec::new(),
            graph: Graph::default(),
            speed: Speed::default(),
        }
    }

    pub(crate) fn results(outcomes: impl IntoIterator<Item = Outcome>) -> Results {
        let mut results = Results::default();
        for outcome in outcomes {
            let job = Job { place: 0, seed: outcome.seed, weight: 1 };
            results.add(&job, outcome);
        }
        results
    }

    #[test]
    fn which_runs_keep_their_curves_does_not_depend_on_which_ends_first() {
        let run = |seed: u64| outcome(seed, &[], "heard >= 1", None, !seed.is_multiple_of(3));
        let rising = results((0..60).map(run));
        let falling = results((0..60).rev().map(run));
        let all = |results: &Results| results.outcomes().cloned().collect::<Vec<_>>();
        assert_eq!(all(&rising), all(&falling));
        assert_eq!(rising.for_report(), falling.for_report());
        assert_eq!((rising.len(), rising.failed(), rising.for_report().len()), (60, 20, 20));
        let whole = |outcome: &&Outcome| !outcome.series.is_empty();
        assert_eq!(rising.outcomes().filter(whole).count(), 20);
    }

    #[test]
    fn what_json_cannot_hold_is_left_out() {
        let figures = [("heard", f64::NAN), ("hops", 2.0)];
        let results = results([outcome(1, &figures, "heard >= 1", Some(f64::INFINITY), false)]);
        let text = serde_json::to_string(&results.for_report()).unwrap();
        let read: Vec<Outcome> = serde_json::from_str(&text).unwrap();
        assert_eq!(read, results.for_report());
        assert_eq!(read[0].figure("hops"), Some(2.0));
    }
}
