//! How far the runs are, while they run: on standard error, when that is a terminal.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use rs2p_simnet::Outcome;

use super::numbers;
use super::plan::Job;

/// The bar. A run counts by the guess at how long it takes.
pub(crate) struct Progress {
    bar: ProgressBar,
    verbose: bool,
    steps_per_weight: f64,
    runs: usize,
    ended: AtomicUsize,
    failed: AtomicUsize,
}

/// The part of the bar that is one run's.
pub(crate) struct Share<'a> {
    bar: &'a ProgressBar,
    steps: f64,
    told: u64,
}

impl Progress {
    /// `verbose`: each run is told as it ends, terminal or not.
    pub(crate) fn new(jobs: &[Job], verbose: bool) -> Self {
        let weight = jobs.iter().map(|job| job.weight).fold(0, u64::saturating_add);
        let bar = ProgressBar::new(STEPS);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars("=> "));
        }
        let progress = Self {
            bar,
            verbose,
            steps_per_weight: STEPS as f64 / weight.max(1) as f64,
            runs: jobs.len(),
            ended: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
        };
        progress.count();
        progress.bar.enable_steady_tick(Duration::from_millis(250));
        progress
    }

    /// For the thread that runs a job.
    pub(crate) fn share(&self, job: &Job) -> Share<'_> {
        Share { bar: &self.bar, steps: job.weight as f64 * self.steps_per_weight, told: 0 }
    }

    /// A run has ended.
    pub(crate) fn ended(&self, outcome: &Outcome) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        if !outcome.passed() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.count();
        if self.verbose {
            let (name, seed, digest) = (&outcome.scenario, outcome.seed, &outcome.digest);
            let verdict = match outcome.failures.first() {
                None => format!("passed, digest {digest}"),
                Some(failure) => format!("FAILED, {failure}"),
            };
            let wall = numbers::seconds(outcome.speed.wall);
            let line = format!("{name} seed {seed}: {verdict}, in {wall}\n");
            // Where nobody reads it, nothing is lost.
            self.bar.suspend(|| _ = io::stderr().write_all(line.as_bytes()));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn count(&self) {
        let (ended, failed) =
            (self.ended.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed));
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        self.bar.set_message(format!("{ended} of {} runs{failed}", self.runs));
    }
}

impl Share<'_> {
    /// So much of the run is done, 0 to 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "steps of a bar, between 0 and STEPS"
    )]
    pub(crate) fn is(&mut self, done: f64) {
        let steps = (self.steps * done.clamp(0.0, 1.0)) as u64;
        if steps > self.told {
            self.bar.inc(steps - self.told);
            self.told = steps;
        }
    }
}

const STEPS: u64 = 1_000_000;

const TEMPLATE: &str = "[{bar:32}] {percent:>3} %  {msg}, {elapsed}, about {eta} left";
